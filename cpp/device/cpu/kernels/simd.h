#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// For functions and lambdas that see sums kept in registers: a call would send them through memory.
#define WHET_ALWAYS_INLINE __attribute__((always_inline))

/// Registers of the instruction set that this object is compiled for, as values with ordinary operators.
/// The structs stand in the set's namespace, so that no two sets share a symbol.
namespace whet::cpu::WHET_ISA_NAMESPACE {

#if defined(WHET_ISA_avx512)  // and with WHET_ISA_avx512bf16 besides, more of it
constexpr int kBytes = 64;
#elif defined(WHET_ISA_avx2)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

template <class T>
struct Types;

template <>
struct Types<float> {
  using Int = uint32_t;
  using Register __attribute__((vector_size(kBytes))) = float;
  using Bits __attribute__((vector_size(kBytes))) = uint32_t;
  // NumPy's memory is aligned to its elements only.
  using Unaligned __attribute__((vector_size(kBytes), aligned(4), may_alias)) = float;
  static constexpr Int abs_mask = 0x7fffffff;
  static constexpr int mantissa_bits = 23;
};

template <>
struct Types<double> {
  using Int = uint64_t;
  using Register __attribute__((vector_size(kBytes))) = double;
  using Bits __attribute__((vector_size(kBytes))) = uint64_t;
  using Unaligned __attribute__((vector_size(kBytes), aligned(8), may_alias)) = double;
  static constexpr Int abs_mask = 0x7fffffffffffffff;
  static constexpr int mantissa_bits = 52;
};

/// The result of a comparison, lane by lane.
template <class T>
struct Mask {
  decltype(typename Types<T>::Register{} < typename Types<T>::Register{}) m;
};

/// One register of T.
template <class T>
struct Vec {
  using Register = typename Types<T>::Register;
  using Bits = typename Types<T>::Bits;
  using Int = typename Types<T>::Int;
  static constexpr int size = kBytes / static_cast<int>(sizeof(T));

  Register r;

  Vec() = default;
  explicit Vec(Register value) : r(value) {}
  // `x - Register{}` folds into a broadcast; `x + Register{}` would cost an addition, for it turns -0 into +0.
  explicit Vec(T x) : r(x - Register{}) {}

  static Vec load(const T* p) { return Vec(Register(*reinterpret_cast<const typename Types<T>::Unaligned*>(p))); }
  void store(T* p) const { *reinterpret_cast<typename Types<T>::Unaligned*>(p) = r; }

  /// The first n lanes from p, zeros behind them; 0 <= n < size.
  static Vec load(const T* p, int64_t n);
  /// Stores the first n lanes; 0 <= n < size.
  void store(T* p, int64_t n) const;
  /// The first n lanes, zeros behind them; 0 <= n < size.
  Vec first(int64_t n) const;

  Bits bits() const { return reinterpret_cast<Bits>(r); }
  static Vec from_bits(Bits bits) { return Vec(reinterpret_cast<Register>(bits)); }

