#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace whet {

/// The shape of one row of a value (the batch axis left out), or of a parameter.
using Shape = std::vector<int64_t>;

inline int64_t count(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, [](int64_t a, int64_t b) { return a * b; });
}

/// "(3, 4)", "(3,)", as NumPy writes it.
inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace whet
