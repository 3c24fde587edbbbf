#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/shape.h"
#include "device/device.h"
#include "math/registry.h"

namespace whet {

class Frame;

/// Of one row, or of a parameter.
struct OpShapes {
  std::span<const Shape> inputs, parameters;
  const Shape& output;
};

/// An activation with what its derivative reads.
struct ActivationCall {
  Activation activation;
  math::Saved saved;
};

/// One kind of operation with its options. Immutable; knows nothing of its place in a graph.
/// To add one: a file in graph/ops, lines in its ops.h and registry.cpp, a layer or function in python/whet/nn, and a
/// case of the tests.
class Op {
 public:
  virtual ~Op() = default;

  /// The shape of a row of the output. Throws std::invalid_argument naming expected and given shapes.
  virtual Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const = 0;

  /// What `backward` reads again, so that it is kept until then.
  virtual bool backward_reads_inputs() const = 0;
  virtual bool backward_reads_output() const = 0;

  /// Elements that `forward` keeps for `backward` besides values (Frame::kept), and elements that `backward` works in
  /// (Frame::scratch), for so many rows.
  virtual int64_t kept_elements(const OpShapes&, int64_t) const { return 0; }
  virtual int64_t scratch_elements(const OpShapes&, int64_t) const { return 0; }

  /// Whether a row's output depends on the other rows of its batch while training: a batch is then one block.
  virtual bool needs_whole_batch() const { return false; }

  /// Whether the output changes smoothly with the inputs: else no gradient passes.
  virtual bool differentiable() const { return true; }

  /// Whether `forward` applies an activation that follows it (Frame::activation) while its output is in cache, and
  /// `backward` the derivative of one that made its input (Frame::input_derivative).
  virtual bool fuses_activation() const { return false; }

  /// Whether `backward` multiplies the gradient of its only input, element by element: a derivative may then be taken
  /// of the gradient of its output instead.
  virtual bool scales_gradient() const { return false; }

  /// Which of the graph's numbers it reads (Frame::number), or -1: those change from step to step.
  virtual int number() const { return -1; }

  /// Whether it is the identity of its only input wherever nothing is being trained.
  virtual bool only_in_training() const { return false; }

  /// Whether its only input may be sparse (Frame::sparse_input).
  virtual bool reads_sparse() const { return false; }

  /// The activation that this operation is, if it is nothing else, so that another one can fuse it.
  virtual const ActivationCall* as_activation() const { return nullptr; }

  virtual void forward(const Frame& frame) const = 0;

  /// Takes what `forward` saw into running statistics, once the loss of the batch is known to be finite: in the order
  /// of the forward pass, before any `backward`.
  virtual void settle(const Frame&) const {}

  /// From the gradient of the output: those of inputs and parameters, each written or accumulated as the frame says.
  virtual void backward(const Frame& frame) const = 0;
};

using NamedOptions = std::vector<std::pair<std::string, double>>;

/// Throws std::invalid_argument naming the valid operations or options.
std::shared_ptr<const Op> make_op(const std::string& name, const NamedOptions& options);

/// The operations by name, the activations among them.
std::vector<std::string> op_names();

}  // namespace whet
