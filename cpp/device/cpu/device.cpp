#include "device/device.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "device/cpu/cpu.h"
#include "device/cpu/gemm.h"
#include "device/cpu/pool.h"
#include "device/cpu/select.h"
#include "device/cpu/slabs.h"
#include "device/cpu/sparse.h"

namespace whet::cpu {

namespace {

// Elements that are worth another thread: a thread moves about 10 of them a nanosecond, and joining it costs 2 to 5 us.
constexpr int64_t kGrainOfMoves = 1 << 16;
constexpr int64_t kGrainOfUpdates = 1 << 14;
constexpr int64_t kGrainOfFunctions = 1 << 14;

// What a row's sums, logarithm and division cost, in elements: with ten columns more than these.
constexpr int64_t kRowElements = 40;

int threads_for(int64_t elements, int64_t grain) {
  return static_cast<int>(std::clamp<int64_t>(elements / grain, 1, num_threads()));
}

template <class T>
class CpuDevice final : public Device {
 public:
  CpuDevice(const KernelTable<T>& kernels, Precision precision) : kernels_(kernels), precision_(precision) {}

  DType dtype() const override { return std::is_same_v<T, float> ? DType::float32 : DType::float64; }

  void gemm(Matrix y, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b, bool accumulate,
            const Epilogue& epilogue) override {
    if (!math::is_fused(epilogue.activation.id))
      return gemm_then_activate(y, a, transpose_a, b, transpose_b, accumulate, epilogue);
    const FlushDenormals flush;
    const Operand<T> left{data(a), transpose_a ? 1 : a.stride, transpose_a ? a.stride : 1};
    const Operand<T> right{data(b), transpose_b ? 1 : b.stride, transpose_b ? b.stride : 1};
    multiply_matrices(kernels_, precision_, data(y), y.stride, y.rows, y.cols, transpose_a ? a.rows : a.cols, left,
                      right, accumulate, finish(epilogue));
  }

  void gemm_over_rows(Matrix y, ConstMatrix a, ConstMatrix b, const void* scales, bool accumulate) override {
    const FlushDenormals flush;
    multiply_over_rows(kernels_, {precision_, static_cast<const T*>(scales)}, data(y), y.stride, y.rows, y.cols, a.rows,
                       data(a), a.stride, data(b), b.stride, accumulate);
  }

  void sparse_gemm(Matrix y, const SparseMatrix& a, ConstMatrix b, bool transpose_b,
                   const Epilogue& epilogue) override {
    const FlushDenormals flush;
    const Operand<T> right{data(b), transpose_b ? 1 : b.stride, transpose_b ? b.stride : 1};
    multiply_sparse(kernels_, data(y), y.stride, y.cols, a, right, finish(epilogue));
  }

  void sparse_gemm_over_rows(Matrix y, bool transpose_y, const SparseMatrix& a, ConstMatrix b,
                             bool accumulate) override {
    const FlushDenormals flush;
    const SparseSum<T> sum{data(y), transpose_y ? y.stride : 1, transpose_y ? 1 : y.stride, accumulate};
    multiply_sparse_over_rows(kernels_, sum, a, data(b), b.stride, b.cols);
  }

  void column_sums(void* y, ConstMatrix x, bool accumulate) override {
    const FlushDenormals flush;
    sum_columns(static_cast<T*>(y), x, accumulate,
                [&](T* sums, int64_t first, int64_t rows, const Block& block, TileMode mode) {
                  kernels_.column_sums(sums, row(x, first) + block.col, x.stride, rows, block.cols, mode);
                });
  }

  void column_moments(void* y, ConstMatrix dy, ConstMatrix x, const void* mean, bool accumulate) override {
    const FlushDenormals flush;
    const T* const means = static_cast<const T*>(mean);
    sum_columns(static_cast<T*>(y), x, accumulate,
                [&](T* sums, int64_t first, int64_t rows, const Block& block, TileMode mode) {
                  kernels_.column_moments(sums, dy.data ? row(dy, first) + block.col : nullptr, dy.stride,
                                          row(x, first) + block.col, x.stride, means ? means + block.col : nullptr,
                                          rows, block.cols, mode);
                });
  }

