#pragma once

#include "device/cpu/kernels/mathfun.h"
#include "device/cpu/kernels/random.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// Uniform in [0, 1), from the words of random_words: 23 bits of each for float, 32 for double.
inline vf unit(vf::Bits words) { return vf::from_bits((words >> 9) | 0x3f800000) - vf(1.0f); }
inline vd unit(vd::Bits words) { return vd::from_bits((words << 20) | 0x3ff0000000000000) - vd(1.0); }

/// sin(x) for x from -pi / 2 to pi / 2, by its series.
inline vf sine(vf x) {
  const vf s = x * x;
  return x * polynomial(s, 1.0f / 6227020800.0f, -1.0f / 39916800.0f, 1.0f / 362880.0f, -1.0f / 5040.0f, 1.0f / 120.0f,
                        -1.0f / 6.0f, 1.0f);
}
inline vd sine(vd x) {
  const vd s = x * x;
  return x * polynomial(s, 1 / 51090942171709440000.0, -1 / 121645100408832000.0, 1 / 355687428096000.0,
                        -1 / 1307674368000.0, 1 / 6227020800.0, -1 / 39916800.0, 1 / 362880.0, -1 / 5040.0, 1 / 120.0,
                        -1 / 6.0, 1.0);
}

/// x[i] += deviation * a normal number (Box and Muller, 1958): that of words 0 and 1 of block {first + i, 0}.
template <class T>
void add_noise(T* x, int64_t n, T deviation, const RandomKey& key, int64_t first) {
  Wide lanes{};
  for (int i = 0; i < vd::size; ++i) lanes[i] = static_cast<uint64_t>(i) * sizeof(double) / sizeof(T);
  const Vec<T> scale(deviation), one(T(1)), turn(T(6.28318530717958647693)), quarter(T(0.25)), half(T(0.5)), two(T(-2));
  for_each_register<T>(n, [&](int64_t i, auto part) WHET_ALWAYS_INLINE {
    typename Vec<T>::Bits words[4];
    random_words(words, key, lanes + static_cast<uint64_t>(first + i), 0);
    const Vec<T> radius = sqrt(two * log(one - unit(words[0])));
    // cos(2 pi u) = sin(2 pi (|u - 1/2| - 1/4)).
    const Vec<T> normal = radius * sine(turn * (abs(unit(words[1]) - half) - quarter));
    part.store(x + i, fma(scale, normal, part.load(x + i)));
  });
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
