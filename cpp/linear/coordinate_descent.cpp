#include "linear/coordinate_descent.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linear/sums.h"

namespace whet::linear {

namespace {

double size(const double* x, int64_t n) { return dot(x, x, n); }

/// What the residual r = y - X w tells of the objective.
struct Residual {
  double squares, times_y;
};

/// X, y and the residual themselves.
class Columns {
 public:
  Columns(const double* x, std::span<const double> y, std::span<double> residual)
      : x_(x), y_(y), residual_(residual), n_(static_cast<int64_t>(y.size())) {}

  void start(std::span<const double> w) {
    std::copy(y_.begin(), y_.end(), residual_.begin());
    for (int64_t j = 0; j < static_cast<int64_t>(w.size()); ++j)
      if (w[static_cast<size_t>(j)] != 0) move(j, w[static_cast<size_t>(j)]);
  }
  double norm(int64_t j) const { return size(x_ + j * n_, n_); }
  double slope(int64_t j) const { return dot(x_ + j * n_, residual_.data(), n_); }
  void move(int64_t j, double change) { add(residual_.data(), -change, x_ + j * n_, n_); }
  Residual residual(std::span<const double>) const {
    return {size(residual_.data(), n_), dot(residual_.data(), y_.data(), n_)};
  }
  double y_squares() const { return size(y_.data(), n_); }

 private:
  const double* x_;
  std::span<const double> y_;
  std::span<double> residual_;
  int64_t n_;
};

/// Sparse columns Z and the residual of Z alone, s = y - Z w. With the means m, X = Z - roots m^T and r = s + roots m
/// w. As roots Z = W m and roots y = 0, W the weight of all rows, nothing of r needs the roots: they add up to roots s
/// = -W m w.
class Sparse {
 public:
  Sparse(const SparseColumns& x, std::span<const double> y, std::span<double> residual)
      : x_(x), y_(y), residual_(residual) {}

  void start(std::span<const double> w) {
    std::copy(y_.begin(), y_.end(), residual_.begin());
    along_ = 0;
    for (int64_t j = 0; j < static_cast<int64_t>(w.size()); ++j)
      if (w[static_cast<size_t>(j)] != 0) move(j, w[static_cast<size_t>(j)]);
  }
  double norm(int64_t j) const {
    const double squares = over(j, [&](int64_t i) { return x_.values[i] * x_.values[i]; });
    return std::max(0.0, squares - x_.weight * mean(j) * mean(j));
  }
  double slope(int64_t j) const {
    return over(j, [&](int64_t i) { return x_.values[i] * residual_[static_cast<size_t>(x_.rows[i])]; }) +
           x_.weight * mean(j) * along_;
  }
  void move(int64_t j, double change) {
    for (int64_t i = x_.start[j]; i < x_.start[j + 1]; ++i)
      residual_[static_cast<size_t>(x_.rows[i])] -= change * x_.values[i];
    along_ += change * mean(j);
  }
  Residual residual(std::span<const double>) const {
    const auto n = static_cast<int64_t>(y_.size());
    const double squares = size(residual_.data(), n) - x_.weight * along_ * along_;
    return {std::max(0.0, squares), dot(residual_.data(), y_.data(), n)};
  }
  double y_squares() const { return size(y_.data(), static_cast<int64_t>(y_.size())); }

 private:
  double mean(int64_t j) const { return x_.means[static_cast<size_t>(j)]; }

  template <class Term>
  double over(int64_t j, Term term) const {
    double found = 0;
    for (int64_t i = x_.start[j]; i < x_.start[j + 1]; ++i) found += term(i);
    return found;
  }

  SparseColumns x_;
  std::span<const double> y_;
  std::span<double> residual_;
  double along_ = 0;  // m w
};

/// X^T X, X^T y, and X^T r.
class Gram {
 public:
  Gram(const double* gram, std::span<const double> q, double y_squares, std::span<double> gradient)
      : gram_(gram), q_(q), y_squares_(y_squares), gradient_(gradient), p_(static_cast<int64_t>(q.size())) {}

