#pragma once

#include "device/cpu/kernels/simd.h"
#include "device/cpu/kernels/table.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// N registers of a row of c, from column j on; `part` says how many elements the last of them has.
template <class T, int N, class Part>
WHET_ALWAYS_INLINE inline void multiply_sparse_row(const SparseProduct<T>& p, int64_t row, T* c, int64_t j, Part part) {
  using V = Vec<T>;
  V sums[N];
  for (V& sum : sums) sum = V(T(0));
  const int64_t end = p.starts[row + 1];
  for (int64_t e = p.starts[row]; e < end; ++e) {
    const int64_t column = p.columns[e];
    const T* const b = p.b + (p.places ? p.places[column] : column) * p.b_stride + j;
    const V value(p.values[e]);
    for (int i = 0; i < N - 1; ++i) sums[i] = fma(value, V::load(b + i * V::size), sums[i]);
    sums[N - 1] = fma(value, part.load(b + (N - 1) * V::size), sums[N - 1]);
  }
  for (int i = 0; i < N - 1; ++i) sums[i].store(c + j + i * V::size);
  part.store(c + j + (N - 1) * V::size, sums[N - 1]);
}

template <class T>
void multiply_sparse(const SparseProduct<T>& p) {
  constexpr int size = Vec<T>::size;
  for (int64_t i = 0; i < p.rows; ++i) {
    const int64_t row = p.order ? p.order[i] : i;
    T* const c = p.c + i * p.c_stride;
    int64_t j = 0;
    for (; j + 8 * size <= p.n; j += 8 * size) multiply_sparse_row<T, 8>(p, row, c, j, Whole<T>());
    if (j + 4 * size <= p.n) {
      multiply_sparse_row<T, 4>(p, row, c, j, Whole<T>());
      j += 4 * size;
    }
    if (j + 2 * size <= p.n) {
      multiply_sparse_row<T, 2>(p, row, c, j, Whole<T>());
      j += 2 * size;
    }
    if (j + size <= p.n) {
      multiply_sparse_row<T, 1>(p, row, c, j, Whole<T>());
      j += size;
    }
    if (j < p.n) multiply_sparse_row<T, 1>(p, row, c, j, Part<T>{p.n - j});
  }
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
