#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// What a sum runs over: all elements of a row, its last axis, or of two axes the first one.
enum class Over { all, last, first };

/// The sum or the mean of a row's elements, or of those along an axis.
class Reduce final : public Op {
 public:
  Reduce(const char* name, bool mean, const math::OptionValues& options)
      : name_(name), mean_(mean), axis_(options[0]), keepdims_(options[1] != 0) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || !parameters.empty()) fail(name_, "expected one input, got ", inputs.size());
    const Shape& x = inputs[0];
    Shape y = x;
    switch (over(x)) {
      case Over::all:
        return keepdims_ ? Shape(x.size(), 1) : Shape{1};
      case Over::last:
        y.back() = 1;
        if (!keepdims_ && y.size() > 1) y.pop_back();
        return y;
      case Over::first:
        y.front() = 1;
        if (!keepdims_) y.erase(y.begin());
        return y;
    }
    return y;
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return false; }
  int64_t kept_elements(const OpShapes&, int64_t) const override { return 1; }

  void forward(const Frame& frame) const override {
    Device& device = frame.device();
    const double scale = factor(frame.input_shape(0));
    device.fill(one(frame), scale);
    if (over(frame.input_shape(0)) != Over::first)
      return for_sums(frame, frame.input(0), frame.output(),
                      [&](ConstMatrix x, Matrix y) { device.row_sums(y, x, scale, false); });
    const Matrix y = frame.output();
    for (int64_t k = 0; k < frame.input_shape(0)[0]; ++k) device.copy(y, part(frame, frame.input(0), k), k > 0);
    if (mean_) device.combine(y, y, repeated(frame, y.rows), math::CombinationId::Mul);
  }

  void backward(const Frame& frame) const override {
    const Matrix dx = frame.input_gradient(0);
    const auto spread = [&](Matrix to, ConstMatrix from) {
      const ConstMatrix scale = repeated(frame, to.rows);
      frame.device().combine_backward(to, from, scale, scale, math::CombinationId::Mul, 0, frame.accumulates_input(0));
    };
    if (over(frame.input_shape(0)) != Over::first) return for_sums(frame, dx, frame.output_gradient(), spread);
    for (int64_t k = 0; k < frame.input_shape(0)[0]; ++k) spread(part(frame, dx, k), frame.output_gradient());
  }

 private:
  Over over(const Shape& shape) const {
    const auto rank = static_cast<double>(shape.size());
    if (axis_ == kAll || (rank == 1 && (axis_ == 0 || axis_ == -1))) return Over::all;
    if (axis_ == -1 || axis_ == rank - 1) return Over::last;
    if (rank == 2 && (axis_ == 0 || axis_ == -2)) return Over::first;
    fail(name_, "expected the last axis of a row, or the first of two, for shape ", to_string(shape), ", got ", axis_);
  }

  double factor(const Shape& shape) const {
    if (!mean_) return 1;
    const Over what = over(shape);
    const int64_t n = what == Over::all ? count(shape) : what == Over::last ? shape.back() : shape.front();
    return 1 / static_cast<double>(n);
  }

  /// The factor of the sum, in memory of the op's own, for so many rows.
  static Matrix one(const Frame& frame) { return {frame.kept(), 1, 1, 1}; }
  static ConstMatrix repeated(const Frame& frame, int64_t rows) { return {frame.kept(), rows, 1, 0}; }

  /// Part k of rows of shape (m, n).
  template <class M>
  static M part(const Frame& frame, M x, int64_t k) {
    return column_block(x, k * frame.input_shape(0)[1], frame.input_shape(0)[1], frame.device().dtype());
  }

  /// Calls body(x, y) with matrices in which each row of x belongs to one element of y.
  template <class X, class Y, class Body>
  void for_sums(const Frame& frame, X x, Y y, const Body& body) const {
    const Shape& shape = frame.input_shape(0);
    if (over(shape) == Over::all) return body(x, y);
    if (y.stride == y.cols) return body(lines(x, shape.back()), Y{y.data, x.rows * y.cols, 1, 1});
    for (int64_t k = 0; k < y.cols; ++k)
      body(column_block(x, k * shape.back(), shape.back(), frame.device().dtype()),
           column_block(y, k, 1, frame.device().dtype()));
  }

  static constexpr double kAll = 99;
  const char* name_;
  bool mean_;
  double axis_;
  bool keepdims_;
};

/// log(sum(exp(x))) over the last axis, which becomes one element.
class LogSumExp final : public Op {
 public:
  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 1 || !parameters.empty()) fail("logsumexp", "expected one input, got ", inputs.size());
    Shape y = inputs[0];
    y.back() = 1;
    return y;
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return true; }

  void forward(const Frame& frame) const override {
    const int64_t width = frame.input_shape(0).back();
    const ConstMatrix x = lines(frame.input(0), width);
    frame.device().logsumexp(sums(frame.output(), x), x);
  }

  void backward(const Frame& frame) const override {
    const int64_t width = frame.input_shape(0).back();
    const ConstMatrix x = lines(frame.input(0), width);
    frame.device().logsumexp_backward(lines(frame.input_gradient(0), width), sums(frame.output_gradient(), x), x,
                                      sums(frame.output(), x), frame.accumulates_input(0));
  }

 private:
  template <class M>
  static M sums(M y, ConstMatrix x) {
    return {y.data, x.rows, 1, y.rows == x.rows ? y.stride : 1};
  }
};

}  // namespace

std::shared_ptr<const Op> make_sum(const math::OptionValues& options) {
  return std::make_shared<Reduce>("sum", false, options);
}
std::shared_ptr<const Op> make_mean(const math::OptionValues& options) {
  return std::make_shared<Reduce>("mean", true, options);
}
std::shared_ptr<const Op> make_logsumexp(const math::OptionValues&) { return std::make_shared<LogSumExp>(); }

}  // namespace whet
