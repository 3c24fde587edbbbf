#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

template <class M>
M columns(const Frame& frame, M x, int64_t first, int64_t cols) {
  return column_block(x, first, cols, frame.device().dtype());
}

/// An axis of a row, counted from the front or from the back. Throws std::invalid_argument if there is none.
size_t axis_of(const char* op, double axis, const Shape& shape) {
  const auto rank = static_cast<double>(shape.size());
  if (axis < -rank || axis >= rank)
    fail(op, "expected an axis from ", -rank, " to ", rank - 1, " for a row of shape ", to_string(shape), ", got ",
         axis);
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

/// Elements between neighbours along an axis.
int64_t step_of(const Shape& shape, size_t axis) {
  int64_t step = 1;
  for (size_t i = axis + 1; i < shape.size(); ++i) step *= shape[i];
  return step;
}

/// The values side by side along an axis, the last one by default.
class Concatenate final : public Op {
 public:
  explicit Concatenate(double axis) : axis_(axis) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.empty() || !parameters.empty()) fail("concatenate", "expected at least one input, got none");
    const size_t axis = axis_of("concatenate", axis_, inputs[0]);
    Shape all = inputs[0];
    for (const Shape& shape : inputs.subspan(1)) {
      Shape same = shape;
      if (same.size() == all.size()) same[axis] = inputs[0][axis];
      if (same != inputs[0])
        fail("concatenate", "expected inputs that differ in axis ", axis, " at most, got ", to_string(inputs[0]),
             " and ", to_string(shape));
      all[axis] += shape[axis];
    }
    return all;
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return false; }

  void forward(const Frame& frame) const override {
    const Matrix y = in_lines(frame.output(), frame.output_shape());
    int64_t column = 0;
    for (int i = 0; i < frame.inputs(); ++i) {
      const ConstMatrix x = in_lines(frame.input(i), frame.input_shape(i));
      frame.device().copy(columns(frame, y, column, x.cols), x, false);
      column += x.cols;
    }
  }

  void backward(const Frame& frame) const override {
    const ConstMatrix dy = in_lines(frame.output_gradient(), frame.output_shape());
    int64_t column = 0;
    for (int i = 0; i < frame.inputs(); ++i) {
      const int64_t width = in_lines(frame.input(i), frame.input_shape(i)).cols;
      if (const Matrix dx = frame.input_gradient(i); dx.data)
        frame.device().copy(in_lines(dx, frame.input_shape(i)), columns(frame, dy, column, width),
                            frame.accumulates_input(i));
      column += width;
    }
  }

 private:
  template <class M>
  M in_lines(M x, const Shape& shape) const {
    const size_t axis = axis_of("concatenate", axis_, shape);
    return lines(x, shape[axis] * step_of(shape, axis));
  }

  double axis_;
};

/// Elements start to stop - 1 along an axis.
class Slice final : public Op {
 public:
  Slice(double axis, double start, double stop)
      : axis_(axis), start_(static_cast<int64_t>(start)), stop_(static_cast<int64_t>(stop)) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || !parameters.empty()) fail("slice", "expected one input, got ", inputs.size());
    Shape shape = inputs[0];
    const size_t axis = axis_of("slice", axis_, shape);
    if (start_ < 0 || stop_ <= start_ || stop_ > shape[axis])
      fail("slice", "expected a part of the ", shape[axis], " elements of axis ", axis, ", got [", start_, ", ", stop_,
           ")");
    shape[axis] = stop_ - start_;
    return shape;
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return false; }

  void forward(const Frame& frame) const override {
    const Part part = part_of(frame);
    frame.device().copy(lines(frame.output(), part.width), part.of(frame, frame.input(0)), false);
  }

  void backward(const Frame& frame) const override {
    const Matrix dx = frame.input_gradient(0);
    if (!frame.accumulates_input(0)) frame.device().fill(dx, 0);
    const Part part = part_of(frame);
    frame.device().copy(part.of(frame, dx), lines(frame.output_gradient(), part.width), true);
  }

 private:
  struct Part {
    int64_t line, from, width;
    template <class M>
    M of(const Frame& frame, M x) const {
      return columns(frame, lines(x, line), from, width);
    }
  };
  Part part_of(const Frame& frame) const {
    const Shape& shape = frame.input_shape(0);
    const size_t axis = axis_of("slice", axis_, shape);
    const int64_t step = step_of(shape, axis);
    return {shape[axis] * step, start_ * step, (stop_ - start_) * step};
  }

  double axis_;
  int64_t start_, stop_;
};

/// The elements of a row in another shape of up to three axes.
class Reshape final : public Op {
 public:
  explicit Reshape(Shape shape) : shape_(std::move(shape)) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || !parameters.empty()) fail("reshape", "expected one input, got ", inputs.size());
    if (count(inputs[0]) != count(shape_))
      fail("reshape", "expected a shape of ", count(inputs[0]), " elements for ", to_string(inputs[0]), ", got ",
           to_string(shape_));
    return shape_;
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return false; }
  void forward(const Frame& frame) const override { frame.device().copy(frame.output(), frame.input(0), false); }
  void backward(const Frame& frame) const override {
    frame.device().copy(frame.input_gradient(0), frame.output_gradient(), frame.accumulates_input(0));
  }

 private:
  Shape shape_;
};

}  // namespace

std::shared_ptr<const Op> make_concatenate(const math::OptionValues& options) {
  return std::make_shared<Concatenate>(options[0]);
}
std::shared_ptr<const Op> make_slice(const math::OptionValues& options) {
  return std::make_shared<Slice>(options[0], options[1], options[2]);
}
std::shared_ptr<const Op> make_reshape(const math::OptionValues& options) {
  Shape shape;
  for (int i = 0; i < 3 && options[static_cast<size_t>(i)] > 0; ++i)
    shape.push_back(static_cast<int64_t>(options[static_cast<size_t>(i)]));
  if (shape.empty()) fail("reshape", "expected a shape of positive sizes");
  return std::make_shared<Reshape>(std::move(shape));
}

}  // namespace whet
