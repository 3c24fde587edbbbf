#pragma once

#include "device/cpu/kernels/table.h"

/// The driver of matrix products: cuts them into blocks for the caches and the threads, and packs what needs packing.
namespace whet::cpu {

/// c (m, n) = a (m, k) b (k, n), or with `accumulate` c goes on as the start of each chain; `finish` follows.
template <class T>
void multiply_matrices(const KernelTable<T>& kernels, Precision precision, T* c, int64_t c_stride, int64_t m, int64_t n,
                       int64_t k, Operand<T> a, Operand<T> b, bool accumulate, const Finish<T>& finish);

/// c (m, n) = a^T b with a (rows, m) and b (rows, n), summed in slabs; or c + the sum. `packing` is for b.
template <class T>
void multiply_over_rows(const KernelTable<T>& kernels, const Packing<T>& packing, T* c, int64_t c_stride, int64_t m,
                        int64_t n, int64_t rows, const T* a, int64_t a_stride, const T* b, int64_t b_stride,
                        bool accumulate);

extern template void multiply_matrices(const KernelTable<float>&, Precision, float*, int64_t, int64_t, int64_t, int64_t,
                                       Operand<float>, Operand<float>, bool, const Finish<float>&);
extern template void multiply_matrices(const KernelTable<double>&, Precision, double*, int64_t, int64_t, int64_t,
                                       int64_t, Operand<double>, Operand<double>, bool, const Finish<double>&);
extern template void multiply_over_rows(const KernelTable<float>&, const Packing<float>&, float*, int64_t, int64_t,
                                        int64_t, int64_t, const float*, int64_t, const float*, int64_t, bool);
extern template void multiply_over_rows(const KernelTable<double>&, const Packing<double>&, double*, int64_t, int64_t,
                                        int64_t, int64_t, const double*, int64_t, const double*, int64_t, bool);

}  // namespace whet::cpu