  void standardize(Matrix y, ConstMatrix x, const void* mean, const void* factor, const void* shift) override {
    for_rows(kGrainOfMoves, x.rows, x.cols, [&](int64_t from, int64_t to) {
      kernels_.standardize(row(y, from), y.stride, row(x, from), x.stride, static_cast<const T*>(mean),
                           static_cast<const T*>(factor), static_cast<const T*>(shift), to - from, x.cols);
    });
  }

  void standardize_backward(Matrix dx, ConstMatrix dy, ConstMatrix x, const void* mean, const void* factor,
                            const void* constant, const void* slope, bool accumulate) override {
    for_rows(kGrainOfMoves, x.rows, x.cols, [&](int64_t from, int64_t to) {
      kernels_.standardize_backward(row(dx, from), dx.stride, row(dy, from), dy.stride, row(x, from), x.stride,
                                    static_cast<const T*>(mean), static_cast<const T*>(factor),
                                    static_cast<const T*>(constant), static_cast<const T*>(slope), to - from, x.cols,
                                    accumulate);
    });
  }

  void activate(Matrix y, ConstMatrix x, const Activation& f) override {
    const auto function = kernels_.activate[static_cast<int>(f.id)];
    for_blocks(kGrainOfFunctions, y, {x}, [&](const Block& b) {
      function(at(y, b), y.stride, at(x, b), x.stride, b.rows, b.cols, f.options.data());
    });
  }

  void activate_backward(Matrix dx, ConstMatrix dy, ConstMatrix saved, const Activation& f, bool accumulate) override {
    const auto function = kernels_.activate_backward[static_cast<int>(f.id)];
    for_blocks(kGrainOfFunctions, dx, {dy, saved}, [&](const Block& b) {
      function(at(dx, b), dx.stride, at(dy, b), dy.stride, at(saved, b), saved.stride, b.rows, b.cols, f.options.data(),
               accumulate);
    });
  }

  void dropout(Matrix y, ConstMatrix x, const Dropout& dropout) override {
    constexpr double words = 0x1p32;
    const auto threshold = static_cast<uint32_t>(std::min(dropout.share * words, words - 1));
    // Four rows share their random numbers.
    for_rows(kGrainOfFunctions, divide_up(y.rows, 4), 4 * y.cols, [&](int64_t from, int64_t to) {
      const int64_t first = 4 * from, rows = std::min(4 * to, y.rows) - first;
      kernels_.dropout(row(y, first), y.stride, row(x, first), x.stride, rows, y.cols, dropout.first_row + first,
                       dropout.key, threshold, kept_scale(dropout.share));
    });
  }

  void dropout_backward(Matrix dx, ConstMatrix dy, ConstMatrix y, double share, bool accumulate) override {
    for_blocks(kGrainOfMoves, dx, {dy, y}, [&](const Block& b) {
      kernels_.dropout_backward(at(dx, b), dx.stride, at(dy, b), dy.stride, at(y, b), y.stride, b.rows, b.cols,
                                kept_scale(share), accumulate);
    });
  }

  void copy(Matrix y, ConstMatrix x, bool accumulate) override {
    if (accumulate) return add(y, y, x);
    for_blocks(kGrainOfMoves, y, {x}, [&](const Block& b) {
      for (int64_t i = 0; i < b.rows; ++i) copy_row(at(y, b) + i * y.stride, at(x, b) + i * x.stride, b.cols);
    });
  }

  void fill(Matrix y, double value) override {
    for_blocks(kGrainOfMoves, y, {}, [&](const Block& b) {
      for (int64_t i = 0; i < b.rows; ++i) std::fill_n(at(y, b) + i * y.stride, b.cols, static_cast<T>(value));
    });
  }

  void combine(Matrix y, ConstMatrix a, ConstMatrix b, math::CombinationId f) override {
    const auto function = kernels_.combine[static_cast<int>(f)];
    for_terms(y, {a, b}, [&](const Block& block) {
      function(at(y, block), y.stride, term(a, y, block), term(b, y, block), block.rows, block.cols);
    });
  }

