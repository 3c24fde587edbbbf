#include "linear/sgd.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "linear/sums.h"

namespace whet::linear {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLargestSlope = 1e12;
constexpr double kSmallestScale = 1e-9;

double squared(double x) { return x * x; }

double loss(RowLoss kind, double epsilon, double y, double p) {
  const double z = y * p, far = std::abs(y - p);
  switch (kind) {
    case RowLoss::hinge:
      return std::max(0.0, 1 - z);
    case RowLoss::perceptron:
      return std::max(0.0, -z);
    case RowLoss::squared_hinge:
      return squared(std::max(0.0, 1 - z));
    case RowLoss::log_loss:
      return z > 0 ? std::log1p(std::exp(-z)) : std::log1p(std::exp(z)) - z;
    case RowLoss::modified_huber:
      return z >= 1 ? 0 : z >= -1 ? squared(1 - z) : -4 * z;
    case RowLoss::squared_error:
      return 0.5 * squared(far);
    case RowLoss::huber:
      return far <= epsilon ? 0.5 * squared(far) : epsilon * (far - 0.5 * epsilon);
    case RowLoss::epsilon_insensitive:
      return std::max(0.0, far - epsilon);
    case RowLoss::squared_epsilon_insensitive:
      return squared(std::max(0.0, far - epsilon));
  }
  return 0;
}

/// Its derivative by p.
double slope(RowLoss kind, double epsilon, double y, double p) {
  const double z = y * p, d = p - y;
  switch (kind) {
    case RowLoss::hinge:
      return z <= 1 ? -y : 0;
    case RowLoss::perceptron:
      return z <= 0 ? -y : 0;
    case RowLoss::squared_hinge:
      return z < 1 ? -2 * y * (1 - z) : 0;
    case RowLoss::log_loss:
      return z > 0 ? -y * std::exp(-z) / (1 + std::exp(-z)) : -y / (1 + std::exp(z));
    case RowLoss::modified_huber:
      return z >= 1 ? 0 : z >= -1 ? -2 * y * (1 - z) : -4 * y;
    case RowLoss::squared_error:
      return d;
    case RowLoss::huber:
      return std::clamp(d, -epsilon, epsilon);
    case RowLoss::epsilon_insensitive:
      return d > epsilon ? 1 : d < -epsilon ? -1 : 0;
    case RowLoss::squared_epsilon_insensitive:
      return std::abs(d) > epsilon ? 2 * (d - std::copysign(epsilon, d)) : 0;
  }
  return 0;
}

/// scikit-learn's stream (Marsaglia, "Xorshift RNGs", 2003): the same seed gives its order of rows.
class Shuffler {
 public:
  explicit Shuffler(uint32_t seed) : state_(seed == 0 ? 1 : seed) {}
  int64_t below(int64_t n) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return static_cast<int64_t>(state_ % (0x7fffffffU + 1U)) % n;
  }

 private:
  uint32_t state_;
};

/// One row, dense or not.
template <class T>
struct Row {
  const T* data;
  const int32_t* index;
  int64_t n;

  double dot(const double* w) const {
    if (index == nullptr) return linear::dot(data, w, n);
    return sum(n, [this, w](int64_t k) { return static_cast<double>(data[k]) * w[index[k]]; });
  }
  double squares() const { return linear::dot(data, data, n); }
  void add_to(double* w, double factor) const {
    if (index == nullptr)
      for (int64_t k = 0; k < n; ++k) w[k] += factor * static_cast<double>(data[k]);
    else
      for (int64_t k = 0; k < n; ++k) w[index[k]] += factor * static_cast<double>(data[k]);
  }
};

/// Weights as a vector times a scale, so that a decay of all of them is one product.
class Weights {
 public:
  explicit Weights(std::span<double> w) : w_(w), squares_(linear::dot(w.data(), w.data(), size())) {}

  int64_t size() const { return static_cast<int64_t>(w_.size()); }
  double scale() const { return scale_; }
  double* data() { return w_.data(); }
  double squares() const { return squares_; }
  double absolute() const {
    return std::abs(scale_) * sum(size(), [this](int64_t j) { return std::abs(w_[static_cast<size_t>(j)]); });
  }
  void decay(double factor) {
    scale_ *= factor;
    squares_ *= factor * factor;
    if (scale_ < kSmallestScale) settle();
  }
  /// w <- w + factor x, where `along` is x w.
  template <class T>
  void add(const Row<T>& x, double factor, double along) {
    x.add_to(w_.data(), factor / scale_);
    squares_ += factor * (2 * along + factor * x.squares());
  }
  void settle() {
    if (scale_ != 1)
      for (double& each : w_) each *= scale_;
    scale_ = 1;
  }

 private:
  std::span<double> w_;
  double scale_ = 1, squares_;
};

/// The cumulative penalty of the rows so far, taken from the columns of this row (Tsuruoka, Tsujii and Ananiadou,
/// "Stochastic gradient descent training for L1-regularized log-linear models with cumulative penalty", ACL 2009).
template <class T>
void shrink(Weights& w, std::vector<double>& taken, const Row<T>& row, double owed) {
  for (int64_t k = 0; k < row.n; ++k) {
    const auto j = static_cast<size_t>(row.index == nullptr ? k : row.index[k]);
    double& value = w.data()[j];
    const double before = value;
    if (value > 0)
      value = std::max(0.0, value - (owed + taken[j]) / w.scale());
    else if (value < 0)
      value = std::min(0.0, value + (owed - taken[j]) / w.scale());
    taken[j] += w.scale() * (value - before);
  }
}

