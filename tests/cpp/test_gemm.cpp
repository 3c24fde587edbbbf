// The bits of products: the same for every number of threads, instruction set, alignment and number of rows. That they
// are right is what test_products.cpp shows.

#include "check.h"
#include "core/arena.h"
#include "reference.h"

namespace {

using namespace whet;

constexpr int kThreads[] = {1, 2, 3, 4, 5, 7, 8, 12, 16};
constexpr int64_t kOffsets = 16;  // elements: every place of a register, and of a line of the cache

struct Case {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  int64_t gap;
};

// One block; several; one and many tiles and panels; the awkward side on either hand; several cuts of k.
constexpr Case kCases[] = {
    {5, 7, 9, false, true, 0},        {29, 61, 33, true, false, 1},     {64, 96, 200, false, true, 0},
    {257, 130, 800, false, true, 3},  {130, 257, 513, false, false, 0}, {100, 70, 390, true, false, 5},
    {1, 300, 1000, false, true, 0},   {300, 1, 1000, false, true, 0},   {300, 10, 784, false, true, 6},
    {3, 700, 1500, false, false, 0},  {100, 256, 1024, true, true, 0},  {40, 50, 2500, true, true, 3},
    {200, 600, 1100, false, true, 1}, {500, 500, 500, true, true, 0}};

std::vector<std::string> sets_with_fma() {
  std::vector<std::string> all = sets();
  std::erase(all, "baseline");
  return all;
}

/// A matrix `offset` elements behind a place that is aligned to 64 bytes.
template <class T>
class Shifted {
 public:
  Shifted(const Sheet<T>& sheet, int64_t offset)
      : memory_((sheet.values.size() + static_cast<size_t>(offset)) * sizeof(T)),
        data_(reinterpret_cast<T*>(memory_.data()) + offset),
        sheet_(sheet) {
    std::copy(sheet.values.begin(), sheet.values.end(), data_);
  }
  Matrix matrix() const { return {data_, sheet_.rows, sheet_.cols, sheet_.stride}; }
  std::vector<T> values() const { return {data_, data_ + sheet_.values.size()}; }

 private:
  Arena memory_;
  T* data_;
  const Sheet<T>& sheet_;
};

/// The operands of a case and, in `y`, what stands where its result comes.
template <class T>
struct Operands {
  Case c;
  Sheet<T> a, b, y, bias;

  explicit Operands(const Case& of)
      : c(of),
        a(c.transpose_a ? c.k : c.m, c.transpose_a ? c.m : c.k, c.gap, 1),
        b(c.transpose_b ? c.n : c.k, c.transpose_b ? c.k : c.n, c.gap, 2),
        y(c.m, c.n, c.gap, 3),
        bias(1, c.n, 0, 4) {}

