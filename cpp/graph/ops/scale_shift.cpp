#include <algorithm>

#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y = x scale + shift, with elements of their own for each feature of the last axis, or for each of a row. In blocks
/// of columns that stay in cache from one pass to the next: a step of TabM took 1.2 times as long with a pass for each.
class ScaleShift final : public Op {
 public:
  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || parameters.empty() || parameters.size() > 2)
      fail("scale_shift", "expected one input, a scale and perhaps a shift");
    const Shape& x = inputs[0];
    for (const Shape& parameter : parameters)
      if (parameter != parameters[0] || (parameter != x && parameter != Shape{x.back()}))
        fail("scale_shift", "expected a scale and a shift of shape ", to_string({x.back()}), " or ", to_string(x),
             ", got ", to_string(parameter));
    return x;
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return false; }
  bool fuses_activation() const override { return true; }

  void forward(const Frame& frame) const override {
    Device& device = frame.device();
    const int64_t width = count(frame.parameter_shape(0));
    const ConstMatrix x = lines(frame.input(0), width);
    const Matrix y = lines(frame.output(), width), kept = lines(frame.activation_input(), width);
    const Activation f = frame.activation();
    for_blocks(device, x, [&](int64_t first, int64_t cols) {
      const Matrix to = column_block(y, first, cols, device.dtype());
      const Matrix linear = kept.data ? column_block(kept, first, cols, device.dtype()) : to;
      device.standardize(linear, column_block(x, first, cols, device.dtype()), nullptr, element(frame, 0, first),
                         element(frame, 1, first));
      if (f.id != math::ActivationId::Identity) device.activate(to, linear, f);
    });
  }

  void backward(const Frame& frame) const override {
    Device& device = frame.device();
    const DType dtype = device.dtype();
    const int64_t width = count(frame.parameter_shape(0));
    const ConstMatrix x = lines(frame.input(0), width), dy = lines(frame.output_gradient(), width);
    const Matrix dx = lines(frame.input_gradient(0), width);
    Epilogue before = frame.input_derivative();
    before.saved = lines(before.saved, width);
    void* const dscale = frame.parameter_gradient(0);
    void* const dshift = frame.parameters() > 1 ? frame.parameter_gradient(1) : nullptr;
    for_blocks(device, x, [&](int64_t first, int64_t cols) {
      const ConstMatrix slope = column_block(dy, first, cols, dtype);
      const auto place = [&](void* data) { return column_block(Matrix{data}, first, 1, dtype).data; };
      if (dscale)
        device.column_moments(place(dscale), slope, column_block(x, first, cols, dtype), nullptr,
                              frame.accumulates_parameter(0));
      if (dshift) device.column_sums(place(dshift), slope, frame.accumulates_parameter(1));
      if (!dx.data) return;
      const Matrix to = column_block(dx, first, cols, dtype);
      const ConstMatrix scale{element(frame, 0, first), to.rows, cols, 0};
      device.combine_backward(to, slope, scale, scale, math::CombinationId::Mul, 0, frame.accumulates_input(0));
      if (before.saved.data)
        device.activate_backward(to, to, column_block(before.saved, first, cols, dtype), before.activation, false);
    });
  }

 private:
  static const void* element(const Frame& frame, int parameter, int64_t first) {
    if (parameter >= frame.parameters()) return nullptr;
    return column_block(ConstMatrix{frame.parameter(parameter)}, first, 1, frame.device().dtype()).data;
  }

  /// Calls body(first, cols) for blocks of x's columns of some 128 KB.
  template <class Body>
  static void for_blocks(Device& device, ConstMatrix x, const Body& body) {
    constexpr int64_t bytes = 1 << 17, line = 64;
    const auto row_bytes = static_cast<int64_t>(size_of(device.dtype())) * std::max<int64_t>(x.rows, 1);
    const int64_t cols = std::max(line, bytes / row_bytes / line * line);
    for (int64_t first = 0; first < x.cols; first += cols) body(first, std::min(cols, x.cols - first));
  }
};

}  // namespace

std::shared_ptr<const Op> make_scale_shift(const math::OptionValues&) { return std::make_shared<ScaleShift>(); }

}  // namespace whet
