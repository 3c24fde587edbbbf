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

}  // namespace

std::shared_ptr<const Op> make_dropout(const math::OptionValues& options) {
  const double p = options[0];
  if (!(p >= 0 && p <= 1)) fail("dropout", "expected p from 0 to 1, got ", p);
  return std::make_shared<DropoutOp>(p, static_cast<int>(options[1]));
}

}  // namespace whet
