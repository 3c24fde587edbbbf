#pragma once

// To add an elementwise loss: write its functor here and its word in a list below, a class in
// python/whet/losses, and its float64 formula in tests/reference_losses.py.

#include "math/activations.h"
#include "math/options.h"

/// Those of so few operations that passes over memory count: each has a kernel that makes one.
#define WHET_DIRECT_LOSSES(X) X(Mse) X(L1)
/// Those that share a kernel.
// clang-format off
#define WHET_SHARING_LOSSES(X) \
  X(BceWithLogits) X(Huber) X(SmoothL1) X(LogCosh) X(Quantile) X(Poisson) X(Gamma) X(Tweedie) X(Hinge) \
  X(SquaredHinge) X(SoftMargin) X(Focal) X(KlDiv)
// clang-format on

#define WHET_ELEMENTWISE_LOSSES(X) WHET_DIRECT_LOSSES(X) WHET_SHARING_LOSSES(X)

namespace whet::math {

/// The elementwise losses, and after them those that look at a whole row at once.
enum class LossId : int {
#define WHET_WORD(Name) Name,
  WHET_ELEMENTWISE_LOSSES(WHET_WORD)
#undef WHET_WORD
      CrossEntropy,
};

#define WHET_COUNT(Name) +1
constexpr int kDirectLosses = 0 WHET_DIRECT_LOSSES(WHET_COUNT);
constexpr int kSharingLosses = 0 WHET_SHARING_LOSSES(WHET_COUNT);
#undef WHET_COUNT

// `p` is the prediction, `t` the target, `o` the options; the derivative is that of the value with respect to p, and
// NaN where p is. The first option may be one number or one for each column.

struct Mse {
  static constexpr const char* name = "mse";
  static constexpr std::array<Option, 0> options{};
  template <class V>
  static V value(V p, V t, const V*) {
    return (p - t) * (p - t);
  }
  template <class V>
  static V derivative(V p, V t, const V*) {
    return V(2) * (p - t);
  }
};

struct L1 {
  static constexpr const char* name = "l1";
  static constexpr std::array<Option, 0> options{};
  template <class V>
  static V value(V p, V t, const V*) {
    return abs(p - t);
  }
  template <class V>
  static V derivative(V p, V t, const V*) {
    const V d = p - t;  // NaN falls through both selects
    return select(d > V(0), V(1), select(d < V(0), V(-1), d));
  }
};

/// Binary cross-entropy of sigmoid(p) with a target in [0, 1], in the form that never overflows; what a target of 1
/// adds counts pos_weight times.
struct BceWithLogits {
  static constexpr const char* name = "bce_with_logits";
  static constexpr std::array<Option, 1> options{{{"pos_weight", 1.0}}};
  template <class V>
  static V value(V p, V t, const V* o) {
    const V rest = log1p(exp(V(0) - abs(p)));
    return max(p, V(0)) - p * t + rest + (o[0] - V(1)) * t * (max(V(0) - p, V(0)) + rest);
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    const V s = Sigmoid::value(p, o);
    return s - t + (o[0] - V(1)) * t * (s - V(1));
  }
};

/// Quadratic up to delta, linear beyond.
struct Huber {
  static constexpr const char* name = "huber";
  static constexpr std::array<Option, 1> options{{{"delta", 1.0}}};
  template <class V>
  static V value(V p, V t, const V* o) {
    const V d = abs(p - t);
    return select(d <= o[0], V(0.5) * d * d, o[0] * (d - V(0.5) * o[0]));
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    return max(min(p - t, o[0]), V(0) - o[0]);
  }
};

/// Huber's divided by its width; of width 0, L1.
struct SmoothL1 {
  static constexpr const char* name = "smooth_l1";
  static constexpr std::array<Option, 1> options{{{"beta", 1.0}}};
  template <class V>
  static V value(V p, V t, const V* o) {
    const V d = abs(p - t);
    return select(d < o[0], V(0.5) * d * d / o[0], d - V(0.5) * o[0]);
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    return select(abs(p - t) < o[0], (p - t) / o[0], L1::derivative(p, t, o));
  }
};

/// log(cosh(p - t)): near zero by 1 - tanh^2 = 1 / cosh^2, whose logarithm keeps its digits there.
struct LogCosh {
  static constexpr const char* name = "log_cosh";
  static constexpr std::array<Option, 0> options{};
  template <class V>
  static V value(V p, V t, const V*) {
    const V d = abs(p - t), y = tanh(d);
    const V rest = log1p(select(d <= V(1), V(0) - y * y, exp(V(-2) * d)));
    return select(d <= V(1), V(-0.5) * rest, d - V(0.69314718055994530942) + rest);
  }
  template <class V>
  static V derivative(V p, V t, const V*) {
    return tanh(p - t);
  }
};

/// Koenker and Bassett, "Regression quantiles", Econometrica 1978.
struct Quantile {
  static constexpr const char* name = "quantile";
  static constexpr std::array<Option, 1> options{{{"quantile", 0.5}}};
  template <class V>
  static V value(V p, V t, const V* o) {
    const V d = t - p;
    return select(d > V(0), o[0] * d, (o[0] - V(1)) * d);
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    const V d = t - p;
    return select(d > V(0), V(0) - o[0], select(d < V(0), V(1) - o[0], d));
  }
};

/// The Poisson distribution's negative log-likelihood of the mean exp(p), or p; with `full`, Stirling's term besides.
struct Poisson {
  static constexpr const char* name = "poisson";
  static constexpr std::array<Option, 3> options{{{"log_input", 1.0}, {"full", 0.0}, {"eps", 1e-8}}};
  template <class V>
  static V value(V p, V t, const V* o) {
    const V stirling = t * log(t) - t + V(0.5) * log(V(6.28318530717958647693) * t);
    const V constant = select(o[1] > V(0), select(t > V(1), stirling, V(0)), V(0));
    return select(o[0] > V(0), exp(p) - t * p, p - t * log(p + o[2])) + constant;
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    return select(o[0] > V(0), exp(p) - t, V(1) - t / (p + o[2]));
  }
};

/// Half the deviance of a gamma distribution of mean exp(p), but for what depends on t alone.
struct Gamma {
  static constexpr const char* name = "gamma";
  static constexpr std::array<Option, 0> options{};
  template <class V>
  static V value(V p, V t, const V*) {
    return p + t * exp(V(0) - p);
  }
  template <class V>
  static V derivative(V p, V t, const V*) {
    return V(1) - t * exp(V(0) - p);
  }
};

/// Half the deviance of a Tweedie distribution of mean exp(p), but for what depends on t alone: a power of 0 is normal
/// and keeps that, 1 Poisson, 2 gamma.
struct Tweedie {
  static constexpr const char* name = "tweedie";
  static constexpr std::array<Option, 1> options{{{"power", 1.5}}};
  /// The integral of exp(k p): exp(k p) / k, and for k = 0, p.
  template <class V>
  static V integral(V p, V k) {
    return select(k == V(0), p, exp(k * p) / k);
  }
  template <class V>
  static V value(V p, V t, const V* o) {
    const V constant = select(o[0] == V(0), V(0.5) * t * t, V(0));
    return integral(p, V(2) - o[0]) - t * integral(p, V(1) - o[0]) + constant;
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    return exp((V(2) - o[0]) * p) - t * exp((V(1) - o[0]) * p);
  }
};

/// Targets are -1 and 1.
struct Hinge {
  static constexpr const char* name = "hinge";
  static constexpr std::array<Option, 0> options{};
  template <class V>
  static V value(V p, V t, const V*) {
    return max(V(1) - t * p, V(0));
  }
  template <class V>
  static V derivative(V p, V t, const V*) {
    const V z = V(1) - t * p;
    return select(z > V(0), V(0) - t, select(z <= V(0), V(0), z));
  }
};

struct SquaredHinge {
  static constexpr const char* name = "squared_hinge";
  static constexpr std::array<Option, 0> options{};
  template <class V>
  static V value(V p, V t, const V* o) {
    const V z = Hinge::value(p, t, o);
    return z * z;
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    return V(-2) * t * Hinge::value(p, t, o);
  }
};

/// log(1 + exp(-t p)) with targets -1 and 1.
struct SoftMargin {
  static constexpr const char* name = "soft_margin";
  static constexpr std::array<Option, 0> options{};
  template <class V>
  static V value(V p, V t, const V*) {
    return max(V(0) - t * p, V(0)) + log1p(exp(V(0) - abs(t * p)));
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    return V(0) - t * Sigmoid::value(V(0) - t * p, o);
  }
};

/// Binary cross-entropy c times q^gamma, where q is the probability that is missing: 1 - sigmoid(p) for a target of 1.
/// Targets of 1 count alpha times and of 0, 1 - alpha times; a negative alpha leaves that out. Lin et al., "Focal loss
/// for dense object detection", ICCV 2017.
struct Focal {
  static constexpr const char* name = "focal";
  static constexpr std::array<Option, 2> options{{{"alpha", 0.25}, {"gamma", 2.0}}};
  template <class V>
  struct Parts {
    V s, rest, cross_entropy, q, factor;
    Parts(V p, V t, const V* o) {
      const V e = exp(V(0) - abs(p)), larger = V(1) / (V(1) + e), smaller = e * larger;
      s = select(p < V(0), smaller, larger);
      rest = select(p < V(0), larger, smaller);
      cross_entropy = max(p, V(0)) - p * t + log1p(e);
      q = max(t * rest + (V(1) - t) * s, V(1e-30));
      const V balance = select(o[0] < V(0), V(1), o[0] * t + (V(1) - o[0]) * (V(1) - t));
      factor = balance * exp(o[1] * log(q));
    }
  };
  template <class V>
  static V value(V p, V t, const V* o) {
    const Parts<V> f(p, t, o);
    return f.factor * f.cross_entropy;
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    const Parts<V> f(p, t, o);
    return f.factor * (f.s - t + f.cross_entropy * o[1] * (V(1) - V(2) * t) * f.s * f.rest / f.q);
  }
};

/// t (log t - p) of a logarithm p and a probability t, or its logarithm.
struct KlDiv {
  static constexpr const char* name = "kl_div";
  static constexpr std::array<Option, 1> options{{{"log_target", 0.0}}};
  template <class V>
  static V value(V p, V t, const V* o) {
    return select(o[0] > V(0), exp(t) * (t - p), t * (log(max(t, V(1e-30))) - p));
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    return p - p - select(o[0] > V(0), exp(t), t);
  }
};

}  // namespace whet::math
