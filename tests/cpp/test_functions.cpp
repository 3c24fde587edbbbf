// Compiled once per instruction set: exp, expm1, log, log1p, tanh and erf against the C library in higher precision.

#include <cmath>

#include "check.h"
#include "device/cpu/cpu.h"
#include "device/cpu/kernels/mathfun.h"

namespace {

using namespace whet::cpu::WHET_ISA_NAMESPACE;

#if defined(WHET_ISA_avx512)
constexpr const char* kSet = "avx512";
#elif defined(WHET_ISA_avx2)
constexpr const char* kSet = "avx2";
#else
constexpr const char* kSet = "baseline";
#endif

template <class T>
struct Function {
  const char* name;
  Vec<T> (*ours)(Vec<T>);
  long double (*reference)(long double);
  double most_ulp, most_ulp_without_fma;
};

template <class T>
T first_lane(Vec<T> v) {
  T lanes[Vec<T>::size];
  v.store(lanes);
  return lanes[0];
}

/// How far `got` is from `exact`, in units of the last place of T. Results that T would hold as denormals may be zero.
template <class T>
double ulp_error(T got, long double exact) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(exact)) return std::isnan(got) ? 0 : HUGE_VAL;
  const T rounded = static_cast<T>(exact);
  if (std::isinf(rounded) || std::isinf(got)) {
    const T largest = std::copysign(Limits::max(), static_cast<T>(exact > 0 ? 1 : -1));
    return got == rounded ? 0 : got == largest || rounded == largest ? 1 : HUGE_VAL;
  }
  if (std::abs(exact) < Limits::min()) return std::abs(got) <= Limits::min() ? 0 : HUGE_VAL;
  const long double unit = std::ldexp(1.0L, std::ilogb(exact) - Limits::digits + 1);
  return static_cast<double>(std::abs(static_cast<long double>(got) - exact) / unit);
}

template <class T>
void compare(const Function<T>& function, const std::vector<T>& points) {
  double worst = 0;
  T worst_at = 0;
  for (const T x : points) {
    // log of a denormal may be that of zero, for it is flushed in our calls.
    if (std::fpclassify(x) == FP_SUBNORMAL && std::string(function.name) == "log") continue;
    const double error = ulp_error(first_lane(function.ours(Vec<T>(x))), function.reference(x));
    if (!(error <= worst)) {
      worst = error;
      worst_at = x;
    }
  }
  std::cerr << "        " << kSet << ' ' << (sizeof(T) == 4 ? "float " : "double ") << function.name << ": " << worst
            << " ULP at " << worst_at << std::endl;
  const bool fused = std::string(kSet) != "baseline";
  CHECK(worst <= (fused ? function.most_ulp : function.most_ulp_without_fma), function.name, " at ", worst_at, ": ",
        first_lane(function.ours(Vec<T>(worst_at))), ", exactly ", function.reference(worst_at));
}

/// Every `step`-th bit pattern, which covers all exponents, both signs and NaN alike, and the special values.
template <class T, class Bits>
std::vector<T> sample(Bits step) {
  std::vector<T> points;
  for (Bits bits = 0; bits < Bits(-1) - step; bits += step) {
    T x;
    std::memcpy(&x, &bits, sizeof x);
    points.push_back(x);
  }
  for (const T sign : {T(-1), T(1)})
    for (const T x :
         {T(0), T(1), std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN(),
          std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), std::numeric_limits<T>::denorm_min()})
      points.push_back(sign * x);
  // Densely where the functions bend and change their formulas.
  for (int i = -200000; i <= 200000; ++i) points.push_back(static_cast<T>(i * 3.7e-5));
  for (int i = -20000; i <= 20000; ++i) points.push_back(static_cast<T>(i * 0.04));
  return points;
}

long double exp_of(long double x) { return std::exp(x); }
long double expm1_of(long double x) { return std::expm1(x); }
long double log_of_x(long double x) { return std::log(x); }
long double log1p_of(long double x) { return std::log1p(x); }
long double tanh_of(long double x) { return std::tanh(x); }
long double erf_of(long double x) { return std::erf(x); }

template <class T>
std::vector<Function<T>> functions() {
  return {{"exp", exp<T>, exp_of, 2, 2},    {"expm1", expm1<T>, expm1_of, 2, 4},
          {"log", log<T>, log_of_x, 2, 4},  {"log1p", log1p<T>, log1p_of, 2, 4},
          {"tanh", tanh<T>, tanh_of, 2, 4}, {"erf", [](Vec<T> x) { return erf(x); }, erf_of, 2, 4}};
}

TEST(functions_are_right_in_float) {
  const std::vector<float> points = sample<float, uint32_t>(2999);
  for (const auto& function : functions<float>()) compare(function, points);
}

TEST(functions_are_right_in_double) {
  const std::vector<double> points = sample<double, uint64_t>((uint64_t{1} << 44) + 12345678901);
  for (const auto& function : functions<double>()) compare(function, points);
}

template <class T>
void signs_of_zero() {
  for (const auto& function : functions<T>()) {
    if (std::string(function.name) == "exp" || std::string(function.name) == "log") continue;
    CHECK(std::signbit(first_lane(function.ours(Vec<T>(T(-0.0))))), function.name);
    CHECK(!std::signbit(first_lane(function.ours(Vec<T>(T(0.0))))), function.name);
  }
}

TEST(zeros_keep_their_signs) {
  signs_of_zero<float>();
  signs_of_zero<double>();
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
