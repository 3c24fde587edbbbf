#pragma once

#include <cmath>
#include <cstdint>

/// Functions of single numbers with the same bits everywhere, unlike those of the C library.
namespace whet::math {

/// base^exponent by squaring, for exponents from 0 on.
constexpr double integer_power(double base, int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1, base *= base)
    if (exponent & 1) result *= base;
  return result;
}

constexpr double kLn2High = 0x1.62e42fee00000p-1, kLn2Low = 0x1.a39ef35793c76p-33;

/// e^x within 2 ULP for x up to 700, and 0 below -700.
constexpr double exponential(double x) {
  if (x < -700) return 0;
  const auto twos = static_cast<int64_t>(x * 0x1.71547652b82fep+0 + (x < 0 ? -0.5 : 0.5));
  const double n = static_cast<double>(twos), r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1;
  for (int k = 14; k > 0; --k) sum = 1 + r * sum / k;
  return sum * integer_power(twos < 0 ? 0.5 : 2.0, twos < 0 ? -twos : twos);
}

/// The natural logarithm of x > 0, within 2 ULP.
inline double logarithm(double x) {
  int exponent;
  double fraction = std::frexp(x, &exponent);  // exact
  if (fraction < 0.7071067811865476) fraction *= 2, --exponent;
  const double s = (fraction - 1) / (fraction + 1), square = s * s;
  double sum = 0;
  for (int k = 25; k > 0; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * kLn2High + (2 * s * sum + exponent * kLn2Low);
}

}  // namespace whet::math
