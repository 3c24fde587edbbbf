#pragma once

#include <cstdint>
#include <span>

#include "graph/watch.h"

namespace whet::linear {

/// The elastic net: 1/2 |y - X w|^2 + l1 |w|_1 + l2 / 2 |w|^2, in double precision.
struct ElasticNet {
  double l1, l2;
  double tolerance;  // of the duality gap, as a share of |y|^2, and of the largest change of a sweep
  int64_t max_sweeps;
  bool positive;  // w >= 0
  bool random;    // coordinates are drawn, not taken in turn
  uint64_t seed;
};

/// How a descent ended.
struct Descent {
  double gap;  // the duality gap
  int64_t sweeps;
  bool converged;
};

/// Minimises from the `w` given, by columns: x is (n, p) in Fortran order, y (n). Work space: residual (n).
Descent descend_columns(std::span<double> w, const double* x, std::span<const double> y, std::span<double> residual,
                        const ElasticNet& problem, Watch& watch);

/// The columns of a sparse matrix, times the roots of the rows' weights, and what is taken away from them: the means
/// (p), each times the same roots, which are not needed themselves.
struct SparseColumns {
  const double* values;
  const int32_t* rows;   // of each value
  const int32_t* start;  // of each column among the values, p + 1
  std::span<const double> means;
  double weight;  // of all rows
};

/// The same by the columns of a sparse matrix, which stays so. y has mean 0 where there are means.
Descent descend_sparse(std::span<double> w, const SparseColumns& x, std::span<const double> y,
                       std::span<double> residual, const ElasticNet& problem, Watch& watch);

/// The same from gram = X^T X (p, p), q = X^T y and |y|^2. Work space: gradient (p). Faster where p is below n.
Descent descend_gram(std::span<double> w, const double* gram, std::span<const double> q, double y_squares,
                     std::span<double> gradient, const ElasticNet& problem, Watch& watch);

}  // namespace whet::linear
