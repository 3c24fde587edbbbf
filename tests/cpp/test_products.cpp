// test_products [count [seed [first]]]: random matrix products, each in float32, bfloat16 and float64 and on every
// instruction set, from operands beside forbidden pages, against sums in higher precision. Problem i of a seed is
// always the same one. products.md has the result of a long run.

#include <sys/wait.h>

#include <map>
#include <type_traits>

#include "check.h"
#include "guarded.h"
#include "reference.h"

namespace {

using namespace whet;

uint64_t count = 400, seed = 1, first_problem = 0;

constexpr int64_t kMostProducts = 1 << 24;  // multiply-adds of a problem: 50 ms of the reference
constexpr int64_t kElements = 6 << 20;      // of an operand with its gaps

struct Problem {
  bool over_rows, transpose_a, transpose_b, accumulate;
  int whole_numbers;  // operands are whole numbers up to this one; zero: they are not
  int64_t m, n, k;
  int threads;
  double scale;  // of a
  bool has_bias, has_input, has_saved, has_residual, has_scales;
  const math::ActivationInfo* activation;
  Place a, b, y, bias, input, saved, residual, scales;
  uint64_t values;  // where in the list of random numbers its own begin
};

/// The random choices of one problem.
class Draws {
 public:
  explicit Draws(uint64_t index) : key_{.seed = seed, .stream = Stream::split, .step = static_cast<uint32_t>(index)} {}
  uint64_t below(uint64_t n) { return random_uint64(key_, next_++) % n; }
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low + 1)));
  }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  RandomKey key_;
  uint64_t next_ = 0;
};

/// None, one, less than a tile, and around multiples of the registers, tiles, panels and slabs.
int64_t draw_size(Draws& draws) {
  const uint64_t kind = draws.below(32);
  if (kind == 0) return 0;
  if (kind < 3) return 1;
  if (kind < 14) return draws.between(2, 17);
  if (kind < 23) return draws.between(18, 34);
  if (kind < 26) return draws.between(35, 100);
  if (kind < 29) return draws.between(127, 130);
  if (kind < 31) return draws.between(250, 260);
  return draws.between(261, 600);
}

Place draw_place(Draws& draws, int64_t rows, int64_t cols) {
  constexpr int64_t aliasing = 1024;  // rows 4096 or 8192 bytes apart share their lines of L1
  Place place{rows, cols, cols, 0, !draws.one_in(3)};
  switch (draws.below(6)) {
    case 0:
      place.stride += draws.between(1, 70);
      break;
    case 1:
      place.stride += 1 + 2 * draws.between(0, 8);
      break;
    case 2:
      place.stride = (cols + 15) / 16 * 16;
      break;
    case 3:
      if (rows <= 300) place.stride = (cols + aliasing - 1) / aliasing * aliasing;
      break;
    default:
      break;
  }
  if (draws.one_in(3)) place.shift = draws.between(0, 17);
  return place;
}

