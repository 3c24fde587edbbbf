#include <limits>

#include "check.h"
#include "math/registry.h"
#include "reference.h"

namespace {

using namespace whet;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<double> grid() {
  std::vector<double> x;
  for (double v = -12; v <= 12; v += 0.0371) x.push_back(v);
  for (const double v : {0.0, 1e-6, -1e-6, 1e-3, -1e-3, 30.0, -30.0}) x.push_back(v);
  return x;
}

template <class T>
void activations_are_right() {
  const std::vector<double> points = grid();
  const auto n = static_cast<int64_t>(points.size());
  const std::vector<T> x(points.begin(), points.end()), dy(points.size(), T(2));
  for (const std::string& set : sets())
    for (const math::ActivationInfo& info : math::activations()) {
      Activation f{info.id, math::option_values(info.name, info.options, {})};
      std::vector<T> y(x.size()), dx(x.size(), T(1));
      Device& cpu = device(set, dtype_of<T>);
      cpu.activate({y.data(), 1, n, n}, {x.data(), 1, n, n}, f);
      const std::vector<T>& saved = info.saved == math::Saved::output ? y : x;
      cpu.activate_backward({dx.data(), 1, n, n}, {dy.data(), 1, n, n}, {saved.data(), 1, n, n}, f, true);
      for (size_t i = 0; i < x.size(); ++i) {
        const double at = x[i], expected = value_of(info.name, at, f.options), eps = std::numeric_limits<T>::epsilon();
        if (std::isnan(expected)) {
          CHECK(std::isnan(y[i]), set, ' ', info.name, " at ", at);
          continue;
        }
        CHECK(y[i] == expected || std::abs(y[i] - expected) <= 8 * eps * std::max(1.0, std::abs(expected)), set, ' ',
              info.name, " at ", at, ": ", y[i], " expected ", expected);
        const bool pole = info.name == "log" || info.name == "sqrt" || info.name == "reciprocal";
        if (std::abs(at) < (pole ? 1e-2 : 1e-4)) continue;  // kinks
        const double h = 1e-5;
        const double slope =
            (value_of(info.name, at + h, f.options) - value_of(info.name, at - h, f.options)) / (2 * h);
        CHECK(std::abs(dx[i] - (1 + 2 * slope)) <= 2e-6 * std::max(1.0, std::abs(slope)), set, ' ', info.name, "' at ",
              at, ": ", (dx[i] - 1) / 2, " expected ", slope);
      }
    }
}

TEST(activations_are_right_in_float) { activations_are_right<float>(); }
TEST(activations_are_right_in_double) { activations_are_right<double>(); }

TEST(activations_keep_nan_and_limits) {
  for (const std::string& set : sets())
    for (const math::ActivationInfo& info : math::activations()) {
      const Activation f{info.id, math::option_values(info.name, info.options, {})};
      float x[] = {std::nanf(""), HUGE_VALF, 1e30f, -1e30f}, y[4];
      device(set, DType::float32).activate({y, 1, 4, 4}, {x, 1, 4, 4}, f);
      CHECK(std::isnan(y[0]), set, ' ', info.name);
      const bool wave = info.name == "sin" || info.name == "cos";  // any between -1 and 1 where they are not exact
      for (const int i : {1, 2, 3}) {
        const double expected = value_of(info.name, double{x[i]}, f.options);
        const bool right =
            std::isnan(expected) ? std::isnan(y[i])
            : wave               ? std::abs(y[i]) <= 1
                   : y[i] == static_cast<float>(expected) || std::abs(y[i] - expected) <= 1e-6 * std::abs(expected);
        CHECK(right, set, ' ', info.name, " at ", x[i], ": ", y[i], " expected ", expected);
      }
    }
}

double loss_of(std::string_view name, double p, double t) {
  if (name == "mse") return (p - t) * (p - t);
  if (name == "l1") return std::abs(p - t);
  if (name == "bce_with_logits") return std::max(p, 0.0) - p * t + std::log1p(std::exp(-std::abs(p)));
  const double d = p - t, z = 1 - t * p, s = 1 / (1 + std::exp(-p));
  if (name == "huber" || name == "smooth_l1") return std::abs(d) <= 1 ? d * d / 2 : std::abs(d) - 0.5;
  if (name == "log_cosh") return std::log(std::cosh(d));
  if (name == "quantile") return std::abs(d) / 2;
  if (name == "poisson") return std::exp(p) - t * p;
  if (name == "gamma") return p + t * std::exp(-p);
  if (name == "tweedie") return 2 * std::exp(p / 2) + 2 * t * std::exp(-p / 2);
  if (name == "hinge") return std::max(z, 0.0);
  if (name == "squared_hinge") return z > 0 ? z * z : 0;
  if (name == "soft_margin") return std::log1p(std::exp(-t * p));
  if (name == "focal") {
    const double q = t * (1 - s) + (1 - t) * s;
    return (0.25 * t + 0.75 * (1 - t)) * q * q * -(t * std::log(s) + (1 - t) * std::log(1 - s));
  }
  if (name == "kl_div") return t * (std::log(t) - p);
  report(__FILE__, __LINE__, "no formula for ", name);
  return kNaN;
}

template <class T>
void elementwise_losses_are_right() {
  const double eps = std::numeric_limits<T>::epsilon();
  for (const std::string& set : sets())
    for (const math::LossInfo& info : math::losses()) {
      if (info.id == math::LossId::CrossEntropy) continue;
      for (const int64_t cols : {1, 3, 10, 16, 33, 100}) {
        const int64_t rows = 37;
        const Sheet<T> scales(1, rows, 0, 3);
        std::vector<T> losses(static_cast<size_t>(rows));
        for (const int gaps : {0, 1, 2, 3}) {
          const bool scaled = gaps == 1 || gaps == 2;
          const Sheet<T> p(rows, cols, 2 * gaps, 1, -3, 3), t(rows, cols, gaps, 2, 0, 1);
          Sheet<T> d(rows, cols, 3 * gaps, 4);
          device(set, dtype_of<T>)
              .loss(losses.data(), d.matrix(), p.matrix(), {.values = t.matrix()},
                    scaled ? scales.values.data() : nullptr, 0.25,
                    {info.id, math::option_values(info.name, info.options, {})});
          for (int64_t i = 0; i < rows; ++i) {
            double sum = 0;
            for (int64_t j = 0; j < cols; ++j) {
              sum += loss_of(info.name, p(i, j), t(i, j));
              const double h = 1e-6, scale = scaled ? double{scales(0, i)} : 0.25;
              const double slope =
                  (loss_of(info.name, p(i, j) + h, t(i, j)) - loss_of(info.name, p(i, j) - h, t(i, j))) / (2 * h);
              CHECK(
                  std::abs(d(i, j) - scale * slope / static_cast<double>(cols)) < 1e-6 * std::max(1.0, std::abs(slope)),
                  set, ' ', info.name);
            }
            const double mean = sum / static_cast<double>(cols);
            CHECK(std::abs(losses[static_cast<size_t>(i)] - mean) < 20 * eps * std::max(1.0, std::abs(mean)), set, ' ',
                  info.name, ' ', cols);
          }
        }
      }
    }
}

TEST(elementwise_losses_are_right_in_float) { elementwise_losses_are_right<float>(); }
TEST(elementwise_losses_are_right_in_double) { elementwise_losses_are_right<double>(); }

template <class T>
void cross_entropy_is_right() {
  const double eps = std::numeric_limits<T>::epsilon();
  for (const std::string& set : sets())
    for (const int64_t cols : {1, 2, 4, 8, 10, 16, 17, 100, 300, 1000, 1100})
      for (const double size : {1.0, 30.0, 1e4}) {
        const int64_t rows = 23;
        const Sheet<T> p(rows, cols, 2, 1, -size, size), t(rows, cols, 1, 2, 0, 1), scales(1, rows, 0, 3);
        std::vector<int32_t> classes;
        for (int64_t i = 0; i < rows; ++i) classes.push_back(static_cast<int32_t>((i * 7) % cols));
        for (const bool by_class : {false, true}) {
          Sheet<T> d = p;  // in place
          std::vector<T> losses(static_cast<size_t>(rows));
          Target target{.values = t.matrix(), .classes = by_class ? classes.data() : nullptr};
          if (by_class) target.values = {};
          device(set, dtype_of<T>)
              .loss(losses.data(), d.matrix(), d.matrix(), target, cols % 4 == 0 ? scales.values.data() : nullptr, 0.5,
                    {math::LossId::CrossEntropy, {}});
          for (int64_t i = 0; i < rows; ++i) {
            const double scale = cols % 4 == 0 ? double{scales(0, i)} : 0.5;
            double largest = -kInfinity;
            long double sum = 0, loss = 0, total = 0;  // these run over a thousand columns
            for (int64_t j = 0; j < cols; ++j) largest = std::max<double>(largest, p(i, j));
            for (int64_t j = 0; j < cols; ++j) sum += std::exp(p(i, j) - largest);
            const auto weight = [&](int64_t j) -> double {
              return by_class ? (j == classes[static_cast<size_t>(i)]) : double{t(i, j)};
            };
            for (int64_t j = 0; j < cols; ++j) {
              total += weight(j);
              loss -= weight(j) * (p(i, j) - largest - std::log(sum));
            }
            CHECK(std::abs(losses[static_cast<size_t>(i)] - loss) <= 16 * eps * std::max(1.0L, loss), set, ' ', cols,
                  ' ', loss);
            for (int64_t j = 0; j < cols; ++j)
              CHECK(std::abs(d(i, j) - scale * (std::exp(p(i, j) - largest) / sum * total - weight(j))) <=
                        16 * eps * std::max(1.0L, total),
                    set, ' ', cols);
          }
          Sheet<T> soft(rows, cols, 4, 0);
          device(set, dtype_of<T>).softmax(soft.matrix(), p.matrix());
          for (int64_t i = 0; i < rows; ++i) {
            long double sum = 0;
            for (int64_t j = 0; j < cols; ++j) sum += soft(i, j);
            CHECK(std::abs(sum - 1) < 8 * eps, set, ' ', cols, ' ', sum);
          }
        }
      }
}

TEST(cross_entropy_is_right_in_float) { cross_entropy_is_right<float>(); }
TEST(cross_entropy_is_right_in_double) { cross_entropy_is_right<double>(); }

TEST(cross_entropy_keeps_nan) {
  for (const std::string& set : sets())
    for (const int64_t cols : {1, 3, 16, 40, 1100})
      for (const int64_t where : {int64_t{0}, cols - 1}) {
        Sheet<float> p(2, cols, 0, 1), d(2, cols, 0, 1);
        p(1, where) = std::nanf("");
        const int32_t classes[] = {0, 0};
        float losses[2];
        device(set, DType::float32)
            .loss(losses, d.matrix(), p.matrix(), {.values = {}, .classes = classes}, nullptr, 1,
                  {math::LossId::CrossEntropy, {}});
        CHECK(!std::isnan(losses[0]) && std::isnan(losses[1]), set, ' ', cols);
        for (int64_t j = 0; j < cols; ++j) CHECK(!std::isnan(d(0, j)) && std::isnan(d(1, j)), set, ' ', cols);
      }
}

/// Rows are worked on in groups, but each one's result is its own.
template <class T>
void rows_are_independent() {
  for (const std::string& set : sets())
    for (const int64_t cols : {1, 2, 5, 8, 10, 16, 20, 37, 128, 600, 1100}) {
      const int64_t rows = 39;
      const Sheet<T> p(rows, cols, 0, 1, -5, 5), t(rows, cols, 3, 2, 0, 1);
      std::vector<int32_t> classes;
      for (int64_t i = 0; i < rows; ++i) classes.push_back(static_cast<int32_t>((i * 7) % cols));
      Device& cpu = device(set, dtype_of<T>);
      const auto part = [](const Sheet<T>& sheet, int64_t from, int64_t count) {
        return ConstMatrix{sheet.values.data() + from * sheet.stride, count, sheet.cols, sheet.stride};
      };
      const auto into = [](Sheet<T>& sheet, int64_t from, int64_t count) {
        return Matrix{sheet.values.data() + from * sheet.stride, count, sheet.cols, sheet.stride};
      };
      const auto results = [&](int64_t step) {
        std::vector<std::vector<T>> all;
        Sheet<T> y(rows, cols, 1, 3);
        for (int64_t i = 0; i < rows; i += step) {
          const int64_t count = std::min(step, rows - i);
          cpu.softmax(into(y, i, count), part(p, i, count));
        }
        all.push_back(y.values);  // with the gaps
        for (const math::LossInfo& info : math::losses())
          for (const bool by_class : {false, true})
            for (const bool with_gradient : {true, false}) {
              if (by_class && info.id != math::LossId::CrossEntropy) continue;
              Sheet<T> d(rows, cols, 2, 4);
              std::vector<T> losses(static_cast<size_t>(rows));
              for (int64_t i = 0; i < rows; i += step) {
                const int64_t count = std::min(step, rows - i);
                Target target{.values = part(t, i, count), .classes = by_class ? classes.data() + i : nullptr};
                if (by_class) target.values = {};
                cpu.loss(losses.data() + i, with_gradient ? into(d, i, count) : Matrix{}, part(p, i, count), target,
                         nullptr, 0.3, {info.id, {}});
              }
              all.push_back(losses);
              all.push_back(d.values);
            }
        return all;
      };
      const auto together = results(rows);
      for (const int64_t step : {1, 2, 7, 16}) {
        const auto apart = results(step);
        for (size_t i = 0; i < together.size(); ++i)
          CHECK(same_bits(apart[i], together[i]), set, ' ', cols, " columns, ", step, " rows at a time: ", i);
      }
    }
}

TEST(rows_are_independent_in_float) { rows_are_independent<float>(); }
TEST(rows_are_independent_in_double) { rows_are_independent<double>(); }

TEST(optimizers_are_right) {
  constexpr int64_t n = 1003;
  for (const std::string& set : sets()) {
    std::vector<double> p(n), p0(n), g(n), m(n), v(n);
    random_uniform({.seed = 1}, -1, 1, p.data(), n);
    random_uniform({.seed = 2}, -1, 1, g.data(), n);
    p0 = p;
    std::vector<double> m0 = m, v0 = v;
    const auto& adam = math::find_optimizer("adam");
    for (int64_t step = 1; step <= 3; ++step) {
      const auto options = math::option_values("adam", adam.options, {});
      void* slots[] = {m.data(), v.data()};
      device(set, DType::float64).update(p.data(), g.data(), slots, n, {adam.id, adam.prepare(options, step)});
      for (size_t i = 0; i < n; ++i) {
        m0[i] = 0.9 * m0[i] + 0.1 * g[i];
        v0[i] = 0.999 * v0[i] + 0.001 * g[i] * g[i];
        const double t = static_cast<double>(step);
        p0[i] -= 1e-3 * (m0[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v0[i] / (1 - std::pow(0.999, t))) + 1e-8);
        CHECK(std::abs(p[i] - p0[i]) < 1e-13, set, ' ', p[i], ' ', p0[i]);
      }
    }
  }
}

template <class T>
void gradients_are_scaled_and_limited() {
  constexpr int64_t n = 1003;
  const Sheet<T> g(1, n, 0, 1, -3, 3);
  for (const std::string& set : sets())
    for (const math::OptimizerInfo& info : math::optimizers())
      for (const auto& [scale, limit] : {std::pair{0.3, HUGE_VAL}, {1.0, 0.5}, {0.3, 0.5}}) {
        Sheet<T> changed = g, p(1, n, 0, 2), q = p;
        for (T& v : changed.values)
          v = std::clamp(v * static_cast<T>(scale), static_cast<T>(-limit), static_cast<T>(limit));
        const auto sweep = [&](Sheet<T>& parameter, const Sheet<T>& gradient, double by, double within) {
          std::vector<T> first(n, T(0.1)), second(n, T(0.2)), third(n, T(0.3));
          void* slots[] = {first.data(), second.data(), third.data()};
          const auto coefficients = info.prepare(math::option_values(info.name, info.options, {}), 2);
          device(set, dtype_of<T>)
              .update(parameter.values.data(), gradient.values.data(), slots, n, {info.id, coefficients, by, within});
        };
        sweep(p, g, scale, limit);
        sweep(q, changed, 1, HUGE_VAL);
        CHECK(same_bits(p.values, q.values), set, ' ', info.name, ' ', scale, ' ', limit);
      }
}

TEST(gradients_are_scaled_and_limited_in_float) { gradients_are_scaled_and_limited<float>(); }
TEST(gradients_are_scaled_and_limited_in_double) { gradients_are_scaled_and_limited<double>(); }

template <class T>
void reductions_are_right() {
  for (const int64_t cols : {1, 5, 16, 30, 64, 100, 300, 3000})
    for (const int64_t rows : {0, 1, 255, 256, 257, 1000, 5000}) {
      const Sheet<T> x(rows, cols, 1, 1), w(1, rows * (cols + 1), 0, 2);
      std::vector<T> expected;
      double expected_sum = 0;
      for (const std::string& set : sets())
        for (const int threads : {1, 2, 3}) {
          cpu::set_num_threads(threads);
          std::vector<T> y(static_cast<size_t>(cols), T(3));
          Device& cpu = device(set, dtype_of<T>);
          cpu.column_sums(y.data(), x.matrix(), true);
          const double sum = cpu.weighted_sum(x.values.data(), w.values.data(), rows * (cols + 1));
          double most = 0;
          for (const T each : x.values) most = std::max(most, std::abs(double{each}));
          CHECK(cpu.largest(x.values.data(), static_cast<int64_t>(x.values.size())) == most, set, ' ', threads);
          if (expected.empty()) {
            for (int64_t j = 0; j < cols; ++j) {
              double reference = 3;
              for (int64_t i = 0; i < rows; ++i) reference += x(i, j);
              CHECK(std::abs(y[static_cast<size_t>(j)] - reference) <
                        std::numeric_limits<T>::epsilon() * static_cast<double>(rows + 8),
                    set);
            }
            double reference = 0;
            for (size_t i = 0; i < x.values.size(); ++i) reference += double{x.values[i]} * double{w.values[i]};
            CHECK(std::abs(sum - reference) < 1e-12 * static_cast<double>(rows * cols + 1), set, ' ', sum, ' ',
                  reference);
            expected = y;
          }
          if (set == "avx2" && threads == 1) expected_sum = sum;
          CHECK(same_bits(y, expected), set, ' ', threads, ' ', rows, 'x', cols);
          CHECK(set == "baseline" || sum == expected_sum, set, ' ', threads);
        }
    }
  cpu::set_num_threads(2);
}

TEST(reductions_are_right_in_float) { reductions_are_right<float>(); }
TEST(reductions_are_right_in_double) { reductions_are_right<double>(); }

TEST(the_first_nonfinite_element_is_found) {
  for (const std::string& set : sets())
    for (const int64_t gap : {0, 3})
      for (const double bad : {kInfinity, -kInfinity, kNaN})
        for (const int64_t where : {0, 1, 99, 12345, 199999}) {
          Sheet<float> x(2000, 100, gap, 1, -1e38, 1e38);
          Device& cpu = device(set, DType::float32);
          CHECK(cpu.find_nonfinite(x.matrix()) == -1);
          x(where / 100, where % 100) = static_cast<float>(bad);
          x(1999, 99) = static_cast<float>(bad);
          CHECK(cpu.find_nonfinite(x.matrix()) == where, set, ' ', where);
        }
}

TEST(rows_move_and_add_up) {
  for (const std::string& set : sets()) {
    Device& cpu = device(set, DType::float32);
    const Sheet<float> x(50, 7, 2, 1), a(40, 7, 0, 2), b(40, 7, 5, 3);
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < 40; ++i) rows.push_back((i * 7) % 50);
    Sheet<float> y(40, 7, 1, 4), z(50, 7, 0, 5), sum(40, 7, 3, 6);
    cpu.gather_rows(y.matrix(), x.matrix(), rows.data());
    cpu.scatter_rows(z.matrix(), y.matrix(), rows.data());
    cpu.add(sum.matrix(), a.matrix(), b.matrix());
    for (int64_t i = 0; i < 40; ++i)
      for (int64_t j = 0; j < 7; ++j) {
        const int64_t from = rows[static_cast<size_t>(i)];
        CHECK(y(i, j) == x(from, j));
        CHECK(z(from, j) == x(from, j));
        CHECK(sum(i, j) == a(i, j) + b(i, j));
      }
    cpu.copy(sum.matrix(), a.matrix(), false);
    CHECK(sum.elements() == a.elements());
    cpu.copy(sum.matrix(), a.matrix(), true);
    for (int64_t i = 0; i < 40; ++i) CHECK(sum(i, 3) == a(i, 3) + a(i, 3));
  }
}

