#pragma once

#include "device/cpu/kernels/random.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// Element (i, j) is dropped where its word is below `threshold`. Dropped elements become -0, kept ones x * scale, a
/// zero among them +0: the output tells which were dropped, and reading it takes a quarter of the time that drawing
/// again would.
template <class T>
void dropout(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols, int64_t first_row,
             const RandomKey& key, uint32_t threshold, T scale) {
  Wide lanes{};
  for (int i = 0; i < vd::size; ++i) lanes[i] = static_cast<uint64_t>(i) * sizeof(double) / sizeof(T);
  const Vec<T> factor(scale), zero(T(0)), dropped(-T(0));
  const int64_t end = first_row + rows;
  // Four rows share the words of a block.
  for (int64_t row = first_row / 4 * 4; row < end; row += 4) {
    for_each_register<T>(cols, [&](int64_t j, auto part) WHET_ALWAYS_INLINE {
      typename Vec<T>::Bits words[4];
      random_words(words, key, lanes + static_cast<uint64_t>(j), static_cast<uint64_t>(row / 4));
      for (int k = 0; k < 4; ++k) {
        if (row + k < first_row || row + k >= end) continue;
        const int64_t i = row + k - first_row;
        const Vec<T> kept = part.load(x + i * x_stride + j) * factor + zero;
        part.store(y + i * y_stride + j, select(Mask<T>{words[k] < threshold}, dropped, kept));
      }
    });
  }
}

template <class T>
void dropout_backward(T* dx, int64_t dx_stride, const T* dy, int64_t dy_stride, const T* y, int64_t y_stride,
                      int64_t rows, int64_t cols, T scale, bool accumulate) {
  const Vec<T> factor(scale), zero(T(0)), dropped(-T(0));
  for (int64_t row = 0; row < rows; ++row, dx += dx_stride, dy += dy_stride, y += y_stride)
    for_each_register<T>(cols, [&](int64_t j, auto part) {
      const Mask<T> gone{part.load(y + j).bits() == dropped.bits()};
      const Vec<T> d = select(gone, zero, part.load(dy + j) * factor);
      part.store(dx + j, accumulate ? part.load(dx + j) + d : d);
    });
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
