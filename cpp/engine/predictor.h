#pragma once

#include <memory>

#include "engine/runner.h"
#include "graph/watch.h"

namespace whet {

/// Runs a graph forward over any number of rows, block by block. May be called from many threads at once.
class Predictor {
 public:
  Predictor(std::shared_ptr<const Graph> graph, DType dtype) : runner_(std::move(graph), dtype, Purpose::predict) {}

  /// Fills `output` (rows, width of the graph's output) from `input` (rows, width of its input).
  void predict(const State& state, const Features& input, Matrix output, Watch& watch);

 private:
  Runner runner_;
};

}  // namespace whet
