#pragma once

#include <cstddef>
#include <cstdint>

namespace whet {

enum class DType : uint8_t { float32, float64 };

constexpr size_t size_of(DType dtype) { return dtype == DType::float32 ? 4 : 8; }
constexpr const char* name_of(DType dtype) { return dtype == DType::float32 ? "float32" : "float64"; }

/// How the operands of a product are rounded: as they are, or float32 to bfloat16, whose products are exact in float32.
enum class Precision : uint8_t { full, bfloat16 };

/// Rows of the arena and the first element of each parameter start at multiples of this many bytes.
constexpr size_t kAlignment = 64;

constexpr int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// Elements from one arena row of `cols` elements to the next.
constexpr int64_t padded_columns(int64_t cols, DType dtype) {
  return round_up(cols, static_cast<int64_t>(kAlignment / size_of(dtype)));
}

/// Elements from one row to the next of a matrix of our own: single columns lie dense, so that rows fill registers.
constexpr int64_t row_stride(int64_t cols, DType dtype) { return cols == 1 ? 1 : padded_columns(cols, dtype); }

}  // namespace whet
