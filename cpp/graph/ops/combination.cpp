#include <algorithm>

#include "core/error.h"
#include "graph/frame.h"
#include "graph/ops/ops.h"

namespace whet {

namespace {

/// A row's shape as a matrix (m, n); an axis of 1 is repeated where the other operand's is longer.
struct Sizes {
  int64_t m = 1, n = 1;
  int64_t count() const { return m * n; }
  bool operator==(const Sizes&) const = default;
};

Sizes sizes(const Shape& shape) {
  if (shape.size() == 1) return {1, shape[0]};
  if (shape.size() == 2) return {shape[0], shape[1]};
  return {1, count(shape)};
}

/// y = f(a, b) by NumPy's rules of broadcasting, for rows of up to two axes, or of any number if they are equal. The
/// operands are two values, or a value and a parameter, which counts for every row.
class Combination final : public Op {
 public:
  Combination(math::CombinationId id, const char* name, bool swapped) : id_(id), name_(name), swapped_(swapped) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.empty() || inputs.size() + parameters.size() != 2)
      fail(name_, "expected two values, or a value and a parameter; got ", inputs.size(), " values and ",
           parameters.size(), " parameters");
    const Shape &a = inputs[0], &b = inputs.size() == 2 ? inputs[1] : parameters[0];
    if (a == b) return a;
    const auto refuse = [&] {
      fail(name_, "expected two inputs of equal shapes, got ", to_string(a), " and ", to_string(b));
    };
    if (count(b) == 1 && a.size() >= b.size()) return a;
    if (count(a) == 1 && b.size() >= a.size()) return b;
    if (a.size() > 2 || b.size() > 2) refuse();
    const Sizes sa = sizes(a), sb = sizes(b);
    if ((sa.m != sb.m && sa.m != 1 && sb.m != 1) || (sa.n != sb.n && sa.n != 1 && sb.n != 1)) refuse();
    const int64_t m = std::max(sa.m, sb.m), n = std::max(sa.n, sb.n);
    return std::max(a.size(), b.size()) == 2 ? Shape{m, n} : Shape{n};
  }

  bool differentiable() const override { return id_ < math::CombinationId::Greater; }
  bool backward_reads_inputs() const override { return id_ > math::CombinationId::Sub; }
  bool backward_reads_output() const override { return false; }

  /// Room for the gradient of a repeated operand before it is summed, and for its sums over columns.
  int64_t scratch_elements(const OpShapes& shapes, int64_t rows) const override {
    const bool repeated = !shapes.parameters.empty() || count(shapes.inputs[0]) != count(shapes.output) ||
                          count(shapes.inputs.back()) != count(shapes.output);
    return repeated ? rows * (count(shapes.output) + sizes(shapes.output).m) : 0;
  }

  void forward(const Frame& frame) const override {
    const Operand a = operand(frame, 0), b = operand(frame, 1);
    for_parts(frame, frame.output(), a, b,
              [&](Matrix y, ConstMatrix x, ConstMatrix z, int64_t) { frame.device().combine(y, x, z, id_); });
  }

  void backward(const Frame& frame) const override {
    for (int i = 0; i < 2; ++i) backward(frame, i);
  }

 private:
  struct Operand {
    ConstMatrix all;
    Sizes size;
    bool parameter;

    /// What counts for part k of the output's m.
    ConstMatrix part(int64_t k, DType dtype) const {
      return column_block(all, size.m == 1 ? 0 : k * size.n, size.n, dtype);
    }
  };

  /// The first or the second operand of f.
  Operand operand(const Frame& frame, int i) const {
    const int place = swapped_ ? 1 - i : i;
    if (place < frame.inputs()) return {frame.input(place), sizes(frame.input_shape(place)), false};
    const Sizes size = sizes(frame.parameter_shape(0));
    return {{frame.parameter(0), frame.rows(), size.count(), 0}, size, true};
  }

