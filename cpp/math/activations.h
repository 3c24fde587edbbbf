#pragma once

// To add an activation: write its functor here and its word in a list below, a line in
// python/whet/nn/activations.py, and its float64 formula in tests/reference.py. Loops, threads, instruction sets,
// bindings and tests follow from the list.

#include "math/options.h"

/// Those that a matrix product applies to its tiles: each such kernel costs some 100 KB over dtypes and instruction
/// sets.
#define WHET_FUSED_ACTIVATIONS(X) \
  X(Identity) X(Relu) X(LeakyRelu) X(Elu) X(Gelu) X(GeluTanh) X(Silu) X(Tanh) X(Sigmoid) X(Softplus)
/// Those that take a pass of their own.
#define WHET_OTHER_ACTIVATIONS(X)

#define WHET_ACTIVATIONS(X) WHET_FUSED_ACTIVATIONS(X) WHET_OTHER_ACTIVATIONS(X)

namespace whet::math {

enum class ActivationId : int {
#define WHET_WORD(Name) Name,
  WHET_ACTIVATIONS(WHET_WORD)
#undef WHET_WORD
};

#define WHET_COUNT(Name) +1
constexpr int kFusedActivations = 0 WHET_FUSED_ACTIVATIONS(WHET_COUNT);
#undef WHET_COUNT

/// Whether a product applies it to its tiles.
constexpr bool is_fused(ActivationId id) { return static_cast<int>(id) < kFusedActivations; }

/// What the derivative reads, and so what the forward pass keeps: the activation's output or its input.
enum class Saved { output, input };

// `V` is a vector of one instruction set (or a scalar) with arithmetic, comparisons and, found by argument-dependent
// lookup, select, abs, max, fma, exp, expm1, sigmoid, log1p, tanh, erf. `o` holds the options as vectors. Comparisons
// are written so that NaN comes out as NaN.

struct Identity {
  static constexpr const char* name = "identity";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::output;
  template <class V>
  static V value(V x, const V*) {
    return x;
  }
  template <class V>
  static V derivative(V, const V*) {
    return V(1);
  }
};

struct Relu {
  static constexpr const char* name = "relu";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::output;
  template <class V>
  static V value(V x, const V*) {
    return select(x <= V(0), V(0), x);
  }
  template <class V>
  static V derivative(V y, const V*) {
    return select(y > V(0), V(1), V(0));
  }
};

struct LeakyRelu {
  static constexpr const char* name = "leaky_relu";
  static constexpr std::array<Option, 1> options{{{"negative_slope", 0.01}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return select(x > V(0), x, x * o[0]);
  }
  template <class V>
  static V derivative(V x, const V* o) {
    return select(x > V(0), V(1), o[0]);
  }
};

/// Clevert et al., "Fast and accurate deep network learning by exponential linear units", ICLR 2016.
struct Elu {
  static constexpr const char* name = "elu";
  static constexpr std::array<Option, 1> options{{{"alpha", 1.0}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return select(x > V(0), x, o[0] * expm1(x));
  }
  template <class V>
  static V derivative(V x, const V* o) {
    return select(x > V(0), V(1), o[0] * exp(x));
  }
};

/// x * Phi(x), Hendrycks and Gimpel, "Gaussian error linear units", 2016.
struct Gelu {
  static constexpr const char* name = "gelu";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    const V half = V(0.5) * x;
    return fma(half, erf(x * V(0.70710678118654752440)), half);
  }
  template <class V>
  static V derivative(V x, const V*) {
    const V phi = V(0.39894228040143267794) * exp(V(-0.5) * x * x);
    return fma(x, phi, fma(V(0.5), erf(x * V(0.70710678118654752440)), V(0.5)));
  }
};

/// The tanh approximation of GELU, as in torch.nn.GELU(approximate="tanh").
struct GeluTanh {
  static constexpr const char* name = "gelu_tanh";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V inner(V x) {
    return V(0.79788456080286535588) * fma(V(0.044715) * x * x, x, x);
  }
  template <class V>
  static V value(V x, const V*) {
    const V half = V(0.5) * x;
    return fma(half, tanh(inner(x)), half);
  }
  template <class V>
  static V derivative(V x, const V*) {
    const V t = tanh(inner(x));
    const V slope = V(0.79788456080286535588) * fma(V(0.134145) * x, x, V(1));
    return fma(V(0.5), t, V(0.5)) + V(0.5) * x * (V(1) - t * t) * slope;
  }
};

struct Sigmoid {
  static constexpr const char* name = "sigmoid";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::output;
  template <class V>
  static V value(V x, const V*) {
    return sigmoid(x);
  }
  template <class V>
  static V derivative(V y, const V*) {
    return y * (V(1) - y);
  }
};

struct Silu {
  static constexpr const char* name = "silu";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return x * Sigmoid::value(x, o);
  }
  template <class V>
  static V derivative(V x, const V* o) {
    const V s = Sigmoid::value(x, o);
    return s * fma(x, V(1) - s, V(1));
  }
};

struct Tanh {
  static constexpr const char* name = "tanh";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::output;
  template <class V>
  static V value(V x, const V*) {
    return tanh(x);
  }
  template <class V>
  static V derivative(V y, const V*) {
    return V(1) - y * y;
  }
};

/// log(1 + exp(beta x)) / beta, and x itself where beta x is above the threshold.
struct Softplus {
  static constexpr const char* name = "softplus";
  static constexpr std::array<Option, 2> options{{{"beta", 1.0}, {"threshold", 20.0}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    const V z = x * o[0];
    const V soft = (max(z, V(0)) + log1p(exp(V(0) - abs(z)))) / o[0];
    return select(z > o[1], x, soft);
  }
  template <class V>
  static V derivative(V x, const V* o) {
    const V z = x * o[0];
    return select(z > o[1], V(1), Sigmoid::value(z, o));
  }
};

}  // namespace whet::math