  void combine_backward(Matrix dx, ConstMatrix dy, ConstMatrix a, ConstMatrix b, math::CombinationId f, int operand,
                        bool accumulate) override {
    const auto function = kernels_.combine_backward[static_cast<int>(f)][operand];
    for_terms(dx, {dy, a, b}, [&](const Block& block) {
      function(at(dx, block), dx.stride, term(dy, dx, block), term(a, dx, block), term(b, dx, block), block.rows,
               block.cols, accumulate);
    });
  }

  void choose(Matrix y, ConstMatrix chooser, ConstMatrix a, ConstMatrix b, bool accumulate) override {
    for_terms(y, {chooser, a, b}, [&](const Block& block) {
      kernels_.choose(at(y, block), y.stride, term(chooser, y, block), term(a, y, block), term(b, y, block), block.rows,
                      block.cols, accumulate);
    });
  }

  void row_sums(Matrix y, ConstMatrix x, double scale, bool accumulate) override {
    for_rows(kGrainOfMoves, x.rows, x.cols, [&](int64_t from, int64_t to) {
      kernels_.row_sums(row(y, from), y.stride, row(x, from), x.stride, to - from, x.cols, static_cast<T>(scale),
                        accumulate);
    });
  }

  void logsumexp(Matrix y, ConstMatrix x) override {
    for_rows(kGrainOfFunctions, x.rows, row_work(x.cols), [&](int64_t from, int64_t to) {
      kernels_.logsumexp(row(y, from), y.stride, row(x, from), x.stride, to - from, x.cols);
    });
  }

  void logsumexp_backward(Matrix dx, ConstMatrix dy, ConstMatrix x, ConstMatrix y, bool accumulate) override {
    for_rows(kGrainOfFunctions, x.rows, x.cols, [&](int64_t from, int64_t to) {
      kernels_.logsumexp_backward(row(dx, from), dx.stride, row(dy, from), dy.stride, row(x, from), x.stride,
                                  row(y, from), y.stride, to - from, x.cols, accumulate);
    });
  }

  void normalize(Matrix y, const Moments& kept, ConstMatrix x, const Normalization& how) override {
    for_rows(kGrainOfFunctions, x.rows, x.cols, [&](int64_t from, int64_t to) {
      kernels_.normalize(row(y, from), y.stride, static_cast<T*>(kept.mean) + from, static_cast<T*>(kept.factor) + from,
                         row(x, from), x.stride, static_cast<const T*>(how.scale), static_cast<const T*>(how.shift),
                         to - from, x.cols, static_cast<T>(how.eps), how.centred);
    });
  }

  void normalize_backward(Matrix dx, Matrix dscale, ConstMatrix dy, ConstMatrix x, const Moments& kept,
                          const Normalization& how, bool accumulate) override {
    for_rows(kGrainOfFunctions, x.rows, x.cols, [&](int64_t from, int64_t to) {
      kernels_.normalize_backward(dx.data ? row(dx, from) : nullptr, dx.stride,
                                  dscale.data ? row(dscale, from) : nullptr, dscale.stride, row(dy, from), dy.stride,
                                  row(x, from), x.stride, static_cast<const T*>(kept.mean) + from,
                                  static_cast<const T*>(kept.factor) + from, static_cast<const T*>(how.scale),
                                  to - from, x.cols, how.centred, accumulate);
    });
  }

  int64_t look_up(Matrix y, ConstMatrix x, ConstMatrix table) override {
    for (int64_t i = 0; i < x.rows; ++i)
      for (int64_t j = 0; j < x.cols; ++j)
        if (!is_index(row(x, i)[j], table.rows)) return i * x.cols + j;
    for_rows(kGrainOfMoves, y.rows, y.cols, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        for (int64_t j = 0; j < x.cols; ++j) {
          const auto index = static_cast<int64_t>(row(x, i)[j]);
          copy_row(row(y, i) + j * table.cols, row(table, index), table.cols);
        }
    });
    return -1;
  }

  void look_up_backward(Matrix dtable, ConstMatrix dy, ConstMatrix x, int64_t skipped, bool accumulate) override {
    if (!accumulate) fill(dtable, 0);
    const FlushDenormals flush;
    const auto add_to = kernels_.combine[static_cast<int>(math::CombinationId::Add)];
    for (int64_t i = 0; i < x.rows; ++i)
      for (int64_t j = 0; j < x.cols; ++j) {
        const auto index = static_cast<int64_t>(row(x, i)[j]);
        if (index == skipped) continue;
        T* const to = row(dtable, index);
        add_to(to, 0, {to, 0, false}, {row(dy, i) + j * dtable.cols, 0, false}, 1, dtable.cols);
      }
  }

