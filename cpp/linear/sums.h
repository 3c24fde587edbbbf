#pragma once

#include <cstdint>

#include "core/sum.h"

namespace whet::linear {

template <class A, class B>
inline double dot(const A* a, const B* b, int64_t n) {
  return sum(n, [=](int64_t i) { return static_cast<double>(a[i]) * static_cast<double>(b[i]); });
}

/// y <- y + factor x.
inline void add(double* y, double factor, const double* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

}  // namespace whet::linear
