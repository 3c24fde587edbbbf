#pragma once

#include "device/cpu/kernels/elementwise.h"
#include "device/cpu/kernels/reduce.h"
#include "math/losses.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// One register of results, one for each row of a group.
template <class T>
struct PerRow {
  alignas(64) T value[Vec<T>::size] = {};

  PerRow() = default;
  explicit PerRow(Vec<T> all) { all.store(value); }
  PerRow& operator=(Vec<T> all) {
    all.store(value);
    return *this;
  }
  Vec<T> all() const { return Vec<T>::load(value); }
};

/// What the first `count` lanes hold goes to y.
template <class T>
void store_results(T* y, Vec<T> results, int64_t count) {
  if (count == Vec<T>::size)
    results.store(y);
  else
    results.store(y, count);
}

/// The lanes of each row's register joined: two or more rows together, or one alone.
template <class T, class Join>
Vec<T> join_lanes(const Vec<T>* rows, int64_t count, Join join) {
  return count == 1 ? across(rows[0], join) : across_rows(rows, join);
}

/// Rows that are worked on together, one per lane, so that one logarithm or division serves all of them. Between two
/// passes their exponentials stay in a buffer, each row from a line of its own: a partial store hinders loads from the
/// whole register behind it, up to the next row. Long rows go one by one and leave them where the result will be. Twice
/// the capacity pushes the next rows out of the first cache.
template <class T>
struct RowGroup {
  static constexpr int64_t capacity = 4096 / sizeof(T);
  static constexpr int64_t size = Vec<T>::size;

  int64_t rows, stride;
  bool buffered;
  alignas(64) T buffer[capacity];

  explicit RowGroup(int64_t cols) : stride((cols + size - 1) / size * size), buffered(stride <= capacity) {
    rows = buffered ? capacity / stride : 1;
    if (rows > size) rows = size;
  }
};

/// One column: the rows themselves fill the registers. The sum of one value is 0 + value, as with more columns.
template <class T, class F>
void column_loss(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t, int64_t t_stride,
                 int64_t rows, const T* scales, T scale, const Vec<T>* options) {
  if (p_stride == 1 && t_stride == 1 && (!dp || dp_stride == 1))
    return for_each_register<T>(rows, [&](int64_t i, auto part) {
      const Vec<T> pv = part.load(p + i), tv = part.load(t + i);
      part.store(row_losses + i, Vec<T>(T(0)) + F::value(pv, tv, options));
      if (dp) part.store(dp + i, F::derivative(pv, tv, options) * (scales ? part.load(scales + i) : Vec<T>(scale)));
    });
  constexpr int64_t size = Vec<T>::size;
  alignas(64) T prediction[size] = {}, target[size] = {}, value[size], slope[size];
  for (int64_t row = 0; row < rows; row += size) {
    const int64_t count = rows - row < size ? rows - row : size;
    for (int64_t i = 0; i < count; ++i) {
      prediction[i] = p[(row + i) * p_stride];
      target[i] = t[(row + i) * t_stride];
    }
    const Vec<T> pv = Vec<T>::load(prediction), tv = Vec<T>::load(target);
    (Vec<T>(T(0)) + F::value(pv, tv, options)).store(value);
    for (int64_t i = 0; i < count; ++i) row_losses[row + i] = value[i];
    if (!dp) continue;
    F::derivative(pv, tv, options).store(slope);
    for (int64_t i = 0; i < count; ++i) dp[(row + i) * dp_stride] = slope[i] * (scales ? scales[row + i] : scale);
  }
}

