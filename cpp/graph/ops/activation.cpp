#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y = f(x), element by element, for every activation of the list.
class ActivationOp final : public Op {
 public:
  ActivationOp(std::string name, ActivationCall call) : name_(std::move(name)), call_(call) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || !parameters.empty()) fail(name_, "expected one input, got ", inputs.size());
    return inputs[0];
  }
  bool backward_reads_inputs() const override { return call_.saved == math::Saved::input; }
  bool backward_reads_output() const override { return call_.saved == math::Saved::output; }
  const ActivationCall* as_activation() const override { return &call_; }

  void forward(const Frame& frame) const override {
    frame.device().activate(frame.output(), frame.input(0), call_.activation);
  }

  void backward(const Frame& frame) const override {
    const ConstMatrix saved = call_.saved == math::Saved::input ? frame.input(0) : frame.output();
    frame.device().activate_backward(frame.input_gradient(0), frame.output_gradient(), saved, call_.activation,
                                     frame.accumulates_input(0));
  }

 private:
  std::string name_;
  ActivationCall call_;
};

}  // namespace

std::shared_ptr<const Op> make_activation(const std::string& name, const NamedOptions& options) {
  const math::ActivationInfo& info = math::find_activation(name);
  const Activation activation{info.id, math::option_values(name, info.options, options)};
  return std::make_shared<ActivationOp>(name, ActivationCall{activation, info.saved});
}

}  // namespace whet
