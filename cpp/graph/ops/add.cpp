#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// y = a + b, of equal shapes.
class Add final : public Op {
 public:
  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 2 || !parameters.empty()) fail("add", "expected two inputs, got ", inputs.size());
    if (inputs[0] != inputs[1])
      fail("add", "expected two inputs of equal shapes, got ", to_string(inputs[0]), " and ", to_string(inputs[1]));
    return inputs[0];
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return false; }

  void forward(const Frame& frame) const override {
    frame.device().add(frame.output(), frame.input(0), frame.input(1));
  }

  void backward(const Frame& frame) const override {
    for (int i = 0; i < 2; ++i)
      if (const Matrix dx = frame.input_gradient(i); dx.data)
        frame.device().copy(dx, frame.output_gradient(), frame.accumulates_input(i));
  }
};

}  // namespace

std::shared_ptr<const Op> make_add(const math::OptionValues&) { return std::make_shared<Add>(); }

}  // namespace whet
