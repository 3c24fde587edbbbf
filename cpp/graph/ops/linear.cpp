#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/bounds.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y = x W^T + b over the last axis, with W (out, in) and an optional b (out,), as torch.nn.Linear; or y = x W + b with
/// W (in, out).
class Linear final : public Op {
 public:
  explicit Linear(bool transposed) : transposed_(transposed) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || parameters.empty() || parameters.size() > 2)
      fail("linear", "expected one input, a weight and perhaps a bias; got ", inputs.size(), " inputs and ",
           parameters.size(), " parameters");
    const Shape &x = inputs[0], &weight = parameters[0];
    if (weight.size() != 2)
      fail("linear", "expected a weight of shape ", transposed_ ? "(in, out)" : "(out, in)", ", got ",
           to_string(weight));
    const int64_t in = weight[transposed_ ? 0 : 1], out = weight[transposed_ ? 1 : 0];
    if (x.back() != in)
      fail("linear", "expected an input with ", in, " features for a weight of shape ", to_string(weight), ", got ",
           x.size() == 1 ? std::to_string(x[0]) : to_string(x));
    if (parameters.size() == 2 && parameters[1] != Shape{out})
      fail("linear", "expected a bias of shape ", to_string({out}), ", got ", to_string(parameters[1]));
    Shape y = x;
    y.back() = out;
    return y;
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return false; }
  bool fuses_activation() const override { return true; }
  bool reads_sparse() const override { return true; }

  void forward(const Frame& frame) const override {
    const ConstMatrix w = weight(frame);
    const int64_t in = frame.input_shape(0).back(), out = frame.output_shape().back();
    const Epilogue epilogue{frame.parameters() > 1 ? frame.parameter(1) : nullptr, frame.activation(),
                            lines(frame.activation_input(), out)};
    const Matrix y = lines(frame.output(), out);
    if (const SparseMatrix* const x = frame.sparse_input(0))
      frame.device().sparse_gemm(y, *x, w, !transposed_, epilogue);
    else
      frame.device().gemm(y, lines(frame.input(0), in), false, w, !transposed_, false, epilogue);
  }

  void backward(const Frame& frame) const override {
    Device& device = frame.device();
    const ConstMatrix w = weight(frame);
    const int64_t in = frame.input_shape(0).back(), out = frame.output_shape().back();
    const ConstMatrix dy = lines(frame.output_gradient(), out);
    if (frame.wants_parameter_gradient(0)) {
      const ConstMatrix x = lines(frame.input(0), in);
      const Matrix dw{frame.parameter_gradient(0, bound(frame, x, dy)), w.rows, w.cols, w.cols};
      if (const SparseMatrix* const sparse = frame.sparse_input(0))
        device.sparse_gemm_over_rows(dw, transposed_, *sparse, dy, frame.accumulates_parameter(0));
      else
        device.gemm_over_rows(dw, transposed_ ? x : dy, transposed_ ? dy : x, nullptr, frame.accumulates_parameter(0));
    }
    if (void* const db = frame.parameters() > 1 ? frame.parameter_gradient(1) : nullptr)
      device.column_sums(db, dy, frame.accumulates_parameter(1));
    if (const Matrix dx = frame.input_gradient(0); dx.data) {
      Epilogue derivative = frame.input_derivative();
      derivative.saved = lines(derivative.saved, in);
      device.gemm(lines(dx, in), dy, false, w, transposed_, frame.accumulates_input(0), derivative);
    }
  }

 private:
  static ConstMatrix weight(const Frame& frame) {
    const Shape& shape = frame.parameter_shape(0);
    return {frame.parameter(0), shape[0], shape[1], shape[1]};
  }

  /// Of the weight's gradient.
  static double bound(const Frame& frame, ConstMatrix x, ConstMatrix dy) {
    const SparseMatrix* const sparse = frame.sparse_input(0);
    const int64_t read = (sparse ? sparse->entries() : x.rows * x.cols) + dy.rows * dy.cols;
    if (!is_worth_a_bound(read, count(frame.parameter_shape(0)))) return std::numeric_limits<double>::infinity();
    Device& device = frame.device();
    return norm(device, dy) * (sparse ? norm(device, *sparse) : norm(device, x));
  }

  bool transposed_;
};

}  // namespace

std::shared_ptr<const Op> make_linear(const math::OptionValues& options) {
  return std::make_shared<Linear>(options[0] != 0);
}

}  // namespace whet
