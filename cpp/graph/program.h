#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "device/device.h"
#include "graph/features.h"
#include "graph/graph.h"

namespace whet {

/// Where each parameter stands in a flat vector, in elements. Each starts at 64 bytes; the padding between stays zero.
struct ParameterLayout {
  explicit ParameterLayout(const std::vector<ParameterSpec>& parameters, DType dtype);
  std::vector<int64_t> offsets;
  int64_t size = 0;
};

/// One planned call of an operation, with the activation that was fused into it.
struct Instruction {
  const Node* node = nullptr;
  std::optional<Activation> activation;
  int output = -1;            // value that the instruction makes: the activation's, if one is fused
  int activation_input = -1;  // value kept for the activation's derivative, or -1
  math::Saved saved = math::Saved::output;
  int before = -1;              // the instruction whose activation `backward` takes the derivative of, or -1
  bool differentiated = false;  // another instruction's `backward` takes that of this one's activation
  std::vector<bool> needs_input_gradient, accumulates_input, accumulates_parameter;
  int64_t kept = -1, scratch = -1;  // where in the arena its op's own memory lies, in bytes; -1 where it has none
};

/// What one pass over a batch works on. The caller owns all of it.
struct Pass {
  std::byte* arena = nullptr;  // Program::arena_bytes()
  const void* parameters = nullptr;
  void* gradients = nullptr;          // laid out as the parameters; backward only
  bool accumulate_gradients = false;  // add to the gradients instead of overwriting them
  double* bounds = nullptr;           // per parameter: `backward` adds what no element of its gradient grows beyond
  bool settles = true;                // whether running statistics take in what this pass has seen
  int64_t rows = 0;                   // at most Program::max_rows()
  int64_t first_row = 0;              // of the batch, where the pass takes a part of it
  const double* numbers = nullptr;    // Graph::numbers() of them
  uint64_t seed = 0;                  // for the random numbers of this step; training only
  uint32_t step = 0;
  Features input;
  ConstMatrix target;
  Matrix output;          // where to put the model's output; in the arena if null
  Matrix input_gradient;  // where to put the input's, of a program that differentiates
};

/// Something to do between two instructions: throws to abandon the pass.
class Watch;

/// To sample is to predict with what only training draws; to differentiate, to predict and to go back to the input.
enum class Purpose { predict, sample, differentiate, train };

/// A graph planned for a device: the order of operations, what is fused, and where every value lies in the arena.
/// Immutable and shared: it holds no data and serves any number of rows up to the planned one. For predicting and for
/// differentiating, it holds the graph without what is there for training alone.
class Program {
 public:
  Program(std::shared_ptr<const Graph> graph, Device& device, int64_t max_rows, Purpose purpose);

  const Graph& graph() const { return *graph_; }
  Device& device() const { return *device_; }
  const ParameterLayout& layout() const { return layout_; }
  Purpose purpose() const { return purpose_; }
  int64_t max_rows() const { return max_rows_; }
  size_t arena_bytes() const { return arena_bytes_; }
  const std::vector<Instruction>& instructions() const { return instructions_; }

  /// Fills the arena and the output. Allocates nothing.
  void forward(const Pass& pass, Watch& watch) const;

  /// From the gradient of the output, or of the loss where the graph has one, which the caller has put there, the
  /// gradients of all parameters; those of the input, for a program that differentiates.
  void backward(const Pass& pass, Watch& watch) const;

  /// The parts of both that instruction `i` has.
  void forward(size_t i, const Pass& pass) const;
  void backward(size_t i, const Pass& pass) const;

  /// Whether `backward` does anything for it: what it reads is kept until then.
  bool reverses(size_t i) const { return needs_gradient_[static_cast<size_t>(instructions_[i].output)]; }

  Matrix value(const Pass& pass, int value) const;
  Matrix output(const Pass& pass) const { return value(pass, graph_->output()); }
  Matrix output_gradient(const Pass& pass) const { return gradient(pass, graph_->output()); }
  Matrix loss(const Pass& pass) const { return value(pass, graph_->loss()); }
  Matrix loss_gradient(const Pass& pass) const { return gradient(pass, graph_->loss()); }
  Matrix gradient(const Pass& pass, int value) const;
  /// What the derivative of the activation fused into `instruction` reads.
  Matrix saved(const Pass& pass, const Instruction& instruction) const;

 private:
  bool has_backward() const { return purpose_ == Purpose::differentiate || purpose_ == Purpose::train; }
  /// The value whose gradient the backward pass starts from.
  int start() const { return graph_->loss() >= 0 ? graph_->loss() : graph_->output(); }
  void fuse();
  void mark_gradients();
  void fuse_derivatives();
  void place();
  Matrix matrix(const Pass& pass, int64_t offset, int value) const;

  std::shared_ptr<const Graph> graph_;
  Device* device_;
  Purpose purpose_;
  int64_t max_rows_;
  ParameterLayout layout_;
  std::vector<Instruction> instructions_;
  std::vector<bool> needs_gradient_;                       // per value
  std::vector<int64_t> value_offsets_, gradient_offsets_;  // per value, in bytes; -1 where there is none
  size_t arena_bytes_ = 0;
};

}  // namespace whet
