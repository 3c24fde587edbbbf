#include "core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace whet {

void random_permutation(const RandomKey& key, int64_t* order, int64_t n) {
  std::iota(order, order + n, int64_t{0});
  for (int64_t i = n - 1; i > 0;) {
    // One block of words has the numbers of two places.
    const auto words = random_block(key, static_cast<uint64_t>(i) / 2);
    for (int64_t half = i % 2; half >= 0 && i > 0; --half, --i) {
      // Multiply and shift: biased by less than (i + 1) / 2^64.
      __extension__ using Wide = unsigned __int128;
      const uint64_t number = uint64_of(words, static_cast<size_t>(half));
      const auto j = static_cast<int64_t>(Wide{number} * static_cast<uint64_t>(i + 1) >> 64);
      std::swap(order[i], order[j]);
    }
  }
}

void random_uniform(const RandomKey& key, double low, double high, double* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = low + (high - low) * random_unit(key, static_cast<uint64_t>(i));
}

void random_normal(const RandomKey& key, double mean, double deviation, double* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 2) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random_unit(key, static_cast<uint64_t>(i))));
    const double angle = 2.0 * std::numbers::pi * random_unit(key, static_cast<uint64_t>(i + 1));
    out[i] = mean + deviation * radius * std::cos(angle);
    if (i + 1 < n) out[i + 1] = mean + deviation * radius * std::sin(angle);
  }
}

}  // namespace whet
