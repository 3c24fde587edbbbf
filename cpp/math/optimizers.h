#pragma once

// To add an elementwise optimizer: write its functor here and its word in WHET_OPTIMIZERS, a class in
// python/whet/optim.py, and its float64 formula in tests/reference.py.

#include <cstdint>

#include "math/options.h"

#define WHET_OPTIMIZERS(X) X(Gd) X(Sgd) X(Adam) X(AdamW)

namespace whet::math {

enum class OptimizerId : int {
#define WHET_WORD(Name) Name,
  WHET_OPTIMIZERS(WHET_WORD)
#undef WHET_WORD
};

constexpr int kMaxSlots = 2;
constexpr int kMaxCoefficients = 8;
using Coefficients = std::array<double, kMaxCoefficients>;

/// base^exponent by squaring: the same bits everywhere, unlike the C library's pow.
constexpr double integer_power(double base, int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1, base *= base)
    if (exponent & 1) result *= base;
  return result;
}

// Each functor has `options` (names and defaults of PyTorch, the learning rate first), `slots` (the vectors it keeps,
// PyTorch's names), `prepare` (what is constant over one sweep, in double; `step` counts from 1) and `update`, which
// returns the new parameter and changes the slots in place.

/// Gradient descent: p - lr (g + weight_decay p).
struct Gd {
  static constexpr const char* name = "gd";
  static constexpr std::array<Option, 2> options{{{"lr", 1e-3}, {"weight_decay", 0.0}}};
  static constexpr std::array<const char*, 0> slots{};
  static Coefficients prepare(const OptionValues& o, int64_t) { return {-o[0], o[1]}; }
  template <class V>
  static V update(V p, V g, V*, const V* c) {
    return fma(c[0], fma(c[1], p, g), p);
  }
};

/// Momentum as in torch.optim.SGD: the buffer starts as the first gradient.
struct Sgd {
  static constexpr const char* name = "sgd";
  static constexpr std::array<Option, 5> options{
      {{"lr", 1e-3}, {"momentum", 0.0}, {"dampening", 0.0}, {"weight_decay", 0.0}, {"nesterov", 0.0}}};
  static constexpr std::array<const char*, 1> slots{"momentum_buffer"};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    const double momentum = o[1], fresh = step == 1 ? 1.0 : 1.0 - o[2];
    // The step is along the buffer, or along gradient + momentum * buffer.
    const double along_gradient = o[4] != 0 ? 1.0 : 0.0, along_buffer = o[4] != 0 ? momentum : 1.0;
    return {-o[0], momentum, fresh, o[3], along_gradient, along_buffer};
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V d = fma(c[3], p, g);
    slot[0] = fma(c[1], slot[0], c[2] * d);
    return fma(c[0], fma(c[5], slot[0], c[4] * d), p);
  }
};

/// Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, in the form of torch.optim.Adam.
struct Adam {
  static constexpr const char* name = "adam";
  static constexpr std::array<Option, 5> options{
      {{"lr", 1e-3}, {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0.0}}};
  static constexpr std::array<const char*, 2> slots{"exp_avg", "exp_avg_sq"};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    const double correction1 = 1 - integer_power(o[1], step), correction2 = 1 - integer_power(o[2], step);
    return {-o[0] / correction1, 1 - o[1], o[2], 1 - o[2], o[3], o[4], 1 / correction2};
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    return follow(p, fma(c[5], p, g), slot, c);
  }
  /// The step from p along `d`, the gradient with all that counts as such.
  template <class V>
  static V follow(V p, V d, V* slot, const V* c) {
    slot[0] = fma(c[1], d - slot[0], slot[0]);
    slot[1] = fma(c[2], slot[1], c[3] * d * d);
    return fma(c[0], slot[0] / (sqrt(slot[1] * c[6]) + c[4]), p);
  }
};

/// Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, in the form of torch.optim.AdamW: the
/// decay p (1 - lr weight_decay) comes first, and the moments know nothing of it.
struct AdamW : Adam {
  static constexpr const char* name = "adamw";
  static constexpr std::array<Option, 5> options{
      {{"lr", 1e-3}, {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 1e-2}}};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    Coefficients c = Adam::prepare(o, step);
    c[5] = -o[0] * o[4];
    return c;
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    return follow(fma(c[5], p, p), g, slot, c);
  }
};

}  // namespace whet::math
