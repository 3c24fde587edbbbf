#pragma once

#include <limits>

#include "device/cpu/kernels/simd.h"
#include "device/cpu/kernels/table.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// kLanes numbers that add up side by side: element i of a sum goes to lane i mod kLanes, whatever the register width.
template <class T>
struct Lanes {
  static constexpr int registers = kLanes / Vec<T>::size;
  Vec<T> v[registers];

  Lanes() {
    for (auto& one : v) one = Vec<T>(T(0));
  }

  /// ((0 + 8) + (4 + 12)) + ..., the same tree for every register width.
  T sum() const {
    alignas(64) T lane[kLanes];
    for (int i = 0; i < registers; ++i) v[i].store(lane + i * Vec<T>::size);
    for (int half = kLanes / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    return lane[0];
  }
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

/// y (cols) = the sum of x over its rows, one chain per column; or y + the sum.
template <class T>
void column_sums(T* y, const T* x, int64_t x_stride, int64_t rows, int64_t cols, TileMode mode) {
  constexpr int64_t size = Vec<T>::size;
  constexpr int width = 8;  // chains side by side hide the latency of the addition
  const auto keep = [&](int64_t col, Vec<T> sum, auto part) {
    part.store(y + col, mode == TileMode::add ? part.load(y + col) + sum : sum);
  };
  int64_t col = 0;
  for (; col + width * size <= cols; col += width * size) {
    Vec<T> sum[width];
    for (auto& one : sum) one = Vec<T>(T(0));
    for (int64_t row = 0; row < rows; ++row)
      for (int j = 0; j < width; ++j) sum[j] = sum[j] + Vec<T>::load(x + row * x_stride + col + j * size);
    for (int j = 0; j < width; ++j) keep(col + j * size, sum[j], Whole<T>());
  }
  for_each_register<T>(cols - col, [&](int64_t i, auto part) {
    Vec<T> sum(T(0));
    for (int64_t row = 0; row < rows; ++row) sum = sum + part.load(x + row * x_stride + col + i);
    keep(col + i, sum, part);
  });
}

inline double product_sum(const double* x, const double* weights, int64_t n) {
  Lanes<double> sum;
  for_each_lane<double>(n, [&](int64_t i, auto part, int r) {
    sum.v[r] = weights ? fma(part.load(x + i), part.load(weights + i), sum.v[r]) : sum.v[r] + part.load(x + i);
  });
  return sum.sum();
}

template <class T>
double weighted_sum(const T* x, const T* weights, int64_t n) {
  if constexpr (sizeof(T) == sizeof(double)) {
    return product_sum(x, weights, n);
  } else {
    // Widened first, then summed as doubles: a product of two floats is exact in double.
    double wide[kMaxSum], wide_weights[kMaxSum];
    for (int64_t i = 0; i < n; ++i) wide[i] = x[i];
    if (weights)
      for (int64_t i = 0; i < n; ++i) wide_weights[i] = weights[i];
    return product_sum(wide, weights ? wide_weights : nullptr, n);
  }
}

template <class T>
int64_t find_nonfinite(const T* x, int64_t n) {
  constexpr int64_t block = 4096;
  for (int64_t start = 0; start < n; start += block) {
    const int64_t length = n - start < block ? n - start : block;
    // x * 0 is zero unless x is NaN or infinite, and then NaN.
    Lanes<T> sum;
    for_each_lane<T>(
        length, [&](int64_t i, auto part, int r) { sum.v[r] = fma(part.load(x + start + i), Vec<T>(T(0)), sum.v[r]); });
    if (sum.sum() == T(0)) continue;
    for (int64_t i = start; i < start + length; ++i)
      if (!(x[i] - x[i] == T(0))) return i;
  }
  return -1;
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
