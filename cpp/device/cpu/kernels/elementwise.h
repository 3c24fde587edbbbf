#pragma once

#include "device/cpu/kernels/mathfun.h"
#include "math/activations.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// A functor's options as registers.
template <class T>
struct Options {
  Vec<T> values[math::kMaxOptions];

  explicit Options(const double* given) {
    for (int i = 0; i < math::kMaxOptions; ++i) values[i] = Vec<T>(static_cast<T>(given[i]));
  }
};

template <class T, class F>
void activate(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols, const double* options) {
  const Options<T> o(options);
  for (int64_t row = 0; row < rows; ++row, y += y_stride, x += x_stride)
    for_each_register<T>(cols, [&](int64_t i, auto part) { part.store(y + i, F::value(part.load(x + i), o.values)); });
}

template <class T, class F>
void activate_backward(T* dx, int64_t dx_stride, const T* dy, int64_t dy_stride, const T* saved, int64_t saved_stride,
                       int64_t rows, int64_t cols, const double* options, bool accumulate) {
  const Options<T> o(options);
  for (int64_t row = 0; row < rows; ++row, dx += dx_stride, dy += dy_stride, saved += saved_stride) {
    if (accumulate)
      for_each_register<T>(cols, [&](int64_t i, auto part) {
        part.store(dx + i, part.load(dx + i) + part.load(dy + i) * F::derivative(part.load(saved + i), o.values));
      });
    else
      for_each_register<T>(cols, [&](int64_t i, auto part) {
        part.store(dx + i, part.load(dy + i) * F::derivative(part.load(saved + i), o.values));
      });
  }
}

/// x = y + bias, kept in `input`, and y = f(x); bias and input may be null.
template <class T, class F>
void finish(T* y, int64_t y_stride, const T* bias, T* input, int64_t input_stride, int64_t rows, int64_t cols,
            const double* options) {
  const Options<T> o(options);
  for (int64_t row = 0; row < rows; ++row)
    for_each_register<T>(cols, [&](int64_t i, auto part) {
      Vec<T> x = part.load(y + row * y_stride + i);
      if (bias) x = x + part.load(bias + i);
      if (input) part.store(input + row * input_stride + i, x);
      part.store(y + row * y_stride + i, F::value(x, o.values));
    });
}

template <class T>
void add(T* y, int64_t y_stride, const T* a, int64_t a_stride, const T* b, int64_t b_stride, int64_t rows,
         int64_t cols) {
  for (int64_t row = 0; row < rows; ++row, y += y_stride, a += a_stride, b += b_stride)
    for_each_register<T>(cols, [&](int64_t i, auto part) { part.store(y + i, part.load(a + i) + part.load(b + i)); });
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