  void start(std::span<const double> w) {
    std::copy(q_.begin(), q_.end(), gradient_.begin());
    for (int64_t j = 0; j < p_; ++j)
      if (w[static_cast<size_t>(j)] != 0) move(j, w[static_cast<size_t>(j)]);
  }
  double norm(int64_t j) const { return gram_[j * p_ + j]; }
  double slope(int64_t j) const { return gradient_[static_cast<size_t>(j)]; }
  void move(int64_t j, double change) { add(gradient_.data(), -change, gram_ + j * p_, p_); }
  Residual residual(std::span<const double> w) const {
    const double wq = dot(w.data(), q_.data(), p_), wg = dot(w.data(), gradient_.data(), p_);
    return {std::max(0.0, y_squares_ - wq - wg), y_squares_ - wq};  // w X^T X w = w q - w g
  }
  double y_squares() const { return y_squares_; }

 private:
  const double* gram_;
  std::span<const double> q_;
  double y_squares_;
  std::span<double> gradient_;
  int64_t p_;
};

/// The gap to a dual point: the residual, scaled until no column is steeper than l1. Without l1, that of the ridge
/// regression; without both, the gradient's square.
template <class Data>
double gap(const Data& data, std::span<const double> w, const ElasticNet& e) {
  const auto p = static_cast<int64_t>(w.size());
  const Residual r = data.residual(w);
  const double w_squares = size(w.data(), p);
  double steepest = 0, squares = 0;
  for (int64_t j = 0; j < p; ++j) {
    const double slope = data.slope(j) - (e.l1 > 0 ? e.l2 * w[static_cast<size_t>(j)] : 0);
    steepest = std::max(steepest, e.positive ? slope : std::abs(slope));
    squares += slope * slope;
  }
  if (e.l1 == 0) return e.l2 == 0 ? squares : r.squares + 0.5 * e.l2 * w_squares - r.times_y + squares / (2 * e.l2);
  const double scale = steepest > e.l1 ? e.l1 / steepest : 1;
  const double absolute = sum(p, [&](int64_t j) { return std::abs(w[static_cast<size_t>(j)]); });
  return 0.5 * (1 + scale * scale) * (r.squares + e.l2 * w_squares) + e.l1 * absolute - scale * r.times_y;
}

/// The best value of a coordinate, all others as they are.
double best(double slope, double norm, const ElasticNet& e) {
  if (e.positive && slope < 0) return 0;
  return std::copysign(std::max(std::abs(slope) - e.l1, 0.0), slope) / (norm + e.l2);
}

template <class Data>
Descent descend(std::span<double> w, Data data, const ElasticNet& e, Watch& watch) {
  const auto p = static_cast<int64_t>(w.size());
  data.start(w);
  const double goal = e.tolerance * data.y_squares();
  Descent found{gap(data, w, e), 0, false};
  found.converged = found.gap >= 0 && found.gap <= goal;
  uint64_t state = e.seed | 1;
  while (!found.converged && found.sweeps < e.max_sweeps) {
    double largest = 0, change = 0;
    for (int64_t i = 0; i < p; ++i) {
      int64_t j = i;
      if (e.random) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        j = static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(p));
      }
      const double norm = data.norm(j);
      if (norm == 0) continue;
      double& value = w[static_cast<size_t>(j)];
      const double next = best(data.slope(j) + value * norm, norm, e), step = next - value;
      if (step != 0) data.move(j, step);
      value = next;
      change = std::max(change, std::abs(step));
      largest = std::max(largest, std::abs(next));
      if ((i & 63) == 0) watch.poll();
    }
    ++found.sweeps;
    if (largest == 0 || change <= e.tolerance * largest || found.sweeps == e.max_sweeps) {
      found.gap = gap(data, w, e);
      found.converged = found.gap <= goal;
    }
  }
  return found;
}

}  // namespace

Descent descend_columns(std::span<double> w, const double* x, std::span<const double> y, std::span<double> residual,
                        const ElasticNet& problem, Watch& watch) {
  return descend(w, Columns(x, y, residual), problem, watch);
}

Descent descend_sparse(std::span<double> w, const SparseColumns& x, std::span<const double> y,
                       std::span<double> residual, const ElasticNet& problem, Watch& watch) {
  return descend(w, Sparse(x, y, residual), problem, watch);
}

Descent descend_gram(std::span<double> w, const double* gram, std::span<const double> q, double y_squares,
                     std::span<double> gradient, const ElasticNet& problem, Watch& watch) {
  return descend(w, Gram(gram, q, y_squares, gradient), problem, watch);
}

}  // namespace whet::linear
