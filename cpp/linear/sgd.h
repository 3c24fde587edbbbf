#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <variant>

#include "graph/watch.h"

namespace whet::linear {

/// The loss of a prediction p for a target y, +1 or -1 of a classifier.
enum class RowLoss {
  hinge,
  perceptron,
  squared_hinge,
  log_loss,
  modified_huber,
  squared_error,
  huber,
  epsilon_insensitive,
  squared_epsilon_insensitive
};

enum class Rate { constant, optimal, invscaling, adaptive, pa1, pa2 };

/// Rows in C order, (n, p), or compressed: row i has data[start[i]] to data[start[i + 1]] at the columns in `index`.
template <class T>
struct RowsOf {
  const T* data;
  const int32_t* index;  // null for dense rows
  const int32_t* start;
  int64_t n, p;
};

/// Stochastic gradient descent, a row at a time (Bottou, "Stochastic gradient descent tricks", 2012).
struct RowDescent {
  RowLoss loss;
  double epsilon;  // of the losses that have one
  bool penalised;  // whether alpha counts
  double alpha, l1_ratio;
  Rate rate;
  double eta0, power_t;
  bool intercept;
  double intercept_decay;
  bool shuffle;
  uint32_t seed;
  int64_t max_epochs, patience;
  double tolerance;  // minus infinity for none
  int64_t average;   // updates before averaging starts; 0 for none
  double positive_weight, negative_weight;
};

/// What it leaves besides the weights.
struct RowDescentEnd {
  double intercept, average_intercept;
  int64_t epochs;
  bool finite;
};

/// Weights (p), and their average (p) where one is asked for, are changed in place. `held` (n) marks rows that are not
/// learned from. After every epoch, `told`, if given, is called with what there is by then, and says whether to end;
/// `score`, if given, is called with the intercept, and decides about the end in place of the loss.
template <class T>
RowDescentEnd descend_rows(std::span<double> w, std::span<double> average, RowDescentEnd begin, const RowsOf<T>& x,
                           const double* y, const double* weights, const uint8_t* held, double t, const RowDescent& how,
                           const std::function<bool(const RowDescentEnd&)>& told,
                           const std::function<double(double)>& score, Watch& watch);

}  // namespace whet::linear
