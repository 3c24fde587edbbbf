#include "metrics/sums.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace whet::metrics {

namespace {

/// Elements that a device is given at once: enough for its threads, and still in cache when they are summed.
constexpr int64_t kChunkElements = int64_t{1} << 16;
constexpr int64_t kMostSlabs = 16;

/// The sum of value(0) ... value(n - 1), in eight lanes: a single chain would wait for each addition.
template <class Value>
double sum_of(int64_t n, const Value& value) {
  constexpr int64_t lanes = 8;
  double sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int64_t k = 0; k < lanes; ++k) sums[k] += value(i + k);
  for (; i < n; ++i) sums[i % lanes] += value(i);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/// The first of the largest.
template <class T>
int64_t largest_of(const T* x, int64_t n) {
  int64_t best = 0;
  T most = x[0];
  for (int64_t j = 1; j < n; ++j) {
    const bool above = x[j] > most;
    best = above ? j : best;
    most = above ? x[j] : most;
  }
  return best;
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

void Sums::add(ConstMatrix outputs, const Answers& answers, const int64_t* order, int64_t first) {
  outputs.data =
      static_cast<const std::byte*>(outputs.data) + static_cast<size_t>(plan_.first) * whet::size_of(dtype());
  outputs.cols = plan_.columns;
  for (int64_t row = 0; row < outputs.rows; row += chunk_rows_) {
    const ConstMatrix chunk = rows_from(outputs, row, std::min(chunk_rows_, outputs.rows - row), dtype());
    const int64_t* const places = order ? order + row : nullptr;
    if (dtype() == DType::float32)
      add_chunk<float>(chunk, answers, places, first + row);
    else
      add_chunk<double>(chunk, answers, places, first + row);
  }
}

/// Brings answers and weights into the order of the outputs, where they lie side by side.
template <class T>
void Sums::load(const Answers& answers, const int64_t* order, int64_t first, int64_t rows) {
  const auto place = [&](int64_t i) { return order ? order[i] : first + i; };
  const T* const weights = static_cast<const T*>(answers.weights);
  for (int64_t i = 0; i < rows; ++i)
    weights_[static_cast<size_t>(i)] = weights ? static_cast<double>(weights[place(i)]) : 1.0;
  if (plan_.kind == Kind::classes) {
    for (int64_t i = 0; i < rows; ++i) {
      const int32_t label = answers.target.classes[place(i)];
      const auto at = static_cast<size_t>(i);
      classes_[at] = label;
      known_classes_[at] = std::max(label, 0);
      if (label < 0) weights_[at] = 0;
    }
    return;
  }
  T* to = reinterpret_cast<T*>(truth_.data());
  for (int64_t i = 0; i < rows; ++i, to += plan_.columns) {
    const T* const from = row_of<T>(answers.target.values, place(i));
    for (int64_t c = 0; c < plan_.columns; ++c)
      to[c] = plan_.kind == Kind::values ? from[c] : static_cast<T>(from[c] > T(0.5));
  }
}

/// What the link makes of outputs.
template <class T>
ConstMatrix Sums::linked(ConstMatrix outputs) {
  const Matrix y{linked_.data(), outputs.rows, outputs.cols, outputs.cols};
  switch (plan_.link) {
    case Link::none:
      return outputs;
    case Link::exp:
      device_->activate(y, outputs, {math::ActivationId::Exp, {}});
      return y;
    case Link::sigmoid:
      device_->activate(y, outputs, {math::ActivationId::Sigmoid, {}});
      return y;
    case Link::softmax:
      device_->softmax(y, outputs);
      return y;
  }
  return outputs;
}

template <class T>
void Sums::add_chunk(ConstMatrix outputs, const Answers& answers, const int64_t* order, int64_t first) {
  load<T>(answers, order, first, outputs.rows);
  if (plan_.has(kLogLoss) && plan_.link == Link::softmax) {
    device_->loss(losses_.data(), {}, outputs, {{}, known_classes_.data()}, nullptr, 1,
                  {math::LossId::CrossEntropy, {}, {}});
  } else if (plan_.has(kLogLoss) && plan_.link == Link::sigmoid) {
    const ConstMatrix truth{truth_.data(), outputs.rows, plan_.columns, plan_.columns};
    device_->loss(losses_.data(), {}, outputs, {truth}, nullptr, 1, {math::LossId::BceWithLogits, {1.0}, {}});
  }
  const bool links = plan_.kind == Kind::values || plan_.has(kBrier);
  const ConstMatrix likely = links ? linked<T>(outputs) : outputs;
  for (int64_t row = 0; row < outputs.rows; row += kSlabRows) {
    const int64_t rows = std::min(kSlabRows, outputs.rows - row);
    std::fill(slab_.begin(), slab_.end(), 0.0);
    add_slab<T>(rows_from(outputs, row, rows, dtype()), rows_from(likely, row, rows, dtype()), row, rows);
    merge(part_, slab_);
  }
}

/// Rows of the chunk from `first`.
template <class T>
void Sums::add_slab(ConstMatrix outputs, ConstMatrix likely, int64_t first, int64_t rows) {
  const double* const weights = weights_.data() + first;
  slab_[0] = sum_of(rows, [&](int64_t i) { return weights[i]; });
  if (plan_.kind == Kind::values) return add_errors<T>(likely, first, rows);
  if (plan_.has(kHits) && plan_.kind == Kind::classes) count_classes<T>(outputs, first, rows);
  if (plan_.has(kHits) && plan_.kind == Kind::labels) count_labels<T>(outputs, first, rows);
  if (plan_.has(kRanks)) rank<T>(outputs, first, rows);
  if (plan_.has(kLogLoss)) add_log_loss<T>(outputs, first, rows);
  if (plan_.has(kBrier)) add_brier<T>(likely, first, rows);
}

template <class T>
void Sums::count_classes(ConstMatrix outputs, int64_t first, int64_t rows) {
  double *const hits = of(slab_, kHits).data(), *const predicted = of(slab_, kPredicted).data(),
                *const have = of(slab_, kTrue).data(), *const occurring = of(slab_, kOccurring).data();
  double right = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const int32_t label = classes_[static_cast<size_t>(first + i)];
    if (label < 0) continue;
    const double weight = weights_[static_cast<size_t>(first + i)];
    const int64_t given = largest_of(row_of<T>(outputs, i), plan_.columns);
    const double hit = given == label ? weight : 0;
    hits[label] += hit;
    right += hit;
    predicted[given] += weight;
    have[label] += weight;
    occurring[label] = occurring[given] = 1;
  }
  of(slab_, kRight)[0] = right;
}

/// A single column has two labels; of several, each is one.
template <class T>
void Sums::count_labels(ConstMatrix outputs, int64_t first, int64_t rows) {
  const int64_t columns = plan_.columns;
  const T threshold = static_cast<T>(plan_.threshold);
  const double* const weights = weights_.data() + first;
  const T* const truth = reinterpret_cast<const T*>(truth_.data()) + first * columns;
  const std::span<double> hits = of(slab_, kHits), predicted = of(slab_, kPredicted), have = of(slab_, kTrue),
                          occurring = of(slab_, kOccurring), right = of(slab_, kRight);
  for (int64_t c = 0; c < columns; ++c) {
    constexpr int64_t lanes = 4;  // as in sum_of
    double cells[lanes][4] = {};  // by 2 given + had
    unsigned seen = 0;
    for (int64_t i = 0; i < rows; ++i) {
      const unsigned cell = 2u * (row_of<T>(outputs, i)[c] > threshold) + (truth[i * columns + c] != 0);
      cells[i % lanes][cell] += weights[i];
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
    right[0] = both + neither;
  }
  if (columns == 1) return;
  for (int64_t i = 0; i < rows; ++i) {
    bool wrong = false;
    for (int64_t c = 0; c < columns; ++c)
      wrong |= (row_of<T>(outputs, i)[c] > threshold) != (truth[i * columns + c] != 0);
    right[0] += wrong ? 0 : weights[i];
  }
}

/// Of equal scores, those of later classes come first.
template <class T>
void Sums::rank(ConstMatrix outputs, int64_t first, int64_t rows) {
  const std::span<double> ranks = of(slab_, kRanks);
  for (int64_t i = 0; i < rows; ++i) {
    const T* const x = row_of<T>(outputs, i);
    const int32_t label = known_classes_[static_cast<size_t>(first + i)];
    int32_t ahead = 0;
    for (int64_t c = 0; c < label; ++c) ahead += x[c] > x[label];
    for (int64_t c = label + 1; c < plan_.columns; ++c) ahead += x[c] >= x[label];
    ranks[static_cast<size_t>(ahead)] += weights_[static_cast<size_t>(first + i)];
  }
}

template <class T>
void Sums::add_log_loss(ConstMatrix outputs, int64_t first, int64_t rows) {
  const double* const weights = weights_.data() + first;
  double& sum = of(slab_, kLogLoss)[0];
  if (plan_.link != Link::none) {
    const T* const losses = reinterpret_cast<const T*>(losses_.data()) + first;
    sum = sum_of(rows, [&](int64_t i) { return weights[i] * static_cast<double>(losses[i]); });
    return;
  }
  // Clipped as in scikit-learn, by the resolution of the outputs.
  const auto loss = [](double p) { return -std::log(std::clamp<double>(p, std::numeric_limits<T>::epsilon(), 1)); };
  const int64_t columns = plan_.columns;
  for (int64_t i = 0; i < rows; ++i) {
    const T* const p = row_of<T>(outputs, i);
    double row = 0;
    if (plan_.kind == Kind::classes) {
      row = loss(static_cast<double>(p[known_classes_[static_cast<size_t>(first + i)]]));
    } else {
      const T* const truth = reinterpret_cast<const T*>(truth_.data()) + (first + i) * columns;
      for (int64_t c = 0; c < columns; ++c) row += loss(static_cast<double>(truth[c] != 0 ? p[c] : 1 - p[c]));
      row /= static_cast<double>(columns);
    }
    sum += weights[i] * row;
  }
}

template <class T>
void Sums::add_brier(ConstMatrix likely, int64_t first, int64_t rows) {
  const double* const weights = weights_.data() + first;
  const int64_t columns = plan_.columns;
  double& sum = of(slab_, kBrier)[0];
  if (plan_.kind == Kind::labels) {
    const T* const truth = reinterpret_cast<const T*>(truth_.data()) + first * columns;
    for (int64_t c = 0; c < columns; ++c)
      sum += sum_of(rows, [&](int64_t i) {
        const double apart = static_cast<double>(truth[i * columns + c]) - static_cast<double>(row_of<T>(likely, i)[c]);
        return weights[i] * apart * apart;
      });
    sum /= static_cast<double>(columns);
    return;
  }
  // The sum over classes of (p - [class is true])^2.
  for (int64_t i = 0; i < rows; ++i) {
    const T* const p = row_of<T>(likely, i);
    const double squares =
        sum_of(columns, [&](int64_t c) { return static_cast<double>(p[c]) * static_cast<double>(p[c]); });
    const int32_t label = known_classes_[static_cast<size_t>(first + i)];
    sum += weights[i] * (squares + (1 - 2 * static_cast<double>(p[label])));
  }
}

template <class T>
void Sums::add_errors(ConstMatrix values, int64_t first, int64_t rows) {
  const double* const weights = weights_.data() + first;
  const int64_t columns = plan_.columns;
  const T* const truths = reinterpret_cast<const T*>(truth_.data()) + first * columns;
  for (int64_t c = 0; c < columns; ++c) {
    const auto truth = [&](int64_t i) { return static_cast<double>(truths[i * columns + c]); };
    const auto apart = [&](int64_t i) { return truth(i) - static_cast<double>(row_of<T>(values, i)[c]); };
    const auto at = [&](Section section) -> double& { return of(slab_, section)[static_cast<size_t>(c)]; };
    if (plan_.has(kAbsolute)) at(kAbsolute) = sum_of(rows, [&](int64_t i) { return weights[i] * std::abs(apart(i)); });
    if (plan_.has(kSquares)) at(kSquares) = sum_of(rows, [&](int64_t i) { return weights[i] * (apart(i) * apart(i)); });
    if (plan_.has(kRelative)) {
      constexpr double least = std::numeric_limits<double>::epsilon();
      at(kRelative) = sum_of(
          rows, [&](int64_t i) { return weights[i] * (std::abs(apart(i)) / std::max(std::abs(truth(i)), least)); });
    }
    if (plan_.has(kMean) && slab_[0] > 0) {
      const double some = truth(0);  // so that the mean of equal numbers is no other
      const double mean = some + sum_of(rows, [&](int64_t i) { return weights[i] * (truth(i) - some); }) / slab_[0];
      at(kMean) = mean;
      at(kDeviations) = sum_of(rows, [&](int64_t i) { return weights[i] * ((truth(i) - mean) * (truth(i) - mean)); });
    }
  }
}

}  // namespace whet::metrics
