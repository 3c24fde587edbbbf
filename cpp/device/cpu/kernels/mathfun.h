#pragma once

#include <limits>

#include "device/cpu/kernels/simd.h"

/// exp, expm1, sigmoid, log, log1p, tanh, erf, sin and cos of a register. Polynomials only: no libm, no table, and
/// nothing (rcp, rsqrt, scalef, getexp) whose bits differ between sets. Results below the smallest normal number may be
/// zero.
namespace whet::cpu::WHET_ISA_NAMESPACE {

/// Horner's rule; coefficients from the highest power down.
template <class T, class... Rest>
inline Vec<T> polynomial(Vec<T> x, T highest, Rest... rest) {
  Vec<T> sum(highest);
  ((sum = fma(sum, x, Vec<T>(static_cast<T>(rest)))), ...);
  return sum;
}

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float magic = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;  // n * high is exact, also without FMA
  static constexpr float highest = 0x1.62e42ep6f, lowest = -0x1.5d589ep6f;    // exp is finite, exp is normal
  static constexpr float minus_one = -18.0f;                                  // expm1 is -1 from here down
  static constexpr float tiny = 0x1p-25f;
};

template <>
struct ExpConstants<double> {
  static constexpr double magic = 0x1.8p52;
  static constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr double highest = 0x1.62e42fefa39efp9, lowest = -0x1.6232bdd7abcd2p9;
  static constexpr double minus_one = -38.0;
  static constexpr double tiny = 0x1p-54;
};

/// x = n ln 2 + r with |r| <= ln 2 / 2. The low bits of `shifted` hold n.
template <class T>
struct ExpReduced {
  Vec<T> shifted, n, r;
};

template <class T>
inline ExpReduced<T> exp_reduce(Vec<T> x) {
  using C = ExpConstants<T>;
  using V = Vec<T>;
  ExpReduced<T> e;
  e.shifted = fma(x, V(static_cast<T>(0x1.71547652b82fep0)), V(C::magic));
  e.n = e.shifted - V(C::magic);
  e.r = fma(e.n, V(-C::ln2_low), fma(e.n, V(-C::ln2_high), x));
  return e;
}

/// (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2.
inline vf exp_tail(vf r) {
  return polynomial(r, 1.989099110e-04f, 1.393364975e-03f, 8.333310485e-03f, 4.166646674e-02f, 1.666666716e-01f, 0.5f);
}
inline vd exp_tail(vd r) {
  return polynomial(r, 1.60866279567803695e-10, 2.09181377376427364e-09, 2.50520710942935484e-08,
                    2.75572632790884977e-07, 2.75573192472187315e-06, 2.48015873364422364e-05, 1.98412698412632981e-04,
                    1.38888888888790731e-03, 8.33333333333333322e-03, 4.16666666666666782e-02, 1.66666666666666657e-01,
                    0.5);
}

template <class T>
inline Vec<T> exp(Vec<T> x) {
  using C = ExpConstants<T>;
  using V = Vec<T>;
  const ExpReduced<T> e = exp_reduce(x);
  const V p = fma(e.r * e.r, exp_tail(e.r), e.r) + V(T(1));
  // 2^n is added to the exponent of p, which cannot leave its range between `lowest` and `highest`.
  V y = V::from_bits(p.bits() + (e.shifted.bits() << Types<T>::mantissa_bits));
  y = select(x < V(C::lowest), V(T(0)), y);
  return select(x <= V(C::highest), y, x + V(std::numeric_limits<T>::infinity()));  // NaN + infinity is NaN
}

template <class T>
inline Vec<T> expm1(Vec<T> x) {
  using C = ExpConstants<T>;
  using V = Vec<T>;
  const ExpReduced<T> e = exp_reduce(max(x, V(C::minus_one)));
  const V p = fma(e.r * e.r, exp_tail(e.r), e.r);
  // 2^n (p + 1) - 1, halved: 2^n itself may be out of range.
  const V half = V(T(0.5));
  const V scale = V::from_bits(half.bits() + (e.shifted.bits() << Types<T>::mantissa_bits));
  const V y = V(T(2)) * fma(scale, p, scale - half);
  return select(abs(x) < V(C::tiny), x, select(x <= V(C::highest), y, x + V(std::numeric_limits<T>::infinity())));
}

