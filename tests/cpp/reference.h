#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "device/cpu/cpu.h"
#include "device/cpu/select.h"
#include "device/device.h"
#include "math/registry.h"

/// What the tests of the device share: matrices with gaps between their rows, every device there is, and formulas.
namespace whet {

template <class T>
constexpr DType dtype_of = sizeof(T) == 4 ? DType::float32 : DType::float64;

/// A matrix of random numbers; `gap` elements stand between its rows, and must stay as they are.
template <class T>
struct Sheet {
  int64_t rows, cols, stride;
  std::vector<T> values;

  Sheet(int64_t rows_, int64_t cols_, int64_t gap, uint64_t seed, double low = -1, double high = 1)
      : rows(rows_), cols(cols_), stride(cols_ + gap), values(static_cast<size_t>(rows_ * (cols_ + gap))) {
    std::vector<double> drawn(values.size());
    random_uniform({.seed = seed}, low, high, drawn.data(), static_cast<int64_t>(drawn.size()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(drawn[i]);
  }

  T& operator()(int64_t i, int64_t j) { return values[static_cast<size_t>(i * stride + j)]; }
  T operator()(int64_t i, int64_t j) const { return values[static_cast<size_t>(i * stride + j)]; }
  Matrix matrix() { return {values.data(), rows, cols, stride}; }
  ConstMatrix matrix() const { return {values.data(), rows, cols, stride}; }

  /// The elements without the gaps.
  std::vector<T> elements() const {
    std::vector<T> all;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j) all.push_back((*this)(i, j));
    return all;
  }
};

/// The sets that this processor runs; the ones after the first have FMA and give equal bits.
inline std::vector<std::string> sets() { return cpu::available_instruction_sets(); }

inline Device& device(const std::string& set, DType dtype) {
  return cpu::cpu_device(dtype, Precision::full, cpu::find_instruction_set(set));
}

/// An activation in float64 or more, by name, with the C library. One without a formula fails the test.
template <class R>
R value_of(std::string_view name, R x, const math::OptionValues& options) {
  const auto sigmoid = [](R z) { return 1 / (1 + std::exp(-z)); };
  const R o[] = {static_cast<R>(options[0]), static_cast<R>(options[1])};
  if (name == "identity") return x;
  if (name == "relu") return x > 0 || std::isnan(x) ? x : 0;
  if (name == "leaky_relu") return x > 0 ? x : o[0] * x;
  if (name == "elu") return x > 0 ? x : o[0] * std::expm1(x);
  if (name == "gelu") return x * std::erfc(-x / std::numbers::sqrt2_v<R>) / 2;
  if (name == "gelu_tanh")
    return x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi_v<R>) * (x + static_cast<R>(0.044715) * x * x * x))) / 2;
  if (name == "silu") return x * sigmoid(x);
  if (name == "tanh") return std::tanh(x);
  if (name == "sigmoid") return sigmoid(x);
  if (name == "softplus")
    return o[0] * x > o[1] ? x : (std::max(o[0] * x, R(0)) + std::log1p(std::exp(-std::abs(o[0] * x)))) / o[0];
  if (name == "celu") return x > 0 ? x : o[0] * std::expm1(x / o[0]);
  if (name == "selu")
    return static_cast<R>(1.0507009873554804934L) *
           (x > 0 ? x : static_cast<R>(1.6732632423543772848L) * std::expm1(x));
  if (name == "mish") return x * std::tanh(std::log1p(std::exp(x)));
  if (name == "log_sigmoid") return std::min(x, R(0)) - std::log1p(std::exp(-std::abs(x)));
  if (name == "softsign") return x / (1 + std::abs(x));
  if (name == "tanhshrink") return x - std::tanh(x);
  if (name == "hardshrink") return std::abs(x) <= o[0] ? 0 : x;
  if (name == "softshrink") return std::abs(x) <= o[0] ? 0 : x - std::copysign(o[0], x);
  if (name == "hardtanh") return std::isnan(x) ? x : std::clamp(x, o[0], o[1]);
  if (name == "hardsigmoid") return std::isnan(x) ? x : std::clamp(x + 3, R(0), R(6)) / 6;
  if (name == "hardswish") return x * std::clamp(x + 3, R(0), R(6)) / 6;
  if (name == "threshold") return x <= o[0] ? o[1] : x;
  if (name == "exp") return std::exp(x);
  if (name == "log") return std::log(x);
  if (name == "sqrt") return std::sqrt(x);
  if (name == "abs") return std::abs(x);
  if (name == "square") return x * x;
  if (name == "reciprocal") return 1 / x;
  if (name == "sin") return std::sin(x);
  if (name == "cos") return std::cos(x);
  if (name == "affine") return o[0] * x + o[1];
  report(__FILE__, __LINE__, "no formula for ", name);
  return std::numeric_limits<R>::quiet_NaN();
}

/// Its derivative, in terms of the output or the input, as the activation declares; of those that products apply.
template <class R>
R slope_of(std::string_view name, R saved, const math::OptionValues& options) {
  const auto sigmoid = [](R z) { return 1 / (1 + std::exp(-z)); };
  const R o[] = {static_cast<R>(options[0]), static_cast<R>(options[1])};
  const R y = saved, x = saved, pi = std::numbers::pi_v<R>;
  if (name == "identity") return 1;
  if (name == "relu") return y > 0;
  if (name == "leaky_relu") return x > 0 ? 1 : o[0];
  if (name == "elu") return x > 0 ? 1 : o[0] * std::exp(x);
  if (name == "gelu")
    return std::erfc(-x / std::numbers::sqrt2_v<R>) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * pi);
  if (name == "gelu_tanh") {
    const R c = static_cast<R>(0.044715), root = std::sqrt(2 / pi), t = std::tanh(root * (x + c * x * x * x));
    return (1 + t + x * (1 - t * t) * root * (1 + 3 * c * x * x)) / 2;
  }
  if (name == "silu") return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
  if (name == "tanh") return 1 - y * y;
  if (name == "sigmoid") return y * (1 - y);
  if (name == "softplus") return o[0] * x > o[1] ? R(1) : sigmoid(o[0] * x);
  report(__FILE__, __LINE__, "no formula for the derivative of ", name);
  return std::numeric_limits<R>::quiet_NaN();
}

}  // namespace whet
