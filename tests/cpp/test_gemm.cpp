#include "check.h"
#include "reference.h"

namespace {

using namespace whet;

struct Case {
  int64_t m, n, k;
  bool transpose_a, transpose_b, accumulate;
  int64_t gap;
};

/// k terms of at most 1 in chains of T: each rounding is at most half an ULP of the running sum, which stays far below
/// k.
template <class T>
double tolerance(int64_t k) {
  return std::numeric_limits<T>::epsilon() * (4 + static_cast<double>(k));
}

template <class T>
std::vector<T> multiply(Device& device, const Case& c, const Epilogue& epilogue, Sheet<T>* input = nullptr,
                        uint64_t seed = 1) {
  const Sheet<T> a(c.transpose_a ? c.k : c.m, c.transpose_a ? c.m : c.k, c.gap, seed);
  const Sheet<T> b(c.transpose_b ? c.n : c.k, c.transpose_b ? c.k : c.n, c.gap, seed + 1);
  Sheet<T> y(c.m, c.n, c.gap, seed + 2);
  const Sheet<T> before = y;
  Epilogue full = epilogue;
  if (input) full.input = input->matrix();
  device.gemm(y.matrix(), a.matrix(), c.transpose_a, b.matrix(), c.transpose_b, c.accumulate, full);
  for (int64_t i = 0; i < c.m; ++i) {
    for (int64_t j = 0; j < c.n; ++j) {
      double sum = c.accumulate ? before(i, j) : 0;
      for (int64_t p = 0; p < c.k; ++p)
        sum += double{c.transpose_a ? a(p, i) : a(i, p)} * double{c.transpose_b ? b(j, p) : b(p, j)};
      if (full.bias) sum += static_cast<const T*>(full.bias)[j];
      if (input) CHECK(std::abs((*input)(i, j) - sum) <= tolerance<T>(c.k), c.m, 'x', c.n, 'x', c.k);
      if (full.activation.id == math::ActivationId::Relu) sum = std::max(sum, 0.0);
      if (full.activation.id == math::ActivationId::Tanh) sum = std::tanh(sum);
      CHECK(std::abs(y(i, j) - sum) <= tolerance<T>(c.k), c.m, 'x', c.n, 'x', c.k, " at ", i, ',', j, ": ", y(i, j),
            " expected ", sum, " transposed ", c.transpose_a, c.transpose_b, " accumulate ", c.accumulate);
    }
    for (int64_t j = c.n; j < y.stride; ++j)
      CHECK(y.values[static_cast<size_t>(i * y.stride + j)] == before.values[static_cast<size_t>(i * y.stride + j)],
            "the gap was written to");
  }
  return y.elements();
}

template <class T>
void products_are_right() {
  const int64_t sizes[] = {0, 1, 2, 3, 5, 10, 13, 16, 17, 31, 33, 64, 65, 100, 129, 300};
  uint64_t index = 0;
  const auto draw = [&](uint64_t below) { return random_uint64({.seed = 5}, index++) % below; };
  for (const std::string& set : sets()) {
    for (int round = 0; round < 150; ++round) {
      Case c{};
      c.m = sizes[draw(std::size(sizes))];
      c.n = sizes[draw(std::size(sizes))];
      c.k = sizes[draw(std::size(sizes))];
      if (round % 50 == 0) c.k = 1000;
      c.transpose_a = draw(2);
      c.transpose_b = draw(2);
      c.accumulate = draw(2);
      c.gap = static_cast<int64_t>(draw(3)) * 3;
      cpu::set_num_threads(1 + static_cast<int>(draw(4)));
      multiply<T>(device(set, dtype_of<T>), c, {}, nullptr, index);
      c.accumulate = false;
      const Sheet<T> bias(1, c.n, 0, index);
      Sheet<T> input(c.m, c.n, 2, index);
      Epilogue epilogue{.bias = draw(4) ? bias.values.data() : nullptr};
      epilogue.activation.id = draw(2) ? math::ActivationId::Relu : math::ActivationId::Tanh;
      multiply<T>(device(set, dtype_of<T>), c, epilogue, draw(2) ? &input : nullptr, index);
    }
  }
  cpu::set_num_threads(2);
}

TEST(products_are_right_in_float) { products_are_right<float>(); }
TEST(products_are_right_in_double) { products_are_right<double>(); }

template <class T>
void bits_are_equal() {
  const Case cases[] = {{64, 96, 200, false, true, false, 0},   {257, 130, 800, false, true, false, 3},
                        {130, 257, 513, false, false, true, 0}, {100, 70, 390, true, false, false, 5},
                        {1, 300, 1000, false, true, false, 0},  {300, 1, 1000, false, true, false, 0},
                        {300, 10, 784, false, true, false, 6},  {500, 500, 500, true, true, false, 0}};
  for (const Case& c : cases) {
    std::vector<T> expected;
    for (const std::string& set : sets()) {
      if (set == "baseline") continue;
      for (const int threads : {1, 2, 3, 4}) {
        cpu::set_num_threads(threads);
        const std::vector<T> y = multiply<T>(device(set, dtype_of<T>), c, {});
        if (expected.empty()) expected = y;
        CHECK(same_bits(y, expected), set, " with ", threads, " threads, ", c.m, 'x', c.n, 'x', c.k);
      }
    }
  }
  cpu::set_num_threads(2);
}

TEST(bits_do_not_depend_on_threads_or_sets_in_float) { bits_are_equal<float>(); }
TEST(bits_do_not_depend_on_threads_or_sets_in_double) { bits_are_equal<double>(); }

TEST(bits_of_a_row_do_not_depend_on_the_other_rows) {
  for (const std::string& set : sets()) {
    for (const int64_t n : {1, 10, 100, 128}) {
      const Sheet<float> x(300, 784, 0, 1), w(n, 784, 0, 2);
      Sheet<float> all(300, n, 0, 3);
      device(set, DType::float32).gemm(all.matrix(), x.matrix(), false, w.matrix(), true, false, {});
      for (const int64_t rows : {1, 2, 5, 6, 7, 15, 64}) {
        Sheet<float> some(rows, n, 0, 3);
        const int64_t first = 300 - rows;
        device(set, DType::float32)
            .gemm(some.matrix(), {&x.values[static_cast<size_t>(first * 784)], rows, 784, 784}, false, w.matrix(), true,
                  false, {});
        const std::vector<float> tail(all.values.begin() + first * n, all.values.end());
        CHECK(same_bits(some.values, tail), set, ' ', rows, " rows of ", n);
      }
    }
  }
}

template <class T>
void sums_over_rows_are_right() {
  const int64_t shapes[][3] = {{0, 3, 5},      {1, 1, 1},       {3, 0, 5},      {10, 32, 0},
                               {10, 784, 128}, {300, 500, 256}, {32, 10, 257},  {128, 100, 600},
                               {1, 8, 5000},   {10, 1, 3000},   {33, 65, 1024}, {200, 300, 1500}};
  for (const auto& shape : shapes) {
    const int64_t m = shape[0], n = shape[1], rows = shape[2];
    std::vector<T> expected[2];
    for (const std::string& set : sets()) {
      for (const int threads : {1, 2, 3, 4}) {
        for (const bool accumulate : {false, true}) {
          cpu::set_num_threads(threads);
          const Sheet<T> a(rows, m, 2, 1), b(rows, n, 1, 2);
          Sheet<T> y(m, n, 3, 3);
          const Sheet<T> before = y;
          device(set, dtype_of<T>).gemm_over_rows(y.matrix(), a.matrix(), b.matrix(), nullptr, accumulate);
          if (set == "baseline") {
            for (int64_t i = 0; i < m; ++i)
              for (int64_t j = 0; j < n; ++j) {
                double sum = accumulate ? before(i, j) : 0;
                for (int64_t p = 0; p < rows; ++p) sum += double{a(p, i)} * double{b(p, j)};
                CHECK(std::abs(y(i, j) - sum) <= tolerance<T>(rows), m, 'x', n, 'x', rows, ": ", y(i, j), ' ', sum);
              }
            continue;
          }
          if (expected[accumulate].empty()) {
            // Slab by slab as products, combined by the tree as device.h states it.
            const std::function<std::vector<T>(int64_t, int64_t)> tree = [&](int64_t lo, int64_t hi) {
              if (hi - lo == 1) {
                Sheet<T> part(m, n, 0, 0);
                const int64_t first = lo * kSlabRows, count = std::min(kSlabRows, rows - first);
                device(set, dtype_of<T>)
                    .gemm(part.matrix(), {a.values.data() + first * a.stride, count, m, a.stride}, true,
                          {b.values.data() + first * b.stride, count, n, b.stride}, false, false, {});
                return part.values;
              }
              int64_t half = 1;
              while (half * 2 < hi - lo) half *= 2;
              std::vector<T> left = tree(lo, lo + half);
              const std::vector<T> right = tree(lo + half, hi);
              for (size_t i = 0; i < left.size(); ++i) left[i] += right[i];
              return left;
            };
            Sheet<T> sum(m, n, 0, 0);
            if (rows > 0) sum.values = tree(0, (rows + kSlabRows - 1) / kSlabRows);
            if (rows == 0) std::fill(sum.values.begin(), sum.values.end(), T(0));
            if (accumulate)
              for (int64_t i = 0; i < m; ++i)
                for (int64_t j = 0; j < n; ++j) sum(i, j) = before(i, j) + sum(i, j);
            expected[accumulate] = sum.values;
          }
          CHECK(same_bits(y.elements(), expected[accumulate]), set, " with ", threads, " threads, ", m, 'x', n, 'x',
                rows, " accumulate ", accumulate);
        }
      }
    }
  }
  cpu::set_num_threads(2);
}

TEST(sums_over_rows_are_right_in_float) { sums_over_rows_are_right<float>(); }
TEST(sums_over_rows_are_right_in_double) { sums_over_rows_are_right<double>(); }

TEST(not_a_number_and_infinity_reach_the_result) {
  for (const std::string& set : sets()) {
    Sheet<float> a(20, 40, 0, 1), b(40, 50, 0, 2), y(20, 50, 0, 3);
    a(3, 7) = std::nanf("");
    b(5, 9) = HUGE_VALF;
    device(set, DType::float32).gemm(y.matrix(), a.matrix(), false, b.matrix(), false, false, {});
    for (int64_t i = 0; i < 20; ++i)
      for (int64_t j = 0; j < 50; ++j) {
        CHECK(std::isnan(y(i, j)) == (i == 3), i, ',', j);
        if (i != 3) CHECK(std::isinf(y(i, j)) == (j == 9), i, ',', j);
      }
  }
}

}  // namespace

int main() { return whet::run_tests(); }