/// 1 / (1 + exp(-x)), where 1 + 2^n + 2^n p is rounded once: of exp as it is above, it would be 2.4 ULP.
template <class T>
inline Vec<T> sigmoid(Vec<T> x) {
  using C = ExpConstants<T>;
  using V = Vec<T>;
  const V one(T(1));
  const ExpReduced<T> e = exp_reduce(max(V(T(0)) - x, V(C::lowest)));
  const V p = fma(e.r * e.r, exp_tail(e.r), e.r);
  const V scale = V::from_bits(one.bits() + (e.shifted.bits() << Types<T>::mantissa_bits));
  const V sum = scale + one;
  const V lost = one - (sum - scale);
  return select(x < V(C::lowest), V(T(0)), one / (fma(scale, p, lost) + sum));
}

/// log(1 + f) for -1/4 <= f <= 1/2.
inline vf log1p_reduced(vf f) {
  const vf tail = polynomial(f, -4.738242552e-02f, 1.062562913e-01f, -1.312287748e-01f, 1.443845630e-01f,
                             -1.664764434e-01f, 1.999359280e-01f, -2.500015497e-01f, 3.333339691e-01f, -0.5f);
  return fma(f * f, tail, f);
}
inline vd log1p_reduced(vd f) {
  // log(1 + f) = 2 atanh(s) with s = f / (2 + f) = f - f^2/2 + s (f^2/2 + r), as in Sun's fdlibm.
  const vd s = f / (vd(2.0) + f), z = s * s, half_square = vd(0.5) * f * f;
  const vd r = z * polynomial(z, 1.36090302629077342e-01, 1.32097082420520651e-01, 1.53888678056141620e-01,
                              1.81817376263029240e-01, 2.22222230483515887e-01, 2.85714285672759361e-01,
                              4.00000000000079403e-01, 6.66666666666666630e-01);
  return f - (half_square - s * (half_square + r));
}

/// The multiple of 2 by which x / 2^k comes between 3/4 and 3/2: k in the bits of the exponent.
template <class T>
inline typename Types<T>::Bits log_exponent(Vec<T> x) {
  using V = Vec<T>;
  constexpr typename V::Int mantissa = (typename V::Int(1) << Types<T>::mantissa_bits) - 1;
  return (x.bits() - V(T(0.75)).bits()) & ~mantissa;
}

/// sum + k ln 2, with k as log_exponent gives it.
template <class T>
inline Vec<T> add_exponent(Vec<T> sum, typename Types<T>::Bits exponent) {
  using V = Vec<T>;
  // k + bias goes through the low bits of a number whose unit it is: AVX2 cannot convert 64-bit integers.
  constexpr typename V::Int bias = sizeof(T) == 4 ? 256 : 2048;
  const V magic(ExpConstants<T>::magic);
  const typename V::Bits biased = (exponent + (bias << Types<T>::mantissa_bits)) >> Types<T>::mantissa_bits;
  const V k = V::from_bits(magic.bits() + biased) - V(ExpConstants<T>::magic + bias);
  return fma(k, V(ExpConstants<T>::ln2_high), fma(k, V(ExpConstants<T>::ln2_low), sum));
}

template <class T>
inline Vec<T> log(Vec<T> x) {
  using V = Vec<T>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const auto exponent = log_exponent(x);
  const V y = add_exponent(log1p_reduced(V::from_bits(x.bits() - exponent) - V(T(1))), exponent);
  const V smallest(std::numeric_limits<T>::min());
  const V limit =
      select(abs(x) < smallest, V(-infinity), select(x < V(T(0)), V(std::numeric_limits<T>::quiet_NaN()), x));
  return select(x >= smallest, select(x < V(infinity), y, x), limit);
}

