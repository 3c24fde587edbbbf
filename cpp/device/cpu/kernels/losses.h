#pragma once

#include "device/cpu/kernels/elementwise.h"
#include "device/cpu/kernels/reduce.h"
#include "math/losses.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// One column: the rows themselves fill the registers. The sum of one value is 0 + value, as with more columns.
template <class T, class F>
void column_loss(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t, int64_t t_stride,
                 int64_t rows, const T* scales, T scale, const Vec<T>* options) {
  constexpr int64_t size = Vec<T>::size;
  alignas(64) T prediction[size] = {}, target[size] = {}, value[size], slope[size];
  for (int64_t row = 0; row < rows; row += size) {
    const int64_t count = rows - row < size ? rows - row : size;
    for (int64_t i = 0; i < count; ++i) {
      prediction[i] = p[(row + i) * p_stride];
      target[i] = t[(row + i) * t_stride];
    }
    const Vec<T> pv = Vec<T>::load(prediction), tv = Vec<T>::load(target);
    (Vec<T>(T(0)) + F::value(pv, tv, options)).store(value);
    for (int64_t i = 0; i < count; ++i) row_losses[row + i] = value[i];
    if (!dp) continue;
    F::derivative(pv, tv, options).store(slope);
    for (int64_t i = 0; i < count; ++i) dp[(row + i) * dp_stride] = slope[i] * (scales ? scales[row + i] : scale);
  }
}

/// Each row's loss is the mean over its columns.
template <class T, class F>
void loss(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t, int64_t t_stride,
          int64_t rows, int64_t cols, const T* scales, T scale, const double* options) {
  const Options<T> o(options);
  if (cols == 1)
    return column_loss<T, F>(row_losses, dp, dp_stride, p, p_stride, t, t_stride, rows, scales, scale, o.values);
  for (int64_t row = 0; row < rows; ++row, p += p_stride, t += t_stride) {
    T* const d = dp ? dp + row * dp_stride : nullptr;
    const Vec<T> factor((scales ? scales[row] : scale) / static_cast<T>(cols));
    Lanes<T> sum;
    for_each_lane<T>(cols, [&](int64_t i, auto part, int r) {
      const Vec<T> pv = part.load(p + i), tv = part.load(t + i);
      sum.v[r] = sum.v[r] + part.keep(F::value(pv, tv, o.values));  // not every loss is zero beyond the last column
      if (d) part.store(d + i, F::derivative(pv, tv, o.values) * factor);
    });
    row_losses[row] = sum.sum() / static_cast<T>(cols);
  }
}

/// The largest of a row. A NaN may be lost here, but not in the sum of exponentials.
template <class T>
T row_max(const T* x, int64_t n) {
  constexpr int64_t size = Vec<T>::size;
  Vec<T> largest(x[0]);
  int64_t i = 0;
  for (; i + size <= n; i += size) largest = max(largest, Vec<T>::load(x + i));
  if (i < n) {
    // Behind the last column nothing new: zeros could exceed the largest.
    const Part<T> part{n - i};
    const Vec<T> one(T(1));
    largest = max(largest, select(part.keep(one) == one, part.load(x + i), largest));
  }
  alignas(64) T lane[size];
  largest.store(lane);
  for (int64_t half = size / 2; half > 0; half /= 2)
    for (int64_t j = 0; j < half; ++j) lane[j] = lane[j] < lane[j + half] ? lane[j + half] : lane[j];
  return lane[0];
}

template <class T>
void softmax(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols) {
  for (int64_t row = 0; row < rows; ++row, y += y_stride, x += x_stride) {
    const Vec<T> largest(row_max(x, cols));
    Lanes<T> sum;
    for_each_lane<T>(cols, [&](int64_t i, auto part, int r) {
      const Vec<T> e = part.keep(exp(part.load(x + i) - largest));
      sum.v[r] = sum.v[r] + e;
      part.store(y + i, e);
    });
    const Vec<T> total(sum.sum());
    for_each_register<T>(cols, [&](int64_t i, auto part) { part.store(y + i, part.load(y + i) / total); });
  }
}

template <class T>
T log_of(T x) {
  alignas(64) T lane[Vec<T>::size];
  log(Vec<T>(x)).store(lane);
  return lane[0];
}

/// H(target, softmax(p)) of each row: with z = p - max(p) it is log(sum exp z) sum(t) - sum t z, which cannot overflow.
template <class T>
void cross_entropy(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t, int64_t t_stride,
                   const int32_t* classes, int64_t rows, int64_t cols, const T* scales, T scale) {
  for (int64_t row = 0; row < rows; ++row, p += p_stride) {
    T* const d = dp ? dp + row * dp_stride : nullptr;
    const T* const target = classes ? nullptr : t + row * t_stride;
    const T largest = row_max(p, cols);
    const T class_z = classes ? p[classes[row]] - largest : T(0);
    Lanes<T> exponentials, targets, products;
    for_each_lane<T>(cols, [&](int64_t i, auto part, int r) {
      const Vec<T> z = part.load(p + i) - Vec<T>(largest), e = part.keep(exp(z));
      exponentials.v[r] = exponentials.v[r] + e;
      if (target) {
        const Vec<T> tv = part.load(target + i);
        targets.v[r] = targets.v[r] + tv;
        products.v[r] = products.v[r] + part.keep(tv * z);
      }
      if (d) part.store(d + i, e);
    });
    const T sum = exponentials.sum(), target_sum = target ? targets.sum() : T(1);
    const T log_sum = log_of(sum);
    row_losses[row] = target ? log_sum * target_sum - products.sum() : log_sum - class_z;
    if (!d) continue;
    const T factor = scales ? scales[row] : scale;
    const Vec<T> weight(factor * target_sum / sum);
    for_each_register<T>(cols, [&](int64_t i, auto part) {
      const Vec<T> slope = part.load(d + i) * weight;
      part.store(d + i, target ? slope - Vec<T>(factor) * part.load(target + i) : slope);
    });
    if (classes) d[classes[row]] = d[classes[row]] - factor;
  }
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