/// Each row's loss is the mean over its columns.
template <class T, class F>
void direct_loss(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t, int64_t t_stride,
                 int64_t rows, int64_t cols, const T* scales, T scale, const double* options) {
  const Options<T> o(options);
  if (cols == 1)
    return column_loss<T, F>(row_losses, dp, dp_stride, p, p_stride, t, t_stride, rows, scales, scale, o.values);
  constexpr int64_t size = Vec<T>::size;
  const Vec<T> width(static_cast<T>(cols));
  const T fixed = scale / static_cast<T>(cols);
  Vec<T> sums[size];
  for (auto& sum : sums) sum = Vec<T>(T(0));
  for (int64_t row = 0; row < rows; row += size) {
    const int64_t count = rows - row < size ? rows - row : size;
    for (int64_t r = 0; r < count; ++r, p += p_stride, t += t_stride) {
      T* const d = dp ? dp + (row + r) * dp_stride : nullptr;
      const Vec<T> factor(scales ? scales[row + r] / static_cast<T>(cols) : fixed);
      Lanes<T> sum;
      for_each_lane<T>(cols, [&](int64_t i, auto part, int k) {
        const Vec<T> pv = part.load(p + i), tv = part.load(t + i);
        sum.v[k] = sum.v[k] + part.keep(F::value(pv, tv, o.values));  // not every loss is zero beyond the last column
        if (d) part.store(d + i, F::derivative(pv, tv, o.values) * factor);
      });
      sums[r] = sum.folded();
    }
    store_results(row_losses + row, join_lanes(sums, count, Sum()) / width, count);
  }
}

/// The values and derivatives of n elements, which fill registers. The first option is o[i] if `step` is 1, else o[0]
/// to o[size - 1] for all.
template <class T, class F>
void loss_elements(T* values, T* slopes, const T* p, const T* t, const T* first_option, int64_t step, int64_t n,
                   const double* options) {
  Options<T> o(options);
  for (int64_t i = 0; i < n; i += Vec<T>::size) {
    if constexpr (!F::options.empty()) o.values[0] = Vec<T>::load(first_option + i * step);
    const Vec<T> pv = Vec<T>::load(p + i), tv = Vec<T>::load(t + i);
    const Vec<T> value = F::value(pv, tv, o.values), slope = F::derivative(pv, tv, o.values);
    value.store(values + i);
    slope.store(slopes + i);
  }
}

/// Rows side by side without gaps, zeros behind them to fill a register.
template <class T>
void pack_rows(T* packed, const T* x, int64_t stride, int64_t rows, int64_t cols) {
  if (cols == 1)
    for (int64_t r = 0; r < rows; ++r) packed[r] = x[r * stride];
  else
    for (int64_t r = 0; r < rows; ++r)
      for_each_register<T>(cols,
                           [&](int64_t i, auto part) { part.load(x + r * stride + i).store(packed + r * cols + i); });
  Vec<T>(T(0)).store(packed + rows * cols);
}

/// The rows' losses from the values of whole rows, side by side: each is the mean over its columns.
template <class T>
void mean_values(T* row_losses, const T* values, int64_t rows, int64_t cols) {
  constexpr int64_t size = Vec<T>::size;
  if (cols == 1)  // the sum of one value is 0 + value, as with more columns
    return for_each_register<T>(
        rows, [&](int64_t i, auto part) { part.store(row_losses + i, Vec<T>(T(0)) + Vec<T>::load(values + i)); });
  const Vec<T> width(static_cast<T>(cols));
  Vec<T> sums[size];
  for (auto& sum : sums) sum = Vec<T>(T(0));
  for (int64_t row = 0; row < rows; row += size) {
    const int64_t count = rows - row < size ? rows - row : size;
    for (int64_t r = 0; r < count; ++r, values += cols) {
      Lanes<T> sum;
      for_each_lane<T>(cols, [&](int64_t i, auto part, int k) { sum.v[k] = sum.v[k] + part.load(values + i); });
      sums[r] = sum.folded();
    }
    store_results(row_losses + row, join_lanes(sums, count, Sum()) / width, count);
  }
}

/// dp = slopes * factor, row by row.
template <class T>
void scale_slopes(T* dp, int64_t dp_stride, const T* slopes, int64_t rows, int64_t width, int64_t cols, const T* scales,
                  T scale) {
  if (cols == 1 && dp_stride == 1)
    return for_each_register<T>(rows, [&](int64_t i, auto part) {
      part.store(dp + i, Vec<T>::load(slopes + i) * (scales ? part.load(scales + i) : Vec<T>(scale)));
    });
  if (cols == 1) {
    for (int64_t i = 0; i < rows; ++i) dp[i * dp_stride] = slopes[i] * (scales ? scales[i] : scale);
    return;
  }
  const T fixed = scale / static_cast<T>(cols);
  for (int64_t r = 0; r < rows; ++r, dp += dp_stride, slopes += width) {
    const Vec<T> factor(scales ? scales[r] / static_cast<T>(cols) : fixed);
    for_each_register<T>(width, [&](int64_t i, auto part) { part.store(dp + i, Vec<T>::load(slopes + i) * factor); });
  }
}

