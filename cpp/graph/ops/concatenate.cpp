#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// The features of all inputs side by side.
class Concatenate final : public Op {
 public:
  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.empty() || !parameters.empty()) fail("concatenate", "expected at least one input, got none");
    int64_t width = 0;
    for (const Shape& shape : inputs) {
      if (shape.size() != 1) fail("concatenate", "expected inputs of one axis, got one of shape ", to_string(shape));
      width += shape[0];
    }
    return {width};
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return false; }

  void forward(const Frame& frame) const override {
    const Matrix y = frame.output();
    int64_t column = 0;
    for (int i = 0; i < frame.inputs(); ++i) {
      const ConstMatrix x = frame.input(i);
      frame.device().copy({offset(frame, y.data, column), x.rows, x.cols, y.stride}, x, false);
      column += x.cols;
    }
  }

  void backward(const Frame& frame) const override {
    const ConstMatrix dy = frame.output_gradient();
    int64_t column = 0;
    for (int i = 0; i < frame.inputs(); ++i) {
      const int64_t width = frame.input(i).cols;
      if (const Matrix dx = frame.input_gradient(i); dx.data)
        frame.device().copy(dx, {offset(frame, const_cast<void*>(dy.data), column), dy.rows, width, dy.stride},
                            frame.accumulates_input(i));
      column += width;
    }
  }

 private:
  static void* offset(const Frame& frame, void* data, int64_t column) {
    return static_cast<std::byte*>(data) + static_cast<size_t>(column) * size_of(frame.device().dtype());
  }
};

}  // namespace

std::shared_ptr<const Op> make_concatenate(const math::OptionValues&) { return std::make_shared<Concatenate>(); }

}  // namespace whet