  friend Vec operator+(Vec a, Vec b) { return Vec(a.r + b.r); }
  friend Vec operator-(Vec a, Vec b) { return Vec(a.r - b.r); }
  friend Vec operator*(Vec a, Vec b) { return Vec(a.r * b.r); }
  friend Vec operator/(Vec a, Vec b) { return Vec(a.r / b.r); }
  friend Mask<T> operator<(Vec a, Vec b) { return {a.r < b.r}; }
  friend Mask<T> operator<=(Vec a, Vec b) { return {a.r <= b.r}; }
  friend Mask<T> operator>(Vec a, Vec b) { return {a.r > b.r}; }
  friend Mask<T> operator>=(Vec a, Vec b) { return {a.r >= b.r}; }
  friend Mask<T> operator==(Vec a, Vec b) { return {a.r == b.r}; }
  friend Vec select(Mask<T> mask, Vec a, Vec b) { return Vec(mask.m ? a.r : b.r); }
  // A NaN in a stays: no comparison with it holds.
  friend Vec max(Vec a, Vec b) { return Vec(a.r < b.r ? b.r : a.r); }
  friend Vec min(Vec a, Vec b) { return Vec(b.r < a.r ? b.r : a.r); }
  friend Vec abs(Vec a) { return from_bits(a.bits() & Types<T>::abs_mask); }
  /// The magnitude of a with the sign of b.
  friend Vec copysign(Vec a, Vec b) {
    return from_bits((a.bits() & Types<T>::abs_mask) | (b.bits() & ~Types<T>::abs_mask));
  }
};

using vf = Vec<float>;
using vd = Vec<double>;
/// Whole numbers of 64 bits, as many as there are doubles.
using Wide = vd::Bits;

/// Whether fma() rounds once.
#if defined(WHET_ISA_avx512) || defined(WHET_ISA_avx2)
constexpr bool kFused = true;
#else
constexpr bool kFused = false;
#endif

// The primitives that need code per set: fma, sqrt, the product of half lanes and the partial ones. One intrinsic each:
// a lane loop of __builtin_fmaf became 48 scalar FMAs in places under GCC 12, nine times slower.

#if defined(WHET_ISA_avx512)

inline vf fma(vf a, vf b, vf c) { return vf(_mm512_fmadd_ps(a.r, b.r, c.r)); }
inline vd fma(vd a, vd b, vd c) { return vd(_mm512_fmadd_pd(a.r, b.r, c.r)); }
// The masked form: GCC 12 warns of an uninitialised value inside _mm512_sqrt_ps.
inline vf sqrt(vf a) { return vf(_mm512_maskz_sqrt_ps(0xffff, a.r)); }
inline vd sqrt(vd a) { return vd(_mm512_maskz_sqrt_pd(0xff, a.r)); }

/// The whole products of the lower halves of the lanes.
inline Wide multiply_halves(Wide a, Wide b) {
  return reinterpret_cast<Wide>(
      _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}

inline __mmask16 first_lanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }

template <>
inline vf vf::load(const float* p, int64_t n) {
  return vf(_mm512_maskz_loadu_ps(first_lanes(n), p));
}
template <>
inline vd vd::load(const double* p, int64_t n) {
  return vd(_mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(n)), p));
}
template <>
inline void vf::store(float* p, int64_t n) const {
  _mm512_mask_storeu_ps(p, first_lanes(n), r);
}
template <>
inline void vd::store(double* p, int64_t n) const {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(first_lanes(n)), r);
}
template <>
inline vf vf::first(int64_t n) const {
  return vf(_mm512_maskz_mov_ps(first_lanes(n), r));
}
template <>
inline vd vd::first(int64_t n) const {
  return vd(_mm512_maskz_mov_pd(static_cast<__mmask8>(first_lanes(n)), r));
}

#elif defined(WHET_ISA_avx2)

inline vf fma(vf a, vf b, vf c) { return vf(_mm256_fmadd_ps(a.r, b.r, c.r)); }
inline vd fma(vd a, vd b, vd c) { return vd(_mm256_fmadd_pd(a.r, b.r, c.r)); }
inline vf sqrt(vf a) { return vf(_mm256_sqrt_ps(a.r)); }
inline vd sqrt(vd a) { return vd(_mm256_sqrt_pd(a.r)); }

inline Wide multiply_halves(Wide a, Wide b) {
  return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}

// A window into ones and zeros gives the first n lanes.
alignas(64) static const int32_t kWindow[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

template <class T>
inline __m256i first_lanes(int64_t n) {
  const int32_t* start = kWindow + 8 - n * static_cast<int64_t>(sizeof(T) / 4);
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start));
}

template <>
inline vf vf::load(const float* p, int64_t n) {
  return vf(_mm256_maskload_ps(p, first_lanes<float>(n)));
}
template <>
inline vd vd::load(const double* p, int64_t n) {
  return vd(_mm256_maskload_pd(p, first_lanes<double>(n)));
}
// Piece by piece: a masked store is microcode on AMD's processors before AVX-512 (5 to 6 ns against 1 on Zen 3).
template <>
inline void vf::store(float* p, int64_t n) const {
  __m128 rest = _mm256_castps256_ps128(r);
  if (n & 4) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps(r, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
    rest = _mm_movehl_ps(rest, rest);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, rest);
}
template <>
inline void vd::store(double* p, int64_t n) const {
  __m128d rest = _mm256_castpd256_pd128(r);
  if (n & 2) {
    _mm_storeu_pd(p, rest);
    rest = _mm256_extractf128_pd(r, 1);
    p += 2;
  }
  if (n & 1) _mm_store_sd(p, rest);
}
template <>
inline vf vf::first(int64_t n) const {
  return vf(_mm256_and_ps(r, _mm256_castsi256_ps(first_lanes<float>(n))));
}
template <>
inline vd vd::first(int64_t n) const {
  return vd(_mm256_and_pd(r, _mm256_castsi256_pd(first_lanes<double>(n))));
}

