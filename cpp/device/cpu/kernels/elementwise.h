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
  // What is added to: dx, or -0, which changes no bit. By one loop instead of two, the kernels of all have half the
  // size.
  alignas(64) T nothing[Vec<T>::size];
  Vec<T>(T(-0.0)).store(nothing);
  const int64_t step = accumulate;
  for (int64_t row = 0; row < rows; ++row, dx += dx_stride, dy += dy_stride, saved += saved_stride) {
    const T* const before = accumulate ? dx : nothing;
    for_each_register<T>(cols, [&](int64_t i, auto part) {
      const Vec<T> slope = F::derivative(part.load(saved + i), o.values);
      part.store(dx + i, part.load(before + i * step) + part.load(dy + i) * slope);
    });
  }
}

/// Where a block starts in a matrix that may be missing.
template <class T>
inline T* start_of(T* data, int64_t stride, const Block& block) {
  return data ? data + block.row * stride + block.col : nullptr;
}

/// Calls body(x, row, col, part) for the registers of a tile of c, with x = c + bias, and stores what it returns, plus
/// the residual. Down the columns, so that what is the same for all rows stays in registers.
template <class T, class Body>
WHET_ALWAYS_INLINE inline void finish_tile(T* y, int64_t y_stride, const Block& block, const Finish<T>& f, Body body) {
  const T* const residual = start_of(f.residual, f.residual_stride, block);
  const int64_t rows = block.rows, residual_stride = f.residual_stride;
  for_each_register<T>(block.cols, [&](int64_t col, auto part) WHET_ALWAYS_INLINE {
    // x + -0 is x, bit for bit.
    const Vec<T> bias = !f.bias ? Vec<T>(T(-0.0)) : f.one_bias ? Vec<T>(*f.bias) : part.load(f.bias + block.col + col);
    T* to = y + col;
    for (int64_t row = 0; row < rows; ++row, to += y_stride) {
      const Vec<T> x = body(part.load(to) + bias, row, col, part);
      part.store(to, residual ? x + part.load(residual + row * residual_stride + col) : x);
    }
  });
}

template <class T, class F>
void finish(T* y, int64_t y_stride, const Block& block, const Finish<T>& f) {
  const Options<T> o(f.options);
  T* const input = start_of(f.input, f.input_stride, block);
  const int64_t stride = f.input_stride;
  finish_tile(y, y_stride, block, f, [&](Vec<T> x, int64_t row, int64_t col, auto part) WHET_ALWAYS_INLINE {
    if (input) part.store(input + row * stride + col, x);
    return F::value(x, o.values);
  });
}

template <class T, class F>
void finish_backward(T* y, int64_t y_stride, const Block& block, const Finish<T>& f) {
  const Options<T> o(f.options);
  const T* const saved = start_of(f.saved, f.saved_stride, block);
  const int64_t stride = f.saved_stride;
  finish_tile(y, y_stride, block, f, [&](Vec<T> x, int64_t row, int64_t col, auto part) WHET_ALWAYS_INLINE {
    return x * F::derivative(part.load(saved + row * stride + col), o.values);
  });
}

/// y[i] = x[rows[i]] for n rows. Those of a large x are in memory at random places: they are fetched ahead.
template <class T>
void gather_rows(T* y, int64_t y_stride, const T* x, int64_t x_stride, const int64_t* rows, int64_t n, int64_t cols) {
  constexpr int64_t kFetchedRows = 8, line = 64 / static_cast<int64_t>(sizeof(T));
  const auto fetch = [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < (to < n ? to : n); ++i)
      for (int64_t j = 0; j < cols; j += line) __builtin_prefetch(x + rows[i] * x_stride + j);
  };
  fetch(0, kFetchedRows);
  for (int64_t first = 0; first < n; first += kFetchedRows) {
    fetch(first + kFetchedRows, first + 2 * kFetchedRows);
    const int64_t end = first + kFetchedRows < n ? first + kFetchedRows : n;
    if (cols == 1) {
      for (int64_t i = first; i < end; ++i) y[i * y_stride] = x[rows[i] * x_stride];
      continue;
    }
    for (int64_t i = first; i < end; ++i)
      for_each_register<T>(
          cols, [&](int64_t j, auto part) { part.store(y + i * y_stride + j, part.load(x + rows[i] * x_stride + j)); });
  }
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
