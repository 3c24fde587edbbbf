#pragma once

#include <array>
#include <string_view>

namespace whet::math {

/// A number that a functor takes besides its operands: its PyTorch name and default.
struct Option {
  std::string_view name;
  double value;
};

/// Values of a functor's options, in the order in which it declares them.
constexpr int kMaxOptions = 10;
using OptionValues = std::array<double, kMaxOptions>;

}  // namespace whet::math