#else

// No FMA in the plainest set: this one rounds twice, and is outside the promise of equal bits.
template <class T>
inline Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return a * b + c;
}

#if defined(__x86_64__)
inline vf sqrt(vf a) { return vf(_mm_sqrt_ps(a.r)); }
inline vd sqrt(vd a) { return vd(_mm_sqrt_pd(a.r)); }

inline Wide multiply_halves(Wide a, Wide b) {
  return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
#else
template <class T>
inline Vec<T> sqrt(Vec<T> a) {
  for (int i = 0; i < Vec<T>::size; ++i) a.r[i] = static_cast<T>(__builtin_sqrt(a.r[i]));
  return a;
}

inline Wide multiply_halves(Wide a, Wide b) { return (a & 0xffffffff) * (b & 0xffffffff); }
#endif

template <class T>
inline Vec<T> Vec<T>::load(const T* p, int64_t n) {
  Register lanes{};
  for (int i = 0; i < size; ++i)
    if (i < n) lanes[i] = p[i];
  return Vec(lanes);
}
template <class T>
inline void Vec<T>::store(T* p, int64_t n) const {
  for (int i = 0; i < size; ++i)
    if (i < n) p[i] = r[i];
}
template <class T>
inline Vec<T> Vec<T>::first(int64_t n) const {
  Register lanes{};
  for (int i = 0; i < size; ++i)
    if (i < n) lanes[i] = r[i];
  return Vec(lanes);
}

#endif

/// The half of x's digits that comes first, so that products of such halves are exact (Veltkamp).
template <class T>
inline Vec<T> upper_digits(Vec<T> x) {
  const Vec<T> scaled = x * Vec<T>(static_cast<T>(sizeof(T) == 4 ? 0x1.001p12 : 0x1.0000002p27));
  return scaled - (scaled - x);
}

/// c - a b, where the product is not rounded before it is subtracted (Dekker, where fma() rounds twice).
template <class T>
inline Vec<T> minus_product(Vec<T> c, Vec<T> a, Vec<T> b) {
  if constexpr (kFused) return fma(Vec<T>(T(0)) - a, b, c);
  const Vec<T> product = a * b, a1 = upper_digits(a), b1 = upper_digits(b), a2 = a - a1, b2 = b - b1;
  const Vec<T> lost = a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2);
  return (c - product) - lost;
}

/// Whether products in bfloat16 take two elements along k at a time, packed into one.
#if defined(WHET_ISA_avx512bf16)
constexpr bool kPairs = true;
#else
constexpr bool kPairs = false;
#endif

#if defined(__AVX512BF16__)
inline vf dot(vf a, vf b, vf c) {
  return vf(_mm512_dpbf16_ps(c.r, reinterpret_cast<__m512bh>(a.r), reinterpret_cast<__m512bh>(b.r)));
}
#else
/// What the instruction does: two FMAs, first of the upper halves of each pair.
inline vf dot(vf a, vf b, vf c) {
  const auto upper = [](vf pair) { return vf::from_bits(pair.bits() & 0xffff0000); };
  const auto lower = [](vf pair) { return vf::from_bits(pair.bits() << 16); };
  return fma(lower(a), lower(b), fma(upper(a), upper(b), c));
}
#endif
inline vd dot(vd a, vd b, vd c) { return fma(a, b, c); }

/// All lanes of a register, or the first n: what a loop's body sees of its operands.
template <class T>
struct Whole {
  Vec<T> load(const T* p) const { return Vec<T>::load(p); }
  void store(T* p, Vec<T> v) const { v.store(p); }
  Vec<T> keep(Vec<T> v) const { return v; }
};

template <class T>
struct Part {
  int64_t n;
  Vec<T> load(const T* p) const { return Vec<T>::load(p, n); }
  void store(T* p, Vec<T> v) const { v.store(p, n); }
  Vec<T> keep(Vec<T> v) const { return v.first(n); }
};

/// Calls body(i, part) for the elements 0 .. n-1, a register at a time; i is the register's first element.
template <class T, class Body>
inline void for_each_register(int64_t n, Body body) {
  constexpr int64_t size = Vec<T>::size;
  int64_t i = 0;
  for (; i + size <= n; i += size) body(i, Whole<T>());
  if (i < n) body(i, Part<T>{n - i});
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
