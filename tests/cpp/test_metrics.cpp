// What metrics are made of, beside loops in long double.
#include <algorithm>
#include <cmath>
#include <memory>

#include "check.h"
#include "core/random.h"
#include "device/cpu/cpu.h"
#include "metrics/roc_area.h"
#include "metrics/sums.h"

namespace {

using namespace whet;
using metrics::Kind;
using metrics::Link;
using metrics::Section;

/// Outputs of rows, their answers in another order, and the way from one to the other.
template <class T>
struct Rows {
  int64_t rows, columns, stride;
  std::vector<T> outputs, values, weights;
  std::vector<int32_t> classes;
  std::vector<int64_t> order;

  Rows(int64_t n, int64_t cols, Kind kind) : rows(n), columns(cols), stride(cols + 3) {
    uint64_t next = 0;
    const auto draw = [&] { return static_cast<T>(random_unit({.seed = 7}, next++) * 4 - 2); };
    for (int64_t i = 0; i < rows * stride; ++i) outputs.push_back(draw());
    for (int64_t i = 0; i < rows * columns; ++i)
      values.push_back(kind == Kind::labels ? T(draw() > 0) : i % 17 ? draw() : T(0));
    for (int64_t i = 0; i < rows; ++i) {
      weights.push_back(i % 5 ? draw() + 2 : T(0));
      classes.push_back(i % 11 ? static_cast<int32_t>((draw() + 2) / 4 * static_cast<T>(columns)) : -1);
      order.push_back((i * 7919 + 3) % rows);  // a prime that does not divide it
    }
  }
  static constexpr DType dtype = sizeof(T) == 4 ? DType::float32 : DType::float64;
  ConstMatrix matrix(int64_t first, int64_t n) const {
    return {outputs.data() + first * stride, n, columns + 1, stride};
  }
  metrics::Answers answers(bool weighed) const {
    return {{{values.data(), rows, columns, columns}, classes.data()}, weighed ? weights.data() : nullptr};
  }
};

metrics::Plan plan_of(Kind kind, Link link, int64_t columns) {
  metrics::Plan plan{kind, link, 1, columns, 0.25};
  for (const metrics::Want& want : metrics::kWants) {
    const bool of_values = want.first >= metrics::kAbsolute;
    if (of_values == (kind == Kind::values) && (kind == Kind::classes || want.first != metrics::kRanks))
      plan.want(want.name);
  }
  return plan;
}

/// The sums of rows that come in parts of uneven sizes.
template <class T>
std::vector<double> sums_of(const metrics::Plan& plan, const Rows<T>& rows, bool weighed, bool ordered) {
  metrics::Sums sums(plan, cpu_device(Rows<T>::dtype));
  for (int64_t first = 0, size = 1; first < rows.rows; first += size, size = size * 3 + 1) {
    const int64_t n = std::min(size, rows.rows - first);
    sums.begin();
    sums.add(rows.matrix(first / 2, n), rows.answers(weighed), nullptr, first);  // forgotten
    sums.begin();
    sums.add(rows.matrix(first, n), rows.answers(weighed), ordered ? rows.order.data() + first : nullptr, first);
    sums.commit();
  }
  return {sums.all().begin(), sums.all().end()};
}

/// The same by the formulas, each in a loop of its own.
template <class T>
class Formulas {
 public:
  Formulas(const metrics::Plan& plan, const Rows<T>& rows, bool weighed, bool ordered)
      : plan_(plan), rows_(rows), weighed_(weighed), ordered_(ordered) {}

  std::vector<long double> section(Section section, size_t size) const {
    std::vector<long double> found(size, 0);
    for (int64_t i = 0; i < rows_.rows; ++i)
      if (plan_.kind != Kind::classes || label(i) >= 0)
        for (size_t k = 0; k < size; ++k) found[k] += weight(i) * of_row(section, i, static_cast<int64_t>(k));
    const long double total = section == metrics::kTotal ? 1 : this->section(metrics::kTotal, 1)[0];
    if (section == metrics::kMean)
      for (auto& each : found) each /= total;
    return found;
  }

