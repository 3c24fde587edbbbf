#pragma once

#include <memory>
#include <vector>

#include "engine/runner.h"
#include "graph/watch.h"

namespace whet {

/// Predicts with what dropout draws while training; running statistics stay those of a prediction. May be called from
/// many threads at once.
class Sampler {
 public:
  /// `numbers`: those of the graph, which a schedule gives while training.
  Sampler(std::shared_ptr<const Graph> graph, DType dtype, std::vector<double> numbers);

  /// Fills `output` from `input` with the draws of (seed, pass), whatever the threads and blocks.
  void sample(const State& state, ConstMatrix input, Matrix output, uint64_t seed, uint32_t pass, Watch& watch);

 private:
  Runner runner_;
  std::vector<double> numbers_;
};

}  // namespace whet