Problem draw_problem(uint64_t index) {
  Draws draws(index);
  Problem p{};
  p.over_rows = draws.one_in(4);
  do {
    p.m = draw_size(draws);
    p.n = draw_size(draws);
    p.k = draw_size(draws);
    // At times one long side: many slabs, more than one cut of k, more rows or columns than a block has.
    if (draws.one_in(8)) {
      int64_t* const sides[] = {&p.m, &p.n, &p.k, &p.k};
      *sides[draws.below(4)] = draws.between(600, p.over_rows ? 6000 : 3000);
    }
  } while (p.m * p.n * p.k > kMostProducts);
  if (p.over_rows && draws.one_in(256)) {  // more than is packed at once
    p.m = draws.between(1, 3);
    p.n = draws.between(250, 260);
    p.k = draws.between(8000, 18000);
  }
  p.transpose_a = p.over_rows || draws.one_in(2);
  p.transpose_b = !p.over_rows && draws.one_in(2);
  p.accumulate = draws.one_in(3);
  // From 257 on every other one lies in the middle between two of bfloat16.
  p.whole_numbers = !draws.one_in(4) ? 0 : draws.one_in(2) ? 4 : 384;
  p.threads = static_cast<int>(draws.between(1, 4));
  p.scale = draws.one_in(2) ? 1 : 0x1p-4;
  const bool epilogue = !p.over_rows && !draws.one_in(4);
  p.has_bias = epilogue && draws.one_in(2);
  p.has_saved = epilogue && draws.one_in(3);
  p.has_input = epilogue && !p.has_saved && draws.one_in(2);
  p.has_residual = epilogue && draws.one_in(3);
  p.has_scales = p.over_rows && draws.one_in(3);
  p.activation = &math::activations()[epilogue ? draws.below(math::kFusedActivations) : 0];
  p.a = draw_place(draws, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k);
  p.b = draw_place(draws, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n);
  p.y = draw_place(draws, p.m, p.n);
  p.bias = draw_place(draws, 1, p.n);
  p.input = draw_place(draws, p.m, p.n);
  p.saved = draw_place(draws, p.m, p.n);
  p.residual = draw_place(draws, p.m, p.n);
  p.scales = draw_place(draws, 1, p.k);
  p.values = draws.below(uint64_t{1} << 32);
  return p;
}

std::string describe(const Problem& p, uint64_t index, const std::string& kind) {
  std::ostringstream text;
  const auto place = [&](const char* name, const Place& at) {
    text << ", " << name << " (" << at.rows << ", " << at.cols << ") stride " << at.stride << ' ' << at.shift
         << (at.at_end ? " before the end" : " behind the begin");
  };
  text << kind << ' ' << p.m << 'x' << p.n << 'x' << p.k << (p.over_rows ? " over rows" : "")
       << (p.accumulate ? " accumulated" : "") << (p.whole_numbers ? " of whole numbers" : "") << ", " << p.threads
       << " threads, " << p.activation->name;
  place(p.transpose_a ? "transposed a" : "a", p.a);
  place(p.transpose_b ? "transposed b" : "b", p.b);
  place("y", p.y);
  if (p.has_bias) place("bias", p.bias);
  if (p.has_input) place("kept input", p.input);
  if (p.has_saved) place("saved", p.saved);
  if (p.has_residual) place("residual", p.residual);
  if (p.has_scales) place("scales", p.scales);
  text << "; repeat with: test_products 1 " << seed << ' ' << index;
  return text.str();
}

/// The random numbers of all problems, in [-1, 1).
const std::vector<double>& numbers() {
  static const std::vector<double> list = [] {
    std::vector<double> drawn(size_t{1} << 20);
    random_uniform({.seed = seed}, -1, 1, drawn.data(), static_cast<int64_t>(drawn.size()));
    return drawn;
  }();
  return list;
}

/// x rounded to the eight bits of a bfloat16: to the nearest, and of two equally near ones to the even.
double to_bfloat16(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(fraction * 256), exponent - 8);
}

/// The largest errors, in units of their bounds: of products alone, and with what follows them, of which an operation
/// that rounds once may reach its bound.
struct Worst {
  double alone = 0, followed = 0;
};
std::map<std::string, Worst> worst;  // by the set and what it computes in

/// One problem in T, and its reference in R: double for float, long double for double. In bfloat16 the reference
/// multiplies what is rounded, a scaled b after its scale.
///
/// The bound. A sum of n products in any order, FMA or not, is within gamma_n sum |a||b| of the exact one, where
/// gamma_n = n u / (1 - n u) and u = eps / 2 (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, 3.5); an
/// old value, a bias and a scale are one more rounding each, and so is the reference, with the u of R. Sums of
/// whole numbers are exact while the sizes' sum is below 1 / eps. An activation passes on the error of its operand
/// times its steepest slope; it, or its derivative, adds `ulps` units of its scale, as tests/reference.py states them.
/// What follows rounds once each.
template <class T>
class Trial {
  using R = std::conditional_t<std::is_same_v<T, float>, double, long double>;