template <class T>
inline Vec<T> log1p(Vec<T> x) {
  using V = Vec<T>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  // (1 + x) / 2^k - 1, rounded once: x / 2^k and 1 / 2^k - 1 are exact where they matter.
  const auto exponent = log_exponent(V(T(1)) + x);
  const V scaled = V::from_bits(x.bits() - exponent);
  const V four_scaled = V::from_bits(V(T(4)).bits() - exponent);
  const V f = fma(V(T(0.25)), four_scaled, V(T(-1))) + scaled;
  const V y = add_exponent(log1p_reduced(f), exponent);
  const V limit = select(x == V(T(-1)), V(-infinity), select(x < V(T(-1)), V(std::numeric_limits<T>::quiet_NaN()), x));
  const V inside = select(abs(x) < V(ExpConstants<T>::tiny), x, select(x < V(infinity), y, x));
  return select(x > V(T(-1)), inside, limit);
}

/// (tanh(x) / x - 1) / x^2 of s = x^2, for |x| <= 0.55.
inline vf tanh_tail(vf s) {
  return polynomial(s, -6.610227749e-03f, 2.130938880e-02f, -5.390942842e-02f, 1.333311349e-01f, -3.333333135e-01f);
}
inline vd tanh_tail(vd s) {
  return polynomial(s, -2.06027653763217456e-05, 8.51131368557057872e-05, -2.34634741088675375e-04,
                    5.88936052007387302e-04, -1.45566183010071171e-03, 3.59211037868902320e-03,
                    -8.86323439781435546e-03, 2.18694884936669436e-02, -5.39682539674340156e-02,
                    1.33333333333327142e-01, -3.33333333333333315e-01);
}

template <class T>
inline Vec<T> tanh(Vec<T> x) {
  using V = Vec<T>;
  const V a = abs(x), s = x * x;
  const V near = fma(a * s, tanh_tail(s), a);
  // Beyond 20 the quotient vanishes; the bound keeps exp from its limits, and NaN stays in min.
  const V far = V(T(1)) - V(T(2)) / (exp(V(T(2)) * min(a, V(T(20)))) + V(T(1)));
  return copysign(select(a <= V(T(0.55)), near, far), x);
}

/// erf(x) / x - 1 of s = x^2 for x^2 <= bound^2, and log(1 - erf(a)) above.
struct ErfFloat {
  static constexpr float bound = 0.927734375f, one = 4.0f;
  static vf near(vf s) {
    return polynomial(s, -5.96761703e-4f, 4.99119423e-3f, -2.67681349e-2f, 1.12819925e-1f, -3.76125336e-1f,
                      1.28379166e-1f);
  }
  static vf far(vf a) {
    const vf sum = polynomial(a, -1.72853470e-5f, 3.83197126e-4f, -3.88396438e-3f, 2.42546219e-2f, -1.06777877e-1f,
                              -6.34846687e-1f, -1.28717512e-1f);
    return fma(sum, a, vf(0.0f) - a);
  }
};
struct ErfDouble {
  static constexpr double bound = 1.0, one = 6.0;
  static vd near(vd s) {
    return polynomial(s, -7.79589882699850390e-10, 1.37200645467755917e-08, -1.62084838018711811e-07,
                      1.64474247033172882e-06, -1.49247369074196538e-05, 1.20552949048397074e-04,
                      -8.54832597538969182e-04, 5.22397760711642255e-03, -2.68661706432377703e-02,
                      1.12837916709450065e-01, -3.76126389031835429e-01, 1.28379167095512559e-01);
  }
  static vd far(vd a) {
    return polynomial(a, 1.76895657860440645e-11, -6.51282947038288356e-10, 1.08944747457720729e-08,
                      -1.08130636005504265e-07, 6.87124721980742551e-07, -2.66984162613479921e-06,
                      3.59927121277017801e-06, 2.80306420292076684e-05, -2.30717427878557557e-04,
                      9.20058845933977129e-04, -2.09892604729883248e-03, 5.84217709061734939e-04,
                      1.88652651019291275e-02, -1.02637582017132287e-01, -6.36667605292663530e-01,
                      -1.12836870583308380e+00, -1.06429869949338966e-06);
  }
};