template <class T>
void bits_are_equal(int64_t rows, int64_t cols) {
  std::vector<std::vector<T>> expected;
  for (const std::string& set : sets()) {
    if (set == "baseline") continue;
    for (const int threads : {1, 2, 4})
      for (const int64_t gap : {0, 1, 11}) {
        cpu::set_num_threads(threads);
        Device& cpu = device(set, dtype_of<T>);
        Sheet<T> x(rows, cols, gap, 0), t(rows, cols, gap, 0), y(rows, cols, gap, 0), d(rows, cols, gap, 0);
        const Sheet<T> dense_x(rows, cols, 0, 1, -6, 6), dense_t(rows, cols, 0, 2, 0, 1);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < cols; ++j) {
            x(i, j) = dense_x(i, j);
            t(i, j) = dense_t(i, j);
          }
        std::vector<std::vector<T>> results;
        for (const math::ActivationInfo& info : math::activations()) {
          const Activation f{info.id, math::option_values(info.name, info.options, {})};
          cpu.activate(y.matrix(), x.matrix(), f);
          results.push_back(y.elements());
          cpu.activate_backward(d.matrix(), t.matrix(), x.matrix(), f, false);
          results.push_back(d.elements());
        }
        for (const math::LossInfo& info : math::losses()) {
          std::vector<T> losses(static_cast<size_t>(rows));
          cpu.loss(losses.data(), d.matrix(), x.matrix(), {.values = t.matrix()}, nullptr, 0.1, {info.id, {}});
          results.push_back(losses);
          results.push_back(d.elements());
        }
        cpu.softmax(y.matrix(), x.matrix());
        results.push_back(y.elements());
        if (expected.empty()) expected = results;
        for (size_t i = 0; i < results.size(); ++i)
          CHECK(same_bits(results[i], expected[i]), set, ' ', threads, ' ', gap, ' ', i);
      }
  }
  cpu::set_num_threads(2);
}

template <class T>
void bits_are_equal() {
  for (const auto& [rows, cols] : {std::pair{20000, 1}, {3000, 10}, {1200, 16}, {700, 37}, {30, 1000}, {20, 1100}})
    bits_are_equal<T>(rows, cols);
}

TEST(bits_do_not_depend_on_threads_sets_or_strides_in_float) { bits_are_equal<float>(); }
TEST(bits_do_not_depend_on_threads_sets_or_strides_in_double) { bits_are_equal<double>(); }

}  // namespace

int main() { return run_tests(); }
