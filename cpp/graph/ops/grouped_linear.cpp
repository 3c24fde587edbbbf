#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y[g] = x[g] W[g] + b[g] for every group g: x (groups, in) or, the same for all, (in,), W (groups, in, out), and an
/// optional b (groups, out).
class GroupedLinear final : public Op {
 public:
  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || parameters.empty() || parameters.size() > 2 || parameters[0].size() != 3)
      fail("grouped_linear", "expected one input, a weight of shape (groups, in, out) and perhaps a bias");
    const Shape &x = inputs[0], &weight = parameters[0];
    const Shape own{weight[0], weight[1]}, shared{weight[1]}, y{weight[0], weight[2]};
    if (x != own && x != shared)
      fail("grouped_linear", "expected an input of shape ", to_string(own), " or ", to_string(shared),
           " for a weight of shape ", to_string(weight), ", got ", to_string(x));
    if (parameters.size() == 2 && parameters[1] != y)
      fail("grouped_linear", "expected a bias of shape ", to_string(y), ", got ", to_string(parameters[1]));
    return y;
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return false; }
  bool fuses_activation() const override { return true; }

  void forward(const Frame& frame) const override {
    for_groups(frame, [&](int64_t g, const Group& group) {
      const Epilogue epilogue{group.bias, frame.activation(), output_block(frame, frame.activation_input(), g)};
      frame.device().gemm(output_block(frame, frame.output(), g), input_block(frame, frame.input(0), g), false,
                          group.weight, false, false, epilogue);
    });
  }

  void backward(const Frame& frame) const override {
    Device& device = frame.device();
    const ConstMatrix dy = frame.output_gradient();
    const Matrix dx = frame.input_gradient(0);
    void* const dw = frame.parameter_gradient(0);
    const Epilogue whole = frame.input_derivative();
    const bool shared = frame.input_shape(0).size() == 1;
    const int64_t groups = frame.parameter_shape(0)[0];
    for_groups(frame, [&](int64_t g, const Group& group) {
      const ConstMatrix dy_g = output_block(frame, dy, g), w = group.weight;
      if (dw)
        device.gemm_over_rows(
            {column_block(Matrix{dw}, g * w.rows * w.cols, 1, device.dtype()).data, w.rows, w.cols, w.cols},
            input_block(frame, frame.input(0), g), dy_g, nullptr, frame.accumulates_parameter(0));
      if (!dx.data) return;
      Epilogue derivative;
      if (!shared || g + 1 == groups) {
        derivative = whole;
        derivative.saved = input_block(frame, whole.saved, g);
      }
      device.gemm(input_block(frame, dx, g), dy_g, false, w, true, frame.accumulates_input(0) || (shared && g > 0),
                  derivative);
    });
    if (void* const db = frame.parameters() > 1 ? frame.parameter_gradient(1) : nullptr)
      device.column_sums(db, dy, frame.accumulates_parameter(1));
  }

 private:
  struct Group {
    ConstMatrix weight;
    const void* bias;
  };

  template <class Body>
  static void for_groups(const Frame& frame, const Body& body) {
    const Shape& shape = frame.parameter_shape(0);
    const DType dtype = frame.device().dtype();
    const ConstMatrix all{frame.parameter(0), shape[1], shape[2], shape[2]};
    for (int64_t g = 0; g < shape[0]; ++g) {
      const void* const bias =
          frame.parameters() > 1 ? column_block(ConstMatrix{frame.parameter(1)}, g * shape[2], 1, dtype).data : nullptr;
      body(g, Group{column_block(all, g * shape[1] * shape[2], shape[2], dtype), bias});
    }
  }

  template <class M>
  static M output_block(const Frame& frame, M y, int64_t g) {
    const int64_t width = frame.parameter_shape(0)[2];
    return y.data ? column_block(y, g * width, width, frame.device().dtype()) : y;
  }

  template <class M>
  static M input_block(const Frame& frame, M x, int64_t g) {
    const int64_t width = frame.parameter_shape(0)[1];
    if (!x.data || frame.input_shape(0).size() == 1) return x;
    return column_block(x, g * width, width, frame.device().dtype());
  }
};

}  // namespace

std::shared_ptr<const Op> make_grouped_linear(const math::OptionValues&) { return std::make_shared<GroupedLinear>(); }

}  // namespace whet
