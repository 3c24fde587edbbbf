#pragma once

#include "device/cpu/kernels/simd.h"

/// What the processor and its memory can do at most: benchmarks measure these beside what they compare.
namespace whet::cpu::WHET_ISA_NAMESPACE {

constexpr int kFmaChains = 12;  // two units that take four or five cycles for an FMA need 8 to 10

/// Multiplications and additions in one round of fma_loop.
template <class T>
constexpr int64_t fma_flops() {
  return 2 * kFmaChains * Vec<T>::size;
}

/// `rounds` FMAs on every chain: x = x / 2 + 1 from x = 0, 1, 2, ..., the chain's number. Returns the sum of all lanes.
template <class T>
double fma_loop(int64_t rounds) {
  Vec<T> x[kFmaChains];
  for (int i = 0; i < kFmaChains; ++i) x[i] = Vec<T>(static_cast<T>(i));
  const Vec<T> half(T(0.5)), one(T(1));
  for (int64_t round = 0; round < rounds; ++round)
    for (auto& chain : x) chain = fma(chain, half, one);
  double sum = 0;
  for (const auto& chain : x)
    for (int i = 0; i < Vec<T>::size; ++i) sum += static_cast<double>(chain.r[i]);
  return sum;
}

/// m = m + g, v = v + g, p = p + (m + v): Adam's traffic, four streams read and three written.
template <class T>
void stream(T* p, const T* g, T* m, T* v, int64_t n) {
  for_each_register<T>(n, [&](int64_t i, auto part) {
    const Vec<T> slope = part.load(g + i), first = part.load(m + i) + slope, second = part.load(v + i) + slope;
    part.store(m + i, first);
    part.store(v + i, second);
    part.store(p + i, part.load(p + i) + (first + second));
  });
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