 public:
  Trial(const Problem& p, uint64_t index, Precision precision)
      : p_(p),
        index_(index),
        precision_(precision),
        next_(p.values),
        a_(pages_a, p.a),
        b_(pages_b, p.b),
        y_(pages_y, p.y),
        bias_(pages_bias, p.bias),
        input_(pages_input, p.input),
        saved_(pages_saved, p.saved),
        residual_(pages_residual, p.residual),
        scales_(pages_scales, p.scales) {
    f_ = {p.activation->id, math::option_values(p.activation->name, p.activation->options, {})};
    draw(a_, p.a, p.scale, p.whole_numbers);
    draw(b_, p.b, 1, p.whole_numbers);
    draw(bias_, p.bias, 1, p.whole_numbers);
    draw(saved_, p.saved, 4, 4);  // where slopes are right to 8 units
    draw(residual_, p.residual, 1, p.whole_numbers);
    draw(scales_, p.scales, 1, p.whole_numbers);
    for (int64_t i = 0; i < p.m * p.n; ++i) old_.push_back(number(1, p.whole_numbers));
    make_reference();
  }

  /// Computes it on one set; returns the result.
  std::vector<T> run(const std::string& set) const {
    const std::string kind = kind_on(set), text = describe(p_, index_, kind);
    GuardedPages::say_at_fault(text);
    y_.fill(kCanary);
    input_.fill(kCanary);
    for (int64_t i = 0; i < p_.m; ++i)
      for (int64_t j = 0; j < p_.n; ++j) y_(i, j) = p_.accumulate ? old_[at(i, j)] : kNaN;
    cpu::set_num_threads(p_.threads);
    Device& cpu = cpu::cpu_device(dtype_of<T>, precision_, cpu::find_instruction_set(set));
    if (p_.over_rows)
      cpu.gemm_over_rows(y_.matrix(), a_.matrix(), b_.matrix(), p_.has_scales ? scales_.data() : nullptr,
                         p_.accumulate);
    else
      cpu.gemm(y_.matrix(), a_.matrix(), p_.transpose_a, b_.matrix(), p_.transpose_b, p_.accumulate, epilogue());
    CHECK(y_.surrounded_by(kCanary), "wrote beside y: ", text);
    CHECK(input_.surrounded_by(kCanary), "wrote beside the kept input: ", text);
    std::vector<T> results;
    Worst& most = worst[kind];
    double& of_y = follows() ? most.followed : most.alone;
    for (int64_t i = 0; i < p_.m; ++i)
      for (int64_t j = 0; j < p_.n; ++j) {
        const size_t e = at(i, j);
        results.push_back(y_(i, j));
        of_y = std::max(of_y, compare("y", i, j, y_(i, j), value_[e], value_error_[e], text));
        if (!p_.has_input) continue;
        results.push_back(input_(i, j));
        most.alone = std::max(most.alone, compare("kept input", i, j, input_(i, j), x_[e], x_error_[e], text));
      }
    return results;
  }

  std::string kind_on(const std::string& set) const {
    return set + (precision_ == Precision::bfloat16 ? " bfloat16" : sizeof(T) == 4 ? " float32" : " float64");
  }

 private:
  static constexpr T kCanary = T(1234.5), kNaN = std::numeric_limits<T>::quiet_NaN();
  static constexpr size_t kBytes = kElements * sizeof(T);
  static inline const GuardedPages pages_a{"a", kBytes}, pages_b{"b", kBytes}, pages_y{"y", kBytes},
      pages_bias{"bias", kBytes}, pages_input{"the kept input", kBytes}, pages_saved{"saved", kBytes},
      pages_residual{"the residual", kBytes}, pages_scales{"the scales", kBytes};