/// Each row's loss is the mean over its columns. With `columns`, the first option has a value for each. Values and
/// derivatives wait in the first cache, so that each loss is compiled once: 1 KB, where direct_loss has eight times
/// that. Narrow rows lie side by side there: a binary cross-entropy of three columns takes half the time.
template <class T>
void loss(LossElements<T> elements, T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t,
          int64_t t_stride, int64_t rows, int64_t cols, const T* scales, T scale, const double* options,
          const double* columns) {
  constexpr int64_t size = Vec<T>::size, capacity = 1024 / sizeof(T);
  alignas(64) T prediction[capacity + size], target[capacity + size], option[capacity + size];
  alignas(64) T values[capacity + size], slopes[capacity + size];
  Vec<T>(static_cast<T>(options[0])).store(option);
  const bool gapless = p_stride == cols && t_stride == cols;
  const int64_t step = columns != nullptr;
  const int64_t together = cols <= (gapless ? capacity : kLanes) ? capacity / cols : 1;
  for (int64_t row = 0; row < rows; row += together, p += together * p_stride, t += together * t_stride) {
    const int64_t count = rows - row < together ? rows - row : together;
    const bool dense = count == 1 || gapless;
    Lanes<T> sum;  // of one row
    for (int64_t first = 0; first < cols; first += capacity) {
      const int64_t width = cols - first < capacity ? cols - first : capacity, n = count * width;
      if (columns && (row == 0 || cols > capacity))
        for (int64_t i = 0; i < n; ++i) option[i] = static_cast<T>(columns[first + i % width]);
      const int64_t whole = dense ? n / size * size : 0;
      if (whole) elements(values, slopes, p + first, t + first, option, step, whole, options);
      if (whole < n) {
        const int64_t packed_rows = dense ? 1 : count, packed_cols = dense ? n - whole : width;
        pack_rows(prediction, p + first + whole, p_stride, packed_rows, packed_cols);
        pack_rows(target, t + first + whole, t_stride, packed_rows, packed_cols);
        elements(values + whole, slopes + whole, prediction, target, option + whole * step, step,
                 (n - whole + size - 1) / size * size, options);
      }
      if (count > 1)
        mean_values(row_losses + row, values, count, cols);
      else
        for_each_lane<T>(width, [&](int64_t i, auto part, int k) { sum.v[k] = sum.v[k] + part.load(values + i); });
      if (dp)
        scale_slopes(dp + row * dp_stride + first, dp_stride, slopes, count, width, cols,
                     scales ? scales + row : nullptr, scale);
    }
    if (count == 1) row_losses[row] = sum.sum() / static_cast<T>(cols);
  }
}

/// How the columns of a row are gone through: in a loop, or at once where they fit in one register. Without that loop
/// the constants of an exponential stay in registers from row to row.
template <class T>
struct ColumnLoop {
  int64_t cols;

  void operator()(auto body) const { for_each_lane<T>(cols, body); }

  /// The largest of a row, lane by lane. A NaN may be lost here, but not in the sum of exponentials.
  Vec<T> largest(const T* x) const {
    constexpr int64_t size = Vec<T>::size;
    constexpr int chains = 4;  // side by side they hide the latency of a maximum
    Vec<T> most[chains];
    for (auto& one : most) one = Vec<T>::load(x);
    int64_t i = 0;
    for (; i + chains * size <= cols; i += chains * size)
      for (int k = 0; k < chains; ++k) most[k] = max(most[k], Vec<T>::load(x + i + k * size));
    for (; i + size <= cols; i += size) most[0] = max(most[0], Vec<T>::load(x + i));
    most[1] = max(most[1], Vec<T>::load(x + cols - size));  // the last ones, some of them again
    return max(max(most[0], most[1]), max(most[2], most[3]));
  }
};