  void gather_rows(Matrix y, ConstMatrix x, const int64_t* rows) override {
    for_rows(kGrainOfMoves, y.rows, y.cols, [&](int64_t from, int64_t to) {
      kernels_.gather_rows(row(y, from), y.stride, data(x), x.stride, rows + from, to - from, y.cols);
    });
  }

  void scatter_rows(Matrix y, ConstMatrix x, const int64_t* rows) override {
    for_rows(kGrainOfMoves, x.rows, x.cols, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) copy_row(row(y, rows[i]), row(x, i), x.cols);
    });
  }

  void softmax(Matrix y, ConstMatrix x) override {
    for_rows(kGrainOfFunctions, x.rows, row_work(x.cols), [&](int64_t from, int64_t to) {
      kernels_.softmax(row(y, from), y.stride, row(x, from), x.stride, to - from, x.cols);
    });
  }

  void loss(void* row_losses, Matrix dprediction, ConstMatrix prediction, const Target& target, const void* scales,
            double scale, const Loss& loss) override {
    const T* const t = static_cast<const T*>(target.values.data);
    const T* const s = static_cast<const T*>(scales);
    const int64_t t_stride = target.values.stride;
    const auto id = static_cast<int>(loss.id);
    const bool direct = id < math::kDirectLosses;
    const int64_t grain = direct ? kGrainOfMoves : kGrainOfFunctions;
    for_rows(grain, prediction.rows, row_work(prediction.cols), [&](int64_t from, int64_t to) {
      T* const out = static_cast<T*>(row_losses) + from;
      T* const d = dprediction.data ? row(dprediction, from) : nullptr;
      const T* const here = row(prediction, from);
      const T* const t_here = t ? t + from * t_stride : nullptr;
      const T* const s_here = s ? s + from : nullptr;
      if (loss.id == math::LossId::CrossEntropy)
        kernels_.cross_entropy(out, d, dprediction.stride, here, prediction.stride, t_here, t_stride,
                               target.classes ? target.classes + from : nullptr, to - from, prediction.cols, s_here,
                               static_cast<T>(scale));
      else if (direct)
        kernels_.direct_loss[id](out, d, dprediction.stride, here, prediction.stride, t_here, t_stride, to - from,
                                 prediction.cols, s_here, static_cast<T>(scale), loss.options.data());
      else
        kernels_.loss(kernels_.loss_elements[id - math::kDirectLosses], out, d, dprediction.stride, here,
                      prediction.stride, t_here, t_stride, to - from, prediction.cols, s_here, static_cast<T>(scale),
                      loss.options.data(), loss.columns.empty() ? nullptr : loss.columns.data());
    });
  }

  double weighted_sum(const void* x, const void* weights, int64_t n) override {
    const FlushDenormals flush;
    if (n == 0) return 0;
    const T* const values = static_cast<const T*>(x);
    const T* const w = static_cast<const T*>(weights);
    const auto slab = [&](int64_t s) {
      const int64_t first = s * kSlabRows;
      return kernels_.weighted_sum(values + first, w ? w + first : nullptr, std::min(kSlabRows, n - first));
    };
    // Subtrees of slabs are the tasks, each a leaf of the tree above it.
    const int64_t slabs = divide_up(n, kSlabRows);
    const int64_t chunk = power_of_two_above(divide_up(slabs, kMaxChunks)), chunks = divide_up(slabs, chunk);
    double partials[kMaxChunks];
    run_tasks(threads_for(n, kGrainOfMoves), chunks,
              [&](int64_t c) { partials[c] = tree_sum(c * chunk, std::min(slabs, (c + 1) * chunk), slab); });
    return tree_sum(0, chunks, [&](int64_t c) { return partials[c]; });
  }

  double largest(const void* x, int64_t n) override {
    std::atomic<T> found{0};
    for_blocks(kGrainOfMoves, ConstMatrix{x, 1, n, n}, {}, [&](const Block& b) {
      const T here = kernels_.largest(static_cast<const T*>(x) + b.col, b.cols);
      T known = found.load();
      while (here > known && !found.compare_exchange_weak(known, here)) {
      }
    });
    return static_cast<double>(found.load());
  }

  int64_t find_nonfinite(ConstMatrix x) override {
    if (x.rows == 1 && x.cols <= kGrainOfMoves) return kernels_.find_nonfinite(row(x, 0), x.cols);
    std::atomic<int64_t> first{x.rows * x.cols};
    for_blocks(kGrainOfMoves, x, {}, [&](const Block& b) {
      for (int64_t i = 0; i < b.rows; ++i) {
        const int64_t start = (b.row + i) * x.cols + b.col;
        if (start >= first.load(std::memory_order_relaxed)) return;
        const int64_t found = kernels_.find_nonfinite(at(x, b) + i * x.stride, b.cols);
        if (found < 0) continue;
        int64_t known = first.load();
        while (start + found < known && !first.compare_exchange_weak(known, start + found)) {
        }
        return;
      }
    });
    return first < x.rows * x.cols ? first.load() : -1;
  }

  void update(void* parameter, const void* gradient, void* const* slots, int64_t n,
              const Optimizer& optimizer) override {
    const auto function = kernels_.update[static_cast<int>(optimizer.id)];
    const Matrix p{parameter, 1, n, n};
    for_blocks(kGrainOfUpdates, p, {}, [&](const Block& b) {
      T* shifted[math::kMaxSlots] = {};
      for (int i = 0; i < slot_count(optimizer.id); ++i) shifted[i] = static_cast<T*>(slots[i]) + b.col;
      function(at(p, b), static_cast<const T*>(gradient) + b.col, shifted, b.cols, optimizer.coefficients.data(),
               static_cast<T>(optimizer.gradient_scale), static_cast<T>(optimizer.gradient_limit),
               static_cast<T>(optimizer.l1));
    });
  }

  void scale(void* y, const void* x, double factor, int64_t n) override {
    for_blocks(kGrainOfMoves, Matrix{y, 1, n, n}, {}, [&](const Block& b) {
      kernels_.scale_and_shift(static_cast<T*>(y) + b.col, static_cast<const T*>(x) + b.col, b.cols,
                               static_cast<T>(factor), T(0));
    });
  }

  void center_rows(Matrix x) override {
    for_rows(kGrainOfMoves, x.rows, x.cols, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        const double mean = row_sum(row(x, i), nullptr, x.cols) / static_cast<double>(x.cols);
        kernels_.scale_and_shift(row(x, i), row(x, i), x.cols, T(1), static_cast<T>(-mean));
      }
    });
  }

  void limit_rows(Matrix x, double limit) override {
    for_rows(kGrainOfMoves, x.rows, x.cols, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        const double norm = std::sqrt(row_sum(row(x, i), row(x, i), x.cols));
        if (norm > limit)
          kernels_.scale_and_shift(row(x, i), row(x, i), x.cols, static_cast<T>(limit / (norm + 1e-7)), T(0));
      }
    });
  }

  void add_noise(void* x, int64_t n, double deviation, const RandomKey& key, int64_t first) override {
    for_blocks(kGrainOfFunctions, Matrix{x, 1, n, n}, {}, [&](const Block& b) {
      kernels_.add_noise(static_cast<T*>(x) + b.col, b.cols, static_cast<T>(deviation), key, first + b.col);
    });
  }

  void random_permutation(int64_t* order, int64_t n, const RandomKey& key) override {
    std::iota(order, order + n, int64_t{0});
    uint64_t halves[2][kNumberBlocks];
    int64_t drawn = n;  // places from here on have their numbers
    for (int64_t i = n - 1; i > 0; --i) {
      if (i < drawn) {
        drawn = i / (2 * kNumberBlocks) * (2 * kNumberBlocks);
        kernels_.random_numbers(halves, key, static_cast<uint64_t>(drawn) / 2);
      }
      // Multiply and shift: biased by less than (i + 1) / 2^64.
      __extension__ using Wide = unsigned __int128;
      const uint64_t number = halves[i % 2][(i - drawn) / 2];
      const auto j = static_cast<int64_t>(Wide{number} * static_cast<uint64_t>(i + 1) >> 64);
      std::swap(order[i], order[j]);
    }
  }

 private:
  static constexpr int64_t kMaxChunks = 64;

  static const T* data(ConstMatrix x) { return static_cast<const T*>(x.data); }
  static T* data(Matrix x) { return static_cast<T*>(x.data); }
  static const T* row(ConstMatrix x, int64_t i) { return data(x) + i * x.stride; }
  static T* row(Matrix x, int64_t i) { return data(x) + i * x.stride; }
  static const T* at(ConstMatrix x, const Block& b) { return row(x, b.row) + b.col; }
  static T* at(Matrix x, const Block& b) { return row(x, b.row) + b.col; }

  /// Nothing is kept of a share of 1, so that any factor would do; this one makes a zero of what rounding lets pass.
  static T kept_scale(double share) { return share < 1 ? static_cast<T>(1 / (1 - share)) : T(0); }

  /// y (cols) = what slab(sums, first row, rows, block, mode) adds up, over all slabs of x.
  template <class Slab>
  void sum_columns(T* y, ConstMatrix x, bool accumulate, const Slab& slab) const {
    if (x.cols == 0) return;
    if (x.rows == 0) {
      if (!accumulate) std::fill_n(y, x.cols, T(0));
      return;
    }
    const int threads = threads_for(x.rows * x.cols, kGrainOfMoves);
    const int64_t across = x.cols >= 1024 * threads ? threads : 1;
    const Blocks blocks{1, x.cols, 2 * kernels_.vector, 1, across};
    sum_over_slabs(kernels_, y, x.cols, blocks, divide_up(x.rows, kSlabRows), accumulate, threads,
                   [&](int64_t s, const Block& block, T* sums, int64_t, TileMode mode) {
                     const int64_t first = s * kSlabRows;
                     slab(sums, first, std::min(kSlabRows, x.rows - first), block, mode);
                   });
  }

  static bool is_index(T value, int64_t rows) {
    return value >= T(0) && value < static_cast<T>(rows) && value == static_cast<T>(static_cast<int64_t>(value));
  }

  /// Where a block of y stands in an operand of a combination that makes y.
  static Term<T> term(ConstMatrix x, ConstMatrix y, const Block& block) {
    const bool column = x.cols == 1 && y.cols > 1;
    return {data(x) + block.row * x.stride + (column ? 0 : block.col), x.stride, column};
  }

  /// As for_blocks, with operands that may be repeated: y is cut anywhere only if none is.
  template <class Body>
  static void for_terms(ConstMatrix y, std::initializer_list<ConstMatrix> terms, const Body& body) {
    const bool whole =
        std::ranges::all_of(terms, [&](const ConstMatrix& x) { return x.cols == y.cols && x.stride == y.stride; });
    if (whole) return for_blocks(kGrainOfMoves, y, terms, body);
    for_rows(kGrainOfMoves, y.rows, y.cols, [&](int64_t from, int64_t to) { body(Block{from, to - from, 0, y.cols}); });
  }

  /// As gemm(), where no product can apply the activation to its tiles.
  void gemm_then_activate(Matrix y, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b, bool accumulate,
                          const Epilogue& e) {
    gemm(y, a, transpose_a, b, transpose_b, accumulate, {.bias = e.bias, .input = e.input});
    if (e.saved.data)
      activate_backward(y, y, e.saved, e.activation, false);
    else
      activate(y, y, e.activation);
    if (e.residual.data) add(y, y, e.residual);
  }

  /// The sum of x[i] * weights[i], or of x[i], in this thread.
  double row_sum(const T* x, const T* weights, int64_t n) const {
    return tree_sum(0, divide_up(n, kSlabRows), [&](int64_t s) {
      const int64_t first = s * kSlabRows;
      return kernels_.weighted_sum(x + first, weights ? weights + first : nullptr, std::min(kSlabRows, n - first));
    });
  }

  static void copy_row(T* y, const T* x, int64_t cols) { std::memmove(y, x, static_cast<size_t>(cols) * sizeof(T)); }

  Finish<T> finish(const Epilogue& e) const {
    const auto id = static_cast<int>(e.activation.id);
    const bool nothing =
        !e.bias && !e.input.data && !e.residual.data && e.activation.id == math::ActivationId::Identity;
    return {.function = nothing        ? nullptr
                        : e.saved.data ? kernels_.finish_backward[id]
                                       : kernels_.finish[id],
            .bias = static_cast<const T*>(e.bias),
            .one_bias = false,
            .input = data(e.input),
            .input_stride = e.input.stride,
            .saved = data(e.saved),
            .saved_stride = e.saved.stride,
            .residual = data(e.residual),
            .residual_stride = e.residual.stride,
            .options = e.activation.options.data()};
  }

  static int slot_count(math::OptimizerId id) {
    static constexpr int counts[] = {
#define WHET_ENTRY(F) static_cast<int>(math::F::slots.size()),
        WHET_OPTIMIZERS(WHET_ENTRY)
#undef WHET_ENTRY
    };
    return counts[static_cast<int>(id)];
  }

  /// Single columns are worked on as registers of rows, which then cost nothing besides.
  static int64_t row_work(int64_t cols) { return cols > 1 ? cols + kRowElements : cols; }

  /// Calls body(from, to) on ranges of whole rows, in parallel where there are elements enough.
  template <class Body>
  static void for_rows(int64_t grain, int64_t rows, int64_t cols, const Body& body) {
    if (rows == 0 || cols == 0) return;
    const FlushDenormals flush;
    const int64_t threads = std::min<int64_t>(threads_for(rows * cols, grain), rows);
    if (threads == 1) return body(0, rows);
    run_tasks(static_cast<int>(threads), threads,
              [&](int64_t i) { body(rows * i / threads, rows * (i + 1) / threads); });
  }

  /// Calls body(block) on the blocks of y, in parallel where there are elements enough. Without gaps between the rows
  /// of y and of the others, all of it is one row, which may be cut anywhere.
  template <class Body>
  static void for_blocks(int64_t grain, ConstMatrix y, std::initializer_list<ConstMatrix> others, const Body& body) {
    bool dense = y.stride == y.cols;
    for (const ConstMatrix& x : others) dense = dense && x.stride == x.cols;
    if (!dense)
      return for_rows(grain, y.rows, y.cols,
                      [&](int64_t from, int64_t to) { body(Block{from, to - from, 0, y.cols}); });
    // Cut at whole cache lines, so that no two threads write to one.
    constexpr int64_t line = static_cast<int64_t>(kAlignment / sizeof(T));
    const int64_t elements = y.rows * y.cols;
    for_rows(grain, divide_up(elements, line), line, [&](int64_t from, int64_t to) {
      body(Block{0, 1, from * line, std::min(elements, to * line) - from * line});
    });
  }

  const KernelTable<T>& kernels_;
  const Precision precision_;
};

}  // namespace