  std::vector<T> multiply(const std::string& set, int64_t offset) const {
    const Shifted<T> left(a, offset), right(b, offset * 7 % kOffsets), out(y, offset * 5 % kOffsets);
    const Epilogue epilogue{.bias = bias.values.data(), .activation = {.id = math::ActivationId::Gelu}};
    device(set, dtype_of<T>)
        .gemm(out.matrix(), left.matrix(), c.transpose_a, right.matrix(), c.transpose_b, false, epilogue);
    return out.values();
  }
};

template <class T>
void bits_are_equal() {
  for (const Case& c : kCases) {
    const Operands<T> operands(c);
    std::vector<T> expected;
    for (const std::string& set : sets_with_fma()) {
      const auto check = [&](int threads, int64_t offset) {
        cpu::set_num_threads(threads);
        const std::vector<T> y = operands.multiply(set, offset);
        if (expected.empty()) expected = y;
        CHECK(same_bits(y, expected), set, " with ", threads, " threads, ", offset, " elements off, ", c.m, 'x', c.n,
              'x', c.k);
      };
      for (const int threads : kThreads) check(threads, 0);
      for (int64_t offset = 1; offset < kOffsets; ++offset) check(offset % 2 ? 1 : 3, offset);
    }
  }
  cpu::set_num_threads(2);
}

TEST(bits_do_not_depend_on_threads_or_sets_or_alignment_in_float) { bits_are_equal<float>(); }
TEST(bits_do_not_depend_on_threads_or_sets_or_alignment_in_double) { bits_are_equal<double>(); }

TEST(accumulation_goes_on_with_the_chain) {
  for (const std::string& set : sets_with_fma())
    for (const int64_t m : {5, 40, 130})
      for (const int64_t k : {2, 200, 1500}) {
        constexpr int64_t n = 70;
        const int64_t half = k / 2;
        const Sheet<float> a(m, k, 1, 1), b(k, n, 2, 2);
        Sheet<float> whole(m, n, 0, 3), parts(m, n, 0, 4);
        Device& cpu = device(set, DType::float32);
        cpu.gemm(whole.matrix(), a.matrix(), false, b.matrix(), false, false, {});
        cpu.gemm(parts.matrix(), {a.values.data(), m, half, a.stride}, false, {b.values.data(), half, n, b.stride},
                 false, false, {});
        cpu.gemm(parts.matrix(), {a.values.data() + half, m, k - half, a.stride}, false,
                 {b.values.data() + half * b.stride, k - half, n, b.stride}, false, true, {});
        CHECK(same_bits(whole.values, parts.values), set, ' ', m, 'x', n, 'x', k);
      }
}

/// Rows first ... first + rows of a product, computed by themselves.
template <class T>
std::vector<T> rows_alone(const std::string& set, const Operands<T>& all, int64_t first, int64_t rows) {
  const Case& c = all.c;
  Sheet<T> y(rows, c.n, 0, 5);
  ConstMatrix a = all.a.matrix();
  a.data = all.a.values.data() + first * (c.transpose_a ? 1 : all.a.stride);
  (c.transpose_a ? a.cols : a.rows) = rows;
  const Epilogue epilogue{.bias = all.bias.values.data(), .activation = {.id = math::ActivationId::Gelu}};
  device(set, dtype_of<T>).gemm(y.matrix(), a, c.transpose_a, all.b.matrix(), c.transpose_b, false, epilogue);
  return y.values;
}

template <class T>
void rows_are_independent() {
  constexpr int64_t most = 70;
  for (const std::string& set : sets())
    for (const int64_t n : {1, 10, 33, 128})
      for (const int64_t k : {7, 130, n == 33 ? 1030 : 40})
        for (const int form : {0, 1, 2, 3}) {
          const Operands<T> operands({most, n, k, form / 2 == 1, form % 2 == 1, 0});
          const std::vector<T> all = rows_alone(set, operands, 0, most);
          for (int64_t rows = 1; rows < most; ++rows)
            for (const int64_t first : {int64_t{0}, most - rows}) {
              const std::vector<T> part(all.begin() + first * n, all.begin() + (first + rows) * n);
              CHECK(same_bits(rows_alone(set, operands, first, rows), part), set, ' ', rows, " rows from ", first,
                    ", n ", n, ", k ", k, ", transposed ", form / 2, form % 2);
            }
        }
}

TEST(bits_of_a_row_do_not_depend_on_the_other_rows_in_float) { rows_are_independent<float>(); }
TEST(bits_of_a_row_do_not_depend_on_the_other_rows_in_double) { rows_are_independent<double>(); }

TEST(a_product_too_large_to_be_packed_at_once_has_the_bits_of_its_parts) {
  const Operands<float> operands({200, 4300, 1100, false, true, 0});
  for (const std::string& set : sets_with_fma()) {
    const std::vector<float> all = rows_alone(set, operands, 0, 200);
    for (const int64_t first : {0, 50, 100, 150}) {
      const std::vector<float> part(all.begin() + first * 4300, all.begin() + (first + 50) * 4300);
      CHECK(same_bits(rows_alone(set, operands, first, 50), part), set, " rows from ", first);
    }
  }
}

/// a^T b slab by slab as products, combined by the tree as device.h states it.
template <class T>
std::vector<T> sum_of_slabs(const std::string& set, const Sheet<T>& a, const Sheet<T>& b, int64_t lo, int64_t hi) {
  if (hi - lo == 1) {
    Sheet<T> part(a.cols, b.cols, 0, 0);
    const int64_t first = lo * kSlabRows, count = std::min(kSlabRows, a.rows - first);
    device(set, dtype_of<T>)
        .gemm(part.matrix(), {a.values.data() + first * a.stride, count, a.cols, a.stride}, true,
              {b.values.data() + first * b.stride, count, b.cols, b.stride}, false, false, {});
    return part.values;
  }
  int64_t half = 1;
  while (half * 2 < hi - lo) half *= 2;
  std::vector<T> left = sum_of_slabs(set, a, b, lo, lo + half);
  const std::vector<T> right = sum_of_slabs(set, a, b, lo + half, hi);
  for (size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  return left;
}

template <class T>
void sums_over_rows_have_their_bits() {
  const int64_t shapes[][3] = {{0, 3, 5},       {1, 1, 1},        {3, 0, 5},       {10, 32, 0},   {10, 784, 128},
                               {300, 500, 256}, {32, 10, 257},    {128, 100, 600}, {1, 8, 5000},  {10, 1, 3000},
                               {33, 65, 1024},  {200, 300, 1500}, {3, 255, 17000}, {1, 257, 9962}};
  for (const auto& shape : shapes) {
    const int64_t m = shape[0], n = shape[1], rows = shape[2];
    // A single column without gaps: then both strides of a are 1.
    const Sheet<T> a(rows, m, m == 1 ? 0 : 2, 1), b(rows, n, 1, 2), before(m, n, 3, 3);
    for (const bool accumulate : {false, true}) {
      std::vector<T> expected;
      for (const std::string& set : sets_with_fma()) {
        const auto check = [&](int threads, int64_t offset) {
          cpu::set_num_threads(threads);
          const Shifted<T> left(a, offset), right(b, offset * 7 % kOffsets), y(before, offset * 5 % kOffsets);
          device(set, dtype_of<T>).gemm_over_rows(y.matrix(), left.matrix(), right.matrix(), nullptr, accumulate);
          if (expected.empty()) {
            Sheet<T> sum = before;
            const std::vector<T> slabs = rows > 0 ? sum_of_slabs(set, a, b, 0, (rows + kSlabRows - 1) / kSlabRows)
                                                  : std::vector<T>(static_cast<size_t>(m * n));
            for (int64_t i = 0; i < m; ++i)
              for (int64_t j = 0; j < n; ++j)
                sum(i, j) = slabs[static_cast<size_t>(i * n + j)] + (accumulate ? before(i, j) : T(0));
            expected = sum.values;
          }
          CHECK(same_bits(y.values(), expected), set, " with ", threads, " threads, ", offset, " elements off, ", m,
                'x', n, 'x', rows, " accumulate ", accumulate);
        };
        for (const int threads : kThreads) check(threads, 0);
        if (rows > 5000) continue;
        for (int64_t offset = 1; offset < kOffsets; ++offset) check(offset % 2 ? 1 : 3, offset);
      }
    }
  }
  cpu::set_num_threads(2);
}

TEST(sums_over_rows_have_the_bits_of_their_tree_in_float) { sums_over_rows_have_their_bits<float>(); }
TEST(sums_over_rows_have_the_bits_of_their_tree_in_double) { sums_over_rows_have_their_bits<double>(); }

TEST(bits_of_a_sum_over_rows_do_not_depend_on_the_other_columns) {
  constexpr int64_t most = 70, rows = 600, n = 40;
  const Sheet<float> a(rows, most, 0, 1), b(rows, n, 0, 2);
  for (const std::string& set : sets()) {
    Sheet<float> all(most, n, 0, 3);
    device(set, DType::float32).gemm_over_rows(all.matrix(), a.matrix(), b.matrix(), nullptr, false);
    for (int64_t m = 1; m < most; ++m) {
      Sheet<float> some(m, n, 0, 3);
      device(set, DType::float32)
          .gemm_over_rows(some.matrix(), {a.values.data() + most - m, rows, m, most}, b.matrix(), nullptr, false);
      CHECK(same_bits(some.values, {all.values.end() - m * n, all.values.end()}), set, ' ', m, " columns of a");
    }
  }
}

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
