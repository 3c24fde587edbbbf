#pragma once

#include <array>
#include <cstdint>

namespace whet {

/// The sum of f(0) to f(n - 1) in eight partial sums, which do not wait for each other.
template <class F>
inline double sum(int64_t n, F f) {
  std::array<double, 8> parts{};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int64_t k = 0; k < 8; ++k) parts[static_cast<size_t>(k)] += f(i + k);
  for (int64_t k = 0; i < n; ++i, ++k) parts[static_cast<size_t>(k)] += f(i);
  return ((parts[0] + parts[4]) + (parts[2] + parts[6])) + ((parts[1] + parts[5]) + (parts[3] + parts[7]));
}

}  // namespace whet
