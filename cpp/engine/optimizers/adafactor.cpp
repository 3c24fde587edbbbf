#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/optimizers/optimizers.h"
#include "math/scalar.h"

namespace whet::optimizers {

namespace {

enum { kLr, kBeta2Decay, kEps1, kEps2, kD, kWeightDecay };

constexpr std::array<math::Option, 6> kOptions{{{"lr", 1e-2},
                                                {"beta2_decay", -0.8},
                                                {"eps1", -1.0},  // below 0: the difference of 1 and the next number
                                                {"eps2", 1e-3},
                                                {"d", 1.0},
                                                {"weight_decay", 0.0}}};

/// Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018, in the form of
/// torch.optim.Adafactor: of a matrix's mean squares, only those of its rows and columns are kept.
class Adafactor final : public Method {
 public:
  Adafactor(const State& state, Device& device) : device_(&device) {
    int64_t largest = 0;
    for (const ParameterSpec& each : state.specs()) largest = std::max(largest, count(each.shape));
    for (Arena* const arena : {&along_, &means_})
      *arena = Arena(static_cast<size_t>(largest + 1) * size_of(device.dtype()));
  }

  void step(const Part& part, const math::OptionValues& o, int64_t step) override {
    const int64_t n = part.size();
    const double t = static_cast<double>(step), share = math::exponential(o[kBeta2Decay] * math::logarithm(t));
    const double rate =
        std::min(o[kLr], 1 / std::sqrt(t)) * std::max(o[kEps2], root_mean_square(part.parameter.data, n));
    const double eps = o[kEps1] >= 0                        ? o[kEps1]
                       : device_->dtype() == DType::float32 ? std::numeric_limits<float>::epsilon()
                                                            : std::numeric_limits<double>::epsilon();
    if (part.shape.size() < 2)
      estimate(part, share);
    else
      estimate_factored(part, share, eps);
    divide_by_roots(part, eps * eps);
    const double excess = std::max(1.0, root_mean_square(along_.data(), n) / o[kD]);
    device_->scale(part.parameter.data, part.parameter.data, 1 - o[kLr] * o[kWeightDecay], n);
    follow(*device_, part.parameter.data, along_.data(), -rate / excess, 0, n);
  }

 private:
  double root_mean_square(const void* x, int64_t n) const {
    return std::sqrt(device_->sum_of_squares(x, n) / static_cast<double>(n));
  }
  void* at(void* data, int64_t element) const {
    return static_cast<std::byte*>(data) + static_cast<size_t>(element) * size_of(device_->dtype());
  }
  static Matrix line(void* data, int64_t n) { return {data, 1, n, n}; }

  /// along_ = the running mean of the squared gradient of a vector.
  void estimate(const Part& part, double share) {
    const int64_t n = part.size();
    const Matrix squares = line(along_.data(), n);
    device_->activate(squares, line(const_cast<void*>(part.gradient), n), {math::ActivationId::Square});
    follow(*device_, part.slots[0], squares.data, share, 1, n);
    device_->scale(squares.data, part.slots[0], 1, n);
  }

  /// along_ = what the running means of rows and columns say of it, for each matrix of the last two axes.
  void estimate_factored(const Part& part, double share, double eps) {
    const int64_t rows = part.shape[part.shape.size() - 2], cols = part.shape.back(), size = rows * cols;
    for (int64_t i = 0; i < part.size() / size; ++i) {
      const ConstMatrix gradient{at(const_cast<void*>(part.gradient), i * size), rows, cols, cols};
      const Matrix squares{at(along_.data(), i * size), rows, cols, cols};
      void *const row_var = at(part.slots[0], i * rows), *const col_var = at(part.slots[1], i * cols);
      device_->activate(squares, gradient, {math::ActivationId::Square});
      const Matrix row_means{means_.data(), rows, 1, 1}, col_means = line(means_.data(), cols);
      device_->row_sums(row_means, squares, 1 / static_cast<double>(cols), false);
      follow(*device_, row_var, row_means.data, share, 1, rows);
      device_->column_sums(col_means.data, squares, false);
      device_->scale(col_means.data, col_means.data, 1 / static_cast<double>(rows), cols);
      follow(*device_, col_var, col_means.data, share, 1, cols);

      const double mean = device_->weighted_sum(row_var, nullptr, rows) / static_cast<double>(rows);
      device_->scale(row_means.data, row_var, 1 / std::max(mean, eps), rows);
      device_->combine(squares, row_means, {col_var, rows, cols, 0}, math::CombinationId::Mul);
    }
  }

  /// along_ = the gradient / sqrt(along_), where nothing below `least` counts as such.
  void divide_by_roots(const Part& part, double least) {
    Matrix along = part.parameter, gradient = along, bound{means_.data(), along.rows, 1, 0};
    along.data = along_.data();
    gradient.data = const_cast<void*>(part.gradient);
    device_->fill({bound.data, 1, 1, 1}, least);
    device_->combine(along, along, bound, math::CombinationId::Maximum);
    device_->activate(along, along, {math::ActivationId::Sqrt});
    device_->combine(along, gradient, along, math::CombinationId::Div);
  }

  Device* device_;
  Arena along_, means_;
};

}  // namespace

const MethodInfo& adafactor() {
  static const MethodInfo info{
      .optimizer = {.name = "adafactor", .id = {}, .options = kOptions, .slots = {}, .prepare = nullptr},
      .make = [](const State& state, Device& device) -> std::unique_ptr<Method> {
        return std::make_unique<Adafactor>(state, device);
      },
      .slots = [](const Shape& parameter, const math::OptionValues&,
                  std::span<const double>) -> std::vector<ParameterSpec> {
        if (parameter.size() < 2) return {{"variance", parameter}};
        Shape rows = parameter, cols = parameter;
        rows.back() = 1;
        cols[cols.size() - 2] = 1;
        return {{"row_var", rows}, {"col_var", cols}};
      }};
  return info;
}

}  // namespace whet::optimizers