template <class Parts, class T>
inline Vec<T> erf_by_parts(Vec<T> x) {
  using V = Vec<T>;
  const V a = abs(x), s = x * x;
  const V near = fma(a, Parts::near(s), a);
  const V far = V(T(1)) - exp(Parts::far(min(a, V(Parts::one))));
  return copysign(select(a <= V(Parts::bound), near, far), x);
}
inline vf erf(vf x) { return erf_by_parts<ErfFloat>(x); }
inline vd erf(vd x) { return erf_by_parts<ErfDouble>(x); }

template <class T>
struct SineConstants;

template <>
struct SineConstants<float> {
  static constexpr float half_pi[] = {0x1.921fb6p0f, -0x1.777a5cp-25f, -0x1.ee59dap-50f};
  static constexpr float furthest = 0x1p22f;  // an argument beyond counts as this one
};
template <>
struct SineConstants<double> {
  static constexpr double half_pi[] = {0x1.921fb54442d18p0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
  static constexpr double furthest = 0x1p49;
};

/// (sin(r) / r - 1) / r^2 and (cos(r) - 1 + r^2 / 2) / r^4 of s = r^2, for |r| <= pi / 4.
inline vf sin_tail(vf s) { return polynomial(s, -1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f); }
inline vd sin_tail(vd s) {
  return polynomial(s, 1.58969099521155010e-10, -2.50507602534068634e-08, 2.75573137070700677e-06,
                    -1.98412698298579493e-04, 8.33333333332248947e-03, -1.66666666666666324e-01);
}
inline vf cos_tail(vf s) { return polynomial(s, 2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f); }
inline vd cos_tail(vd s) {
  return polynomial(s, -1.13596475577881948e-11, 2.08757232129817483e-09, -2.75573143513906633e-07,
                    2.48015872894767294e-05, -1.38888888888741096e-03, 4.16666666666666019e-02);
}

/// The sine of |x| and `turn` right angles. |x| = n pi / 2 + r, where r loses no digits to the difference (Cody and
/// Waite): pi / 2 is in three parts, and their products are subtracted before they are rounded.
template <class T>
inline Vec<T> turned_sine(Vec<T> x, typename Vec<T>::Int turn) {
  using C = SineConstants<T>;
  using V = Vec<T>;
  const V a = abs(x), bounded = min(a, V(C::furthest));
  const V shifted = fma(bounded, V(static_cast<T>(0x1.45f306dc9c883p-1)), V(ExpConstants<T>::magic));
  const V n = shifted - V(ExpConstants<T>::magic);
  V r = bounded;
  for (const T part : C::half_pi) r = minus_product(r, n, V(part));
  const V s = r * r;
  const V sine = fma(r * s, sin_tail(s), r), cosine = fma(s * s, cos_tail(s), fma(V(T(-0.5)), s, V(T(1))));
  const typename V::Bits quadrant = shifted.bits() + turn;
  const V y = select(Mask<T>{(quadrant & 1) == 0}, sine, cosine);
  const V signed_y = V::from_bits(y.bits() ^ ((quadrant & 2) << (8 * sizeof(T) - 2)));
  return select(a < V(std::numeric_limits<T>::infinity()), signed_y, a - a);
}

template <class T>
inline Vec<T> sin(Vec<T> x) {
  return Vec<T>::from_bits(turned_sine(x, 0).bits() ^ (x.bits() & ~Types<T>::abs_mask));
}
template <class T>
inline Vec<T> cos(Vec<T> x) {
  return turned_sine(x, 1);
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
