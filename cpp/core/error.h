#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace whet {

/// A value that arose during training is NaN or infinite. Bad input is std::invalid_argument instead.
struct NonFiniteError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws std::invalid_argument "[where] part part ...". Messages name what was expected and what came.
template <class... Parts>
[[noreturn]] void fail(const std::string& where, const Parts&... parts) {
  std::ostringstream message;
  message << '[' << where << "] ";
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

}  // namespace whet
