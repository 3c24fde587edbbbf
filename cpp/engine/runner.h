#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "core/arena.h"
#include "engine/state.h"
#include "graph/program.h"

namespace whet {

/// `rows` rows of a matrix from `first`.
template <class M>
M rows_of(M matrix, int64_t first, int64_t rows, DType dtype) {
  using Byte = std::conditional_t<std::is_same_v<M, Matrix>, std::byte, const std::byte>;
  matrix.data = static_cast<Byte*>(matrix.data) + static_cast<size_t>(first * matrix.stride) * size_of(dtype);
  matrix.rows = rows;
  return matrix;
}

/// A program that leaves the parameters as they are, and workspaces for as many threads as run it at once.
class Runner {
 public:
  Runner(std::shared_ptr<const Graph> graph, DType dtype, Purpose purpose);

  const Program& program() const { return program_; }

  /// Calls body(pass) for one block of the input's rows after the other.
  template <class Body>
  void for_blocks(const State& state, const Features& input, const Body& body) {
    auto arena = borrow();
    for (int64_t row = 0; row < input.rows(); row += program_.max_rows()) {
      Pass pass;
      pass.arena = arena->data();
      pass.parameters = state.parameters();
      pass.settles = false;
      pass.rows = std::min(program_.max_rows(), input.rows() - row);
      pass.first_row = row;
      pass.input = input.slice(row, pass.rows, state.dtype());
      body(pass);
    }
    give_back(std::move(arena));
  }

 private:
  std::unique_ptr<Arena> borrow();
  void give_back(std::unique_ptr<Arena> arena);

  Program program_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Arena>> idle_;
};

}  // namespace whet
