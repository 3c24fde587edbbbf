#include "reference.h"

namespace {

using namespace whet;

/// Whether element (row, col) is dropped, one number at a time.
bool dropped(const Dropout& dropout, int64_t row, int64_t col) {
  const int64_t i = dropout.first_row + row;
  const auto block = static_cast<uint64_t>(i / 4) << 32 | static_cast<uint64_t>(col);
  return random_block(dropout.key, block)[static_cast<size_t>(i % 4)] < dropout.share * 0x1p32;
}

template <class T>
void dropout_is_right() {
  const T minus_zero = -T(0);
  for (const std::string& set : sets())
    for (const double share : {0.0, 0.1, 0.5, 0.9, 1.0})
      for (const int64_t first_row : {0, 2, 16387})
        for (const int64_t rows : {0, 1, 3, 4, 5, 18})
          for (int64_t cols = 1; cols <= 40; ++cols) {
            const Dropout dropout{
                share, {.seed = 1ull << 63 | 5, .stream = Stream::dropout, .epoch = 3, .step = 9}, first_row};
            Sheet<T> x(rows, cols, 2, 1), y(rows, cols, 3, 2), d(rows, cols, 1, 3);
            const Sheet<T> dy(rows, cols, 5, 4), before = d;
            if (rows > 0) x(0, 0) = minus_zero;
            Device& cpu = device(set, dtype_of<T>);
            cpu.dropout(y.matrix(), x.matrix(), dropout);
            cpu.dropout_backward(d.matrix(), dy.matrix(), y.matrix(), share, true);
            for (int64_t i = 0; i < rows; ++i)
              for (int64_t j = 0; j < cols; ++j) {
                const bool gone = dropped(dropout, i, j);
                const T scale = share < 1 ? static_cast<T>(1 / (1 - share)) : T(0);
                const std::vector<T> expected{gone ? minus_zero : x(i, j) * scale + T(0),
                                              gone ? before(i, j) + T(0) : before(i, j) + dy(i, j) * scale};
                CHECK(same_bits({y(i, j), d(i, j)}, expected), set, ' ', share, ' ', first_row, ' ', i, ' ', j);
              }
            const std::vector<T> out = y.elements();
            cpu.dropout(x.matrix(), x.matrix(), dropout);
            cpu.dropout_backward(y.matrix(), y.matrix(), y.matrix(), share, false);
            CHECK(x.elements() == out, set, " in place");
            for (int64_t i = 0; i < rows; ++i)
              for (int64_t j = 0; j < cols; ++j) {
                const bool same =
                    y(i, j) == out[static_cast<size_t>(i * cols + j)] * static_cast<T>(share < 1 ? 1 / (1 - share) : 0);
                CHECK(same, set, " backward in place");
              }
          }
}

TEST(dropout_is_right_in_float) { dropout_is_right<float>(); }
TEST(dropout_is_right_in_double) { dropout_is_right<double>(); }

TEST(nothing_depends_on_threads_or_on_the_rows_of_a_call) {
  for (const std::string& set : sets())
    for (const auto& [rows, cols] : {std::pair{40000, 3}, {2999, 37}, {60, 5000}}) {
      Device& cpu = device(set, DType::float32);
      const Sheet<float> x(rows, cols, 1, 1);
      Dropout dropout{0.3, {.seed = 7, .stream = Stream::dropout}, 0};
      std::vector<float> expected;
      for (const int threads : {1, 2, 3, 4}) {
        cpu::set_num_threads(threads);
        Sheet<float> y(rows, cols, 2, 0);
        cpu.dropout(y.matrix(), x.matrix(), dropout);
        if (expected.empty()) expected = y.elements();
        CHECK(same_bits(y.elements(), expected), set, ' ', threads);
      }
      Sheet<float> y(rows, cols, 0, 0);
      for (int64_t row = 0; row < rows; row += 1111) {
        dropout.first_row = row;
        const int64_t here = std::min<int64_t>(1111, rows - row);
        cpu.dropout({&y(row, 0), here, cols, y.stride},
                    {&x.values[static_cast<size_t>(row * x.stride)], here, cols, x.stride}, dropout);
      }
      CHECK(same_bits(y.elements(), expected), set, " in parts");
    }
  cpu::set_num_threads(2);
}

TEST(shares_are_met_and_every_part_of_a_key_counts) {
  constexpr int64_t rows = 1000, cols = 1000;
  const std::vector<float> ones(rows * cols, 1.0f);
  std::vector<float> y(ones.size()), other(ones.size());
  Device& cpu = device("baseline", DType::float32);
  for (const double share : {0.1, 0.5, 0.8}) {
    const Dropout dropout{share, {.seed = 11, .stream = Stream::dropout, .epoch = 1, .step = 1}, 0};
    cpu.dropout({y.data(), rows, cols, cols}, {ones.data(), rows, cols, cols}, dropout);
    const auto share_of = [](const std::vector<float>& values) {
      double zeros = 0;
      for (const float v : values) zeros += v == 0;
      return zeros / static_cast<double>(values.size());
    };
    // One million draws: five standard deviations.
    CHECK(std::abs(share_of(y) - share) < 5e-3 * std::sqrt(share * (1 - share)), share, ' ', share_of(y));
    const RandomKey key = dropout.key;
    for (const RandomKey& changed : {RandomKey{12, key.stream, 1, 1}, RandomKey{11 + (1ull << 40), key.stream, 1, 1},
                                     RandomKey{11, key.stream, 2, 1}, RandomKey{11, key.stream, 1, 2}}) {
      cpu.dropout({other.data(), rows, cols, cols}, {ones.data(), rows, cols, cols}, {share, changed, 0});
      double both = 0;
      for (size_t i = 0; i < y.size(); ++i) both += y[i] == 0 && other[i] == 0;
      const double together = share * share, deviation = std::sqrt(together * (1 - together)) / 1e3;
      CHECK(std::abs(both / 1e6 - together) < 5 * deviation, share, ' ', both);
    }
  }
}

}  // namespace

int main() { return run_tests(); }