  /// Calls body(y, a, b, k) with matrices whose columns fit, for as few parts of the output as can be.
  template <class Body>
  static void for_parts(const Frame& frame, Matrix y, const Operand& a, const Operand& b, const Body& body) {
    const Sizes size = sizes(frame.output_shape());
    const auto along_row = [&](const Operand& x) { return x.size == size || x.size.count() == 1; };
    if (size.m == 1 || (along_row(a) && along_row(b))) return body(y, a.all, b.all, 0);
    const auto along_line = [&](const Operand& x) { return x.parameter ? x.size.m == 1 : x.size.m == size.m; };
    if (along_line(a) && along_line(b)) return body(lines(y, size.n), in_lines(a, size), in_lines(b, size), 0);
    const DType dtype = frame.device().dtype();
    for (int64_t k = 0; k < size.m; ++k)
      body(column_block(y, k * size.n, size.n, dtype), a.part(k, dtype), b.part(k, dtype), k);
  }

  static ConstMatrix in_lines(const Operand& x, const Sizes& size) {
    if (x.parameter) return {x.all.data, x.all.rows * size.m, x.size.n, 0};
    return {x.all.data, x.all.rows * size.m, x.size.n, x.size.n};
  }

  void backward(const Frame& frame, int i) const {
    Device& device = frame.device();
    const Operand a = operand(frame, 0), b = operand(frame, 1), own = i == 0 ? a : b;
    const int place = swapped_ ? 1 - i : i;
    void* const parameter = own.parameter ? frame.parameter_gradient(0) : nullptr;
    const Matrix dx = own.parameter ? Matrix{} : frame.input_gradient(place);
    if (!parameter && !dx.data) return;
    const bool accumulate = own.parameter ? frame.accumulates_parameter(0) : frame.accumulates_input(place);
    const ConstMatrix dy = frame.output_gradient();
    const Sizes size = sizes(frame.output_shape());
    if (!own.parameter && own.size == size) return derive(frame, dx, a, b, i, accumulate);

    // A factor for each column: one pass has the sums of the other operand times the gradient.
    const Operand& other = i == 0 ? b : a;
    if (own.parameter && id_ == math::CombinationId::Mul && other.size == size &&
        (own.size == size || own.size == Sizes{1, size.n})) {
      const int64_t width = own.size.count();
      return device.column_moments(parameter, lines(dy, width), lines(other.all, width), nullptr, accumulate);
    }

    // The gradient as if the operand had the output's shape, and then its sums over what was repeated.
    ConstMatrix whole = dy;
    const Matrix scratch{frame.scratch(), frame.rows(), size.count(), size.count()};
    if (id_ != math::CombinationId::Add) {
      derive(frame, scratch, a, b, i, false);
      whole = scratch;
    } else if (size.m > 1 && dy.stride != dy.cols) {
      device.copy(scratch, dy, false);
      whole = scratch;
    }
    const bool one_column = own.size.n == 1 && size.n > 1, one_line = own.size.m == 1 && size.m > 1;
    if (own.parameter) {
      ConstMatrix summed = one_line || one_column ? lines(whole, size.n) : whole;
      if (one_column) {
        const Matrix sums{column_block(scratch, frame.rows() * size.count(), 1, device.dtype()).data, summed.rows, 1,
                          1};
        device.row_sums(sums, summed, 1, false);
        summed = sums;
        if (!one_line) summed = {sums.data, frame.rows(), size.m, size.m};
      }
      return device.column_sums(parameter, summed, accumulate);
    }
    if (one_column) {
      const ConstMatrix summed = one_line ? whole : lines(whole, size.n);
      return device.row_sums({dx.data, summed.rows, 1, own.size.m > 1 ? 1 : dx.stride}, summed, 1, accumulate);
    }
    for (int64_t k = 0; k < size.m; ++k)
      device.copy(dx, column_block(whole, k * size.n, size.n, device.dtype()), accumulate || k > 0);
  }

