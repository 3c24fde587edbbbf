#pragma once

#include "device/cpu/kernels/table.h"
#include "device/device.h"

/// The driver of products with sparse rows. Zeros add nothing to a chain of FMAs, so that these are the bits of the
/// dense products.
namespace whet::cpu {

/// c (rows, n) = a b, where element (k, j) of b is b.data[k * b.row + j * b.col]; `finish` follows.
template <class T>
void multiply_sparse(const KernelTable<T>& kernels, T* c, int64_t c_stride, int64_t n, const SparseMatrix& a,
                     Operand<T> b, const Finish<T>& finish);

/// Where a sum over rows goes: element (i, j) is data[i * row + j * col], and it is set or added to.
template <class T>
struct SparseSum {
  T* data;
  int64_t row, col;
  bool accumulate;
};

/// c (columns of a, n) = a^T b with b (rows, n), summed in slabs.
template <class T>
void multiply_sparse_over_rows(const KernelTable<T>& kernels, const SparseSum<T>& c, const SparseMatrix& a, const T* b,
                               int64_t b_stride, int64_t n);

extern template void multiply_sparse(const KernelTable<float>&, float*, int64_t, int64_t, const SparseMatrix&,
                                     Operand<float>, const Finish<float>&);
extern template void multiply_sparse(const KernelTable<double>&, double*, int64_t, int64_t, const SparseMatrix&,
                                     Operand<double>, const Finish<double>&);
extern template void multiply_sparse_over_rows(const KernelTable<float>&, const SparseSum<float>&, const SparseMatrix&,
                                               const float*, int64_t, int64_t);
extern template void multiply_sparse_over_rows(const KernelTable<double>&, const SparseSum<double>&,
                                               const SparseMatrix&, const double*, int64_t, int64_t);

}  // namespace whet::cpu
