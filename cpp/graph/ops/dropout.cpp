#include <cmath>

#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// While training, y is x / (1 - p), or zero with probability p, as torch.nn.Dropout; else y is x.
class DropoutOp final : public Op {
 public:
  DropoutOp(double p, int number) : p_(p), number_(number) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || !parameters.empty()) fail("dropout", "expected one input, got ", inputs.size());
    return inputs[0];
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return true; }
  bool scales_gradient() const override { return true; }
  bool only_in_training() const override { return true; }
  int number() const override { return number_; }

  void forward(const Frame& frame) const override {
    frame.device().dropout(frame.output(), frame.input(0),
                           {share(frame), frame.random_key(Stream::dropout), frame.first_row()});
  }

  void backward(const Frame& frame) const override {
    frame.device().dropout_backward(frame.input_gradient(0), frame.output_gradient(), frame.output(), share(frame),
                                    frame.accumulates_input(0));
  }

 private:
  double share(const Frame& frame) const { return number_ < 0 ? p_ : frame.number(number_); }

  double p_;
  int number_;  // of the graph, in place of p, or -1
};

/// While training, a (x or, with probability p, what SELU tends to) + b, so that mean and variance stay, as
/// torch.nn.AlphaDropout; else y is x. (Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.)
class AlphaDropout final : public Op {
 public:
  explicit AlphaDropout(double p) : p_(p) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || !parameters.empty()) fail("alpha_dropout", "expected one input, got ", inputs.size());
    return inputs[0];
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return false; }
  bool only_in_training() const override { return true; }
  /// x less the limit, where it was kept.
  int64_t kept_elements(const OpShapes& shapes, int64_t rows) const override { return rows * count(shapes.output); }
  int64_t scratch_elements(const OpShapes& shapes, int64_t rows) const override { return rows * count(shapes.output); }

  void forward(const Frame& frame) const override {
    Device& device = frame.device();
    const Matrix kept = own(frame, frame.kept());
    device.activate(kept, frame.input(0), affine(1, -kLimit));
    device.dropout(kept, kept, {p_, frame.random_key(Stream::dropout), frame.first_row()});
    device.activate(frame.output(), kept, affine(scale() * (1 - p_), scale() * kLimit + shift()));
  }

  void backward(const Frame& frame) const override {
    Device& device = frame.device();
    const Matrix scaled = own(frame, frame.scratch());
    device.activate(scaled, frame.output_gradient(), affine(scale() * (1 - p_), 0));
    device.dropout_backward(frame.input_gradient(0), scaled, own(frame, frame.kept()), p_, frame.accumulates_input(0));
  }

 private:
  static constexpr double kLimit = -1.7580993408473766;  // of SELU, far below zero

  static Activation affine(double scale, double shift) { return {math::ActivationId::Affine, {scale, shift}}; }
  static Matrix own(const Frame& frame, void* data) {
    const int64_t width = frame.output().cols;
    return {data, frame.rows(), width, width};
  }
  double scale() const { return 1 / std::sqrt((1 - p_) * (1 + p_ * kLimit * kLimit)); }
  double shift() const { return -scale() * p_ * kLimit; }

  double p_;
};

}  // namespace

std::shared_ptr<const Op> make_alpha_dropout(const math::OptionValues& options) {
  const double p = options[0];
  if (!(p >= 0 && p < 1)) fail("alpha_dropout", "expected p from 0 to below 1, got ", p);
  return std::make_shared<AlphaDropout>(p);
}

std::shared_ptr<const Op> make_dropout(const math::OptionValues& options) {
  const double p = options[0];
  if (!(p >= 0 && p <= 1)) fail("dropout", "expected p from 0 to 1, got ", p);
  return std::make_shared<DropoutOp>(p, static_cast<int>(options[1]));
}

}  // namespace whet