 private:
  int64_t at(int64_t i) const { return ordered_ ? rows_.order[static_cast<size_t>(i)] : i; }
  long double weight(int64_t i) const { return weighed_ ? rows_.weights[static_cast<size_t>(at(i))] : T(1); }
  int64_t label(int64_t i) const { return rows_.classes[static_cast<size_t>(at(i))]; }
  long double raw(int64_t i, int64_t c) const { return rows_.outputs[static_cast<size_t>(i * rows_.stride + 1 + c)]; }
  long double truth(int64_t i, int64_t c) const { return rows_.values[static_cast<size_t>(at(i) * rows_.columns + c)]; }
  int64_t columns() const { return rows_.columns; }

  long double linked(int64_t i, int64_t c) const {
    if (plan_.link == Link::exp) return std::exp(raw(i, c));
    if (plan_.link == Link::sigmoid) return 1 / (1 + std::exp(-raw(i, c)));
    if (plan_.link == Link::none) return raw(i, c);
    long double sum = 0;
    for (int64_t k = 0; k < columns(); ++k) sum += std::exp(raw(i, k));
    return std::exp(raw(i, c)) / sum;
  }
  bool given(int64_t i, int64_t k) const {
    if (plan_.kind == Kind::labels) {
      const bool above = raw(i, columns() == 1 ? 0 : k) > 0.25L;
      return columns() == 1 ? above == (k == 1) : above;
    }
    for (int64_t c = 0; c < columns(); ++c)
      if (raw(i, c) > raw(i, k) || (raw(i, c) == raw(i, k) && c < k)) return false;
    return true;
  }
  bool had(int64_t i, int64_t k) const {
    if (plan_.kind == Kind::classes) return label(i) == k;
    return columns() == 1 ? (truth(i, 0) != 0) == (k == 1) : truth(i, k) != 0;
  }
  long double of_row(Section section, int64_t i, int64_t k) const {
    const long double apart = plan_.kind == Kind::values ? truth(i, k % columns()) - linked(i, k % columns()) : 0;
    switch (section) {
      case metrics::kTotal:
        return 1;
      case metrics::kHits:
        return given(i, k) && had(i, k);
      case metrics::kPredicted:
        return given(i, k);
      case metrics::kTrue:
        return had(i, k);
      case metrics::kRight: {
        bool right = true;
        for (int64_t c = 0; c < columns(); ++c) right &= given(i, c) == had(i, c);
        return right;
      }
      case metrics::kRanks: {
        int64_t ahead = 0;
        for (int64_t c = 0; c < columns(); ++c) ahead += raw(i, c) > raw(i, label(i));
        return ahead == k;
      }
      case metrics::kLogLoss: {
        if (plan_.kind == Kind::classes) return -std::log(linked(i, label(i)));
        long double sum = 0;
        for (int64_t c = 0; c < columns(); ++c)
          sum -= std::log(truth(i, c) != 0 ? linked(i, c) : 1 - linked(i, c)) / static_cast<long double>(columns());
        return sum;
      }
      case metrics::kBrier: {
        long double sum = 0;
        for (int64_t c = 0; c < columns(); ++c) {
          const long double is = plan_.kind == Kind::classes ? label(i) == c : truth(i, c);
          sum += (is - linked(i, c)) * (is - linked(i, c));
        }
        return plan_.kind == Kind::classes ? sum : sum / static_cast<long double>(columns());
      }
      case metrics::kAbsolute:
        return std::abs(apart);
      case metrics::kRelative:
        return std::abs(apart) / std::max(std::abs(truth(i, k)), 2.220446049250313e-16L);
      case metrics::kSquares:
        return apart * apart;
      case metrics::kMean:
        return truth(i, k);
      default: {
        const long double mean = this->section(metrics::kMean, static_cast<size_t>(columns()))[static_cast<size_t>(k)];
        return (truth(i, k) - mean) * (truth(i, k) - mean);
      }
    }
  }

