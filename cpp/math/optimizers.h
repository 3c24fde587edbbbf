#pragma once

// To add an elementwise optimizer: write its functor here and its word in WHET_OPTIMIZERS, a class in
// python/whet/optim, and its float64 formula in tests/reference_optimizers.py.

#include <cstdint>

#include "math/options.h"
#include "math/scalar.h"

// clang-format off
#define WHET_OPTIMIZERS(X)                                                                                      \
  X(Gd) X(Sgd) X(Adam) X(AdamW) X(AdamAmsgrad) X(AdamWAmsgrad) X(Adamax) X(NAdam) X(RAdam) X(ScheduleFreeAdamW) \
  X(Lion) X(Rprop) X(Adagrad) X(Adadelta) X(RMSprop) X(RMSpropMomentum) X(RMSpropCentered)                      \
  X(RMSpropCenteredMomentum) X(Ftrl)
// clang-format on

namespace whet::math {

enum class OptimizerId : int {
#define WHET_WORD(Name) Name,
  WHET_OPTIMIZERS(WHET_WORD)
#undef WHET_WORD
};

constexpr int kMaxSlots = 3;
constexpr int kMaxCoefficients = 9;
using Coefficients = std::array<double, kMaxCoefficients>;

// Each functor has `options` (names and defaults of PyTorch, the learning rate first), `slots` (the vectors it keeps,
// PyTorch's names, zeros before the first step), `prepare` (what is constant over one sweep, in double; `step` counts
// from 1) and `update`, which returns the new parameter and changes the slots in place. One that differs from another
// in `prepare` alone names it as its `Sweep`. A name with a point is that of a variant with other slots, which an
// option of the Python class chooses.

/// The functor whose loop is compiled for F.
template <class F>
struct SweepOf {
  using type = F;
};
template <class F>
  requires requires { typename F::Sweep; }
struct SweepOf<F> {
  using type = typename F::Sweep;
};

/// The running mean `mean` and the next value: mean + share (value - mean).
template <class V>
V follow_mean(V mean, V value, V share) {
  return fma(share, value - mean, mean);
}

/// 1, -1, or x itself where that is zero or NaN.
template <class V>
V sign(V x) {
  return select(x > V(0), V(1), select(x < V(0), V(-1), x));
}

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

/// Reddi et al., "On the convergence of Adam and beyond", ICLR 2018: the denominator is of the largest second moment so
/// far. The penalty joins the gradient (c[5]) or shrinks the parameter (c[7]).
struct AdamAmsgrad : Adam {
  static constexpr const char* name = "adam.amsgrad";
  static constexpr std::array<const char*, 3> slots{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V d = fma(c[5], p, g);
    slot[0] = follow_mean(slot[0], d, c[1]);
    slot[1] = fma(c[2], slot[1], c[3] * d * d);
    slot[2] = max(slot[1], slot[2]);
    return fma(c[0], slot[0] / (sqrt(slot[2] * c[6]) + c[4]), fma(c[7], p, p));
  }
};

struct AdamWAmsgrad : AdamAmsgrad {
  using Sweep = AdamAmsgrad;
  static constexpr const char* name = "adamw.amsgrad";
  static constexpr auto options = AdamW::options;
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    Coefficients c = AdamW::prepare(o, step);
    c[7] = c[5];
    c[5] = 0;
    return c;
  }
};

/// Adam with the largest decayed gradient in place of the second moment (Kingma and Ba, ICLR 2015, section 7.1).
struct Adamax {
  static constexpr const char* name = "adamax";
  static constexpr std::array<Option, 5> options{
      {{"lr", 2e-3}, {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0.0}}};
  static constexpr std::array<const char*, 2> slots{"exp_avg", "exp_inf"};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    return {-o[0] / (1 - integer_power(o[1], step)), 1 - o[1], o[2], o[3], o[4]};
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V d = fma(c[4], p, g);
    slot[0] = follow_mean(slot[0], d, c[1]);
    slot[1] = max(abs(d) + c[3], c[2] * slot[1]);
    return fma(c[0], slot[0] / slot[1], p);
  }
};

/// Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016, in the form of torch.optim.NAdam.
struct NAdam {
  static constexpr const char* name = "nadam";
  static constexpr std::array<Option, 7> options{{{"lr", 2e-3},
                                                  {"beta1", 0.9},
                                                  {"beta2", 0.999},
                                                  {"eps", 1e-8},
                                                  {"weight_decay", 0.0},
                                                  {"momentum_decay", 4e-3},
                                                  {"decoupled_weight_decay", 0.0}}};
  static constexpr std::array<const char*, 2> slots{"exp_avg", "exp_avg_sq"};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    constexpr double log_base = -0.040821994520255166;  // of 0.96
    const auto momentum = [&](double power) { return o[1] * (1 - 0.5 * power); };
    // The product of all momenta so far. A factor is at most beta1, so that some 39 / (1 - beta1) of them are enough:
    // after those, 1 - product is 1, whatever the step.
    const double base = exponential(log_base * o[5]);
    double product = 1, power = 1;
    for (int64_t t = 1; t <= step && product > 1e-17; ++t) product *= momentum(power *= base);
    const double t = static_cast<double>(step);
    const double now = momentum(exponential(log_base * o[5] * t));
    const double next = momentum(exponential(log_base * o[5] * (t + 1)));
    const double along_gradient = -o[0] * (1 - now) / (1 - product), along_mean = -o[0] * next / (1 - product * next);
    return with_decay({along_mean, along_gradient, 1 - o[1], o[2], 1 - o[2], o[3], 1 / (1 - integer_power(o[2], step))},
                      o[0], o[4], o[6] != 0);
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V d = fma(c[7], p, g);
    slot[0] = follow_mean(slot[0], d, c[2]);
    slot[1] = fma(c[3], slot[1], c[4] * d * d);
    return fma(c[8], p, p) + fma(c[1], d, c[0] * slot[0]) / (sqrt(slot[1] * c[6]) + c[5]);
  }
  /// The penalty joins the gradient, or shrinks the parameter.
  static Coefficients with_decay(Coefficients c, double lr, double weight_decay, bool decoupled) {
    (decoupled ? c[8] : c[7]) = decoupled ? -lr * weight_decay : weight_decay;
    return c;
  }
};

/// Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020, in the form of torch.optim.RAdam:
/// until the second moment is of enough gradients, the step is that of the first alone.
struct RAdam {
  using Sweep = NAdam;
  static constexpr const char* name = "radam";
  static constexpr std::array<Option, 6> options{{{"lr", 1e-3},
                                                  {"beta1", 0.9},
                                                  {"beta2", 0.999},
                                                  {"eps", 1e-8},
                                                  {"weight_decay", 0.0},
                                                  {"decoupled_weight_decay", 0.0}}};
  static constexpr std::array<const char*, 2> slots{"exp_avg", "exp_avg_sq"};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    const double power = integer_power(o[2], step), correction1 = 1 - integer_power(o[1], step),
                 correction2 = 1 - power;
    const double last = 2 / (1 - o[2]) - 1, length = last - 2 * static_cast<double>(step) * power / correction2;
    const bool adaptive = length > 5;
    const double rectified =
        adaptive ? __builtin_sqrt((length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length) * correction2)
                 : 1.0;
    // Without a second moment, the denominator sqrt(0) + 1.
    return NAdam::with_decay(
        {-o[0] / correction1 * rectified, 0, 1 - o[1], o[2], 1 - o[2], adaptive ? o[3] : 1.0, adaptive ? 1.0 : 0.0},
        o[0], o[4], o[5] != 0);
  }
};

/// Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023: the sign of one mean, the memory of
/// another, and decoupled weight decay.
struct Lion {
  static constexpr const char* name = "lion";
  static constexpr std::array<Option, 4> options{
      {{"lr", 1e-4}, {"beta1", 0.9}, {"beta2", 0.99}, {"weight_decay", 0.0}}};
  static constexpr std::array<const char*, 1> slots{"exp_avg"};
  static Coefficients prepare(const OptionValues& o, int64_t) { return {-o[0], 1 - o[1], 1 - o[2], -o[0] * o[3]}; }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V direction = sign(follow_mean(slot[0], g, c[1]));
    slot[0] = follow_mean(slot[0], g, c[2]);
    return fma(c[0], direction, fma(c[3], p, p));
  }
};

