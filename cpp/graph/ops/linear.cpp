#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y = x W^T + b, with W (out, in) and an optional b (out,), as torch.nn.Linear.
class Linear final : public Op {
 public:
  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || parameters.empty() || parameters.size() > 2)
      fail("linear", "expected one input, a weight and perhaps a bias; got ", inputs.size(), " inputs and ",
           parameters.size(), " parameters");
    const Shape &x = inputs[0], &weight = parameters[0];
    if (weight.size() != 2) fail("linear", "expected a weight of shape (out, in), got ", to_string(weight));
    if (x.size() != 1 || x[0] != weight[1])
      fail("linear", "expected an input with ", weight[1], " features for a weight of shape ", to_string(weight),
           ", got ", x.size() == 1 ? std::to_string(x[0]) : to_string(x));
    if (parameters.size() == 2 && parameters[1] != Shape{weight[0]})
      fail("linear", "expected a bias of shape ", to_string({weight[0]}), ", got ", to_string(parameters[1]));
    return {weight[0]};
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return false; }
  bool fuses_activation() const override { return true; }

  void forward(const Frame& frame) const override {
    const Epilogue epilogue{frame.parameters() > 1 ? frame.parameter(1) : nullptr, frame.activation(),
                            frame.activation_input()};
    frame.device().gemm(frame.output(), frame.input(0), false, weight(frame), true, false, epilogue);
  }

  void backward(const Frame& frame) const override {
    const ConstMatrix dy = frame.output_gradient();
    Device& device = frame.device();
    const ConstMatrix w = weight(frame);
    device.gemm_over_rows({frame.parameter_gradient(0), w.rows, w.cols, w.cols}, dy, frame.input(0), nullptr,
                          frame.accumulates_parameter(0));
    if (frame.parameters() > 1) device.column_sums(frame.parameter_gradient(1), dy, frame.accumulates_parameter(1));
    if (const Matrix dx = frame.input_gradient(0); dx.data)
      device.gemm(dx, dy, false, w, false, frame.accumulates_input(0), frame.input_derivative());
  }

 private:
  static ConstMatrix weight(const Frame& frame) {
    const Shape& shape = frame.parameter_shape(0);
    return {frame.parameter(0), shape[0], shape[1], shape[1]};
  }
};

}  // namespace

std::shared_ptr<const Op> make_linear(const math::OptionValues&) { return std::make_shared<Linear>(); }

}  // namespace whet