  const metrics::Plan& plan_;
  const Rows<T>& rows_;
  bool weighed_, ordered_;
};

template <class T>
void check_sums(Kind kind, Link link, int64_t columns, double tolerance) {
  const Rows<T> rows(kind == Kind::values && columns > 2 ? 300 : 700, columns, kind);
  const metrics::Plan plan = plan_of(kind, link, columns);
  for (const bool weighed : {false, true})
    for (const bool ordered : {false, true}) {
      cpu::set_num_threads(1);
      const std::vector<double> found = sums_of(plan, rows, weighed, ordered);
      cpu::set_num_threads(2);
      CHECK(same_bits(found, sums_of(plan, rows, weighed, ordered)), "threads");
      metrics::Sums sums(plan, cpu_device(Rows<T>::dtype));
      std::copy(found.begin(), found.end(), sums.all().begin());
      const Formulas<T> formulas(plan, rows, weighed, ordered);
      for (int s = 0; s < metrics::kSections; ++s) {
        const auto section = static_cast<Section>(s);
        const std::span<double> got = sums.section(section);
        if (section == metrics::kOccurring) {
          for (const double each : got) CHECK(each > 0);
          continue;
        }
        const std::vector<long double> want = formulas.section(section, got.size());
        for (size_t k = 0; k < got.size(); ++k) {
          const long double bound = tolerance * std::max(std::abs(want[k]), 1.0L);
          CHECK(std::abs(got[k] - want[k]) <= bound, "kind ", static_cast<int>(kind), " link ", static_cast<int>(link),
                " columns ", columns, " section ", s, " ", k, ": ", got[k], " not ", static_cast<double>(want[k]));
        }
      }
    }
}

TEST(sums_are_those_of_the_formulas) {
  for (const int64_t columns : {1, 3}) {
    check_sums<double>(Kind::values, Link::none, columns, 1e-13);
    check_sums<double>(Kind::values, Link::exp, columns, 1e-13);
    check_sums<double>(Kind::labels, Link::sigmoid, columns, 1e-13);
    check_sums<float>(Kind::values, Link::none, columns, 1e-13);
    check_sums<float>(Kind::labels, Link::sigmoid, columns, 1e-6);
  }
  check_sums<double>(Kind::classes, Link::softmax, 2, 1e-13);
  check_sums<double>(Kind::classes, Link::softmax, 7, 1e-13);
  check_sums<float>(Kind::classes, Link::softmax, 7, 1e-6);
}

TEST(equal_numbers_deviate_by_nothing) {
  const std::vector<double> truth(1000, 0.1), outputs(1000, 0.3);
  metrics::Plan plan;
  plan.want("deviations");
  metrics::Sums sums(plan, cpu_device(DType::float64));
  sums.begin();
  sums.add({outputs.data(), 1000, 1, 1}, {{{truth.data(), 1000, 1, 1}}}, nullptr, 0);
  sums.commit();
  CHECK(sums.section(metrics::kMean)[0] == 0.1 && sums.section(metrics::kDeviations)[0] == 0);
}

template <class T>
void check_area(int64_t n, int levels) {
  const auto count = static_cast<size_t>(n);
  std::vector<T> scores(count);
  std::vector<double> weights(count);
  const std::unique_ptr<bool[]> positive(new bool[count]);
  for (size_t i = 0; i < count; ++i) {
    const double drawn = random_unit({.seed = 3}, 3 * i) * 2 - 1;
    scores[i] = static_cast<T>(levels ? std::round(drawn * levels) / levels : drawn * 1e30);  // -0 and 0 are ties
    positive[i] = random_unit({.seed = 3}, 3 * i + 1) < 0.3;
    weights[i] = random_unit({.seed = 3}, 3 * i + 2);
  }
  for (const double* const w : {static_cast<const double*>(nullptr), static_cast<const double*>(weights.data())}) {
    long double wins = 0, pairs = 0;
    for (size_t i = 0; i < count; ++i)
      for (size_t j = 0; j < count; ++j) {
        if (!positive[i] || positive[j]) continue;
        const long double weight = w ? static_cast<long double>(w[i]) * w[j] : 1;
        pairs += weight;
        wins += weight * (scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5L : 0);
      }
    const double found = metrics::roc_area(scores.data(), positive.get(), w, n);
    if (pairs == 0)
      CHECK(std::isnan(found));
    else
      CHECK(std::abs(found - wins / pairs) < 1e-14L, n, " ", levels, ": ", found);
  }
}

TEST(areas_are_those_of_all_pairs) {
  for (const int64_t n : {0, 1, 2, 3, 50, 900})
    for (const int levels : {0, 1, 5, 1000}) {
      check_area<float>(n, levels);
      check_area<double>(n, levels);
    }
}

}  // namespace

int main() { return whet::run_tests(); }