/// The step along a row: minus the rate times the slope, or as far as a passive-aggressive update goes (Crammer et al.,
/// "Online passive-aggressive algorithms", JMLR 2006).
template <class T>
double step(const RowDescent& how, const Row<T>& row, double y, double p, double eta) {
  if (how.rate != Rate::pa1 && how.rate != Rate::pa2)
    return -eta * std::clamp(slope(how.loss, how.epsilon, y, p), -kLargestSlope, kLargestSlope);
  const double size = row.squares(), away = loss(how.loss, how.epsilon, y, p);
  if (how.rate == Rate::pa1 && size == 0) return 0;
  const double length = how.rate == Rate::pa1 ? std::min(how.eta0, away / size) : away / (size + 0.5 / how.eta0);
  return how.loss == RowLoss::hinge ? length * y : y < p ? -length : length;
}

}  // namespace

template <class T>
RowDescentEnd descend_rows(std::span<double> weights_of_columns, std::span<double> average, RowDescentEnd end,
                           const RowsOf<T>& x, const double* y, const double* weights, const uint8_t* held, double t,
                           const RowDescent& how, const std::function<bool(const RowDescentEnd&)>& told,
                           const std::function<double(double)>& score, Watch& watch) {
  Weights w(weights_of_columns);
  std::vector<int32_t> order(static_cast<size_t>(x.n));
  std::iota(order.begin(), order.end(), 0);
  const double l1 = how.penalised ? how.l1_ratio : 0, l2 = how.penalised ? 1 - how.l1_ratio : 0;
  std::vector<double> taken(l1 > 0 ? weights_of_columns.size() : 0);
  const int64_t learned = x.n - std::count_if(held, held + x.n, [](uint8_t each) { return each != 0; });
  const double typical = std::sqrt(1 / std::sqrt(how.alpha));
  const double first = typical / std::max(1.0, slope(how.loss, how.epsilon, 1, -typical));
  const double offset = 1 / (first * how.alpha);  // of t, where the rate is "optimal"
  double eta = how.eta0, owed = 0, best = kInfinity;
  int64_t without = 0, seen = 0;
  for (end.epochs = 0; end.epochs < how.max_epochs;) {
    ++end.epochs;
    double objective = 0;
    if (how.shuffle) {
      Shuffler random(how.seed);
      for (int64_t i = 0; i + 1 < x.n; ++i)
        std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i + random.below(x.n - i))]);
    }
    for (const int32_t i : order) {
      if (held[i] != 0) continue;
      if ((++seen & 63) == 0) watch.poll();
      const bool dense = x.index == nullptr;
      const int64_t from = dense ? i * x.p : x.start[i], n = dense ? x.p : x.start[i + 1] - from;
      const Row<T> row{x.data + from, dense ? nullptr : x.index + from, n};
      const double along = w.scale() * row.dot(w.data()), p = along + end.intercept;
      if (how.rate == Rate::optimal) eta = 1 / (how.alpha * (offset + t - 1));
      if (how.rate == Rate::invscaling) eta = how.eta0 / std::pow(t, how.power_t);
      if (!score) {
        objective += loss(how.loss, how.epsilon, y[i], p);
        if (how.rate != Rate::pa1 && how.rate != Rate::pa2)
          objective += how.alpha * (0.5 * l2 * w.squares() + (l1 > 0 ? l1 * w.absolute() : 0));
      }
      const double update =
          step(how, row, y[i], p, eta) * weights[i] * (y[i] > 0 ? how.positive_weight : how.negative_weight);
      const double decay = how.penalised ? std::max(0.0, 1 - l2 * eta * how.alpha) : 1;
      if (how.penalised) w.decay(decay);
      if (update != 0) w.add(row, update, along * decay);
      if (how.intercept) end.intercept += update * how.intercept_decay;
      if (how.average > 0 && static_cast<double>(how.average) <= t) {
        const double share = 1 / (t - static_cast<double>(how.average) + 1);
        for (size_t j = 0; j < average.size(); ++j) average[j] += (w.scale() * w.data()[j] - average[j]) * share;
        end.average_intercept += (end.intercept - end.average_intercept) * share;
      }
      if (l1 > 0) {
        owed += l1 * eta * how.alpha;
        shrink(w, taken, row, owed);
      }
      t += 1;
    }
    w.settle();
    end.finite = std::isfinite(end.intercept) &&
                 std::all_of(w.data(), w.data() + w.size(), [](double each) { return std::isfinite(each); });
    if (!end.finite || (told && told(end))) return end;
    const double value = score ? -score(end.intercept) : objective / static_cast<double>(learned);
    without = how.tolerance > -kInfinity && value > best - how.tolerance ? without + 1 : 0;
    best = std::min(best, value);
    if (without < how.patience) continue;
    if (how.rate != Rate::adaptive || eta <= 1e-6) break;
    eta /= 5;
    without = 0;
  }
  return end;
}

template RowDescentEnd descend_rows(std::span<double>, std::span<double>, RowDescentEnd, const RowsOf<float>&,
                                    const double*, const double*, const uint8_t*, double, const RowDescent&,
                                    const std::function<bool(const RowDescentEnd&)>&,
                                    const std::function<double(double)>&, Watch&);
template RowDescentEnd descend_rows(std::span<double>, std::span<double>, RowDescentEnd, const RowsOf<double>&,
                                    const double*, const double*, const uint8_t*, double, const RowDescent&,
                                    const std::function<bool(const RowDescentEnd&)>&,
                                    const std::function<double(double)>&, Watch&);

}  // namespace whet::linear
