#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "device/cpu/kernels/elementwise.h"

/// The elementary functions beside their references, and errors in units of the last place: what test_functions.cpp
/// looks at in a sample and sweep.cpp over every float. Compiled once per instruction set.
namespace whet::cpu::WHET_ISA_NAMESPACE {

#if defined(WHET_ISA_avx512)
constexpr const char* kSet = "avx512";
#elif defined(WHET_ISA_avx2)
constexpr const char* kSet = "avx2";
#else
constexpr const char* kSet = "baseline";
#endif

/// What a reference is computed in: the C library's double is within 1e-8 ULP of a float.
template <class T>
using Exact = std::conditional_t<sizeof(T) == 4, double, long double>;

/// All of them take arrays.
template <class T>
struct Function {
  const char* name;
  void (*ours)(const T* x, T* y, int64_t n);
  void (*reference)(const T* x, Exact<T>* y, int64_t n);
  double most_ulp;                                          // infinite where nothing is promised
  double domain = std::numeric_limits<double>::infinity();  // up to this |x|; beyond, within [-1, 1] is promised

  Exact<T> exactly(T x) const {
    Exact<T> y;
    reference(&x, &y, 1);
    return y;
  }
};

/// A function of registers as one of arrays.
template <class T, class F>
void (*ours(F))(const T*, T*, int64_t) {
  return [](const T* x, T* y, int64_t n) {
    for_each_register<T>(n, [&](int64_t i, auto part) { part.store(y + i, F()(part.load(x + i))); });
  };
}

template <class T, class F>
void (*reference(F))(const T*, Exact<T>*, int64_t) {
  return [](const T* x, Exact<T>* y, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[i] = F()(Exact<T>(x[i]));
  };
}

/// An activation with the defaults of its options.
template <class T, class F>
void activation(const T* x, T* y, int64_t n) {
  double options[math::kMaxOptions] = {};
  for (size_t i = 0; i < F::options.size(); ++i) options[i] = F::options[i].value;
  activate<T, F>(y, n, x, n, 1, n, options);
}

/// The C library is slow where its own result over- or underflows, which is far beyond what T holds. Not constant: from
/// a constant bound the compiler makes branches, which keep exp out of vectors.
template <class T>
inline Exact<T> exp_bound = 2 * std::numeric_limits<T>::max_exponent;

template <class T>
Exact<T> exact_exp(Exact<T> x) {
  const Exact<T> bound = exp_bound<T>, above = x < -bound ? -bound : x;
  return std::exp(above > bound ? bound : above);
}

/// NaN is added rather than chosen, which would keep the logarithm out of vectors.
template <class E>
E exact_log(E x) {
  return std::log(std::abs(x)) + (x < 0 ? std::numeric_limits<E>::quiet_NaN() : E(0));
}

template <class T>
Exact<T> exact_sigmoid(Exact<T> x) {
  return 1 / (1 + exact_exp<T>(-x));
}

/// x * factor, and NaN for minus infinity, where a function that is x times what vanishes has no value (as in PyTorch).
template <class E>
E exact_product(E x, E factor) {
  return x * (factor * (x < std::numeric_limits<E>::lowest() ? std::numeric_limits<E>::quiet_NaN() : E(1)));
}

/// As far as sine and cosine keep their promise.
template <class T>
constexpr double kSineDomain = sizeof(T) == 4 ? 1e5 : 1e8;

/// Those that promise an error.
template <class T>
std::vector<Function<T>> functions() {
  using V = Vec<T>;
  using E = Exact<T>;
  return {
      {"exp", ours<T>([](V x) { return exp(x); }), reference<T>([](E x) { return exact_exp<T>(x); }), 2},
      {"expm1", ours<T>([](V x) { return expm1(x); }), reference<T>([](E x) { return std::expm1(x); }), 2},
      {"log", ours<T>([](V x) { return log(x); }), reference<T>([](E x) { return exact_log(x); }), 2},
      {"log1p", ours<T>([](V x) { return log1p(x); }), reference<T>([](E x) { return std::log1p(x); }), 2},
      {"tanh", ours<T>([](V x) { return tanh(x); }), reference<T>([](E x) { return std::tanh(x); }), 2},
      {"erf", ours<T>([](V x) { return erf(x); }), reference<T>([](E x) { return std::erf(x); }), 2},
      {"sigmoid", activation<T, math::Sigmoid>, reference<T>([](E x) { return exact_sigmoid<T>(x); }), 2},
      {"sin", ours<T>([](V x) { return sin(x); }), reference<T>([](E x) { return std::sin(x); }), 2, kSineDomain<T>},
      {"cos", ours<T>([](V x) { return cos(x); }), reference<T>([](E x) { return std::cos(x); }), 2, kSineDomain<T>}};
}

/// Those made of them, where digits may cancel: tests/reference.py says how closely they follow their formulas.
template <class T>
std::vector<Function<T>> compositions() {
  using E = Exact<T>;
  constexpr double none = std::numeric_limits<double>::infinity();
  return {{"silu", activation<T, math::Silu>, reference<T>([](E x) { return exact_product(x, exact_sigmoid<T>(x)); }),
           none},
          {"softplus", activation<T, math::Softplus>,
           reference<T>([](E x) { return (x < 0 ? 0 : x) + std::log1p(exact_exp<T>(-std::abs(x))); }), none},
          {"gelu", activation<T, math::Gelu>,
           reference<T>([](E x) { return x * std::erfc(x * -E(0.70710678118654752440L)) / 2; }), none},
          {"gelu_tanh", activation<T, math::GeluTanh>, reference<T>([](E x) {
             const E inner = E(0.79788456080286535588L) * (x + E(0.044715L) * x * x * x);
             return exact_product(x, exact_sigmoid<T>(2 * inner));
           }),
           none}};
}

/// 1 / the power of two at or below |x|, for x that is normal and finite.
inline double inverse_binade(double x) {
  return std::bit_cast<double>(0x7fe0000000000000 - (std::bit_cast<uint64_t>(x) & 0x7ff0000000000000));
}
inline long double inverse_binade(long double x) { return std::ldexp(1.0L, -std::ilogb(x)); }

/// The error where `got` and `exact` are finite and `exact` is not below the smallest normal T.
template <class T>
double normal_ulp_error(Exact<T> got, Exact<T> exact) {
  constexpr double units = 1 / std::numeric_limits<T>::epsilon();
  return static_cast<double>(std::abs(got - exact) * inverse_binade(exact)) * units;
}

/// How far `got` is from `exact`, in units of the last place of T at `exact`; infinite where only one of them is NaN,
/// or where `got` is infinite too early. Results that T holds only as denormals may be zero.
template <class T>
double ulp_error(T got, Exact<T> exact) {
  using Limits = std::numeric_limits<T>;
  using E = Exact<T>;
  E value = got;
  if (value == exact) return 0;
  if (std::isnan(exact)) return std::isnan(got) ? 0 : HUGE_VAL;
  if (std::isnan(got)) return HUGE_VAL;
  if (std::abs(exact) < Limits::min()) {
    if (got == 0) return 0;
    return static_cast<double>(std::abs(value - exact) / Limits::denorm_min());
  }
  if (std::isinf(exact)) return HUGE_VAL;
  if (std::isinf(got)) {
    if (got == static_cast<T>(exact)) return 0;
    value = std::copysign(std::ldexp(E(1), Limits::max_exponent), value);  // as if it were the next power of two
  }
  return normal_ulp_error<T>(value, exact);
}

/// Errors of one function. Without FMA a flushed product may be missing from a sum: only erf does so, below 2^-123.
template <class T>
struct Tally {
  bool lost_products = false;
  double worst = 0, worst_near_zero = 0;  // in ULP, and the largest difference at |x| <= 10
  T worst_at = 0;
  int64_t numbers = 0, rounded = 0, beyond_one = 0, wrong_signs = 0;

