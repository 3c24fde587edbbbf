#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/dtype.h"
#include "core/random.h"
#include "math/activations.h"
#include "math/combinations.h"
#include "math/losses.h"
#include "math/optimizers.h"

namespace whet {

/// Rows of a batch that are summed in one chain: a slab. Sums of slabs are combined by the tree of core/tree.h.
constexpr int64_t kSlabRows = 256;

/// A row-major matrix; `stride` elements lie between the starts of two rows. The device knows the element type.
struct ConstMatrix {
  const void* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;
};

struct Matrix {
  void* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;
  operator ConstMatrix() const { return {data, rows, cols, stride}; }
};

/// Rows of which few elements are not zero: row i has values[k] in column columns[k] for k from starts[i] to
/// starts[i + 1] - 1, in ascending order of columns. With an `order`, row i is row order[i] of these.
struct SparseMatrix {
  const void* values = nullptr;
  const int32_t* columns = nullptr;
  const int64_t* starts = nullptr;
  const int64_t* order = nullptr;
  int64_t rows = 0, cols = 0;

  int64_t first(int64_t i) const { return starts[order ? order[i] : i]; }
  int64_t end(int64_t i) const { return starts[(order ? order[i] : i) + 1]; }
  int64_t entries() const {
    if (!order) return starts[rows] - starts[0];
    int64_t entries = 0;
    for (int64_t i = 0; i < rows; ++i) entries += end(i) - first(i);
    return entries;
  }
};

struct Activation {
  math::ActivationId id = math::ActivationId::Identity;
  math::OptionValues options{};
};

struct Loss {
  math::LossId id = math::LossId::Mse;
  math::OptionValues options{};
  std::vector<double> columns{};  // the first option of each column, or none: that of `options` is for all
};

/// What is known of the right answers of a batch: a value for each output, or for each row the index of its class.
struct Target {
  ConstMatrix values;
  const int32_t* classes = nullptr;
};

/// What follows a product x while its tile is in cache: y = f(x + bias) + residual, or, if `saved` is given,
/// y = (x + bias) f'(saved) + residual. Matrices may have null data, and none may be y.
struct Epilogue {
  const void* bias = nullptr;  // one element per column, or null
  Activation activation{};
  Matrix input{};       // where x + bias is kept for the backward pass
  ConstMatrix saved{};  // f's output or input, as f declares: its derivative is wanted, and nothing is kept
  ConstMatrix residual{};
};

/// Element (i, j) of a matrix is dropped where word (first_row + i) mod 4 of block {j, (first_row + i) / 4} of the
/// sequence is below share * 2^32, and what is kept is divided by 1 - share. A share of 1 keeps nothing.
struct Dropout {
  double share = 0.5;
  RandomKey key{};
  int64_t first_row = 0;
};

/// Mean and factor of each row that Device::normalize used, one element each.
struct Moments {
  void *mean = nullptr, *factor = nullptr;
};

/// One element per column each, or null.
struct Normalization {
  const void *scale = nullptr, *shift = nullptr;
  double eps = 1e-5;
  bool centred = true;
};

/// A sweep uses the gradient times `gradient_scale`, no element of it further from zero than `gradient_limit`, plus l1
/// times the sign of the parameter.
struct Optimizer {
  math::OptimizerId id = math::OptimizerId::Gd;
  math::Coefficients coefficients{};
  double gradient_scale = 1, gradient_limit = std::numeric_limits<double>::infinity();
  double l1 = 0;
};

/// The whole-tensor kernels that every device offers, in one dtype and one precision of products. Outputs come first.
/// Matrices may have any stride of at least `cols` and no alignment beyond their element's; outputs do not overlap
/// inputs unless a kernel says so. Every kernel gives the same bits for any number of threads, any instruction set with
/// FMA, any stride and alignment, and gives a row of its result the same bits whatever the other rows are. May be
/// called from several threads at once.
class Device {
 public:
  virtual ~Device() = default;
  virtual DType dtype() const = 0;

  /// y (m, n) = epilogue(a b), or a transposed a or b. Each element is one chain of FMAs over k in ascending order.
  /// With `accumulate`, the chain starts from y.
  virtual void gemm(Matrix y, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b, bool accumulate,
                    const Epilogue& epilogue) = 0;

