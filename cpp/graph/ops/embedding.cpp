#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/bounds.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y (m, d) = the rows of a table (n, d) that x (m,) names, as torch.nn.Embedding.
class Embedding final : public Op {
 public:
  explicit Embedding(double padding) : padding_(static_cast<int64_t>(padding)) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || parameters.size() != 1 || parameters[0].size() != 2)
      fail("embedding", "expected one input and a table of shape (rows, features)");
    if (inputs[0].size() != 1)
      fail("embedding", "expected an input of one axis, got one of shape ", to_string(inputs[0]));
    return {inputs[0][0], parameters[0][1]};
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return false; }

  void forward(const Frame& frame) const override {
    const ConstMatrix x = frame.input(0), all = table(frame, frame.parameter(0));
    if (const int64_t wrong = frame.device().look_up(frame.output(), x, all); wrong >= 0)
      fail("embedding", "expected whole numbers from 0 to ", all.rows - 1, ", got another one, first in row ",
           frame.first_row() + wrong / x.cols, ", column ", wrong % x.cols, " of its input");
  }

  void backward(const Frame& frame) const override {
    if (frame.wants_parameter_gradient(0)) {
      void* const gradient = frame.parameter_gradient(0, bound(frame));
      const ConstMatrix all = table(frame, gradient);
      frame.device().look_up_backward({gradient, all.rows, all.cols, all.stride}, frame.output_gradient(),
                                      frame.input(0), padding_, frame.accumulates_parameter(0));
    }
    if (const Matrix dx = frame.input_gradient(0); dx.data && !frame.accumulates_input(0)) frame.device().fill(dx, 0);
  }

 private:
  static ConstMatrix table(const Frame& frame, const void* data) {
    const Shape& shape = frame.parameter_shape(0);
    return {data, shape[0], shape[1], shape[1]};
  }

  /// Of the table's gradient: at most all rows add to an element.
  static double bound(const Frame& frame) {
    const ConstMatrix dy = frame.output_gradient();
    if (!is_worth_a_bound(dy.rows * dy.cols, count(frame.parameter_shape(0))))
      return std::numeric_limits<double>::infinity();
    return std::sqrt(static_cast<double>(dy.rows * frame.input_shape(0)[0])) * norm(frame.device(), dy);
  }

  int64_t padding_;  // a row that learns nothing, or -1
};

}  // namespace

std::shared_ptr<const Op> make_embedding(const math::OptionValues& options) {
  return std::make_shared<Embedding>(options[0]);
}

}  // namespace whet
