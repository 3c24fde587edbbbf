#pragma once

#include "device/device.h"

namespace whet {

/// What a graph reads: rows that are dense or sparse.
struct Features {
  ConstMatrix dense{};    // without data if they are sparse
  SparseMatrix sparse{};  // without starts if they are dense

  bool is_sparse() const { return sparse.starts != nullptr; }
  int64_t rows() const { return is_sparse() ? sparse.rows : dense.rows; }
  int64_t cols() const { return is_sparse() ? sparse.cols : dense.cols; }

  /// Rows first to first + count - 1.
  Features slice(int64_t first, int64_t count, DType dtype) const {
    Features part = *this;
    part.dense.rows = part.sparse.rows = count;
    if (is_sparse())
      (sparse.order ? part.sparse.order : part.sparse.starts) += first;
    else
      part.dense.data =
          static_cast<const std::byte*>(dense.data) + static_cast<size_t>(first * dense.stride) * size_of(dtype);
    return part;
  }
};

}  // namespace whet
