// Products with sparse rows: the bits of the dense products, for every set and number of threads, and no byte read or
// written beside the operands.

#include <memory>

#include "check.h"
#include "core/random.h"
#include "guarded.h"
#include "reference.h"

namespace {

using namespace whet;

struct Case {
  int64_t rows, cols, n;
  double density;
  int64_t batch = 0;  // of rows in an order of their own, or 0: all of them
};

// One element; nothing; one output; parts of registers; several slabs; groups and tasks of columns.
constexpr Case kCases[] = {{1, 1, 1, 1.0},
                           {3, 5, 2, 0.0},
                           {40, 300, 1, 0.1},
                           {257, 33, 7, 0.3},
                           {300, 70, 16, 1.0, 40},
                           {100, 2500, 31, 0.02},
                           {1100, 3000, 65, 0.003, 900},
                           {256, 17, 130, 0.5},
                           {2600, 5, 9, 0.05},
                           {5, 40, 3, 0.4, 700}};

const GuardedPages values_pages("values", 1 << 21), columns_pages("columns", 1 << 20), starts_pages("starts", 1 << 16),
    order_pages("order", 1 << 16), right_pages("b", 1 << 22), result_pages("y", 1 << 22);

/// Copies n elements to the end of pages.
template <class E>
E* at_end(const GuardedPages& pages, const std::vector<E>& elements) {
  return std::copy(elements.begin(), elements.end(), pages.end<E>() - elements.size()) - elements.size();
}

/// Rows drawn at random, sparse and dense.
template <class T>
struct Rows {
  Case c;
  std::vector<T> dense, values;
  std::vector<int32_t> columns;
  std::vector<int64_t> starts{0}, order;
  SparseMatrix sparse;

  explicit Rows(const Case& of) : c(of) {
    std::vector<T> all(static_cast<size_t>(c.rows * c.cols), T(0));
    for (int64_t i = 0; i < c.rows; ++i) {
      for (int64_t j = 0; j < c.cols; ++j) {
        const auto place = static_cast<size_t>(i * c.cols + j);
        if (unit(1, place) >= c.density || i % 7 == 3) continue;
        all[place] = place % 11 == 5 ? T(0) : static_cast<T>(unit(2, place) - 0.5);  // some zeros are stored
        values.push_back(all[place]);
        columns.push_back(static_cast<int32_t>(j));
      }
      starts.push_back(static_cast<int64_t>(values.size()));
    }
    for (int64_t i = 0; i < c.batch; ++i)
      order.push_back(static_cast<int64_t>(unit(3, static_cast<size_t>(i)) * static_cast<double>(c.rows)));
    for (int64_t i = 0; i < rows(); ++i) {
      const int64_t row = c.batch ? order[static_cast<size_t>(i)] : i;
      dense.insert(dense.end(), all.begin() + row * c.cols, all.begin() + (row + 1) * c.cols);
    }
    sparse = {at_end(values_pages, values),
              at_end(columns_pages, columns),
              at_end(starts_pages, starts),
              c.batch ? at_end(order_pages, order) : nullptr,
              rows(),
              c.cols};
  }

  int64_t rows() const { return c.batch ? c.batch : c.rows; }
  ConstMatrix matrix() const { return {dense.data(), rows(), c.cols, c.cols}; }
  static double unit(uint64_t seed, size_t i) { return random_unit({.seed = seed}, i); }
};

template <class T>
GuardedMatrix<T> filled(const GuardedPages& pages, int64_t rows, int64_t cols, int64_t gap, uint64_t seed) {
  const GuardedMatrix<T> matrix(pages, {rows, cols, cols + gap, 0, true});
  matrix.fill(T(1));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j)
      matrix(i, j) = static_cast<T>(Rows<T>::unit(seed, static_cast<size_t>(i * cols + j)) - 0.5);
  return matrix;
}

template <class T>
bool equal(const GuardedMatrix<T>& y, ConstMatrix expected) {
  for (int64_t i = 0; i < expected.rows; ++i)
    for (int64_t j = 0; j < expected.cols; ++j)
      if (y(i, j) != static_cast<const T*>(expected.data)[i * expected.stride + j]) return false;
  return y.surrounded_by(T(1));
}

template <class T>
void check_product(Device& cpu, const Rows<T>& x, const std::string& what) {
  const int64_t n = x.c.n;
  const std::vector<T> bias(static_cast<size_t>(n), T(0.25));
  for (const bool transposed : {false, true}) {
    const auto w = filled<T>(right_pages, transposed ? n : x.c.cols, transposed ? x.c.cols : n, 3, 4);
    std::vector<T> expected(static_cast<size_t>(x.rows() * n)), kept(expected.size()), expected_input(expected.size());
    const Epilogue with{
        .bias = bias.data(), .activation = {.id = math::ActivationId::Gelu}, .input = {kept.data(), x.rows(), n, n}};
    Epilogue dense = with;
    dense.input.data = expected_input.data();
    cpu.gemm({expected.data(), x.rows(), n, n}, x.matrix(), false, w.matrix(), transposed, false, dense);
    const auto y = filled<T>(result_pages, x.rows(), n, 2, 5);
    GuardedPages::say_at_fault(what);
    cpu.sparse_gemm(y.matrix(), x.sparse, w.matrix(), transposed, with);
    CHECK(equal(y, {expected.data(), x.rows(), n, n}), what, transposed ? " transposed" : "");
    CHECK(same_bits(kept, expected_input), what);
  }
}

template <class T>
void check_sum(Device& cpu, const Rows<T>& x, const std::string& what) {
  const int64_t n = x.c.n, cols = x.c.cols;
  const auto dy = filled<T>(right_pages, x.rows(), n, 1, 6);
  for (const bool transposed : {false, true})
    for (const bool accumulate : {false, true}) {
      const int64_t height = transposed ? cols : n, width = transposed ? n : cols;
      const auto y = filled<T>(result_pages, height, width, 4, 7);
      std::vector<T> expected;
      for (int64_t i = 0; i < height; ++i) expected.insert(expected.end(), &y(i, 0), &y(i, 0) + width);
      cpu.gemm_over_rows({expected.data(), height, width, width}, transposed ? x.matrix() : ConstMatrix(dy.matrix()),
                         transposed ? ConstMatrix(dy.matrix()) : x.matrix(), nullptr, accumulate);
      GuardedPages::say_at_fault(what + " over rows");
      cpu.sparse_gemm_over_rows(y.matrix(), transposed, x.sparse, dy.matrix(), accumulate);
      CHECK(equal(y, {expected.data(), height, width, width}), what, " over rows", transposed ? " transposed" : "",
            accumulate ? " accumulated" : "");
    }
}

template <class T>
void check_all() {
  for (const Case& c : kCases) {
    const Rows<T> x(c);
    for (const std::string& set : sets())
      for (const int threads : {1, 2, 5}) {
        cpu::set_num_threads(threads);
        std::ostringstream what;
        what << set << ", " << threads << " threads, " << c.rows << " x " << c.cols << " to " << c.n << ", batch "
             << c.batch;
        Device& cpu = device(set, dtype_of<T>);
        check_product(cpu, x, what.str());
        check_sum(cpu, x, what.str());
      }
  }
  cpu::set_num_threads(2);
}

TEST(sparse_products_are_dense_ones_in_float) { check_all<float>(); }
TEST(sparse_products_are_dense_ones_in_double) { check_all<double>(); }

}  // namespace

int main() { return whet::run_tests(); }
