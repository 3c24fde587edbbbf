#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y = (x - mean) / sqrt(variance + eps) for each feature, times a scale plus a shift, as torch.nn.BatchNorm1d. While
/// training, mean and variance are those of the batch, else the running ones.
class BatchNorm final : public Op {
 public:
  BatchNorm(double eps, double momentum) : eps_(eps), momentum_(momentum) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || parameters.size() < 3 || parameters.size() > 5)
      fail("batch_norm", "expected one input, two running statistics, a count, and perhaps a scale and a shift");
    if (inputs[0].size() != 1)
      fail("batch_norm", "expected an input of one axis, got one of shape ", to_string(inputs[0]));
    for (size_t i = 0; i < parameters.size(); ++i)
      if (i != count_ && parameters[i] != inputs[0])
        fail("batch_norm", "expected an input of shape ", to_string(parameters[i]), ", got ", to_string(inputs[0]));
    return inputs[0];
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return false; }
  bool needs_whole_batch() const override { return true; }

  /// Vectors of one element per feature.
  int64_t kept_elements(const OpShapes& shapes, int64_t) const override {
    return kept_vectors_ * stride(shapes.output);
  }
  int64_t scratch_elements(const OpShapes& shapes, int64_t) const override {
    return scratch_vectors_ * stride(shapes.output);
  }

  void forward(const Frame& frame) const override {
    Device& device = frame.device();
    const ConstMatrix x = frame.input(0);
    const Matrix mean = kept(frame, mean_), variance = kept(frame, variance_), factor = kept(frame, factor_);
    const Matrix slope = kept(frame, slope_);
    if (frame.training()) {
      const double share = 1 / static_cast<double>(x.rows);
      device.column_sums(mean.data, x, false);
      scale(frame, mean, mean, share);
      device.column_moments(variance.data, {}, x, mean.data, false);
      scale(frame, variance, variance, share);
    } else {
      device.copy(mean, statistic(frame, 0), false);
      device.copy(variance, statistic(frame, 1), false);
    }
    device.activate(factor, variance, {math::ActivationId::Affine, {1, eps_}});
    device.activate(factor, factor, {math::ActivationId::Sqrt});
    device.activate(factor, factor, {math::ActivationId::Reciprocal});
    device.copy(slope, factor, false);
    if (frame.parameters() > 3)
      device.combine(slope, factor, vector(frame, frame.parameter(3)), math::CombinationId::Mul);
    device.standardize(frame.output(), x, mean.data, slope.data, frame.parameters() > 4 ? frame.parameter(4) : nullptr);
  }

  /// The variance there is the unbiased one, which a single row has none of.
  void settle(const Frame& frame) const override {
    Device& device = frame.device();
    const int64_t rows = frame.rows();
    if (rows < 2) return;
    const Matrix batches{frame.statistic(static_cast<int>(count_)), 1, 1, 1};
    device.activate(batches, batches, {math::ActivationId::Affine, {1, 1}});
    const double unbiased = static_cast<double>(rows) / static_cast<double>(rows - 1);
    const Matrix rate = kept(frame, rate_), change = kept(frame, change_);
    const Matrix one{rate.data, 1, 1, 1};
    if (momentum_ >= 0)
      device.fill(one, momentum_);
    else
      device.activate(one, batches, {math::ActivationId::Reciprocal});
    for (int i = 0; i < 2; ++i) {
      const Matrix running = statistic(frame, i);
      scale(frame, change, kept(frame, i == 0 ? mean_ : variance_), i == 0 ? 1 : unbiased);
      device.combine(change, change, running, math::CombinationId::Sub);
      device.combine(change, change, one, math::CombinationId::Mul);
      device.add(running, running, change);
    }
  }

  void backward(const Frame& frame) const override {
    Device& device = frame.device();
    const ConstMatrix x = frame.input(0), dy = frame.output_gradient();
    const Matrix mean = kept(frame, mean_), factor = kept(frame, factor_), slope = kept(frame, slope_);
    const Matrix along = scratch(frame, 0), shift = scratch(frame, 1), square = scratch(frame, 2);
    device.column_sums(shift.data, dy, false);
    device.column_moments(along.data, dy, x, mean.data, false);
    device.combine(along, along, factor, math::CombinationId::Mul);
    if (void* const dscale = frame.parameters() > 3 ? frame.parameter_gradient(3) : nullptr)
      device.copy(vector(frame, dscale), along, frame.accumulates_parameter(3));
    if (void* const dshift = frame.parameters() > 4 ? frame.parameter_gradient(4) : nullptr)
      device.copy(vector(frame, dshift), shift, frame.accumulates_parameter(4));
    const Matrix dx = frame.input_gradient(0);
    if (!dx.data) return;
    // Running statistics do not depend on the rows.
    const double share = frame.training() ? 1 / static_cast<double>(x.rows) : 0;
    device.combine(shift, shift, slope, math::CombinationId::Mul);
    scale(frame, shift, shift, share);
    device.combine(square, slope, factor, math::CombinationId::Mul);
    device.combine(square, square, along, math::CombinationId::Mul);
    scale(frame, square, square, share);
    device.standardize_backward(dx, dy, x, mean.data, slope.data, shift.data, square.data, frame.accumulates_input(0));
  }

 private:
  static constexpr size_t count_ = 2;  // the parameter that counts batches
  enum Kept : int64_t { mean_, variance_, factor_, slope_, rate_, change_, kept_vectors_ };
  static constexpr int64_t scratch_vectors_ = 3;

  static int64_t stride(const Shape& shape) { return padded_columns(count(shape), DType::float32); }
  static Matrix vector(const Frame& frame, const void* data) {
    const int64_t width = frame.output().cols;
    return {const_cast<void*>(data), 1, width, width};
  }
  static Matrix kept(const Frame& frame, int64_t i) {
    return vector(frame,
                  column_block(Matrix{frame.kept()}, i * stride(frame.output_shape()), 1, frame.device().dtype()).data);
  }
  static Matrix scratch(const Frame& frame, int64_t i) {
    return vector(
        frame, column_block(Matrix{frame.scratch()}, i * stride(frame.output_shape()), 1, frame.device().dtype()).data);
  }
  static Matrix statistic(const Frame& frame, int i) { return vector(frame, frame.statistic(i)); }
  static void scale(const Frame& frame, Matrix y, ConstMatrix x, double factor) {
    frame.device().activate(y, x, {math::ActivationId::Affine, {factor, 0}});
  }

  double eps_, momentum_;
};

}  // namespace

std::shared_ptr<const Op> make_batch_norm(const math::OptionValues& options) {
  return std::make_shared<BatchNorm>(options[0], options[1]);
}

}  // namespace whet
