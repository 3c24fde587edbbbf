#pragma once

#include "device/cpu/kernels/mathfun.h"
#include "device/cpu/kernels/reduce.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// The sum of f(i, part) over the columns of a row; what lies behind the last one counts as zero.
template <class T, class F>
inline T sum_row(int64_t cols, F f) {
  Lanes<T> sum;
  for_each_lane<T>(cols, [&](int64_t i, auto part, int r) { sum.v[r] = sum.v[r] + part.keep(f(i, part)); });
  return sum.sum();
}

/// y[i] = scale times the sum of row i of x, or y[i] + that.
template <class T>
void row_sums(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols, T scale,
              bool accumulate) {
  for (int64_t row = 0; row < rows; ++row, x += x_stride, y += y_stride) {
    const T sum = scale * sum_row<T>(cols, [&](int64_t i, auto part) { return part.load(x + i); });
    *y = accumulate ? *y + sum : sum;
  }
}

/// y[i] = log(sum_j exp(x[i, j])), without overflow.
template <class T>
void logsumexp(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols) {
  for (int64_t row = 0; row < rows; ++row, x += x_stride, y += y_stride) {
    const Vec<T> one(T(1));
    Vec<T> most(x[0]);
    for_each_register<T>(
        cols, [&](int64_t i, auto part) { most = select(part.keep(one) == one, max(most, part.load(x + i)), most); });
    most = across(most, Largest());
    const Vec<T> shift = select(most - most == Vec<T>(T(0)), most, Vec<T>(T(0)));  // infinity is no shift
    const T sum = sum_row<T>(cols, [&](int64_t i, auto part) { return exp(part.load(x + i) - shift); });
    *y = (log(Vec<T>(sum)) + shift).r[0];
  }
}

/// dx = dy exp(x - y), or dx + that, where y is what logsumexp made of x.
template <class T>
void logsumexp_backward(T* dx, int64_t dx_stride, const T* dy, int64_t dy_stride, const T* x, int64_t x_stride,
                        const T* y, int64_t y_stride, int64_t rows, int64_t cols, bool accumulate) {
  for (int64_t row = 0; row < rows; ++row, dx += dx_stride, dy += dy_stride, x += x_stride, y += y_stride) {
    const Vec<T> slope(*dy), shift(*y);
    for_each_register<T>(cols, [&](int64_t i, auto part) {
      const Vec<T> d = slope * exp(part.load(x + i) - shift);
      part.store(dx + i, accumulate ? part.load(dx + i) + d : d);
    });
  }
}

/// y = (x - mean) factor scale + shift with factor = 1 / sqrt(mean of (x - mean)^2 + eps), row by row; without `center`
/// the mean counts as zero. Scale and shift, one element per column, may be null.
template <class T>
void normalize(T* y, int64_t y_stride, T* mean, T* factor, const T* x, int64_t x_stride, const T* scale, const T* shift,
               int64_t rows, int64_t cols, T eps, bool center) {
  const T width = static_cast<T>(cols);
  for (int64_t row = 0; row < rows; ++row, x += x_stride, y += y_stride) {
    const T middle = center ? sum_row<T>(cols, [&](int64_t i, auto part) { return part.load(x + i); }) / width : T(0);
    const Vec<T> m(middle);
    const T squares = sum_row<T>(cols, [&](int64_t i, auto part) {
      const Vec<T> d = part.load(x + i) - m;
      return d * d;
    });
    const Vec<T> f = Vec<T>(T(1)) / sqrt(Vec<T>(squares / width + eps));
    mean[row] = middle;
    factor[row] = f.r[0];
    for_each_register<T>(cols, [&](int64_t i, auto part) {
      Vec<T> v = (part.load(x + i) - m) * f;
      if (scale) v = v * part.load(scale + i);
      if (shift) v = v + part.load(shift + i);
      part.store(y + i, v);
    });
  }
}

