#include "graph/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "core/dtype.h"

namespace whet {

MemoryPlan plan_memory(const std::vector<Lifetime>& buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });

  MemoryPlan plan{std::vector<int64_t>(buffers.size()), 0};
  std::vector<size_t> placed;  // by offset
  for (size_t i : order) {
    const Lifetime& buffer = buffers[i];
    const int64_t bytes = round_up(buffer.bytes, kAlignment);
    int64_t offset = 0;
    for (size_t j : placed) {
      const Lifetime& other = buffers[j];
      if (other.last < buffer.first || buffer.last < other.first) continue;
      if (plan.offsets[j] >= offset + bytes) break;
      offset = std::max(offset, plan.offsets[j] + round_up(other.bytes, kAlignment));
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
                  i);
  }
  return plan;
}

}  // namespace whet
