#include <numeric>

#include "reference.h"

namespace {

using Words = std::array<uint32_t, 4>;

// The known answers that come with Random123.
TEST(philox_gives_the_known_answers) {
  CHECK((whet::philox({0, 0, 0, 0}, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t ones = 0xffffffff;
  CHECK(
      (whet::philox({ones, ones, ones, ones}, ~uint64_t{0}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK((whet::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
         Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Fisher and Yates, one number at a time.
TEST(permutations_are_right) {
  const whet::RandomKey key{.seed = 1ull << 63 | 7, .stream = whet::Stream::shuffle, .epoch = 3, .step = 9};
  for (const std::string& set : whet::sets())
    for (int64_t n = 0; n <= 1000; n += n < 200 ? 1 : 37) {
      std::vector<int64_t> order(static_cast<size_t>(n)), expected(order.size());
      std::iota(expected.begin(), expected.end(), int64_t{0});
      for (size_t i = expected.size(); i-- > 1;) {
        __extension__ using Wide = unsigned __int128;
        std::swap(expected[i], expected[static_cast<size_t>(Wide{random_uint64(key, i)} * (i + 1) >> 64)]);
      }
      device(set, whet::DType::float32).random_permutation(order.data(), n, key);
      CHECK(order == expected, set, ' ', n);
    }
}

TEST(normal_numbers_have_their_moments) {
  constexpr int64_t n = 100000;
  std::vector<double> x(n);
  whet::random_normal({.seed = 3}, 2.0, 0.5, x.data(), n);
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / n;
  double variance = 0;
  for (const double v : x) variance += (v - mean) * (v - mean) / n;
  CHECK(std::abs(mean - 2.0) < 0.01, mean);
  CHECK(std::abs(std::sqrt(variance) - 0.5) < 0.01, variance);
}

}  // namespace

int main() { return whet::run_tests(); }
