#pragma once

#include <utility>

#include "device/cpu/kernels/simd.h"
#include "device/cpu/kernels/table.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

struct Sum {
  template <class V>
  V operator()(V a, V b) const {
    return a + b;
  }
};

struct Largest {
  template <class V>
  V operator()(V a, V b) const {
    return max(a, b);
  }
};

/// Where lane `lane` of a joint register comes from: of two registers whose lanes are in blocks of `width`, the first
/// (half = 0) or second halves of all blocks. Blocks within 16 bytes stay there: such a shuffle takes one cycle.
template <class T>
constexpr int joint_source(int lane, int width, int half) {
  constexpr int size = Vec<T>::size, near = 16 / static_cast<int>(sizeof(T));
  const int span = width > near ? size : near, start = lane / span * span, out = width / 2;
  const int block = lane % span / out, blocks = span / width;
  return (block < blocks ? 0 : size) + start + block % blocks * width + half * out + lane % out;
}

template <class T, int width, int half, int... lanes>
inline Vec<T> joint_halves(Vec<T> a, Vec<T> b, std::integer_sequence<int, lanes...>) {
  return Vec<T>(__builtin_shufflevector(a.r, b.r, joint_source<T>(lanes, width, half)...));
}

/// Each block of a and b, `width` lanes, becomes one of half the width: its first half joined with its second.
template <int width, class T, class Join>
inline Vec<T> halve_blocks(Vec<T> a, Vec<T> b, Join join) {
  constexpr std::make_integer_sequence<int, Vec<T>::size> lanes;
  return join(joint_halves<T, width, 0>(a, b, lanes), joint_halves<T, width, 1>(a, b, lanes));
}

/// The lanes of v joined by the tree ((0 + 8) + (4 + 12)) + ..., the result in every lane.
template <class T, class Join, int width = Vec<T>::size>
inline Vec<T> across(Vec<T> v, Join join) {
  if constexpr (width == 1)
    return v;
  else
    return across<T, Join, width / 2>(halve_blocks<width>(v, v, join), join);
}

/// Lane i of the result: the lanes of rows[i] joined by the same tree. A register of results costs three operations a
/// row, where one by one they cost twelve.
template <class T, class Join, int first = 0, int count = Vec<T>::size>
inline Vec<T> across_rows(const Vec<T>* rows, Join join) {
  if constexpr (count == 1) {
    constexpr int near = 16 / static_cast<int>(sizeof(T)), parts = Vec<T>::size / near;
    return rows[first % parts * near + first / parts];  // the order in which halve_blocks leaves the blocks
  } else {
    return halve_blocks<2 * Vec<T>::size / count>(across_rows<T, Join, first, count / 2>(rows, join),
                                                  across_rows<T, Join, first + count / 2, count / 2>(rows, join), join);
  }
}

/// kLanes numbers that add up side by side: element i of a sum goes to lane i mod kLanes, whatever the register width.
template <class T>
struct Lanes {
  static constexpr int registers = kLanes / Vec<T>::size;
  Vec<T> v[registers];

  Lanes() {
    for (auto& one : v) one = Vec<T>(T(0));
  }

  /// The first levels of the tree ((0 + 8) + (4 + 12)) + ..., the same for every register width: across() has the rest.
  Vec<T> folded() const {
    Vec<T> part[registers];
    for (int i = 0; i < registers; ++i) part[i] = v[i];
    for (int half = registers / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) part[i] = part[i] + part[i + half];
    return part[0];
  }

  T sum() const { return across(folded(), Sum()).r[0]; }
};

/// As for_each_register, and body(i, part, r) also gets the number of its register among the lanes.
template <class T, class Body>
inline void for_each_lane(int64_t n, Body body) {
  constexpr int64_t size = Vec<T>::size;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int r = 0; r < Lanes<T>::registers; ++r) body(i + r * size, Whole<T>(), r);
  int r = 0;
  for (; i + size <= n; i += size) body(i, Whole<T>(), r++);
  if (i < n) body(i, Part<T>{n - i}, r);
}

/// The sums of some registers of columns, side by side to hide the latency of the addition: those numbered `j` and one
/// more, of which `last` is what counts. Indices known to the compiler from the start keep the sums in registers.
template <class T, class Last, int... j>
void strip_sums(T* y, const T* x, int64_t x_stride, int64_t rows, TileMode mode, Last last,
                std::integer_sequence<int, j...>) {
  constexpr int64_t size = Vec<T>::size, before = sizeof...(j) * size;
  Vec<T> sum[] = {(static_cast<void>(j), Vec<T>(T(0)))..., Vec<T>(T(0))};
  Vec<T>& last_sum = sum[sizeof...(j)];
  for (int64_t row = 0; row < rows; ++row, x += x_stride) {
    ((sum[j] = sum[j] + Vec<T>::load(x + j * size)), ...);
    last_sum = last_sum + last.load(x + before);
  }
  if (mode == TileMode::add) {
    ((sum[j] = Vec<T>::load(y + j * size) + sum[j]), ...);
    last_sum = last.load(y + before) + last_sum;
  }
  (sum[j].store(y + j * size), ...);
  last.store(y + before, last_sum);
}

