#include "device/cpu/sparse.h"

#include <algorithm>

#include "core/arena.h"
#include "core/error.h"
#include "device/cpu/cpu.h"
#include "device/cpu/pool.h"
#include "device/cpu/slabs.h"

namespace whet::cpu {

namespace {

/// Multiply-adds and elements moved that are worth another thread.
constexpr int64_t kGrain = 1 << 16;
/// Rows of c that one task computes and finishes while they are in L1.
constexpr int64_t kTaskRows = 16;
/// Columns of a whose sums one task computes: as many floats fill a page of each row of the gradient.
constexpr int64_t kTaskColumns = 1024;
/// Columns whose sums are computed before they go where they belong, and columns of b that are packed at a time: their
/// rows lie far apart, often at one place of L1, which holds eight lines of it.
constexpr int64_t kGroup = 16, kPackedAtOnce = 8;

int threads_for(int64_t work) { return static_cast<int>(std::clamp<int64_t>(work / kGrain, 1, num_threads())); }

/// With room for a quarter more: batches differ in their entries, and soon none allocates.
template <class E>
E* reserve(Arena& arena, int64_t elements) {
  if (const size_t bytes = static_cast<size_t>(elements) * sizeof(E); bytes > arena.size())
    arena.reserve(bytes + bytes / 4);
  return reinterpret_cast<E*>(arena.data());
}

/// The columns of sparse rows that have entries.
struct UsedColumns {
  int64_t count;
  const int32_t* columns;  // ascending
  const int32_t* places;   // of each column in `columns`, where it is there
  int64_t* starts;         // a zero, and where the entries of each would begin, if they stood column by column
};

/// In memory of this thread, until the next call.
UsedColumns find_used(const SparseMatrix& a, int64_t entries) {
  static thread_local Arena places_memory, columns_memory, starts_memory;
  int32_t* const places = reserve<int32_t>(places_memory, a.cols);
  int32_t* const columns = reserve<int32_t>(columns_memory, std::min(a.cols, entries));
  int64_t* const starts = reserve<int64_t>(starts_memory, std::min(a.cols, entries) + 1);
  std::fill_n(places, a.cols, 0);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t e = a.first(i), end = a.end(i); e < end; ++e) ++places[a.columns[e]];
  int64_t count = 0, total = 0;
  starts[0] = 0;
  for (int64_t j = 0; j < a.cols; ++j) {
    if (places[j] == 0) continue;
    columns[count] = static_cast<int32_t>(j);
    starts[count + 1] = total;
    total += places[j];
    places[j] = static_cast<int32_t>(count++);
  }
  return {count, columns, places, starts};
}

/// The rows of b that `used` names, n elements each, one after the other: in memory of this thread.
template <class T>
const T* pack(const UsedColumns& used, Operand<T> b, int64_t n) {
  static thread_local Arena memory;
  T* const packed = reserve<T>(memory, used.count * n);
  constexpr int64_t rows = 256;
  const int64_t tasks = divide_up(used.count, rows);
  run_tasks(threads_for(used.count * n), tasks, [&](int64_t task) {
    const int64_t end = std::min(used.count, (task + 1) * rows);
    for (int64_t first = 0; first < n; first += kPackedAtOnce) {
      const int64_t cols = std::min(kPackedAtOnce, n - first);
      for (int64_t u = task * rows; u < end; ++u) {
        const T* const from = b.data + used.columns[u] * b.row + first * b.col;
        for (int64_t j = 0; j < cols; ++j) packed[u * n + first + j] = from[j * b.col];
      }
    }
  });
  return packed;
}

/// The entries of sparse rows, column by column: their values, and the rows that they stand in, which ascend.
template <class T>
struct Entries {
  const T* values;
  const int32_t* rows;
  const int64_t* starts;  // of each used column, and the end
};

template <class T>
Entries<T> by_column(const SparseMatrix& a, const UsedColumns& used, int64_t entries) {
  static thread_local Arena values_memory, rows_memory;
  T* const values = reserve<T>(values_memory, entries);
  int32_t* const rows = reserve<int32_t>(rows_memory, entries);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t e = a.first(i), end = a.end(i); e < end; ++e) {
      const int64_t to = used.starts[used.places[a.columns[e]] + 1]++;
      values[to] = static_cast<const T*>(a.values)[e];
      rows[to] = static_cast<int32_t>(i);
    }
  return {values, rows, used.starts};
}

template <class T>
struct ColumnSums {
  const KernelTable<T>& kernels;
  Entries<T> entries;
  const T* b;
  int64_t b_stride, n;

  /// out (count, n) = a chain for each of so many columns, whose entries begin at starts[0], starts[1] and so on.
  void chains(T* out, const int64_t* starts, int64_t count) const {
    kernels.multiply_sparse({out, n, entries.values, entries.rows, starts, nullptr, nullptr, b, b_stride, count, n});
  }