/// From dy: `dscale` (may be null) = dy (x - mean) factor, whose column sums are the gradient of the scale; and dx, or
/// dx + that (may be null).
template <class T>
void normalize_backward(T* dx, int64_t dx_stride, T* dscale, int64_t dscale_stride, const T* dy, int64_t dy_stride,
                        const T* x, int64_t x_stride, const T* mean, const T* factor, const T* scale, int64_t rows,
                        int64_t cols, bool center, bool accumulate) {
  const T width = static_cast<T>(cols);
  for (int64_t row = 0; row < rows; ++row, dy += dy_stride, x += x_stride) {
    const Vec<T> m(mean[row]), f(factor[row]);
    const auto normal = [&](int64_t i, auto part) { return (part.load(x + i) - m) * f; };
    const auto slope = [&](int64_t i, auto part) {
      const Vec<T> d = part.load(dy + i);
      return scale ? d * part.load(scale + i) : d;
    };
    if (dscale)
      for_each_register<T>(cols, [&](int64_t i, auto part) {
        part.store(dscale + row * dscale_stride + i, part.load(dy + i) * normal(i, part));
      });
    if (!dx) continue;
    const Vec<T> middle(center ? sum_row<T>(cols, slope) / width : T(0));
    const Vec<T> along(sum_row<T>(cols, [&](int64_t i, auto part) { return slope(i, part) * normal(i, part); }) /
                       width);
    T* const to = dx + row * dx_stride;
    for_each_register<T>(cols, [&](int64_t i, auto part) {
      const Vec<T> d = (slope(i, part) - middle - normal(i, part) * along) * f;
      part.store(to + i, accumulate ? part.load(to + i) + d : d);
    });
  }
}

/// y (cols) = the sum over the rows of (x - mean)^2, or of dy (x - mean) if dy is given; `mode` as for column_sums. The
/// mean may be null.
template <class T>
void column_moments(T* y, const T* dy, int64_t dy_stride, const T* x, int64_t x_stride, const T* mean, int64_t rows,
                    int64_t cols, TileMode mode) {
  for_each_register<T>(cols, [&](int64_t i, auto part) {
    const Vec<T> m = mean ? part.load(mean + i) : Vec<T>(T(0));
    Vec<T> sum(T(0));
    for (int64_t row = 0; row < rows; ++row) {
      const Vec<T> d = part.load(x + row * x_stride + i) - m;
      sum = fma(dy ? part.load(dy + row * dy_stride + i) : d, d, sum);
    }
    part.store(y + i, mode == TileMode::add ? part.load(y + i) + sum : sum);
  });
}

/// y = (x - mean) factor + shift, with one element per column of each; mean and shift may be null.
template <class T>
void standardize(T* y, int64_t y_stride, const T* x, int64_t x_stride, const T* mean, const T* factor, const T* shift,
                 int64_t rows, int64_t cols) {
  for_each_register<T>(cols, [&](int64_t i, auto part) {
    const Vec<T> m = mean ? part.load(mean + i) : Vec<T>(T(0)), f = part.load(factor + i);
    const Vec<T> s = shift ? part.load(shift + i) : Vec<T>(T(-0.0));  // what is added to nothing leaves its sign
    for (int64_t row = 0; row < rows; ++row)
      part.store(y + row * y_stride + i, fma(part.load(x + row * x_stride + i) - m, f, s));
  });
}

/// dx = dy factor - constant - (x - mean) slope, or dx + that, with one element per column of each.
template <class T>
void standardize_backward(T* dx, int64_t dx_stride, const T* dy, int64_t dy_stride, const T* x, int64_t x_stride,
                          const T* mean, const T* factor, const T* constant, const T* slope, int64_t rows, int64_t cols,
                          bool accumulate) {
  for_each_register<T>(cols, [&](int64_t i, auto part) {
    const Vec<T> m = part.load(mean + i), f = part.load(factor + i), c = part.load(constant + i),
                 s = part.load(slope + i);
    for (int64_t row = 0; row < rows; ++row) {
      const Vec<T> along = fma(part.load(x + row * x_stride + i) - m, s, c);
      const Vec<T> d = part.load(dy + row * dy_stride + i) * f - along;
      T* const to = dx + row * dx_stride + i;
      part.store(to, accumulate ? part.load(to) + d : d);
    }
  });
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
