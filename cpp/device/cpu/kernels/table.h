#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/random.h"
#include "math/activations.h"
#include "math/combinations.h"
#include "math/losses.h"
#include "math/optimizers.h"

/// What one instruction set offers to the CPU device: plain functions over raw pointers and ranges. This header is
/// included by the objects of every set, so it holds nothing for which a compiler would emit a symbol.
namespace whet::cpu {

#define WHET_COUNT(Name) +1
constexpr int kActivations = 0 WHET_ACTIVATIONS(WHET_COUNT);
constexpr int kOptimizers = 0 WHET_OPTIMIZERS(WHET_COUNT);
constexpr int kCombinations = 0 WHET_COMBINATIONS(WHET_COUNT);
constexpr int kSmoothCombinations = 0 WHET_SMOOTH_COMBINATIONS(WHET_COUNT);
#undef WHET_COUNT

/// Sums within a row, and sums in double, run in this many lanes whatever the register width: element i goes to lane i
/// mod 16.
constexpr int kLanes = 16;

/// Blocks of random words that are drawn at a time, a multiple of every register's lanes.
constexpr int kNumberBlocks = 32;

/// How a tile of a product meets what stands in c: c = chain, c continues as the chain's start, or c = c + chain.
enum class TileMode : int { store, chain, add };

/// A part of a matrix: `rows` x `cols` elements from (row, col).
struct Block {
  int64_t row, rows, col, cols;
};

/// What follows a product, tile by tile while it is in cache: x = c + bias, kept in `input`; c = f(x), or x f'(saved);
/// c = c + residual. No function, nothing follows. All but the function and its options may be null.
template <class T>
struct Finish {
  /// `y` is where `block` of the matrix that the operands belong to starts.
  void (*function)(T* y, int64_t y_stride, const Block& block, const Finish<T>& finish);
  const T* bias;
  bool one_bias;  // the first element is that of all columns
  T* input;
  int64_t input_stride;
  const T* saved;
  int64_t saved_stride;
  const T* residual;
  int64_t residual_stride;
  const double* options;
};

/// What happens to an operand while it is packed.
template <class T>
struct Packing {
  Precision precision;
  const T* scales;  // a factor for each k, or null
};

/// Element (i, j) is data[i * row + j * col]; one of the two strides is 1.
template <class T>
struct Operand {
  const T* data;
  int64_t row, col;
};

/// An operand of a combination. A stride of 0 repeats its row; a column has one element for all columns.
template <class T>
struct Term {
  const T* data;
  int64_t stride;
  bool column;
};

/// c (m, n) = a (m, k) b (k, n) for one block that the caches hold; k is at least 1.
/// a may lie packed in tiles; b has contiguous rows, or lies packed in panels.
template <class T>
struct BlockProduct {
  T* c;
  int64_t c_stride;
  Operand<T> a, b;
  bool a_packed, b_packed;
  const T* b_edge;  // the last panel, packed, if b is not packed and the panel is not full
  int64_t m, n, k;
  int64_t row, col;  // where the block stands in c, for `finish`
  int64_t panel;     // columns of a full panel: 2 or 4 registers
  TileMode mode;
  Precision precision;  // bfloat16 needs both operands packed, and `k` counts what lies packed
  Finish<T> finish;
};

/// c = x (rows, k) y (k, cols) for one to kNarrow columns: element (i, j) of c is c[i * c_row + j * c_col], x has
/// contiguous rows x_row apart, and element (p, j) of y is y[p * y_k + j * y_col].
constexpr int kNarrow = 4;

template <class T>
struct NarrowProduct {
  T* c;
  int64_t c_row, c_col;
  const T* x;
  int64_t x_row;
  const T* y;
  int64_t y_k, y_col;
  int64_t rows, k;
};

/// c (rows, n) = a b, where row i of a is row order[i], or i, of sparse rows: it has values[e] in column columns[e] for
/// e from starts[row] to starts[row + 1] - 1. The row of b for a column is places[column], or the column.
template <class T>
struct SparseProduct {
  T* c;
  int64_t c_stride;
  const T* values;
  const int32_t* columns;
  const int64_t* starts;
  const int64_t* order;
  const int32_t* places;
  const T* b;
  int64_t b_stride;
  int64_t rows, n;
};

/// Kernels come in groups, each compiled from a source of its own.
template <class T>
struct ProductKernels {
  int64_t vector;     // elements of a register
  int64_t tile_rows;  // rows of the largest tile
  int64_t wide_rows;  // up to so many rows, panels of four registers are faster
  bool wide_squares;  // and for many, where b is read as it stands
  bool pairs;         // in bfloat16, two elements along k lie packed as one
  void (*multiply)(const BlockProduct<T>& product);
  /// a (m, k) into tiles: `contiguous_k` says which of a's strides is 1, the other is `stride`.
  /// With contiguous k it may write up to one register past the end.
  void (*pack_a)(T* packed, const T* a, int64_t stride, bool contiguous_k, int64_t m, int64_t k, Precision precision);
  /// b (k, n) into panels, the last one filled up with zeros: `contiguous_k` as for a.
  void (*pack_b)(T* packed, const T* b, int64_t stride, bool contiguous_k, int64_t k, int64_t n, int64_t panel,
                 const Packing<T>& packing);
  /// By the number of columns less one.
  void (*multiply_narrow[kNarrow])(const NarrowProduct<T>& product);
  void (*multiply_sparse)(const SparseProduct<T>& product);
  /// y (rows, cols) = the transpose of x (cols, rows).
  void (*transpose)(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols);
  /// For Finish::function: with f, or with its derivative.
  void (*finish[math::kFusedActivations])(T* y, int64_t y_stride, const Block& block, const Finish<T>& finish);
  void (*finish_backward[math::kFusedActivations])(T* y, int64_t y_stride, const Block& block, const Finish<T>& finish);
};

/// Element by element. Strides stand behind their pointers.
template <class T>
struct ElementKernels {
  void (*activate[kActivations])(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols,
                                 const double* options);
  void (*activate_backward[kActivations])(T* dx, int64_t dx_stride, const T* dy, int64_t dy_stride, const T* saved,
                                          int64_t saved_stride, int64_t rows, int64_t cols, const double* options,
                                          bool accumulate);
  void (*combine[kCombinations])(T* y, int64_t y_stride, const Term<T>& a, const Term<T>& b, int64_t rows,
                                 int64_t cols);
  /// With the derivative by the first or the second operand.
  void (*combine_backward[kSmoothCombinations][2])(T* dx, int64_t dx_stride, const Term<T>& dy, const Term<T>& a,
                                                   const Term<T>& b, int64_t rows, int64_t cols, bool accumulate);
  void (*choose)(T* y, int64_t y_stride, const Term<T>& chooser, const Term<T>& a, const Term<T>& b, int64_t rows,
                 int64_t cols, bool accumulate);
  /// y[i] = x[rows[i]] for n rows, which do not overlap x.
  void (*gather_rows)(T* y, int64_t y_stride, const T* x, int64_t x_stride, const int64_t* rows, int64_t n,
                      int64_t cols);
  void (*dropout)(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols, int64_t first_row,
                  const RandomKey& key, uint32_t threshold, T scale);
  void (*dropout_backward)(T* dx, int64_t dx_stride, const T* dy, int64_t dy_stride, const T* y, int64_t y_stride,
                           int64_t rows, int64_t cols, T scale, bool accumulate);
};

/// One loss at n elements, which fill registers: its values and their derivatives. The first option is a register that
/// serves all if `step` is 0, and lies element by element if it is 1.
template <class T>
using LossElements = void (*)(T* values, T* slopes, const T* p, const T* t, const T* first_option, int64_t step,
                              int64_t n, const double* options);

/// Row by row.
template <class T>
struct RowKernels {
  void (*row_sums)(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols, T scale,
                   bool accumulate);
  void (*logsumexp)(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols);
  void (*logsumexp_backward)(T* dx, int64_t dx_stride, const T* dy, int64_t dy_stride, const T* x, int64_t x_stride,
                             const T* y, int64_t y_stride, int64_t rows, int64_t cols, bool accumulate);
  void (*normalize)(T* y, int64_t y_stride, T* mean, T* factor, const T* x, int64_t x_stride, const T* scale,
                    const T* shift, int64_t rows, int64_t cols, T eps, bool center);
  void (*normalize_backward)(T* dx, int64_t dx_stride, T* dscale, int64_t dscale_stride, const T* dy, int64_t dy_stride,
                             const T* x, int64_t x_stride, const T* mean, const T* factor, const T* scale, int64_t rows,
                             int64_t cols, bool center, bool accumulate);
  void (*column_moments)(T* y, const T* dy, int64_t dy_stride, const T* x, int64_t x_stride, const T* mean,
                         int64_t rows, int64_t cols, TileMode mode);
  void (*standardize)(T* y, int64_t y_stride, const T* x, int64_t x_stride, const T* mean, const T* factor,
                      const T* shift, int64_t rows, int64_t cols);
  void (*standardize_backward)(T* dx, int64_t dx_stride, const T* dy, int64_t dy_stride, const T* x, int64_t x_stride,
                               const T* mean, const T* factor, const T* constant, const T* slope, int64_t rows,
                               int64_t cols, bool accumulate);
  void (*softmax)(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols);
  /// `dp` may be null; `scales` may be null, then `scale` counts.
  void (*direct_loss[math::kDirectLosses])(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride,
                                           const T* t, int64_t t_stride, int64_t rows, int64_t cols, const T* scales,
                                           T scale, const double* options);
  LossElements<T> loss_elements[math::kSharingLosses];
  /// As direct_loss; `columns` may be null, then options[0] is for all.
  void (*loss)(LossElements<T> elements, T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride,
               const T* t, int64_t t_stride, int64_t rows, int64_t cols, const T* scales, T scale,
               const double* options, const double* columns);
  /// The target is `classes`, or if that is null, `t`.
  void (*cross_entropy)(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t,
                        int64_t t_stride, const int32_t* classes, int64_t rows, int64_t cols, const T* scales, T scale);
};

/// Sweeps over flat vectors, sums over at most one slab, searches, and the machine's limits.
template <class T>
struct SweepKernels {
  void (*update[kOptimizers])(T* parameter, const T* gradient, T* const* slots, int64_t n, const double* coefficients,
                              T gradient_scale, T gradient_limit, T l1);
  void (*scale_and_shift)(T* y, const T* x, int64_t n, T factor, T shift);
  void (*add_noise)(T* x, int64_t n, T deviation, const RandomKey& key, int64_t first);
  /// The 64-bit numbers of kNumberBlocks blocks from `first` on: of each its first one, and of each its second one.
  void (*random_numbers)(uint64_t (*halves)[kNumberBlocks], const RandomKey& key, uint64_t first);
  /// Each column's chain starts from zero; `mode` says how it meets y.
  void (*column_sums)(T* y, const T* x, int64_t x_stride, int64_t rows, int64_t cols, TileMode mode);
  /// The sum of x[i] * weights[i], or of x[i].
  double (*weighted_sum)(const T* x, const T* weights, int64_t n);
  /// The largest |x[i]|, at least 0.
  T (*largest)(const T* x, int64_t n);
  /// Index of the first element that is NaN or infinite, or -1.
  int64_t (*find_nonfinite)(const T* x, int64_t n);

  int64_t fma_flops;  // of one round of fma_loop
  double (*fma_loop)(int64_t rounds);
  void (*stream)(T* p, const T* g, T* m, T* v, int64_t n);
};

template <class T>
struct KernelTable : ProductKernels<T>, ElementKernels<T>, RowKernels<T>, SweepKernels<T> {};

/// A group of kernels for both dtypes.
template <template <class> class Group>
struct BothTypes {
  Group<float> floats;
  Group<double> doubles;
};

#define WHET_DECLARE_KERNELS                              \
  extern const BothTypes<ProductKernels> product_kernels; \
  extern const BothTypes<ElementKernels> element_kernels; \
  extern const BothTypes<RowKernels> row_kernels;         \
  extern const BothTypes<SweepKernels> sweep_kernels;

namespace baseline {
WHET_DECLARE_KERNELS
}
namespace avx2 {
WHET_DECLARE_KERNELS
}
namespace avx512 {
WHET_DECLARE_KERNELS
}
/// All else is that of avx512.
namespace avx512bf16 {
extern const BothTypes<ProductKernels> product_kernels;
}

#undef WHET_DECLARE_KERNELS

}  // namespace whet::cpu