Device& cpu_device(DType dtype, Precision precision, const InstructionSet& set) {
  if (dtype == DType::float64 && precision == Precision::bfloat16)
    fail("precision", "expected float32 for products in bfloat16, got float64");
  // One device for each set, dtype and precision, made at first use and kept.
  static std::mutex making;
  static auto& devices = *new std::map<std::pair<const void*, Precision>, std::unique_ptr<Device>>;  // never destroyed
  std::lock_guard lock(making);
  const void* const key = dtype == DType::float32 ? static_cast<const void*>(&set.float_kernels) : &set.double_kernels;
  std::unique_ptr<Device>& device = devices[{key, precision}];
  if (!device && dtype == DType::float32) device = std::make_unique<CpuDevice<float>>(set.float_kernels, precision);
  if (!device && dtype == DType::float64) device = std::make_unique<CpuDevice<double>>(set.double_kernels, precision);
  return *device;
}

}  // namespace whet::cpu

namespace whet {

Device& cpu_device(DType dtype, Precision precision) {
  static const cpu::InstructionSet& set = cpu::chosen_instruction_set();
  static Device* const plain[] = {&cpu::cpu_device(DType::float32, Precision::full, set),
                                  &cpu::cpu_device(DType::float64, Precision::full, set)};
  return precision == Precision::full ? *plain[static_cast<int>(dtype)] : cpu::cpu_device(dtype, precision, set);
}

}  // namespace whet
