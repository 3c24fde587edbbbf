#pragma once

#include "core/random.h"
#include "device/cpu/kernels/simd.h"
#include "device/cpu/kernels/table.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// Philox of core/random.h for as many counters as there are 64-bit lanes. Each lane holds a word in its lower half;
/// what stands in the upper one does not count, before or after.
WHET_ALWAYS_INLINE inline void philox(Wide (&counter)[4], uint64_t seed) {
  const Wide factor0 = Wide{} + kPhiloxFactor0, factor1 = Wide{} + kPhiloxFactor1;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round, k0 += kPhiloxStep0, k1 += kPhiloxStep1) {
    const Wide p0 = multiply_halves(counter[0], factor0), p1 = multiply_halves(counter[2], factor1);
    counter[0] = (p1 >> 32) ^ counter[1] ^ k0;
    counter[1] = p1;
    counter[2] = (p0 >> 32) ^ counter[3] ^ k1;
    counter[3] = p0;
  }
}

/// Lane i of words[k]: word k of block {column of lane i, group} of the sequence.
WHET_ALWAYS_INLINE inline void random_words(vd::Bits (&words)[4], const RandomKey& key, Wide col, uint64_t group) {
  words[0] = col;
  words[1] = Wide{} + group;
  words[2] = Wide{} + key.step;
  words[3] = Wide{} + last_counter(key);
  philox(words, key.seed);
  for (Wide& word : words) word &= 0xffffffff;
}

/// Adjacent counters go to two registers, whose words then are the halves of 64-bit lanes.
WHET_ALWAYS_INLINE inline void random_words(vf::Bits (&words)[4], const RandomKey& key, Wide col, uint64_t group) {
  Wide even[4], odd[4];
  random_words(even, key, col, group);
  random_words(odd, key, col + 1, group);
  for (int k = 0; k < 4; ++k) words[k] = reinterpret_cast<vf::Bits>(even[k] | (odd[k] << 32));
}

/// The 64-bit numbers of kNumberBlocks blocks from `first` on: of each its first one, and of each its second one.
inline void random_numbers(uint64_t (*halves)[kNumberBlocks], const RandomKey& key, uint64_t first) {
  Wide lanes{};
  for (int i = 0; i < vd::size; ++i) lanes[i] = static_cast<uint64_t>(i);
  for (int b = 0; b < kNumberBlocks; b += vd::size) {
    const Wide block = lanes + (first + static_cast<uint64_t>(b));
    Wide words[4] = {block, block >> 32, Wide{} + key.step, Wide{} + last_counter(key)};
    philox(words, key.seed);
    for (int half = 0; half < 2; ++half) {
      const Wide numbers = (words[2 * half] & 0xffffffff) | (words[2 * half + 1] << 32);
      __builtin_memcpy(halves[half] + b, &numbers, sizeof numbers);
    }
  }
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
