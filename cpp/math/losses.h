#pragma once

// To add an elementwise loss: write its functor here and its word in WHET_ELEMENTWISE_LOSSES, a class in
// python/whet/losses.py, and its float64 formula in tests/reference.py.

#include "math/activations.h"
#include "math/options.h"

#define WHET_ELEMENTWISE_LOSSES(X) X(Mse) X(L1) X(BceWithLogits)

namespace whet::math {

/// The elementwise losses, and after them those that look at a whole row at once.
enum class LossId : int {
#define WHET_WORD(Name) Name,
  WHET_ELEMENTWISE_LOSSES(WHET_WORD)
#undef WHET_WORD
      CrossEntropy,
};

// `p` is the prediction, `t` the target, `o` the options; the derivative is that of the value with respect to p.

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

/// Binary cross-entropy of sigmoid(p) with a target in [0, 1], in the form that never overflows.
struct BceWithLogits {
  static constexpr const char* name = "bce_with_logits";
  static constexpr std::array<Option, 0> options{};
  template <class V>
  static V value(V p, V t, const V*) {
    return max(p, V(0)) - p * t + log1p(exp(V(0) - abs(p)));
  }
  template <class V>
  static V derivative(V p, V t, const V* o) {
    return Sigmoid::value(p, o) - t;
  }
};

}  // namespace whet::math