template <class T, int width, class Last>
void choose_strip(int64_t registers, T* y, const T* x, int64_t x_stride, int64_t rows, TileMode mode, Last last) {
  if (registers == width)
    return strip_sums(y, x, x_stride, rows, mode, last, std::make_integer_sequence<int, width - 1>());
  if constexpr (width > 1) choose_strip<T, width - 1>(registers, y, x, x_stride, rows, mode, last);
}

/// y (cols) = the sum of x over its rows, one chain per column; or y + the sum.
template <class T>
void column_sums(T* y, const T* x, int64_t x_stride, int64_t rows, int64_t cols, TileMode mode) {
  constexpr int64_t size = Vec<T>::size;
  constexpr int widest = 8;
  int64_t col = 0;
  for (; col + widest * size <= cols; col += widest * size)
    choose_strip<T, widest>(widest, y + col, x + col, x_stride, rows, mode, Whole<T>());
  const int64_t whole = (cols - col) / size, rest = (cols - col) % size;
  if (rest > 0)
    choose_strip<T, widest>(whole + 1, y + col, x + col, x_stride, rows, mode, Part<T>{rest});
  else if (whole > 0)
    choose_strip<T, widest>(whole, y + col, x + col, x_stride, rows, mode, Whole<T>());
}

/// As many elements as a register has doubles, or the first of them, as doubles.
template <class P>
inline vd load_doubles(const double* p, P part) {
  return part.load(p);
}

inline vd load_doubles(const float* p, Whole<double>) {
  using Half __attribute__((vector_size(kBytes / 2), aligned(4), may_alias)) = float;
  return vd(__builtin_convertvector(*reinterpret_cast<const Half*>(p), vd::Register));
}

inline vd load_doubles(const float* p, Part<double> part) {
  float lanes[vd::size] = {};
  for (int64_t i = 0; i < part.n; ++i) lanes[i] = p[i];
  return load_doubles(lanes, Whole<double>());
}

/// Widened first, then summed as doubles: a product of two floats is exact in double.
template <class T>
double weighted_sum(const T* x, const T* weights, int64_t n) {
  Lanes<double> sum;
  for_each_lane<double>(n, [&](int64_t i, auto part, int r) {
    const vd v = load_doubles(x + i, part);
    sum.v[r] = weights ? fma(v, load_doubles(weights + i, part), sum.v[r]) : sum.v[r] + v;
  });
  return sum.sum();
}

/// The largest |x[i]|: in several registers, to hide the latency of the comparison.
template <class T>
T largest(const T* x, int64_t n) {
  Vec<T> found[Lanes<T>::registers];
  for (auto& one : found) one = Vec<T>(T(0));
  for_each_lane<T>(n, [&](int64_t i, auto part, int r) { found[r] = max(abs(part.load(x + i)), found[r]); });
  for (int r = 1; r < Lanes<T>::registers; ++r) found[0] = max(found[0], found[r]);
  return across(found[0], Largest()).r[0];
}

template <class T>
int64_t find_nonfinite(const T* x, int64_t n) {
  constexpr int64_t block = 4096, size = Vec<T>::size;
  constexpr int chains = 8;
  for (int64_t start = 0; start < n; start += block) {
    const int64_t length = n - start < block ? n - start : block;
    // x * 0 is zero unless x is NaN or infinite, and then NaN.
    Vec<T> sum[chains];
    for (auto& one : sum) one = Vec<T>(T(0));
    int64_t i = 0;
    for (; i + chains * size <= length; i += chains * size)
      for (int k = 0; k < chains; ++k) sum[k] = fma(Vec<T>::load(x + start + i + k * size), Vec<T>(T(0)), sum[k]);
    for_each_register<T>(
        length - i, [&](int64_t j, auto part) { sum[0] = fma(part.load(x + start + i + j), Vec<T>(T(0)), sum[0]); });
    for (int half = chains / 2; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) sum[k] = sum[k] + sum[k + half];
    if (across(sum[0], Sum()).r[0] == T(0)) continue;
    for (int64_t j = start; j < start + length; ++j)
      if (!(x[j] - x[j] == T(0))) return j;
  }
  return -1;
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
