// Compiled once per instruction set: a sample of what sweep.cpp looks at, in float and double.

#include "check.h"
#include "device/cpu/cpu.h"
#include "ulp.h"

namespace {

using namespace whet::cpu::WHET_ISA_NAMESPACE;

template <class T>
T first_lane(Vec<T> v) {
  T lanes[Vec<T>::size];
  v.store(lanes);
  return lanes[0];
}

template <class T>
void compare(const Function<T>& function, const std::vector<T>& x, const std::vector<Exact<T>>& exact, bool flush) {
  std::vector<T> y(x.size());
  if (flush) {
    const whet::cpu::FlushDenormals denormals;
    function.ours(x.data(), y.data(), static_cast<int64_t>(x.size()));
  } else {
    function.ours(x.data(), y.data(), static_cast<int64_t>(x.size()));
  }
  Tally<T> tally{.lost_products = flush && !kFused};
  for (size_t i = 0; i < x.size(); ++i) tally.add(function, x[i], y[i], exact[i]);
  std::cerr << "        " << kSet << (sizeof(T) == 4 ? " float " : " double ") << function.name
            << (flush ? ", denormals flushed: " : ": ") << tally.worst << " ULP at " << tally.worst_at << std::endl;
  CHECK(tally.holds(function), function.name, " at ", tally.worst_at, "; wrong signs: ", tally.wrong_signs);
}

/// Every `step`-th bit pattern, which covers all exponents, both signs and NaN alike, and the special values.
template <class T>
std::vector<T> sample(typename Types<T>::Int step) {
  using Bits = typename Types<T>::Int;
  using Limits = std::numeric_limits<T>;
  std::vector<T> points;
  for (Bits bits = 0; bits < Bits(-1) - step; bits += step) points.push_back(std::bit_cast<T>(bits));
  const auto add_with_neighbours = [&](T x) {
    const Bits bits = std::bit_cast<Bits>(x);
    for (const Bits near : {bits - 2, bits - 1, bits, bits + 1, bits + 2})
      for (const T sign : {T(-1), T(1)}) points.push_back(sign * std::bit_cast<T>(near));
  };
  // Where the formulas change; logarithms do so at 3/4 of a power of two.
  using C = ExpConstants<T>;
  for (const T x : {T(0), T(2) * Limits::denorm_min(), Limits::max(), Limits::infinity(), Limits::quiet_NaN(),
                    C::highest, C::lowest, C::minus_one, C::tiny, T(0.55), T(ErfFloat::bound), T(20)})
    add_with_neighbours(x);
  for (int k = Limits::min_exponent; k < Limits::max_exponent; ++k)
    for (const T x : {T(1), T(1.5)}) add_with_neighbours(std::ldexp(x, k));
  // Densely where the functions bend.
  for (int i = -200000; i <= 200000; ++i) points.push_back(static_cast<T>(i * 3.7e-5));
  for (int i = -20000; i <= 20000; ++i) points.push_back(static_cast<T>(i * 0.04));
  return points;
}

template <class T>
void compare_all(const std::vector<T>& points) {
  std::vector<Exact<T>> exact(points.size());
  for (const Function<T>& function : functions<T>()) {
    function.reference(points.data(), exact.data(), static_cast<int64_t>(points.size()));
    for (const bool flush : {false, true}) compare(function, points, exact, flush);
  }
}

TEST(functions_are_right_in_float) { compare_all(sample<float>(2999)); }

TEST(functions_are_right_in_double) { compare_all(sample<double>((uint64_t{1} << 44) + 12345678901)); }

TEST(errors_count_units_in_the_last_place) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), largest = std::numeric_limits<float>::max();
  constexpr float smallest = std::numeric_limits<float>::min(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(ulp_error(1.0f, 1.0) == 0 && ulp_error(1.0f, 1 + 0x1p-23) == 1 && ulp_error(1.0f, 1 - 0x1p-24) == 1);
  CHECK(ulp_error(-2.0f, 2.0) == 0x1p23 * 2 && ulp_error(0.0f, 1.0) == 0x1p23);
  CHECK(ulp_error(nan, double(nan)) == 0 && std::isinf(ulp_error(nan, 1.0)) &&
        std::isinf(ulp_error(1.0f, double(nan))));
  CHECK(ulp_error(infinity, 1e300) == 0 && ulp_error(infinity, double(largest)) == 1);
  CHECK(std::isinf(ulp_error(largest, double(infinity))) && ulp_error(-infinity, 1e300) > 1e6);
  CHECK(ulp_error(0.0f, 0x1.fp-127) == 0 && ulp_error(smallest, 0x1.fp-127) == 0x1p18);
  CHECK(ulp_error(0.0f, double(smallest)) == 0x1p23);
}

TEST(maximum_and_minimum_keep_nan_on_the_left) {
  const vf nan(std::numeric_limits<float>::quiet_NaN()), one(1.0f);
  CHECK(std::isnan(first_lane(max(nan, one))) && first_lane(max(one, nan)) == 1);
  CHECK(std::isnan(first_lane(min(nan, one))) && first_lane(min(one, nan)) == 1);
}

}  // namespace

int main() {
  for (const std::string& set : whet::cpu::available_instruction_sets())
    if (set == kSet) return whet::run_tests();
  std::cerr << "this processor lacks " << kSet << std::endl;
  return 0;
}