template <class T, class Columns>
struct OneRegister {
  Columns part;
  Mask<T> inside;

  explicit OneRegister(Columns columns) : part(columns), inside(part.keep(Vec<T>(T(1))) == Vec<T>(T(1))) {}
  void operator()(auto body) const { body(0, part, 0); }
  // Behind the last column nothing new: zeros could exceed the largest.
  Vec<T> largest(const T* x) const { return select(inside, part.load(x), Vec<T>(x[0])); }
};

/// Calls rows_of(columns) with the way that fits.
template <class T>
void choose_columns(int64_t cols, auto rows_of) {
  if (cols < Vec<T>::size)
    rows_of(OneRegister<T, Part<T>>(Part<T>{cols}));
  else if (cols == Vec<T>::size)
    rows_of(OneRegister<T, Whole<T>>(Whole<T>()));
  else
    rows_of(ColumnLoop<T>{cols});
}

/// Brings what the next group of rows will read and write near while this one is computed, else each pass waits for the
/// outer caches: cross-entropy over 256 x 4000 takes 1.2 instead of 1.5 times as long as its exponentials alone.
struct Ahead {
  int64_t rows;

  template <class T>
  Ahead(const RowGroup<T>& group, int64_t row, int64_t all_rows)
      : rows(row + 2 * group.rows <= all_rows ? group.rows : 0) {}
  template <class T>
  void fetch(const T* x, int64_t stride) const {
    __builtin_prefetch(x + rows * stride);
  }
};

template <class T, class Columns>
void softmax_rows(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols,
                  const Columns& columns) {
  RowGroup<T> group(cols);
  Vec<T> lanes[Vec<T>::size];
  for (auto& one : lanes) one = Vec<T>(T(0));
  PerRow<T> largest, total;
  for (int64_t row = 0; row < rows; row += group.rows, x += group.rows * x_stride, y += group.rows * y_stride) {
    const int64_t count = rows - row < group.rows ? rows - row : group.rows;
    const Ahead ahead(group, row, rows);
    T* const kept = group.buffered ? group.buffer : y;
    const int64_t kept_stride = group.buffered ? group.stride : y_stride;
    for (int64_t r = 0; r < count; ++r) lanes[r] = columns.largest(x + r * x_stride);
    largest = join_lanes(lanes, count, Largest());
    for (int64_t r = 0; r < count; ++r) {
      const T *const from = x + r * x_stride, *const next = y + r * y_stride;
      T* const e_row = kept + r * kept_stride;
      const Vec<T> shift(largest.value[r]);
      Lanes<T> sum;
      columns([&](int64_t i, auto part, int k) {
        ahead.fetch(from + i, x_stride);
        ahead.fetch(next + i, y_stride);
        const Vec<T> e = part.keep(exp(part.load(from + i) - shift));
        sum.v[k] = sum.v[k] + e;
        part.store(e_row + i, e);
      });
      lanes[r] = sum.folded();
    }
    total = join_lanes(lanes, count, Sum());
    for (int64_t r = 0; r < count; ++r) {
      const T* const e_row = kept + r * kept_stride;
      T* const to = y + r * y_stride;
      const Vec<T> divisor(total.value[r]);
      columns([&](int64_t i, auto part, int) { part.store(to + i, part.load(e_row + i) / divisor); });
    }
  }
}

template <class T>
void softmax(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols) {
  choose_columns<T>(cols, [&](const auto& columns) { softmax_rows(y, y_stride, x, x_stride, rows, cols, columns); });
}

