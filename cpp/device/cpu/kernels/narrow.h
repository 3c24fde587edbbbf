#pragma once

#include "device/cpu/kernels/gemm.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

template <class T, int N>
void multiply_narrow(const NarrowProduct<T>& p) {
  using V = Vec<T>;
  constexpr int64_t size = V::size;
  // Lanes are rows of x: a square of x is transposed in registers and goes straight into the chains.
  for (int64_t row = 0; row < p.rows; row += size) {
    const int64_t height = p.rows - row < size ? p.rows - row : size;
    V sums[N];
    for (V& sum : sums) sum = V(T(0));
    const auto add = [&](int64_t first, auto rows, auto depth) WHET_ALWAYS_INLINE {
      const T* const x = p.x + row * p.x_row + first;
      V v[size];
      for (int64_t i = 0; i < size; ++i)
        v[i] = i >= rows ? V(T(0)) : depth == size ? V::load(x + i * p.x_row) : V::load(x + i * p.x_row, depth);
      transpose(v);
      for (int64_t i = 0; i < depth; ++i)
        for (int j = 0; j < N; ++j) sums[j] = fma(v[i], V(p.y[(first + i) * p.y_k + j * p.y_col]), sums[j]);
    };
    constexpr std::integral_constant<int64_t, size> whole;
    int64_t first = 0;
    if (height == size)
      for (; first + size <= p.k; first += size) add(first, whole, whole);
    else
      for (; first + size <= p.k; first += size) add(first, height, whole);
    if (first < p.k) add(first, height, p.k - first);

    for (int j = 0; j < N; ++j) {
      T* const c = p.c + row * p.c_row + j * p.c_col;
      if (p.c_row == 1) {
        for_each_register<T>(height, [&](int64_t, auto part) { part.store(c, sums[j]); });
      } else {
        alignas(64) T lane[size];
        sums[j].store(lane);
        for (int64_t i = 0; i < height; ++i) c[i * p.c_row] = lane[i];
      }
    }
  }
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