  /// dx, in the output's shape, from the output's gradient.
  void derive(const Frame& frame, Matrix dx, const Operand& a, const Operand& b, int i, bool accumulate) const {
    const ConstMatrix dy = frame.output_gradient();
    const Operand slope{dy, sizes(frame.output_shape()), false};
    const DType dtype = frame.device().dtype();
    for_parts(frame, dx, a, b, [&](Matrix to, ConstMatrix x, ConstMatrix z, int64_t k) {
      const ConstMatrix d = to.rows != dy.rows ? lines(dy, to.cols) : to.cols == dy.cols ? dy : slope.part(k, dtype);
      frame.device().combine_backward(to, d, x, z, id_, i, accumulate);
    });
  }

  math::CombinationId id_;
  const char* name_;
  bool swapped_;
};

/// y = a where c is not zero, else b; all of one shape.
class Where final : public Op {
 public:
  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (inputs.size() != 3 || !parameters.empty()) fail("where", "expected three values, got ", inputs.size());
    for (int i = 1; i < 3; ++i)
      if (inputs[static_cast<size_t>(i)] != inputs[0] && count(inputs[static_cast<size_t>(i)]) != 1)
        fail("where", "expected values of equal shapes, got ", to_string(inputs[0]), ", ", to_string(inputs[1]),
             " and ", to_string(inputs[2]));
    return inputs[0];
  }
  bool backward_reads_inputs() const override { return true; }
  bool backward_reads_output() const override { return false; }
  int64_t scratch_elements(const OpShapes& shapes, int64_t rows) const override {
    return rows * (1 + count(shapes.output));
  }

  void forward(const Frame& frame) const override {
    frame.device().choose(frame.output(), frame.input(0), frame.input(1), frame.input(2), false);
  }

  void backward(const Frame& frame) const override {
    Device& device = frame.device();
    const ConstMatrix dy = frame.output_gradient();
    const Matrix zero{frame.scratch(), frame.rows(), 1, 1};
    const Matrix whole{column_block(zero, frame.rows(), 1, device.dtype()).data, frame.rows(), dy.cols, dy.cols};
    device.fill(zero, 0);
    // The condition changes by leaps.
    if (const Matrix dx = frame.input_gradient(0); dx.data && !frame.accumulates_input(0)) device.fill(dx, 0);
    for (int i = 1; i < 3; ++i) {
      const Matrix dx = frame.input_gradient(i);
      if (!dx.data) continue;
      const ConstMatrix a = i == 1 ? dy : ConstMatrix(zero), b = i == 1 ? ConstMatrix(zero) : dy;
      if (dx.cols == dy.cols) {
        device.choose(dx, frame.input(0), a, b, frame.accumulates_input(i));
      } else {
        device.choose(whole, frame.input(0), a, b, false);
        device.row_sums(dx, whole, 1, frame.accumulates_input(i));
      }
    }
  }
};

/// One number, the same for all rows.
class Constant final : public Op {
 public:
  explicit Constant(double value) : value_(value) {}

  Shape output_shape(std::span<const Shape> inputs, std::span<const Shape> parameters) const override {
    if (!inputs.empty() || !parameters.empty()) fail("constant", "expected no operands");
    return {1};
  }
  bool backward_reads_inputs() const override { return false; }
  bool backward_reads_output() const override { return false; }
  void forward(const Frame& frame) const override { frame.device().fill(frame.output(), value_); }
  void backward(const Frame&) const override {}

 private:
  double value_;
};

}  // namespace

std::shared_ptr<const Op> make_combination(math::CombinationId id, const char* name,
                                           const math::OptionValues& options) {
  return std::make_shared<Combination>(id, name, options[0] != 0);
}
std::shared_ptr<const Op> make_where(const math::OptionValues&) { return std::make_shared<Where>(); }
std::shared_ptr<const Op> make_constant(const math::OptionValues& options) {
  return std::make_shared<Constant>(options[0]);
}

}  // namespace whet