  /// Returns the error in units of the bound.
  static double compare(const char* what, int64_t i, int64_t j, T got, R wanted, R bound, const std::string& text) {
    const R error = std::abs(static_cast<R>(got) - wanted);
    CHECK(error <= bound, what, '(', i, ", ", j, ") is ", got, ", expected ", wanted, " +- ", bound, ": ", text);
    return error == 0 ? 0 : static_cast<double>(error / bound);
  }

  bool follows() const { return p_.has_saved || p_.has_residual || p_.activation->id != math::ActivationId::Identity; }

  size_t at(int64_t i, int64_t j) const { return static_cast<size_t>(i * p_.n + j); }

  T number(double scale, int largest) {
    const double drawn = numbers()[next_++ % numbers().size()];
    return static_cast<T>(p_.whole_numbers ? std::round(largest * drawn) : drawn * scale);
  }

  /// What surrounds an operand is NaN, which a result shows if it is used.
  void draw(const GuardedMatrix<T>& x, const Place& place, double scale, int largest) {
    x.fill(kNaN);
    for (int64_t i = 0; i < place.rows; ++i)
      for (int64_t j = 0; j < place.cols; ++j) x(i, j) = number(scale, largest);
  }

  Epilogue epilogue() const {
    Epilogue e{.activation = f_};
    if (p_.has_bias) e.bias = bias_.data();
    if (p_.has_input) e.input = input_.matrix();
    if (p_.has_saved) e.saved = saved_.matrix();
    if (p_.has_residual) e.residual = residual_.matrix();
    return e;
  }

  /// x_ = the product with its bias, value_ = what follows from it, and how far from them a result may be.
  void make_reference() {
    const auto k = static_cast<size_t>(p_.k);
    std::vector<double> left(static_cast<size_t>(p_.m) * k);
    std::vector<R> right(static_cast<size_t>(p_.n) * k);
    const bool rounded = precision_ == Precision::bfloat16;
    for (int64_t p = 0; p < p_.k; ++p) {
      const R scale = p_.has_scales ? scales_(0, p) : T(1);
      for (int64_t i = 0; i < p_.m; ++i) {
        const double x = p_.transpose_a ? a_(p, i) : a_(i, p);
        left[static_cast<size_t>(i * p_.k + p)] = rounded ? to_bfloat16(x) : x;
      }
      for (int64_t j = 0; j < p_.n; ++j) {
        const R x = (p_.transpose_b ? b_(j, p) : b_(p, j)) * scale;
        right[static_cast<size_t>(j * p_.k + p)] = rounded ? to_bfloat16(static_cast<T>(x)) : x;
      }
    }
    for (int64_t i = 0; i < p_.m; ++i)
      for (int64_t j = 0; j < p_.n; ++j) {
        const double* const row = left.data() + static_cast<size_t>(i) * k;
        const R* const column = right.data() + static_cast<size_t>(j) * k;
        R sum = 0;
        double sizes = 0;  // sum |a||b|
        for (size_t p = 0; p < k; ++p) {
          sum += static_cast<R>(row[p]) * column[p];
          sizes += std::abs(row[p] * static_cast<double>(column[p]));
        }
        for (const T term : {p_.accumulate ? old_[at(i, j)] : T(0), p_.has_bias ? bias_(0, j) : T(0)}) {
          sum += term;
          sizes += std::abs(double{term});
        }
        const R exact_sizes = sizes / (1 - gamma<double>());
        x_.push_back(sum);
        const bool exact = p_.whole_numbers > 0 && exact_sizes * std::numeric_limits<T>::epsilon() < 1;
        x_error_.push_back(exact ? R(0) : (gamma<T>() + gamma<R>()) * exact_sizes);
        follow(i, j);
      }
  }

  template <class F>
  R gamma() const {
    const R nu = static_cast<R>(p_.k + 3) * std::numeric_limits<F>::epsilon() / 2;
    return nu / (1 - nu);
  }

