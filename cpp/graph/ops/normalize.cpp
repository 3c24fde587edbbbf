#include <limits>

#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y = (x - mean) / sqrt(variance + eps) over the last axis, or over equal groups of it, times a scale plus a shift:
/// torch.nn.LayerNorm, GroupNorm, and without the mean RMSNorm.
class Normalize final : public Op {
 public:
  Normalize(double groups, double eps, double centred)
      : groups_(static_cast<int64_t>(groups)), eps_(eps), centred_(centred != 0) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || parameters.size() > 2)
      fail("normalize", "expected one input, and perhaps a scale and a shift; got ", inputs.size(), " inputs and ",
           parameters.size(), " parameters");
    const int64_t width = inputs[0].back();
    if (groups_ < 1 || width % groups_ != 0)
      fail("normalize", "expected a number of groups that divides ", width, " features, got ", groups_);
    for (const Shape& parameter : parameters)
      if (parameter != Shape{width})
        fail("normalize", "expected a scale and a shift of shape ", to_string({width}), " for an input of shape ",
             to_string(inputs[0]), ", got ", to_string(parameter));
    return inputs[0];
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return false; }

  /// Mean and factor of each group.
  int64_t kept_elements(const OpShapes& shapes, int64_t rows) const override {
    return 2 * rows * count(shapes.output) / (shapes.output.back() / groups_);
  }
  int64_t scratch_elements(const OpShapes& shapes, int64_t rows) const override {
    return shapes.parameters.empty() ? 0 : rows * count(shapes.output);
  }

  void forward(const Frame& frame) const override {
    const int64_t width = frame.output_shape().back();
    const ConstMatrix x = lines(frame.input(0), width);
    const Matrix y = lines(frame.output(), width);
    for_groups(frame, x.rows, [&](int64_t first, int64_t cols, const Moments& kept, const Normalization& how) {
      const DType dtype = frame.device().dtype();
      frame.device().normalize(column_block(y, first, cols, dtype), kept, column_block(x, first, cols, dtype), how);
    });
  }

  void backward(const Frame& frame) const override {
    Device& device = frame.device();
    const DType dtype = device.dtype();
    const int64_t width = frame.output_shape().back();
    const ConstMatrix x = lines(frame.input(0), width), dy = lines(frame.output_gradient(), width);
    const Matrix dx = lines(frame.input_gradient(0), width);
    void* const scale = frame.parameters() > 0 ? frame.parameter_gradient(0) : nullptr;
    const Matrix dscale{scale ? frame.scratch() : nullptr, x.rows, width, width};
    const auto block = [&](auto matrix, int64_t first, int64_t cols) {
      return matrix.data ? column_block(matrix, first, cols, dtype) : matrix;
    };
    for_groups(frame, x.rows, [&](int64_t first, int64_t cols, const Moments& kept, const Normalization& how) {
      device.normalize_backward(block(dx, first, cols), block(dscale, first, cols), block(dy, first, cols),
                                block(x, first, cols), kept, how, frame.accumulates_input(0));
    });
    if (scale) device.column_sums(scale, dscale, frame.accumulates_parameter(0));
    if (void* const shift = frame.parameters() > 1 ? frame.parameter_gradient(1) : nullptr)
      device.column_sums(shift, dy, frame.accumulates_parameter(1));
  }

 private:
  template <class Body>
  void for_groups(const Frame& frame, int64_t rows, const Body& body) const {
    const DType dtype = frame.device().dtype();
    const int64_t cols = frame.output_shape().back() / groups_;
    const auto element = [&](const void* data, int64_t i) {
      return column_block(Matrix{const_cast<void*>(data)}, i, 1, dtype).data;
    };
    for (int64_t g = 0; g < groups_; ++g) {
      const Moments kept{element(frame.kept(), 2 * g * rows), element(frame.kept(), (2 * g + 1) * rows)};
      const Normalization how{frame.parameters() > 0 ? element(frame.parameter(0), g * cols) : nullptr,
                              frame.parameters() > 1 ? element(frame.parameter(1), g * cols) : nullptr, eps(dtype),
                              centred_};
      body(g * cols, cols, kept, how);
    }
  }

  double eps(DType dtype) const {
    if (eps_ >= 0) return eps_;
    return dtype == DType::float32 ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
  }

  int64_t groups_;
  double eps_;  // below zero: the spacing of numbers at one
  bool centred_;
};

}  // namespace

std::shared_ptr<const Op> make_normalize(const math::OptionValues& options) {
  return std::make_shared<Normalize>(options[0], options[1], options[2]);
}

}  // namespace whet
