#pragma once

// To add a combination of two values: write its functor here and its word in a list, an operator or function in
// python/whet/nn, and its case in tests/test_arithmetic.py.

#include <string_view>

#define WHET_SMOOTH_COMBINATIONS(X) X(Add) X(Sub) X(Mul) X(Div) X(Maximum) X(Minimum)
/// Those that are constant almost everywhere: no gradient passes.
#define WHET_COMPARISONS(X) X(Greater) X(GreaterEqual) X(Equal)

#define WHET_COMBINATIONS(X) WHET_SMOOTH_COMBINATIONS(X) WHET_COMPARISONS(X)

namespace whet::math {

enum class CombinationId : int {
#define WHET_WORD(Name) Name,
  WHET_COMBINATIONS(WHET_WORD)
#undef WHET_WORD
};

// Each functor has `value`, and unless it is a comparison `by_a` and `by_b`: its partial derivatives, those of PyTorch.

struct Add {
  static constexpr const char* name = "add";
  template <class V>
  static V value(V a, V b) {
    return a + b;
  }
  template <class V>
  static V by_a(V, V) {
    return V(1);
  }
  template <class V>
  static V by_b(V, V) {
    return V(1);
  }
};

struct Sub {
  static constexpr const char* name = "sub";
  template <class V>
  static V value(V a, V b) {
    return a - b;
  }
  template <class V>
  static V by_a(V, V) {
    return V(1);
  }
  template <class V>
  static V by_b(V, V) {
    return V(-1);
  }
};

struct Mul {
  static constexpr const char* name = "mul";
  template <class V>
  static V value(V a, V b) {
    return a * b;
  }
  template <class V>
  static V by_a(V, V b) {
    return b;
  }
  template <class V>
  static V by_b(V a, V) {
    return a;
  }
};

struct Div {
  static constexpr const char* name = "div";
  template <class V>
  static V value(V a, V b) {
    return a / b;
  }
  template <class V>
  static V by_a(V, V b) {
    return V(1) / b;
  }
  template <class V>
  static V by_b(V a, V b) {
    return V(0) - a / b / b;
  }
};

/// Equal operands share the gradient. A NaN in either comes out.
struct Maximum {
  static constexpr const char* name = "maximum";
  template <class V>
  static V value(V a, V b) {
    return select(b == b, max(a, b), b);
  }
  template <class V>
  static V by_a(V a, V b) {
    return select(a > b, V(1), select(a == b, V(0.5), V(0)));
  }
  template <class V>
  static V by_b(V a, V b) {
    return by_a(b, a);
  }
};

struct Minimum {
  static constexpr const char* name = "minimum";
  template <class V>
  static V value(V a, V b) {
    return select(b == b, min(a, b), b);
  }
  template <class V>
  static V by_a(V a, V b) {
    return Maximum::by_a(b, a);
  }
  template <class V>
  static V by_b(V a, V b) {
    return Maximum::by_a(a, b);
  }
};

/// 1 where it holds, 0 elsewhere.
struct Greater {
  static constexpr const char* name = "greater";
  template <class V>
  static V value(V a, V b) {
    return select(a > b, V(1), V(0));
  }
};

struct GreaterEqual {
  static constexpr const char* name = "greater_equal";
  template <class V>
  static V value(V a, V b) {
    return select(a >= b, V(1), V(0));
  }
};

struct Equal {
  static constexpr const char* name = "equal";
  template <class V>
  static V value(V a, V b) {
    return select(a == b, V(1), V(0));
  }
};

}  // namespace whet::math
