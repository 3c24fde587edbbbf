#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/arena.h"
#include "engine/state.h"
#include "graph/program.h"
#include "graph/watch.h"

namespace whet {

/// Runs a graph forward over any number of rows, block by block. May be called from many threads at once.
class Predictor {
 public:
  Predictor(std::shared_ptr<const Graph> graph, DType dtype);

  /// Fills `output` (rows, width of the graph's output) from `input` (rows, width of its input).
  void predict(const State& state, const Features& input, Matrix output, Watch& watch);

 private:
  std::unique_ptr<Arena> borrow();
  void give_back(std::unique_ptr<Arena> arena);

  Program program_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Arena>> idle_;
};

}  // namespace whet
