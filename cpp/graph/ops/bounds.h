#pragma once

#include <cmath>

#include "device/device.h"

/// Bounds of a gradient's elements from norms of what it is made of (Cauchy and Schwarz). A step has to know that its
/// gradient is finite; of a large weight and few rows, that takes far less reading than the gradient itself.
namespace whet {

/// Whether to read `elements` for a bound of so many elements of a gradient, which are read from memory otherwise.
inline bool is_worth_a_bound(int64_t elements, int64_t of_gradient) {
  constexpr int64_t in_cache = 1 << 16, far_less = 4;
  return of_gradient > in_cache && elements < of_gradient / far_less;
}

/// The root of the sum of all squares: not finite if an element is not.
inline double norm(Device& device, ConstMatrix x) {
  const auto stride = static_cast<size_t>(x.stride) * size_of(device.dtype());
  const auto* row = static_cast<const std::byte*>(x.data);
  double sum = 0;
  for (int64_t i = 0; i < x.rows; ++i, row += stride) sum += device.sum_of_squares(row, x.cols);
  return std::sqrt(sum);
}

inline double norm(Device& device, const SparseMatrix& x) {
  double sum = 0;
  for (int64_t i = 0; i < x.rows; ++i) {
    const auto* const values =
        static_cast<const std::byte*>(x.values) + static_cast<size_t>(x.first(i)) * size_of(device.dtype());
    sum += device.sum_of_squares(values, x.end(i) - x.first(i));
  }
  return std::sqrt(sum);
}

}  // namespace whet
