#pragma once

#include "device/cpu/kernels/mathfun.h"
#include "device/cpu/kernels/table.h"
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

/// Calls body(x, row, col, part) for the registers of a tile of c, with x = c + bias, and stores what it returns, plus
/// the residual.
template <class T, class Body>
WHET_ALWAYS_INLINE inline void finish_tile(T* y, int64_t y_stride, const Block& block, const Finish<T>& f, Body body) {
  const T* const bias = f.bias ? f.bias + block.col : nullptr;
  for (int64_t i = 0; i < block.rows; ++i, y += y_stride) {
    const int64_t row = block.row + i;
    const T* const residual = f.residual ? f.residual + row * f.residual_stride + block.col : nullptr;
    for_each_register<T>(block.cols, [&](int64_t j, auto part) WHET_ALWAYS_INLINE {
      Vec<T> x = part.load(y + j);
      if (bias) x = x + part.load(bias + j);
      x = body(x, row, block.col + j, part);
      part.store(y + j, residual ? x + part.load(residual + j) : x);
    });
  }
}

template <class T, class F>
void finish(T* y, int64_t y_stride, const Block& block, const Finish<T>& f) {
  const Options<T> o(f.options);
  finish_tile(y, y_stride, block, f, [&](Vec<T> x, int64_t row, int64_t col, auto part) WHET_ALWAYS_INLINE {
    if (f.input) part.store(f.input + row * f.input_stride + col, x);
    return F::value(x, o.values);
  });
}

template <class T, class F>
void finish_backward(T* y, int64_t y_stride, const Block& block, const Finish<T>& f) {
  const Options<T> o(f.options);
  finish_tile(y, y_stride, block, f, [&](Vec<T> x, int64_t row, int64_t col, auto part) WHET_ALWAYS_INLINE {
    return x * F::derivative(part.load(f.saved + row * f.saved_stride + col), o.values);
  });
}

template <class T>
void add(T* y, int64_t y_stride, const T* a, int64_t a_stride, const T* b, int64_t b_stride, int64_t rows,
         int64_t cols) {
  for (int64_t row = 0; row < rows; ++row, y += y_stride, a += a_stride, b += b_stride)
    for_each_register<T>(cols, [&](int64_t i, auto part) { part.store(y + i, part.load(a + i) + part.load(b + i)); });
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
