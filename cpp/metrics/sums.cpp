#include "metrics/sums.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/sum.h"

namespace whet::metrics {

namespace {

/// Elements that a device is given at once: enough for its threads, and still in cache when they are summed.
constexpr int64_t kChunkElements = int64_t{1} << 16;
constexpr int64_t kMostSlabs = 16;

/// The sum of value(0) ... value(n - 1), of a few one after the other.
template <class Value>
double sum_of(int64_t n, const Value& value) {
  if (n >= 8) return sum(n, value);
  double few = 0;
  for (int64_t i = 0; i < n; ++i) few += value(i);
  return few;
}

/// How many stand before x[j]: larger ones, and equal ones before it, or behind it if `last_first`. One loop without
/// branches, since labels cannot be foreseen.
template <class T>
int64_t ahead_of(const T* x, int64_t j, int64_t n, bool last_first) {
  const T own = x[j];
  int32_t larger = 0, not_smaller = 0;
  for (int64_t c = 0; c < n; ++c) {
    larger += x[c] > own;
    not_smaller += x[c] >= own;
  }
  if (not_smaller <= larger + 1) return larger;
  return larger + (last_first ? std::count(x + j + 1, x + n, own) : std::count(x, x + j, own));
}

/// The first of the largest, likely x[guess]. A compiler makes vectors of `ahead_of`, but not of a search.
template <class T>
int64_t largest_of(const T* x, int64_t n, int64_t guess) {
  constexpr int64_t many = 16;
  if (n >= many && ahead_of(x, guess, n, false) == 0) return guess;
  T most = x[0];
  for (int64_t c = 1; c < n; ++c) most = most < x[c] ? x[c] : most;
  int64_t first = 0;
  for (int64_t c = n - 1; c >= 0; --c) first = x[c] == most ? c : first;
  return first;
}

template <class T>
const T* row_of(ConstMatrix m, int64_t row) {
  return static_cast<const T*>(m.data) + row * m.stride;
}

ConstMatrix rows_from(ConstMatrix m, int64_t first, int64_t rows, DType dtype) {
  m.data = static_cast<const std::byte*>(m.data) + static_cast<size_t>(first * m.stride) * size_of(dtype);
  m.rows = rows;
  return m;
}

}  // namespace

void Plan::want(std::string_view name) {
  for (const Want& each : kWants)
    if (each.name == name) {
      for (int section = each.first; section <= each.last; ++section) sections |= 1u << section;
      return;
    }
  fail("metrics", "expected sums that are known, got '", name, "'");
}

Sums::Sums(const Plan& plan, Device& device) : plan_(plan), device_(&device) {
  plan_.sections |= 1u << kTotal;
  int64_t size = 0;
  for (int section = 0; section < kSections; ++section) {
    start_[static_cast<size_t>(section)] = size;
    if (plan_.has(static_cast<Section>(section))) size += size_of_section(static_cast<Section>(section));
  }
  for (std::vector<double>* const each : {&sums_, &part_, &slab_}) each->resize(static_cast<size_t>(size));

  chunk_rows_ = kSlabRows * std::clamp(kChunkElements / (plan_.columns * kSlabRows), int64_t{1}, kMostSlabs);
  const auto rows = static_cast<size_t>(chunk_rows_);
  const size_t elements = rows * static_cast<size_t>(plan_.columns) * whet::size_of(dtype());
  ones_.assign(rows, 1.0);
  weights_.resize(rows);
  if (plan_.kind == Kind::classes) {
    classes_.resize(rows);
    known_classes_.resize(rows);
  } else {
    truth_.reserve(elements);
  }
  if (plan_.kind == Kind::values || plan_.has(kBrier)) linked_.reserve(plan_.link == Link::none ? 0 : elements);
  if (plan_.has(kLogLoss)) losses_.reserve(rows * whet::size_of(dtype()));
}

int64_t Sums::size_of_section(Section section) const {
  switch (section) {
    case kHits:
    case kPredicted:
    case kTrue:
    case kOccurring:
      return plan_.kind == Kind::labels && plan_.columns == 1 ? 2 : plan_.columns;
    case kRanks:
    case kAbsolute:
    case kRelative:
    case kSquares:
    case kMean:
    case kDeviations:
      return plan_.columns;
    default:
      return 1;
  }
}

std::span<double> Sums::of(std::vector<double>& sums, Section section) const {
  if (!plan_.has(section)) return {};
  return {sums.data() + start_[section], static_cast<size_t>(size_of_section(section))};
}

void Sums::begin() { std::fill(part_.begin(), part_.end(), 0.0); }

void Sums::commit() {
  merge(sums_, part_);
  begin();
}

/// Means and deviations as Chan, Golub and LeVeque combine them ("Updating formulae and a pairwise algorithm for
/// computing sample variances", 1979).
void Sums::merge(std::vector<double>& into, std::vector<double>& part) const {
  const double a = into[0], b = part[0];
  if (plan_.has(kMean) && b > 0) {
    const std::span<double> mean = of(into, kMean), deviations = of(into, kDeviations);
    const std::span<double> other = of(part, kMean), others = of(part, kDeviations);
    const double share = b / (a + b);
    for (size_t c = 0; c < mean.size(); ++c) {
      const double apart = other[c] - mean[c];
      mean[c] += share * apart;
      deviations[c] += others[c] + a * share * apart * apart;
    }
  }
  const auto sums = static_cast<size_t>(start_[kMean]);
  for (size_t i = 0; i < sums; ++i) into[i] += part[i];
}

Sums::Rows Sums::slice(const Rows& rows, int64_t first, int64_t count) const {
  const auto cut = [&](ConstMatrix m) { return m.data ? rows_from(m, first, count, dtype()) : m; };
  const auto advance = [&](const void* x) -> const void* {
    return x ? static_cast<const std::byte*>(x) + static_cast<size_t>(first) * whet::size_of(dtype()) : nullptr;
  };
  const LogLosses& known = rows.log_losses;
  return {count,
          cut(rows.outputs),
          cut(rows.linked),
          cut(rows.truth),
          rows.classes ? rows.classes + first : nullptr,
          rows.weights == ones_.data() ? rows.weights : rows.weights + first,
          {advance(known.rows), cut(known.gradient), advance(known.scales), known.scale}};
}

void Sums::add(ConstMatrix outputs, const Answers& answers, const int64_t* order, int64_t first,
               const LogLosses& known) {
  outputs.data =
      static_cast<const std::byte*>(outputs.data) + static_cast<size_t>(plan_.first) * whet::size_of(dtype());
  outputs.cols = plan_.columns;
  const Rows all{outputs.rows, outputs, {}, {}, nullptr, ones_.data(), known};
  for (int64_t row = 0; row < all.count; row += chunk_rows_) {
    Rows rows = slice(all, row, std::min(chunk_rows_, all.count - row));
    const int64_t* const places = order ? order + row : nullptr;
    if (dtype() == DType::float32)
      add_chunk<float>(rows, answers, places, first + row);
    else
      add_chunk<double>(rows, answers, places, first + row);
  }
}

template <class T>
void Sums::add_chunk(Rows rows, const Answers& answers, const int64_t* order, int64_t first) {
  load_weights(rows, static_cast<const T*>(answers.weights), order, first);
  if (plan_.kind == Kind::classes)
    load_classes(rows, answers.target.classes, order, first);
  else
    load_truth<T>(rows, answers.target.values, order, first);
  if (plan_.has(kLogLoss) && !rows.log_losses.rows) find_log_losses(rows);
  if (plan_.kind == Kind::values || (plan_.has(kBrier) && !rows.log_losses.gradient.data)) link(rows);
  for (int64_t row = 0; row < rows.count; row += kSlabRows) {
    std::fill(slab_.begin(), slab_.end(), 0.0);
    add_slab<T>(slice(rows, row, std::min(kSlabRows, rows.count - row)));
    merge(part_, slab_);
  }
}

template <class T>
void Sums::load_weights(Rows& rows, const T* weights, const int64_t* order, int64_t first) {
  if (!weights) return;
  for (int64_t i = 0; i < rows.count; ++i)
    weights_[static_cast<size_t>(i)] = static_cast<double>(weights[order ? order[i] : first + i]);
  rows.weights = weights_.data();
}

void Sums::load_classes(Rows& rows, const int32_t* classes, const int64_t* order, int64_t first) {
  rows.classes = classes + first;
  if (order) {
    for (int64_t i = 0; i < rows.count; ++i) classes_[static_cast<size_t>(i)] = classes[order[i]];
    rows.classes = classes_.data();
  }
  bool left_out = false;
  for (int64_t i = 0; i < rows.count; ++i) left_out |= rows.classes[i] < 0;
  if (!left_out) return;
  for (int64_t i = 0; i < rows.count; ++i) weights_[static_cast<size_t>(i)] = rows.classes[i] < 0 ? 0 : rows.weights[i];
  rows.weights = weights_.data();
}

/// Values are read where they stand, if they follow each other; labels become 0 and 1.
template <class T>
void Sums::load_truth(Rows& rows, ConstMatrix truth, const int64_t* order, int64_t first) {
  const int64_t columns = plan_.columns;
  if (plan_.kind == Kind::values && !order) {
    rows.truth = rows_from(truth, first, rows.count, dtype());
    return;
  }
  rows.truth = {truth_.data(), rows.count, columns, columns};
  T* to = reinterpret_cast<T*>(truth_.data());
  bool same = true;
  const auto copy = [&](const T* from, int64_t n) {
    if (plan_.kind == Kind::values) {
      std::copy(from, from + n, to);
    } else {
      for (int64_t i = 0; i < n; ++i) to[i] = from[i] > T(0.5) ? T(1) : T(0);
      for (int64_t i = 0; i < n; ++i) same &= to[i] == from[i];
    }
    to += n;
  };
  if (!order && truth.stride == columns)
    copy(row_of<T>(truth, first), rows.count * columns);
  else
    for (int64_t i = 0; i < rows.count; ++i) copy(row_of<T>(truth, order ? order[i] : first + i), columns);
  if (!same) rows.log_losses = {};  // they are of other answers
}

/// Log losses of the rows, where a link says which probabilities outputs stand for.
void Sums::find_log_losses(Rows& rows) {
  if (plan_.link == Link::softmax) {
    const int32_t* known = rows.classes;
    if (rows.weights == weights_.data()) {  // perhaps some are left out
      for (int64_t i = 0; i < rows.count; ++i) known_classes_[static_cast<size_t>(i)] = std::max(rows.classes[i], 0);
      known = known_classes_.data();
    }
    device_->loss(losses_.data(), {}, rows.outputs, {{}, known}, nullptr, 1, {math::LossId::CrossEntropy, {}, {}});
    rows.log_losses.rows = losses_.data();
  } else if (plan_.link == Link::sigmoid) {
    device_->loss(losses_.data(), {}, rows.outputs, {rows.truth}, nullptr, 1, {math::LossId::BceWithLogits, {1.0}, {}});
    rows.log_losses.rows = losses_.data();
  }
}

void Sums::link(Rows& rows) {
  const Matrix y{linked_.data(), rows.count, plan_.columns, plan_.columns};
  rows.linked = plan_.link == Link::none ? rows.outputs : y;
  if (plan_.link == Link::exp) device_->activate(y, rows.outputs, {math::ActivationId::Exp, {}});
  if (plan_.link == Link::sigmoid) device_->activate(y, rows.outputs, {math::ActivationId::Sigmoid, {}});
  if (plan_.link == Link::softmax) device_->softmax(y, rows.outputs);
}

template <class T>
void Sums::add_slab(const Rows& rows) {
  slab_[0] = rows.weights == ones_.data() ? static_cast<double>(rows.count)
                                          : sum_of(rows.count, [&](int64_t i) { return rows.weights[i]; });
  if (plan_.kind == Kind::values) return add_errors<T>(rows);
  if (plan_.has(kHits) && plan_.kind == Kind::classes) count_classes<T>(rows);
  if (plan_.has(kHits) && plan_.kind == Kind::labels) count_labels<T>(rows);
  if (plan_.has(kRight)) count_right<T>(rows);
  if (plan_.has(kRanks)) rank<T>(rows);
  if (plan_.has(kLogLoss)) add_log_losses<T>(rows);
  if (plan_.has(kBrier)) add_brier<T>(rows);
}

template <class T>
void Sums::count_classes(const Rows& rows) {
  double *const hits = of(slab_, kHits).data(), *const predicted = of(slab_, kPredicted).data(),
                *const have = of(slab_, kTrue).data(), *const occurring = of(slab_, kOccurring).data();
  for (int64_t i = 0; i < rows.count; ++i) {
    const int32_t label = rows.classes[i];
    if (label < 0) continue;
    const double weight = rows.weights[i];
    const int64_t given = largest_of(row_of<T>(rows.outputs, i), plan_.columns, label);
    hits[label] += given == label ? weight : 0;
    predicted[given] += weight;
    have[label] += weight;
    occurring[label] = occurring[given] = 1;
  }
}

/// A single column has two labels; of several, each is one.
template <class T>
void Sums::count_labels(const Rows& rows) {
  const int64_t columns = plan_.columns;
  const T threshold = static_cast<T>(plan_.threshold);
  const std::span<double> hits = of(slab_, kHits), predicted = of(slab_, kPredicted), have = of(slab_, kTrue),
                          occurring = of(slab_, kOccurring);
  for (int64_t c = 0; c < columns; ++c) {
    constexpr int64_t lanes = 4;  // as in sum_of
    double cells[lanes][4] = {};  // by 2 given + had
    unsigned seen = 0;
    for (int64_t i = 0; i < rows.count; ++i) {
      const bool given = row_of<T>(rows.outputs, i)[c] > threshold, had = row_of<T>(rows.truth, i)[c] != 0;
      const unsigned cell = 2u * given + had;
      cells[i % lanes][cell] += rows.weights[i];
      seen |= 1u << cell;
    }
    const auto sum = [&](int cell) { return (cells[0][cell] + cells[1][cell]) + (cells[2][cell] + cells[3][cell]); };
    const double neither = sum(0), only_had = sum(1), only_given = sum(2), both = sum(3);
    const auto label = static_cast<size_t>(columns == 1 ? 1 : c);
    hits[label] = both;
    predicted[label] = both + only_given;
    have[label] = both + only_had;
    occurring[label] = columns > 1 || (seen & 0b1110) != 0;
    if (columns > 1) continue;
    hits[0] = neither;
    predicted[0] = neither + only_had;
    have[0] = neither + only_given;
    occurring[0] = (seen & 0b0111) != 0;
  }
}

template <class T>
void Sums::count_right(const Rows& rows) {
  const int64_t columns = plan_.columns;
  const T threshold = static_cast<T>(plan_.threshold);
  const auto right = [&](int64_t i) {
    const T* const x = row_of<T>(rows.outputs, i);
    if (plan_.kind == Kind::classes) return rows.classes[i] >= 0 && ahead_of(x, rows.classes[i], columns, false) == 0;
    const T* const truth = row_of<T>(rows.truth, i);
    bool wrong = false;
    for (int64_t c = 0; c < columns; ++c) wrong |= (x[c] > threshold) != (truth[c] != 0);
    return !wrong;
  };
  of(slab_, kRight)[0] = sum_of(rows.count, [&](int64_t i) { return rows.weights[i] * static_cast<double>(right(i)); });
}

/// Of equal scores, those of later classes come first.
template <class T>
void Sums::rank(const Rows& rows) {
  const std::span<double> ranks = of(slab_, kRanks);
  for (int64_t i = 0; i < rows.count; ++i) {
    const T* const x = row_of<T>(rows.outputs, i);
    const int32_t label = rows.classes[i];
    if (label < 0) continue;
    const int64_t ahead = ahead_of(x, label, plan_.columns, true);
    ranks[static_cast<size_t>(ahead)] += rows.weights[i];
  }
}

template <class T>
void Sums::add_log_losses(const Rows& rows) {
  double& sum = of(slab_, kLogLoss)[0];
  if (const T* const losses = static_cast<const T*>(rows.log_losses.rows)) {
    sum = sum_of(rows.count, [&](int64_t i) { return rows.weights[i] * static_cast<double>(losses[i]); });
    return;
  }
  // Outputs are probabilities. Clipped as in scikit-learn, by their resolution.
  const auto loss = [](T p) {
    return -std::log(std::clamp<double>(static_cast<double>(p), std::numeric_limits<T>::epsilon(), 1));
  };
  for (int64_t i = 0; i < rows.count; ++i) {
    const T* const p = row_of<T>(rows.outputs, i);
    if (plan_.kind == Kind::classes) {
      if (rows.classes[i] >= 0) sum += rows.weights[i] * loss(p[rows.classes[i]]);
      continue;
    }
    const T* const truth = row_of<T>(rows.truth, i);
    double row = 0;
    for (int64_t c = 0; c < plan_.columns; ++c) row += loss(truth[c] != 0 ? p[c] : 1 - p[c]);
    sum += rows.weights[i] * (row / static_cast<double>(plan_.columns));
  }
}

template <class T>
void Sums::add_brier(const Rows& rows) {
  const int64_t columns = plan_.columns;
  const bool labels = plan_.kind == Kind::labels;
  // The gradient of a log loss is the probability less the answer; of several labels, the mean over them.
  const ConstMatrix slopes = rows.log_losses.gradient;
  const T* const scales = static_cast<const T*>(rows.log_losses.scales);
  const double unit = (labels ? static_cast<double>(columns) : 1) / rows.log_losses.scale;
  const auto unit_of = [&](int64_t i) {
    return scales ? rows.log_losses.scale * unit / static_cast<double>(scales[i]) : unit;
  };
  const auto squared = [](double x) { return x * x; };
  double& sum = of(slab_, kBrier)[0];
  if (labels) {
    for (int64_t c = 0; c < columns; ++c)
      sum += sum_of(rows.count, [&](int64_t i) {
        if (rows.weights[i] == 0) return 0.0;
        const double apart = slopes.data
                                 ? static_cast<double>(row_of<T>(slopes, i)[c]) * unit_of(i)
                                 : static_cast<double>(row_of<T>(rows.linked, i)[c] - row_of<T>(rows.truth, i)[c]);
        return rows.weights[i] * squared(apart);
      });
    sum /= static_cast<double>(columns);
    return;
  }
  for (int64_t i = 0; i < rows.count; ++i) {
    if (rows.weights[i] == 0) continue;
    const T* const x = row_of<T>(slopes.data ? slopes : rows.linked, i);
    const double squares = sum_of(columns, [&](int64_t c) { return squared(static_cast<double>(x[c])); });
    const double brier =
        slopes.data ? squares * squared(unit_of(i)) : squares + (1 - 2 * static_cast<double>(x[rows.classes[i]]));
    sum += rows.weights[i] * brier;
  }
}

template <class T>
void Sums::add_errors(const Rows& rows) {
  const int64_t n = rows.count;
  const double* const weights = rows.weights;
  for (int64_t c = 0; c < plan_.columns; ++c) {
    const T* const values = static_cast<const T*>(rows.linked.data) + c;
    const T* const truths = static_cast<const T*>(rows.truth.data) + c;
    const auto truth = [&](int64_t i) { return static_cast<double>(truths[i * rows.truth.stride]); };
    const auto apart = [&](int64_t i) { return truth(i) - static_cast<double>(values[i * rows.linked.stride]); };
    const auto at = [&](Section section) -> double& { return of(slab_, section)[static_cast<size_t>(c)]; };
    if (plan_.has(kAbsolute)) at(kAbsolute) = sum_of(n, [&](int64_t i) { return weights[i] * std::abs(apart(i)); });
    if (plan_.has(kSquares)) at(kSquares) = sum_of(n, [&](int64_t i) { return weights[i] * (apart(i) * apart(i)); });
    if (plan_.has(kRelative)) {
      constexpr double least = std::numeric_limits<double>::epsilon();
      at(kRelative) =
          sum_of(n, [&](int64_t i) { return weights[i] * (std::abs(apart(i)) / std::max(std::abs(truth(i)), least)); });
    }
    if (plan_.has(kMean) && slab_[0] > 0) {
      const double some = truth(0);  // so that the mean of equal numbers is no other
      const double mean = some + sum_of(n, [&](int64_t i) { return weights[i] * (truth(i) - some); }) / slab_[0];
      at(kMean) = mean;
      at(kDeviations) = sum_of(n, [&](int64_t i) { return weights[i] * ((truth(i) - mean) * (truth(i) - mean)); });
    }
  }
}

}  // namespace whet::metrics
