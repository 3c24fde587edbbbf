#include "core/random.h"

#include <cmath>
#include <numbers>

namespace whet {

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