  /// y (m, n) = a^T b with a (rows, m) and b (rows, n), summed over the rows in slabs. With `accumulate`, added to y.
  /// `scales`, if given, holds a factor for each row of b.
  virtual void gemm_over_rows(Matrix y, ConstMatrix a, ConstMatrix b, const void* scales, bool accumulate) = 0;

  /// As gemm with a sparse a, whose zeros are left out of the chains: the bits of the dense product, but for the sign
  /// of a zero. In full precision always.
  virtual void sparse_gemm(Matrix y, const SparseMatrix& a, ConstMatrix b, bool transpose_b,
                           const Epilogue& epilogue) = 0;

  /// y (n, m) = b^T a, or with `transpose_y` y (m, n) = a^T b, with a sparse a (rows, m) and b (rows, n): as
  /// gemm_over_rows, in full precision always.
  virtual void sparse_gemm_over_rows(Matrix y, bool transpose_y, const SparseMatrix& a, ConstMatrix b,
                                     bool accumulate) = 0;

  /// y (cols) = the sum of x over its rows, in slabs. With `accumulate`, added to y.
  virtual void column_sums(void* y, ConstMatrix x, bool accumulate) = 0;

  /// y = f(x). y may be x.
  virtual void activate(Matrix y, ConstMatrix x, const Activation& f) = 0;

  /// dx = dy f'(saved), where `saved` is f's output or input, as f declares. dx may be dy.
  /// With `accumulate`, added to dx.
  virtual void activate_backward(Matrix dx, ConstMatrix dy, ConstMatrix saved, const Activation& f,
                                 bool accumulate) = 0;

  /// y = x / (1 - share), or -0 where the element is dropped; a zero that is kept is +0. y may be x.
  virtual void dropout(Matrix y, ConstMatrix x, const Dropout& dropout) = 0;

  /// dx = dy / (1 - share) where y, what `dropout` made, was kept, and 0 elsewhere. dx may be dy.
  /// With `accumulate`, added to dx.
  virtual void dropout_backward(Matrix dx, ConstMatrix dy, ConstMatrix y, double share, bool accumulate) = 0;

  /// y = x, or y += x.
  virtual void copy(Matrix y, ConstMatrix x, bool accumulate) = 0;

  /// y = value.
  virtual void fill(Matrix y, double value) = 0;

  /// y = f(a, b). An operand with a single column has it for all columns, one with a stride of 0 its row for all rows.
  /// y may be an operand that has y's shape.
  virtual void combine(Matrix y, ConstMatrix a, ConstMatrix b, math::CombinationId f) = 0;
  void add(Matrix y, ConstMatrix a, ConstMatrix b) { combine(y, a, b, math::CombinationId::Add); }

  /// dx = dy times the derivative of f by a (operand 0) or b (1), before any sum over what was repeated: dx has the
  /// shape of f(a, b). With `accumulate`, added to dx.
  virtual void combine_backward(Matrix dx, ConstMatrix dy, ConstMatrix a, ConstMatrix b, math::CombinationId f,
                                int operand, bool accumulate) = 0;

  /// y = a where `chooser` is not zero, else b; repeated as in combine(). With `accumulate`, added to y.
  virtual void choose(Matrix y, ConstMatrix chooser, ConstMatrix a, ConstMatrix b, bool accumulate) = 0;

  /// y (rows, 1) = scale times the sum of each row of x. With `accumulate`, added to y.
  virtual void row_sums(Matrix y, ConstMatrix x, double scale, bool accumulate) = 0;

  /// y (rows, 1) = log(sum(exp(x))) of each row.
  virtual void logsumexp(Matrix y, ConstMatrix x) = 0;

  /// dx = dy exp(x - y), where y is what `logsumexp` made of x. With `accumulate`, added to dx.
  virtual void logsumexp_backward(Matrix dx, ConstMatrix dy, ConstMatrix x, ConstMatrix y, bool accumulate) = 0;

  /// y = (x - mean) factor scale + shift for each row, with its own mean and factor = 1 / sqrt(variance + eps), which
  /// are kept for the backward pass. Not centred, the mean counts as zero.
  virtual void normalize(Matrix y, const Moments& kept, ConstMatrix x, const Normalization& how) = 0;

  /// `dscale`, whose column sums are the gradient of the scale, and dx; either may have null data.
  /// With `accumulate`, dx is added to.
  virtual void normalize_backward(Matrix dx, Matrix dscale, ConstMatrix dy, ConstMatrix x, const Moments& kept,
                                  const Normalization& how, bool accumulate) = 0;