/// Duchi, Hazan and Singer, "Adaptive subgradient methods", JMLR 2011, in the form of torch.optim.Adagrad.
struct Adagrad {
  static constexpr const char* name = "adagrad";
  static constexpr std::array<Option, 5> options{
      {{"lr", 1e-2}, {"lr_decay", 0.0}, {"weight_decay", 0.0}, {"initial_accumulator_value", 0.0}, {"eps", 1e-10}}};
  static constexpr std::array<const char*, 1> slots{"sum"};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    return {-o[0] / (1 + static_cast<double>(step - 1) * o[1]), o[2], step == 1 ? o[3] : 0.0, o[4]};
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V d = fma(c[1], p, g);
    slot[0] = fma(d, d, slot[0] + c[2]);
    return fma(c[0], d / (sqrt(slot[0]) + c[3]), p);
  }
};

/// Zeiler, "ADADELTA: an adaptive learning rate method", 2012, in the form of torch.optim.Adadelta.
struct Adadelta {
  static constexpr const char* name = "adadelta";
  static constexpr std::array<Option, 4> options{{{"lr", 1.0}, {"rho", 0.9}, {"eps", 1e-6}, {"weight_decay", 0.0}}};
  static constexpr std::array<const char*, 2> slots{"square_avg", "acc_delta"};
  static Coefficients prepare(const OptionValues& o, int64_t) { return {-o[0], o[1], 1 - o[1], o[2], o[3]}; }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V d = fma(c[4], p, g);
    slot[0] = fma(c[1], slot[0], c[2] * d * d);
    const V delta = sqrt((slot[1] + c[3]) / (slot[0] + c[3])) * d;
    slot[1] = fma(c[1], slot[1], c[2] * delta * delta);
    return fma(c[0], delta, p);
  }
};

/// Tieleman and Hinton, lecture 6.5 of "Neural networks for machine learning", 2012, in the form of
/// torch.optim.RMSprop; the mean of the gradient, if kept, makes the second moment the variance (Graves, 2013).
template <bool momentum, bool centered>
struct RMSpropWith {
  static constexpr const char* name = momentum   ? centered ? "rmsprop.centered.momentum" : "rmsprop.momentum"
                                      : centered ? "rmsprop.centered"
                                                 : "rmsprop";
  static constexpr std::array<Option, 5> options{
      {{"lr", 1e-2}, {"alpha", 0.99}, {"eps", 1e-8}, {"weight_decay", 0.0}, {"momentum", 0.0}}};
  static constexpr auto slots = [] {
    std::array<const char*, 1 + momentum + centered> names{"square_avg"};
    if (momentum) names[1] = "momentum_buffer";
    if (centered) names[momentum + 1] = "grad_avg";
    return names;
  }();
  static Coefficients prepare(const OptionValues& o, int64_t) { return {-o[0], o[1], 1 - o[1], o[2], o[3], o[4]}; }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V d = fma(c[4], p, g);
    slot[0] = fma(c[1], slot[0], c[2] * d * d);
    V variance = slot[0];
    if constexpr (centered) {
      V& mean = slot[momentum + 1];
      mean = follow_mean(mean, d, c[2]);
      variance = max(variance - mean * mean, V(0));
    }
    V along = d / (sqrt(variance) + c[3]);
    if constexpr (momentum) along = slot[1] = fma(c[5], slot[1], along);
    return fma(c[0], along, p);
  }
};
using RMSprop = RMSpropWith<false, false>;
using RMSpropMomentum = RMSpropWith<true, false>;
using RMSpropCentered = RMSpropWith<false, true>;
using RMSpropCenteredMomentum = RMSpropWith<true, true>;

/// Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", ICNN
/// 1993, in the form of torch.optim.Rprop: after a change of sign, a parameter waits for one step.
struct Rprop {
  static constexpr const char* name = "rprop";
  static constexpr std::array<Option, 5> options{
      {{"lr", 1e-2}, {"etaminus", 0.5}, {"etaplus", 1.2}, {"step_size_min", 1e-6}, {"step_size_max", 50}}};
  static constexpr std::array<const char*, 2> slots{"prev", "step_size"};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    return {o[1], o[2], o[3], o[4], step == 1 ? o[0] : 0.0};
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V agreement = g * slot[0];
    const V factor = select(agreement > V(0), c[1], select(agreement < V(0), c[0], V(1)));
    slot[1] = min(max((slot[1] + c[4]) * factor, c[2]), c[3]);
    slot[0] = select(agreement < V(0), V(0), g);
    return p - sign(slot[0]) * slot[1];
  }
};

/// McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013, in the form of keras.optimizers.Ftrl with
/// its learning_rate_power of -0.5.
struct Ftrl {
  static constexpr const char* name = "ftrl";
  static constexpr std::array<Option, 6> options{{{"lr", 1e-3},
                                                  {"initial_accumulator_value", 0.1},
                                                  {"l1_regularization_strength", 0.0},
                                                  {"l2_regularization_strength", 0.0},
                                                  {"l2_shrinkage_regularization_strength", 0.0},
                                                  {"beta", 0.0}}};
  static constexpr std::array<const char*, 2> slots{"accumulator", "linear"};
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    return {1 / o[0], step == 1 ? o[1] : 0.0, o[2], 2 * o[3] + o[5] / o[0], 2 * o[4]};
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    const V before = slot[0] + c[1], root = sqrt(before);
    slot[0] = fma(g, g, before);
    const V next = sqrt(slot[0]);
    // The difference of the roots, without its cancellation; nothing where both are zero.
    const V sum = next + root, difference = select(sum > V(0), g * g / sum, sum);
    slot[1] = slot[1] + (fma(c[4], p, g) - difference * c[0] * p);
    const V beyond = slot[1] - max(min(slot[1], c[2]), V(0) - c[2]);
    return select(beyond == V(0), V(0), V(0) - beyond / fma(c[0], next, c[3]));
  }
};

/// Defazio et al., "The road less scheduled", NeurIPS 2024: gradients are taken between z, which steps, and x, the mean
/// of all z so far, weighted by squared rates; x is the model.
struct ScheduleFreeAdamW {
  static constexpr const char* name = "schedule_free_adamw";
  static constexpr std::array<Option, 6> options{
      {{"lr", 2.5e-3}, {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0.0}, {"warmup_steps", 0.0}}};
  static constexpr std::array<const char*, 3> slots{"z", "exp_avg_sq", "x"};
  static constexpr int average = 2;
  static Coefficients prepare(const OptionValues& o, int64_t step) {
    const double t = static_cast<double>(step), warmup = o[5], warm = t < warmup ? t : warmup;
    const double rate = t < warmup ? t / warmup : 1;
    // The sum of rate^2 so far, of which the warm-up's part is a sum of squares.
    const double squares = warmup > 0 ? warm * (warm + 1) * (2 * warm + 1) / (6 * warmup * warmup) : 0;
    const double share = rate * rate / (squares + (t - warm));
    return {-o[0] * rate,         o[1], o[2], 1 - o[2], o[3], o[4], 1 / (1 - integer_power(o[2], step)), share,
            step == 1 ? 1.0 : 0.0};
  }
  template <class V>
  static V update(V p, V g, V* slot, const V* c) {
    slot[1] = fma(c[2], slot[1], c[3] * g * g);
    const V d = fma(c[5], p, g / (sqrt(slot[1] * c[6]) + c[4]));
    slot[0] = fma(c[0], d, fma(c[8], p, slot[0]));
    slot[2] = follow_mean(fma(c[8], p, slot[2]), slot[0], c[7]);
    return follow_mean(slot[0], slot[2], c[1]);
  }
};

}  // namespace whet::math
