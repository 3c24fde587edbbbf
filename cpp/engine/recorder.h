#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/arena.h"
#include "engine/state.h"
#include "graph/program.h"

namespace whet {

/// An activation whose units are looked at.
struct RecordedLayer {
  size_t instruction;
  int node;       // of the graph
  int64_t units;  // elements of a row
  bool squashes;  // bounded on both sides: its units saturate; those of others die
  double bound;   // a derivative no further from zero than this is flat
};

/// What a Trainer notes of some of its steps: how large gradients, changes and parameters are, and for each unit of an
/// activation, in how many rows its derivative was flat. Sums only grow; a step that throws leaves them as they were.
class Recorder {
 public:
  /// Of every `every`-th step of an epoch, from the first on.
  Recorder(const std::shared_ptr<const Graph>& graph, std::shared_ptr<State> state, Device& device, int64_t every);

  /// Whether to note the step after so many of the epoch.
  bool samples(int64_t steps) const { return steps % every_ == 0; }
  /// Before the step.
  void begin();
  /// After the forward pass over some of its rows: the first thousand of a step are looked at.
  void look(const Program& program, const Pass& pass);
  /// With the gradients of all of them, before an update may change these.
  void take(const Arena& gradients);
  /// After the step.
  void commit();

  /// Steps and rows looked at; for each parameter the squares of its gradients, then of its changes, then of itself
  /// after the step; for each unit of each layer the rows that were flat.
  std::span<double> sums() { return sums_; }
  const std::vector<RecordedLayer>& layers() const { return layers_; }

 private:
  const void* at(const void* flat, int64_t element) const;
  void count_flat(const RecordedLayer& layer, ConstMatrix saved, const Activation& f, double* flat);

  std::shared_ptr<State> state_;
  Device* device_;
  int64_t every_;
  std::vector<RecordedLayer> layers_;
  std::vector<double> sums_, step_;  // so far, and of the step that is being taken
  Arena before_, part_;
};

}  // namespace whet