  void add(const Function<T>& function, T x, T got, Exact<T> exact) {
    if (std::abs(x) > function.domain && std::isfinite(x)) {
      if (!(std::abs(got) <= 1)) worst = HUGE_VAL, worst_at = x;
      return;
    }
    double error = ulp_error(got, exact);
    // A denormal input may count as zero.
    if (x != 0 && std::abs(x) < std::numeric_limits<T>::min()) {
      const Exact<T> of_zero = function.exactly(std::copysign(T(0), x));
      const double flushed = ulp_error(got, of_zero);
      if (flushed < error) error = flushed, exact = of_zero;
    }
    if (lost_products && std::abs(got - exact) < std::numeric_limits<T>::min()) error = 0;
    if (error > worst) worst = error, worst_at = x;
    beyond_one += error > 1;
    if (std::isnan(exact)) return;
    ++numbers;
    rounded += got == static_cast<T>(exact);
    wrong_signs += std::signbit(got) != std::signbit(exact);
    if (std::abs(x) <= 10 && std::isfinite(exact))
      worst_near_zero = std::max(worst_near_zero, static_cast<double>(std::abs(got - exact)));
  }

  /// Together with the errors at later inputs.
  void add(const Tally& later) {
    if (later.worst > worst) worst = later.worst, worst_at = later.worst_at;
    worst_near_zero = std::max(worst_near_zero, later.worst_near_zero);
    numbers += later.numbers;
    rounded += later.rounded;
    beyond_one += later.beyond_one;
    wrong_signs += later.wrong_signs;
  }

  bool holds(const Function<T>& function) const {
    return std::isinf(function.most_ulp) || (worst <= function.most_ulp && wrong_signs == 0);
  }
};

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
