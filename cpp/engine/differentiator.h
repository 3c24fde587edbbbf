#pragma once

#include <memory>

#include "engine/runner.h"
#include "graph/watch.h"

namespace whet {

/// The derivatives of a graph's outputs with respect to its inputs, as it predicts: block by block, over any number of
/// rows. May be called from many threads at once.
class Differentiator {
 public:
  Differentiator(std::shared_ptr<const Graph> graph, DType dtype)
      : runner_(std::move(graph), dtype, Purpose::differentiate) {}

  /// Fills `input_gradient` (rows, width of the input) with that of sum(output * output_gradient), for each row.
  void differentiate(const State& state, ConstMatrix input, ConstMatrix output_gradient, Matrix input_gradient,
                     Watch& watch);

 private:
  Runner runner_;
};

}  // namespace whet
