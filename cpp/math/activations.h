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
// clang-format off
#define WHET_OTHER_ACTIVATIONS(X) \
  X(Celu) X(Selu) X(Mish) X(LogSigmoid) X(Softsign) X(Tanhshrink) X(Hardshrink) X(Softshrink) X(Hardtanh) \
  X(Hardsigmoid) X(Hardswish) X(Threshold) X(Exp) X(Log) X(Sqrt) X(Abs) X(Square) X(Reciprocal) X(Sin) X(Cos) \
  X(Affine)
// clang-format on

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
// lookup, select, abs, min, max, copysign, fma, sqrt, exp, expm1, sigmoid, log, log1p, tanh, erf, sin, cos. `o` holds
// the options as vectors. Comparisons are written so that NaN comes out as NaN.

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

/// Barron, "Continuously differentiable exponential linear units", 2017.
struct Celu {
  static constexpr const char* name = "celu";
  static constexpr std::array<Option, 1> options{{{"alpha", 1.0}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return select(x > V(0), x, o[0] * expm1(x / o[0]));
  }
  template <class V>
  static V derivative(V x, const V* o) {
    return select(x > V(0), V(1), exp(x / o[0]));
  }
};

/// Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
struct Selu {
  static constexpr const char* name = "selu";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  static constexpr double alpha = 1.67326324235437728482, scale = 1.05070098735548049342;
  template <class V>
  static V value(V x, const V*) {
    return select(x > V(0), V(scale) * x, V(scale * alpha) * expm1(x));
  }
  template <class V>
  static V derivative(V x, const V*) {
    return select(x > V(0), V(scale), V(scale * alpha) * exp(x));
  }
};

/// x tanh(softplus(x)), Misra, BMVC 2020. With e = exp(x) and w = e (e + 2), tanh(log(1 + e)) = w / (w + 2); from x =
/// 20 on that is 1.
struct Mish {
  static constexpr const char* name = "mish";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    const V e = exp(min(x, V(20))), w = e * (e + V(2));
    return x * (w / (w + V(2)));
  }
  template <class V>
  static V derivative(V x, const V*) {
    const V bounded = min(x, V(20)), e = exp(bounded), w = e * (e + V(2)), d = w + V(2);
    return (w + bounded * (V(4) * e * (V(1) + e) / d)) / d;
  }
};

struct LogSigmoid {
  static constexpr const char* name = "log_sigmoid";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return min(x, V(0)) - log1p(exp(V(0) - abs(x)));
  }
  template <class V>
  static V derivative(V x, const V*) {
    return sigmoid(V(0) - x);
  }
};

struct Softsign {
  static constexpr const char* name = "softsign";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return x / (V(1) + abs(x));
  }
  template <class V>
  static V derivative(V x, const V*) {
    const V root = V(1) / (V(1) + abs(x));
    return root * root;
  }
};

struct Tanhshrink {
  static constexpr const char* name = "tanhshrink";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return x - tanh(x);
  }
  template <class V>
  static V derivative(V x, const V*) {
    const V y = tanh(x);
    return y * y;
  }
};

struct Hardshrink {
  static constexpr const char* name = "hardshrink";
  static constexpr std::array<Option, 1> options{{{"lambd", 0.5}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return select(abs(x) <= o[0], V(0), x);
  }
  template <class V>
  static V derivative(V x, const V* o) {
    return select(abs(x) <= o[0], V(0), V(1));
  }
};

struct Softshrink {
  static constexpr const char* name = "softshrink";
  static constexpr std::array<Option, 1> options{{{"lambd", 0.5}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return select(abs(x) <= o[0], V(0), x - copysign(o[0], x));
  }
  template <class V>
  static V derivative(V x, const V* o) {
    return Hardshrink::derivative(x, o);
  }
};

struct Hardtanh {
  static constexpr const char* name = "hardtanh";
  static constexpr std::array<Option, 2> options{{{"min_val", -1.0}, {"max_val", 1.0}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return min(max(x, o[0]), o[1]);
  }
  template <class V>
  static V derivative(V x, const V* o) {
    return select(x <= o[0], V(0), select(x >= o[1], V(0), V(1)));
  }
};

struct Hardsigmoid {
  static constexpr const char* name = "hardsigmoid";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return min(max(x + V(3), V(0)), V(6)) * V(1.0 / 6);
  }
  template <class V>
  static V derivative(V x, const V*) {
    return select(abs(x) < V(3), V(1.0 / 6), V(0));
  }
};

struct Hardswish {
  static constexpr const char* name = "hardswish";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return x * Hardsigmoid::value(x, o);
  }
  template <class V>
  static V derivative(V x, const V*) {
    return select(x <= V(-3), V(0), select(x >= V(3), V(1), x * V(1.0 / 3) + V(0.5)));
  }
};

struct Threshold {
  static constexpr const char* name = "threshold";
  static constexpr std::array<Option, 2> options{{{"threshold", 0.0}, {"value", 0.0}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return select(x <= o[0], o[1], x);
  }
  template <class V>
  static V derivative(V x, const V* o) {
    return select(x <= o[0], V(0), V(1));
  }
};

struct Exp {
  static constexpr const char* name = "exp";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::output;
  template <class V>
  static V value(V x, const V*) {
    return exp(x);
  }
  template <class V>
  static V derivative(V y, const V*) {
    return y;
  }
};

struct Log {
  static constexpr const char* name = "log";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return log(x);
  }
  template <class V>
  static V derivative(V x, const V*) {
    return V(1) / x;
  }
};

struct Sqrt {
  static constexpr const char* name = "sqrt";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::output;
  template <class V>
  static V value(V x, const V*) {
    return sqrt(x);
  }
  template <class V>
  static V derivative(V y, const V*) {
    return V(0.5) / y;
  }
};

struct Abs {
  static constexpr const char* name = "abs";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return abs(x);
  }
  template <class V>
  static V derivative(V x, const V*) {
    return select(x > V(0), V(1), select(x < V(0), V(-1), x));  // NaN falls through, and zero
  }
};

struct Square {
  static constexpr const char* name = "square";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return x * x;
  }
  template <class V>
  static V derivative(V x, const V*) {
    return x + x;
  }
};

struct Reciprocal {
  static constexpr const char* name = "reciprocal";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::output;
  template <class V>
  static V value(V x, const V*) {
    return V(1) / x;
  }
  template <class V>
  static V derivative(V y, const V*) {
    return V(0) - y * y;
  }
};

struct Sin {
  static constexpr const char* name = "sin";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return sin(x);
  }
  template <class V>
  static V derivative(V x, const V*) {
    return cos(x);
  }
};

struct Cos {
  static constexpr const char* name = "cos";
  static constexpr std::array<Option, 0> options{};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V*) {
    return cos(x);
  }
  template <class V>
  static V derivative(V x, const V*) {
    return V(0) - sin(x);
  }
};

/// scale * x + shift, rounded once.
struct Affine {
  static constexpr const char* name = "affine";
  static constexpr std::array<Option, 2> options{{{"scale", 1.0}, {"shift", 0.0}}};
  static constexpr Saved saved = Saved::input;
  template <class V>
  static V value(V x, const V* o) {
    return fma(x, o[0], o[1]);
  }
  template <class V>
  static V derivative(V, const V* o) {
    return o[0];
  }
};

}  // namespace whet::math