  /// y (cols) = the sum over the rows, in slabs, of (x - mean)^2, or if dy is given, of dy (x - mean). The mean may be
  /// null. With `accumulate`, added to y.
  virtual void column_moments(void* y, ConstMatrix dy, ConstMatrix x, const void* mean, bool accumulate) = 0;

  /// y = (x - mean) factor + shift, with one element per column of each; mean and shift may be null. y may be x.
  virtual void standardize(Matrix y, ConstMatrix x, const void* mean, const void* factor, const void* shift) = 0;

  /// dx = dy factor - constant - (x - mean) slope, with one element per column of each.
  /// With `accumulate`, added to dx.
  virtual void standardize_backward(Matrix dx, ConstMatrix dy, ConstMatrix x, const void* mean, const void* factor,
                                    const void* constant, const void* slope, bool accumulate) = 0;

  /// Row i of y holds the rows of `table` that x[i] names one after the other, as numbers. Returns the index
  /// of the first element that is no whole number below the table's rows, with y as it was, or -1.
  virtual int64_t look_up(Matrix y, ConstMatrix x, ConstMatrix table) = 0;

  /// dtable[x[i]] += dy[i], in the order of the rows, but for the row `skipped` (-1: none). Without `accumulate`,
  /// dtable starts from zeros.
  virtual void look_up_backward(Matrix dtable, ConstMatrix dy, ConstMatrix x, int64_t skipped, bool accumulate) = 0;

  /// y[i] = x[rows[i]].
  virtual void gather_rows(Matrix y, ConstMatrix x, const int64_t* rows) = 0;

  /// y[rows[i]] = x[i]. The rows are all different.
  virtual void scatter_rows(Matrix y, ConstMatrix x, const int64_t* rows) = 0;

  /// Each row of y = softmax of the row of x. y may be x.
  virtual void softmax(Matrix y, ConstMatrix x) = 0;

  /// row_losses[i] = the loss of row i: for elementwise losses the mean over its columns; for cross-entropy
  /// H(target, softmax(prediction)). If dprediction is given, its row i = scales[i] * (the gradient of row_losses[i]);
  /// `scales` holds one element per row, or, if null, `scale` counts for all. dprediction may be the prediction.
  virtual void loss(void* row_losses, Matrix dprediction, ConstMatrix prediction, const Target& target,
                    const void* scales, double scale, const Loss& loss) = 0;

  /// The sum of x[i] * weights[i] (weights may be null) over n elements, in double, in slabs.
  virtual double weighted_sum(const void* x, const void* weights, int64_t n) = 0;
  double sum_of_squares(const void* x, int64_t n) { return weighted_sum(x, x, n); }

  /// The largest |x[i]| of n elements that are no NaN; 0 for none.
  virtual double largest(const void* x, int64_t n) = 0;

  /// Index row * cols + col of the first element that is NaN or infinite, or -1.
  virtual int64_t find_nonfinite(ConstMatrix x) = 0;

  /// One sweep of the optimizer over n elements: parameter and slots change in place.
  virtual void update(void* parameter, const void* gradient, void* const* slots, int64_t n,
                      const Optimizer& optimizer) = 0;

  /// y = factor * x for n elements. y may be x.
  virtual void scale(void* y, const void* x, double factor, int64_t n) = 0;

  /// Each row of x less its mean, in place.
  virtual void center_rows(Matrix x) = 0;

  /// Each row of x, in place, with a length of at most `limit`: as torch.renorm.
  virtual void limit_rows(Matrix x, double limit) = 0;

  /// Normal numbers of that deviation, added to the n elements of x: elements `first` and on of the sequence.
  virtual void add_noise(void* x, int64_t n, double deviation, const RandomKey& key, int64_t first) = 0;

  /// order = a uniform permutation of 0 .. n-1 (Fisher and Yates), drawn from the sequence that `key` names.
  virtual void random_permutation(int64_t* order, int64_t n, const RandomKey& key) = 0;
};

/// The processor, computing in `dtype` and rounding the operands of products as `precision` says. Lives as long as the
/// process. Throws std::invalid_argument for bfloat16 products of float64.
Device& cpu_device(DType dtype, Precision precision = Precision::full);

}  // namespace whet