/// H(target, softmax(p)) of each row: with z = p - max(p) it is log(sum exp z) sum(t) - sum t z, which cannot overflow.
template <class T, class Columns>
void cross_entropy_rows(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t,
                        int64_t t_stride, const int32_t* classes, int64_t rows, int64_t cols, const T* scales, T scale,
                        const Columns& columns) {
  constexpr int64_t size = Vec<T>::size;
  RowGroup<T> group(cols);
  Vec<T> lanes[size], target_lanes[size], product_lanes[size];
  for (int64_t r = 0; r < size; ++r) lanes[r] = target_lanes[r] = product_lanes[r] = Vec<T>(T(0));
  const Vec<T> fixed(scale);
  PerRow<T> largest, class_value, factor(fixed), weight;
  for (int64_t row = 0; row < rows; row += group.rows, p += group.rows * p_stride) {
    const int64_t count = rows - row < group.rows ? rows - row : group.rows;
    const Ahead ahead(group, row, rows);
    T* const d = dp ? dp + row * dp_stride : nullptr;
    const T* const target = classes ? nullptr : t + row * t_stride;
    const int32_t* const right = classes ? classes + row : nullptr;
    T* const kept = d && group.buffered ? group.buffer : d;
    const int64_t kept_stride = group.buffered ? group.stride : dp_stride;
    for (int64_t r = 0; r < count; ++r) {
      lanes[r] = columns.largest(p + r * p_stride);
      if (right) class_value.value[r] = p[r * p_stride + right[r]];
    }
    const Vec<T> all_largest = join_lanes(lanes, count, Largest());
    largest = all_largest;
    for (int64_t r = 0; r < count; ++r) {
      const T* const from = p + r * p_stride;
      const T* const t_from = target ? target + r * t_stride : nullptr;
      T* const e_row = kept ? kept + r * kept_stride : nullptr;
      const T* const next = d + r * dp_stride;
      const Vec<T> shift(largest.value[r]);
      Lanes<T> exponentials, targets, products;
      columns([&](int64_t i, auto part, int k) {
        const Vec<T> z = part.load(from + i) - shift, e = part.keep(exp(z));
        ahead.fetch(from + i, p_stride);
        exponentials.v[k] = exponentials.v[k] + e;
        if (t_from) {
          const Vec<T> tv = part.load(t_from + i);
          ahead.fetch(t_from + i, t_stride);
          targets.v[k] = targets.v[k] + tv;
          products.v[k] = products.v[k] + part.keep(tv * z);
        }
        if (!e_row) return;
        ahead.fetch(next + i, dp_stride);
        part.store(e_row + i, e);
      });
      lanes[r] = exponentials.folded();
      if (!target) continue;
      target_lanes[r] = targets.folded();
      product_lanes[r] = products.folded();
    }
    const Vec<T> sum = join_lanes(lanes, count, Sum()), log_sum = log(sum);
    Vec<T> target_sum(T(1)), loss = log_sum - (class_value.all() - all_largest);
    if (target) {
      target_sum = join_lanes(target_lanes, count, Sum());
      loss = log_sum * target_sum - join_lanes(product_lanes, count, Sum());
    }
    store_results(row_losses + row, loss, count);
    if (!d) continue;
    if (scales)
      for (int64_t r = 0; r < count; ++r) factor.value[r] = scales[row + r];
    weight = factor.all() * target_sum / sum;
    for (int64_t r = 0; r < count; ++r) {
      const T* const e_row = kept + r * kept_stride;
      const T* const t_from = target ? target + r * t_stride : nullptr;
      T* const to = d + r * dp_stride;
      const Vec<T> slope(weight.value[r]), target_factor(factor.value[r]);
      const T at_class = right ? e_row[right[r]] * weight.value[r] - factor.value[r] : T(0);
      columns([&](int64_t i, auto part, int) {
        const Vec<T> scaled = part.load(e_row + i) * slope;
        part.store(to + i, t_from ? scaled - target_factor * part.load(t_from + i) : scaled);
      });
      if (right) to[right[r]] = at_class;
    }
  }
}

template <class T>
void cross_entropy(T* row_losses, T* dp, int64_t dp_stride, const T* p, int64_t p_stride, const T* t, int64_t t_stride,
                   const int32_t* classes, int64_t rows, int64_t cols, const T* scales, T scale) {
  choose_columns<T>(cols, [&](const auto& columns) {
    cross_entropy_rows(row_losses, dp, dp_stride, p, p_stride, t, t_stride, classes, rows, cols, scales, scale,
                       columns);
  });
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