  /// out (n) = the sum of entries [from, to), of which there are some and whose rows are in slabs [lo, hi), by the tree
  /// of the slabs: those without entries add nothing. The n elements behind it, and so on, hold what is unfinished.
  void sum(T* out, int64_t from, int64_t to, int64_t lo, int64_t hi) const {
    if (hi - lo == 1) {
      const int64_t starts[] = {from, to};
      return chains(out, starts, 1);
    }
    const int64_t middle = tree_middle(lo, hi);
    const int32_t* const split =
        std::lower_bound(entries.rows + from, entries.rows + to, static_cast<int32_t>(middle * kSlabRows));
    const int64_t half = split - entries.rows;
    if (half == to) return sum(out, from, to, lo, middle);
    if (half == from) return sum(out, from, to, middle, hi);
    sum(out, from, half, lo, middle);
    sum(out + n, half, to, middle, hi);
    add_blocks(kernels, out, n, out, n, out + n, n, 1, n);
  }
};

/// Columns j to j + cols - 1 of what c is the transpose of, filled with zeros.
template <class T>
void clear(const SparseSum<T>& c, int64_t j, int64_t cols, int64_t n) {
  if (c.col == 1) {
    for (int64_t i = j; i < j + cols; ++i) std::fill_n(c.data + i * c.row, n, T(0));
  } else {
    for (int64_t i = 0; i < n; ++i) std::fill_n(c.data + j * c.row + i * c.col, cols, T(0));
  }
}

/// Rows of c, which stand in `columns`, from sums (count, n).
template <class T>
void scatter(const SparseSum<T>& c, const int32_t* columns, const T* sums, int64_t count, int64_t n) {
  for (int64_t first = 0; first < n; first += kPackedAtOnce) {
    const int64_t end = std::min(n, first + kPackedAtOnce);
    for (int64_t u = 0; u < count; ++u) {
      T* const to = c.data + columns[u] * c.row;
      for (int64_t j = first; j < end; ++j)
        to[j * c.col] = c.accumulate ? to[j * c.col] + sums[u * n + j] : sums[u * n + j];
    }
  }
}

}  // namespace

template <class T>
void multiply_sparse(const KernelTable<T>& kernels, T* c, int64_t c_stride, int64_t n, const SparseMatrix& a,
                     Operand<T> b, const Finish<T>& finish) {
  const int64_t entries = a.entries();
  SparseProduct<T> whole{
      c, c_stride, static_cast<const T*>(a.values), a.columns, a.starts, a.order, nullptr, b.data, b.row, a.rows, n};
  // Rows of b that have their elements side by side, or only one, are read where they stand.
  if (b.col != 1 && n > 1) {
    const UsedColumns used = find_used(a, entries);
    whole.places = used.places;
    whole.b = pack(used, b, n);
    whole.b_stride = n;
  }
  run_tasks(threads_for(entries * n), divide_up(a.rows, kTaskRows), [&](int64_t task) {
    const int64_t first = task * kTaskRows;
    SparseProduct<T> part = whole;
    part.rows = std::min(kTaskRows, a.rows - first);
    part.c += first * c_stride;
    (a.order ? part.order : part.starts) += first;
    kernels.multiply_sparse(part);
    if (finish.function) finish.function(part.c, c_stride, {first, part.rows, 0, n}, finish);
  });
}

template <class T>
void multiply_sparse_over_rows(const KernelTable<T>& kernels, const SparseSum<T>& c, const SparseMatrix& a, const T* b,
                               int64_t b_stride, int64_t n) {
  if (a.rows > INT32_MAX) fail("fit", "expected at most ", INT32_MAX, " sparse rows in a batch, got ", a.rows);
  const int64_t entries = a.entries(), slabs = divide_up(a.rows, kSlabRows);
  const UsedColumns used = find_used(a, entries);
  const ColumnSums<T> sums{kernels, by_column<T>(a, used, entries), b, b_stride, n};
  const int64_t* const starts = sums.entries.starts;
  run_tasks(threads_for(entries * n + a.cols * n), divide_up(a.cols, kTaskColumns), [&](int64_t task) {
    static thread_local Arena memory;
    T* const group = reserve<T>(memory, (kGroup + tree_levels(slabs) + 1) * n);
    const int64_t column = task * kTaskColumns, cols = std::min(kTaskColumns, a.cols - column);
    if (!c.accumulate) clear(c, column, cols, n);
    const auto place = [&](int64_t j) {
      return std::lower_bound(used.columns, used.columns + used.count, static_cast<int32_t>(j)) - used.columns;
    };
    const int64_t last = place(column + cols);
    for (int64_t u = place(column); u < last; u += kGroup) {
      const int64_t count = std::min(kGroup, last - u);
      if (slabs == 1) sums.chains(group, starts + u, count);
      for (int64_t i = u; slabs > 1 && i < u + count; ++i)
        sums.sum(group + (i - u) * n, starts[i], starts[i + 1], 0, slabs);
      scatter(c, used.columns + u, group, count, n);
    }
  });
}

template void multiply_sparse(const KernelTable<float>&, float*, int64_t, int64_t, const SparseMatrix&, Operand<float>,
                              const Finish<float>&);
template void multiply_sparse(const KernelTable<double>&, double*, int64_t, int64_t, const SparseMatrix&,
                              Operand<double>, const Finish<double>&);
template void multiply_sparse_over_rows(const KernelTable<float>&, const SparseSum<float>&, const SparseMatrix&,
                                        const float*, int64_t, int64_t);
template void multiply_sparse_over_rows(const KernelTable<double>&, const SparseSum<double>&, const SparseMatrix&,
                                        const double*, int64_t, int64_t);

}  // namespace whet::cpu