  /// What follows x(i, j), and its bound.
  void follow(int64_t i, int64_t j) {
    const std::string_view name = p_.activation->name;
    const bool gelu = name == "gelu" || name == "gelu_tanh", exact = name == "identity" || name == "relu";
    const R ulps = exact ? 0 : 8, x = x_.back(), x_error = x_error_.back();
    const R eps = std::numeric_limits<T>::epsilon(), u = exact && x_error == 0 ? 0 : eps / 2;
    R value, error;
    if (p_.has_saved) {
      const R saved = saved_(i, j), slope = slope_of(name, saved, f_.options);
      // 1 - tanh^2 cancels, and x multiplies it.
      const R scale = name == "gelu_tanh" ? 1 + std::abs(saved) : std::max(std::abs(slope), R(1));
      const R slope_error = ulps * eps * scale;
      value = x * slope;
      error = std::abs(slope) * x_error + (std::abs(x) + x_error) * (slope_error + u * (std::abs(slope) + slope_error));
    } else {
      value = value_of(name, x, f_.options);
      const R passed_on = (gelu ? R(1.13) : name == "silu" ? R(1.1) : R(1)) * x_error;
      // 1 + erf and 1 + tanh cancel for negative x, so their errors are in units of x.
      const R scale = gelu ? std::abs(x) : std::abs(value);
      // A factor below the smallest normal number may be zero before x multiplies it.
      const R flushed = exact ? R(0) : (1 + std::abs(x)) * std::numeric_limits<T>::min();
      error = passed_on + ulps * eps * (scale + passed_on) + flushed;
    }
    if (p_.has_residual) {
      const R residual = residual_(i, j);
      error += u * (std::abs(value + residual) + error);
      value += residual;
    }
    value_.push_back(value);
    value_error_.push_back(error);
  }

  const Problem& p_;
  uint64_t index_;
  Precision precision_;
  uint64_t next_;
  GuardedMatrix<T> a_, b_, y_, bias_, input_, saved_, residual_, scales_;
  Activation f_;
  std::vector<T> old_;
  std::vector<R> x_, x_error_, value_, value_error_;
};

template <class T>
void random_products(Precision precision = Precision::full) {
  worst.clear();
  for (uint64_t index = first_problem; index < first_problem + count; ++index) {
    const Problem problem = draw_problem(index);
    const Trial<T> trial(problem, index, precision);
    std::vector<T> expected;
    for (const std::string& set : sets()) {
      const std::vector<T> got = trial.run(set);
      if (set == "baseline") continue;
      if (expected.empty()) expected = got;
      CHECK(same_bits(got, expected),
            "other bits than the first set with FMA: ", describe(problem, index, trial.kind_on(set)));
    }
  }
  for (const auto& [kind, most] : worst)
    std::cerr << kind << ": errors up to " << most.alone << " of the bound, " << most.followed
              << " with what follows the product\n";
  cpu::set_num_threads(2);
}

TEST(pages_around_the_operands_are_forbidden) {
  static const GuardedPages pages("the page of this test", 1);
  const std::byte* const beyond[] = {pages.begin<std::byte>() - 1, pages.end<std::byte>()};
  for (const std::byte* at : beyond) {
    const pid_t child = fork();
    if (child == 0) {
      close(STDERR_FILENO);
      _exit(static_cast<int>(*const_cast<const volatile std::byte*>(at)));
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == kFaultStatus, "status ", status);
  }
}

TEST(random_products_in_float) { random_products<float>(); }
TEST(random_products_in_bfloat16) { random_products<float>(Precision::bfloat16); }
TEST(random_products_in_double) { random_products<double>(); }

}  // namespace

int main(int argc, char** argv) {
  uint64_t* const settings[] = {&count, &seed, &first_problem};
  for (int i = 1; i < argc && i <= 3; ++i) *settings[i - 1] = std::strtoull(argv[i], nullptr, 10);
  return run_tests();
}
