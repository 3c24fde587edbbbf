#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace whet {

/// What a random number is for: two streams of one seed never share a number.
enum class Stream : uint32_t { initialize = 0, shuffle = 1, dropout = 2, split = 3, gradients = 8 };

/// Names one sequence of random numbers. The same key gives the same numbers everywhere, in any order of asking.
struct RandomKey {
  uint64_t seed = 0;
  Stream stream = Stream::initialize;
  uint32_t epoch = 0;
  uint32_t step = 0;
};

/// The multipliers of Philox's two products, and what its key grows by in every round.
constexpr uint32_t kPhiloxFactor0 = 0xD2511F53, kPhiloxFactor1 = 0xCD9E8D57;
constexpr uint32_t kPhiloxStep0 = 0x9E3779B9, kPhiloxStep1 = 0xBB67AE85;
constexpr int kPhiloxRounds = 10;

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): four uniform 32-bit words
/// from a 128-bit counter and a 64-bit key, with no state.
inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint64_t seed) {
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t p0 = uint64_t{kPhiloxFactor0} * counter[0];
    const uint64_t p1 = uint64_t{kPhiloxFactor1} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += kPhiloxStep0;
    k1 += kPhiloxStep1;
  }
  return counter;
}

/// The counter's last word, which an epoch and a stream share: 2^28 epochs, 16 streams.
inline uint32_t last_counter(const RandomKey& key) { return (key.epoch << 4) | static_cast<uint32_t>(key.stream); }

/// Words 4 * block to 4 * block + 3 of the sequence that `key` names.
inline std::array<uint32_t, 4> random_block(const RandomKey& key, uint64_t block) {
  return philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), key.step, last_counter(key)},
                key.seed);
}

/// The first or the second 64-bit number of a block.
inline uint64_t uint64_of(const std::array<uint32_t, 4>& words, size_t half) {
  return words[2 * half] | uint64_t{words[2 * half + 1]} << 32;
}

/// The 64-bit number at `index` of the sequence that `key` names.
inline uint64_t random_uint64(const RandomKey& key, uint64_t index) {
  return uint64_of(random_block(key, index / 2), index % 2);
}

/// Uniform in [0, 1), with 53 random bits.
inline double random_unit(const RandomKey& key, uint64_t index) {
  return static_cast<double>(random_uint64(key, index) >> 11) * 0x1p-53;
}

/// n numbers, uniform in [low, high).
void random_uniform(const RandomKey& key, double low, double high, double* out, int64_t n);

/// n numbers from the normal distribution (Box-Muller).
void random_normal(const RandomKey& key, double mean, double deviation, double* out, int64_t n);

}  // namespace whet
