#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/arena.h"
#include "core/tree.h"
#include "device/cpu/kernels/table.h"
#include "device/cpu/pool.h"
#include "device/device.h"

/// Sums over the rows of a batch: slabs of kSlabRows rows, combined by the tree of core/tree.h.
namespace whet::cpu {

inline int64_t divide_up(int64_t n, int64_t d) { return (n + d - 1) / d; }
inline int64_t power_of_two_above(int64_t n) { return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n))); }

/// y = a + b.
template <class T>
void add_blocks(const KernelTable<T>& kernels, T* y, int64_t y_stride, const T* a, int64_t a_stride, const T* b,
                int64_t b_stride, int64_t rows, int64_t cols) {
  constexpr auto sum = static_cast<int>(math::CombinationId::Add);
  kernels.combine[sum](y, y_stride, {a, a_stride, false}, {b, b_stride, false}, rows, cols);
}

/// c (rows, cols) = the sum of slabs [lo, hi), or c + the sum. slab(s, out, out_stride, mode) computes one slab.
template <class T, class Slab>
void sum_into(const KernelTable<T>& kernels, Arena& memory, T* c, int64_t c_stride, int64_t rows, int64_t cols,
              int64_t lo, int64_t hi, bool add_to_c, const Slab& slab) {
  if (hi - lo == 1) return slab(lo, c, c_stride, add_to_c ? TileMode::add : TileMode::store);
  const int64_t size = rows * cols;
  memory.reserve(static_cast<size_t>((tree_levels(hi - lo) + add_to_c) * size) * sizeof(T));
  T* const levels = reinterpret_cast<T*>(memory.data());
  // Without an old value to keep, c itself is the first buffer.
  const auto buffer = [&](int level) { return level == 0 && !add_to_c ? c : levels + (level - !add_to_c) * size; };
  const auto stride = [&](int level) { return level == 0 && !add_to_c ? c_stride : cols; };
  const auto add = [&](int level) {
    add_blocks(kernels, buffer(level), stride(level), buffer(level), stride(level), buffer(level + 1), cols, rows,
               cols);
  };
  const auto part = [&](int64_t s, int level, bool adds) {
    slab(s, buffer(level), stride(level), adds ? TileMode::add : TileMode::store);
  };
  sum_parts(lo, hi, 0, part, add);
  if (add_to_c) add_blocks(kernels, c, c_stride, c, c_stride, levels, cols, rows, cols);
}

/// How y (m, n) is cut into blocks that threads can sum by themselves: evenly, the columns at whole panels.
struct Blocks {
  int64_t m, n, panel, down, across;

  Block operator[](int64_t index) const {
    const int64_t i = index / across, j = index % across, panels = divide_up(n, panel);
    const int64_t row = m * i / down, col = panels * j / across * panel;
    return {row, m * (i + 1) / down - row, col, std::min(n, panels * (j + 1) / across * panel) - col};
  }
};

/// y = the sum over all slabs, or y + the sum. slab(s, block, out, out_stride, mode) computes one slab's part of a
/// block. Threads share the blocks, or where these are too few, aligned subtrees of slabs: the bits are the same.
template <class T, class Slab>
void sum_over_slabs(const KernelTable<T>& kernels, T* y, int64_t y_stride, const Blocks& blocks, int64_t slabs,
                    bool accumulate, int threads, const Slab& slab) {
  static thread_local Arena partial_memory;
  const int64_t m = blocks.m, n = blocks.n, count = blocks.down * blocks.across;
  if (count == 1 && slabs == 1)
    return slab(0, Block{0, m, 0, n}, y, y_stride, accumulate ? TileMode::add : TileMode::store);
  const auto sum_block = [&](const Block& block, int64_t lo, int64_t hi, T* c, int64_t c_stride, bool add_to_c) {
    static thread_local Arena level_memory;
    sum_into(kernels, level_memory, c + block.row * c_stride + block.col, c_stride, block.rows, block.cols, lo, hi,
             add_to_c,
             [&](int64_t s, T* out, int64_t out_stride, TileMode mode) { slab(s, block, out, out_stride, mode); });
  };
  if (threads <= 1 || count >= threads || slabs < 4) {
    run_tasks(threads, count, [&](int64_t b) { sum_block(blocks[b], 0, slabs, y, y_stride, accumulate); });
    return;
  }
  // Four subtrees a thread: enough to even out, few enough that combining them costs nothing.
  const int64_t chunk = power_of_two_above(divide_up(slabs, 4 * threads)), chunks = divide_up(slabs, chunk);
  partial_memory.reserve(static_cast<size_t>(chunks * m * n) * sizeof(T));
  T* const partials = reinterpret_cast<T*>(partial_memory.data());
  run_tasks(threads, chunks * count, [&](int64_t task) {
    const int64_t c = task / count;
    sum_block(blocks[task % count], c * chunk, std::min(slabs, (c + 1) * chunk), partials + c * m * n, n, false);
  });
  combine_parts(0, chunks, [&](int64_t i, int64_t j) {
    add_blocks(kernels, partials + i * m * n, n, partials + i * m * n, n, partials + j * m * n, n, m, n);
  });
  if (accumulate)
    add_blocks(kernels, y, y_stride, y, y_stride, partials, n, m, n);
  else
    for (int64_t i = 0; i < m; ++i) std::copy_n(partials + i * n, n, y + i * y_stride);
}

}  // namespace whet::cpu
