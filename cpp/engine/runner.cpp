#include "engine/runner.h"

#include "engine/blocks.h"

namespace whet {

Runner::Runner(std::shared_ptr<const Graph> graph, DType dtype, Purpose purpose)
    : program_(graph, cpu_device(dtype), block_rows(graph, cpu_device(dtype), purpose), purpose) {}

std::unique_ptr<Arena> Runner::borrow() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto arena = std::move(idle_.back());
      idle_.pop_back();
      return arena;
    }
  }
  return std::make_unique<Arena>(program_.arena_bytes());
}

void Runner::give_back(std::unique_ptr<Arena> arena) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(arena));
}

}  // namespace whet
