#include "engine/predictor.h"

#include <algorithm>

#include "engine/blocks.h"

namespace whet {

namespace {

Matrix rows_of(Matrix matrix, int64_t first, int64_t rows, DType dtype) {
  matrix.data = static_cast<std::byte*>(matrix.data) + static_cast<size_t>(first * matrix.stride) * size_of(dtype);
  matrix.rows = rows;
  return matrix;
}

}  // namespace

Predictor::Predictor(std::shared_ptr<const Graph> graph, DType dtype)
    : program_(graph, cpu_device(dtype), block_rows(graph, cpu_device(dtype), Purpose::predict), Purpose::predict) {}

std::unique_ptr<Arena> Predictor::borrow() {
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

void Predictor::give_back(std::unique_ptr<Arena> arena) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(arena));
}

void Predictor::predict(const State& state, const Features& input, Matrix output, Watch& watch) {
  auto arena = borrow();
  for (int64_t row = 0; row < input.rows(); row += program_.max_rows()) {
    Pass pass;
    pass.arena = arena->data();
    pass.parameters = state.parameters();
    pass.rows = std::min(program_.max_rows(), input.rows() - row);
    pass.first_row = row;
    pass.input = input.slice(row, pass.rows, state.dtype());
    pass.output = rows_of(output, row, pass.rows, state.dtype());
    program_.forward(pass, watch);
  }
  give_back(std::move(arena));
}

}  // namespace whet
