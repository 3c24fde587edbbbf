#include "device/cpu/gemm.h"

#include <algorithm>

#include "core/arena.h"
#include "device/cpu/cpu.h"
#include "device/cpu/pool.h"
#include "device/cpu/slabs.h"

namespace whet::cpu {

namespace {

// Block sizes. None of them changes a bit of a result: where k is cut, the chains go on from c.
constexpr int64_t kDepth = 384;                      // k of a block
constexpr int64_t kBlockTiles = 20;                  // rows of a block, in tiles: packed a of 20 * 14 * 384 floats is 430 KB of L2
constexpr int64_t kUnpackedPanels = 4;               // so few panels of b do not repay packing a
constexpr int64_t kBlockPanels = 8;                  // columns of a block that is summed over slabs, in panels
constexpr int64_t kMaxDepth = 8192;                  // k that is packed at once
constexpr int64_t kPackedBytes = int64_t{16} << 20;   // of b that are packed at once, for L3
constexpr int64_t kUnpackedBytes = int64_t{256} << 10;  // a b so small is read where it stands
constexpr double kMinProducts = 1 << 18;             // multiply-adds that are worth another thread

int threads_for(int64_t m, int64_t n, int64_t k) {
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  return static_cast<int>(std::clamp(products / kMinProducts, 1.0, static_cast<double>(num_threads())));
}

template <class T>
T* reserve(Arena& arena, int64_t elements) {
  arena.reserve(static_cast<size_t>(elements) * sizeof(T));
  return reinterpret_cast<T*>(arena.data());
}

/// Packed a of this thread's current block, or of all blocks of a sum over rows.
thread_local Arena a_memory;
/// Packed b, shared by the threads of one product; owned by the thread that asked for it.
thread_local Arena b_memory;

/// Packs a (m, k) and says so in `product`.
template <class T>
void pack_a(const KernelTable<T>& kernels, BlockProduct<T>& product, const Operand<T>& a) {
  T* const packed = reserve<T>(a_memory, product.m * product.k + kernels.vector);
  const bool contiguous_k = a.col == 1;
  kernels.pack_a(packed, a.data, contiguous_k ? a.row : a.col, contiguous_k, product.m, product.k);
  product.a = packed;
  product.a_packed = true;
}

template <class T>
void pack_b(const KernelTable<T>& kernels, T* packed, const Operand<T>& b, int64_t k, int64_t n, int64_t panel) {
  const bool contiguous_k = b.col != 1;
  kernels.pack_b(packed, b.data, contiguous_k ? b.col : b.row, contiguous_k, k, n, panel);
}

/// How one product is cut for threads and caches.
struct Grid {
  int threads;
  int64_t down, across;  // tasks
};

Grid make_grid(int64_t m, int64_t n, int64_t k, int64_t tile_rows, int64_t panel) {
  const int threads = threads_for(m, n, k);
  const int64_t tiles = divide_up(m, tile_rows), panels = divide_up(n, panel);
  int64_t down = divide_up(tiles, kBlockTiles);
  if (threads == 1) return {1, down, 1};
  // Whole rounds of tasks for all threads, none of fewer than two tiles; then the columns are cut as well.
  down = std::min(divide_up(down, threads) * threads, divide_up(tiles, 2));
  const int64_t across = down >= threads ? 1 : std::min(divide_up(threads, down), panels);
  return {threads, down, across};
}

}  // namespace

template <class T>
void multiply_matrices(const KernelTable<T>& kernels, T* c, int64_t c_stride, int64_t m, int64_t n, int64_t k,
                       Operand<T> a, Operand<T> b, bool accumulate, const Finish<T>& finish) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (!accumulate)
      for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * c_stride, n, T(0));
    if (finish.function)
      finish.function(c, c_stride, finish.bias, finish.input, finish.input_stride, m, n, finish.options);
    return;
  }
  const int64_t panel = (m <= kernels.wide_rows ? 4 : 2) * kernels.vector;
  const auto size = static_cast<int64_t>(sizeof(T));
  const bool pack_all_b = b.col != 1 || (m > kernels.tile_rows && k * n * size > kUnpackedBytes);
  const int64_t depth_at_once = std::min(k, kMaxDepth);
  const int64_t cols_at_once =
      pack_all_b ? std::max(kPackedBytes / (depth_at_once * size) / panel, int64_t{1}) * panel : n;

  for (int64_t k0 = 0; k0 < k; k0 += depth_at_once) {
    const int64_t depth = std::min(depth_at_once, k - k0), cuts = divide_up(depth, kDepth);
    const auto cut = [&](int64_t i) { return depth * i / cuts; };
    const bool last = k0 + depth == k;
    for (int64_t j0 = 0; j0 < n; j0 += cols_at_once) {
      const int64_t cols = std::min(cols_at_once, n - j0), panels = divide_up(cols, panel);
      const Grid grid = make_grid(m, cols, depth, kernels.tile_rows, panel);

      // Packed b: all panels, or the last one if it is not full.
      const int64_t first_packed = pack_all_b ? 0 : cols / panel * panel;
      const int64_t width = (panels * panel) - first_packed;
      const T* const b_here = b.data + k0 * b.row + j0 * b.col;
      T* packed_b = nullptr;
      if (width > 0) {
        packed_b = reserve<T>(b_memory, depth * width);
        const int64_t groups = pack_all_b ? std::min<int64_t>(grid.threads, panels) : 1;
        run_tasks(grid.threads, cuts * groups, [&](int64_t task) {
          const int64_t p = cut(task / groups), length = cut(task / groups + 1) - p, g = task % groups;
          const int64_t from = first_packed + panels * g / groups * panel;
          const int64_t to = std::min(cols, first_packed + panels * (g + 1) / groups * panel);
          pack_b(kernels, packed_b + p * width + (from - first_packed) * length,
                 {b_here + p * b.row + from * b.col, b.row, b.col}, length, to - from, panel);
        });
      }

      run_tasks(grid.threads, grid.down * grid.across, [&](int64_t task) {
        const int64_t down = task / grid.across, across = task % grid.across;
        const int64_t i = m * down / grid.down, rows = m * (down + 1) / grid.down - i;
        const int64_t from = panels * across / grid.across * panel;
        const int64_t to = std::min(cols, panels * (across + 1) / grid.across * panel);
        for (int64_t s = 0; s < cuts; ++s) {
          const int64_t p = cut(s), length = cut(s + 1) - p;
          const Operand<T> a_here{a.data + i * a.row + (k0 + p) * a.col, a.row, a.col};
          BlockProduct<T> product{};
          product.c = c + i * c_stride + j0 + from;
          product.c_stride = c_stride;
          product.m = rows;
          product.n = to - from;
          product.k = length;
          product.panel = panel;
          product.a = a_here.data;
          product.a_row = a.row;
          product.a_k = a.col;
          product.b_packed = pack_all_b;
          product.b = pack_all_b ? packed_b + p * width + from * length : b_here + p * b.row + from;
          product.b_stride = b.row;
          product.b_edge = pack_all_b || width == 0 ? nullptr : packed_b + p * width;
          product.mode = accumulate || k0 + p > 0 ? TileMode::chain : TileMode::store;
          if (product.n > kUnpackedPanels * panel) pack_a(kernels, product, a_here);
          if (last && s + 1 == cuts && finish.function) {
            product.finish = finish;
            if (finish.bias) product.finish.bias += j0 + from;
            if (finish.input) product.finish.input += i * finish.input_stride + j0 + from;
          }
          kernels.multiply(product);
        }
      });
    }
  }
}

namespace {

/// One product over at most so many slabs that a and b, packed, stay in L3.
template <class T>
void multiply_slabs(const KernelTable<T>& kernels, T* c, int64_t c_stride, int64_t m, int64_t n, int64_t rows, const T* a,
                    int64_t a_stride, const T* b, int64_t b_stride, bool accumulate, int threads) {
  const int64_t panel = (m <= kernels.wide_rows ? 4 : 2) * kernels.vector;
  const int64_t panels = divide_up(n, panel), slabs = divide_up(rows, kSlabRows);
  Blocks blocks{m, n, panel, divide_up(m, kBlockTiles * kernels.tile_rows), 1};
  // As many blocks as give every thread the same share.
  const int64_t wanted = divide_up(divide_up(panels, kBlockPanels) * blocks.down, threads) * threads;
  blocks.across = std::clamp(wanted / blocks.down, int64_t{1}, panels);

  const bool pack_a = panels > kUnpackedPanels, pack_all_b = m > 2 * kernels.tile_rows;
  const int64_t first_packed = pack_all_b ? 0 : n / panel * panel, width = panels * panel - first_packed;
  const auto length = [&](int64_t s) { return std::min(kSlabRows, rows - s * kSlabRows); };
  T* const packed_a = pack_a ? reserve<T>(a_memory, rows * m + kernels.vector) : nullptr;
  T* const packed_b = width > 0 ? reserve<T>(b_memory, rows * width) : nullptr;
  if (pack_a || width > 0)
    run_tasks(threads, slabs * (blocks.down + 1), [&](int64_t task) {
      const int64_t s = task / (blocks.down + 1), part = task % (blocks.down + 1), first = s * kSlabRows;
      if (part == blocks.down) {
        if (width > 0)
          kernels.pack_b(packed_b + first * width, b + first * b_stride + first_packed, b_stride, false, length(s),
                         n - first_packed, panel);
      } else if (pack_a) {
        const Block block = blocks[part * blocks.across];
        kernels.pack_a(packed_a + first * m + block.row * length(s), a + first * a_stride + block.row, a_stride, false,
                       block.rows, length(s));
      }
    });

  sum_over_slabs(kernels, c, c_stride, blocks, slabs, accumulate, threads,
                 [&](int64_t s, const Block& block, T* out, int64_t out_stride, TileMode mode) {
                   const int64_t first = s * kSlabRows;
                   BlockProduct<T> product{};
                   product.c = out;
                   product.c_stride = out_stride;
                   product.m = block.rows;
                   product.n = block.cols;
                   product.k = length(s);
                   product.panel = panel;
                   product.mode = mode;
                   product.a = pack_a ? packed_a + first * m + block.row * length(s) : a + first * a_stride + block.row;
                   product.a_packed = pack_a;
                   product.a_row = 1;
                   product.a_k = a_stride;
                   product.b = pack_all_b ? packed_b + first * width + block.col * length(s)
                                          : b + first * b_stride + block.col;
                   product.b_packed = pack_all_b;
                   product.b_stride = b_stride;
                   product.b_edge = width > 0 ? packed_b + first * width : nullptr;
                   kernels.multiply(product);
                 });
}

}  // namespace

template <class T>
void multiply_over_rows(const KernelTable<T>& kernels, T* c, int64_t c_stride, int64_t m, int64_t n, int64_t rows,
                        const T* a, int64_t a_stride, const T* b, int64_t b_stride, bool accumulate) {
  static thread_local Arena chunk_memory;
  if (m == 0 || n == 0) return;
  if (rows == 0) {
    if (!accumulate)
      for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * c_stride, n, T(0));
    return;
  }
  // Chunks of slabs are aligned subtrees, so cutting the rows into them changes no bit.
  const int64_t fitting = kPackedBytes / (kSlabRows * (m + n) * static_cast<int64_t>(sizeof(T)));
  const int64_t chunk = power_of_two_above(std::max(fitting, int64_t{1})) * kSlabRows;
  sum_into(kernels, chunk_memory, c, c_stride, m, n, 0, divide_up(rows, chunk), accumulate,
           [&](int64_t i, T* out, int64_t out_stride, TileMode mode) {
             const int64_t first = i * chunk, count = std::min(chunk, rows - first);
             multiply_slabs(kernels, out, out_stride, m, n, count, a + first * a_stride, a_stride, b + first * b_stride,
                            b_stride, mode == TileMode::add, threads_for(m, n, count));
           });
}

template void multiply_matrices(const KernelTable<float>&, float*, int64_t, int64_t, int64_t, int64_t, Operand<float>,
                                Operand<float>, bool, const Finish<float>&);
template void multiply_matrices(const KernelTable<double>&, double*, int64_t, int64_t, int64_t, int64_t,
                                Operand<double>, Operand<double>, bool, const Finish<double>&);
template void multiply_over_rows(const KernelTable<float>&, float*, int64_t, int64_t, int64_t, int64_t, const float*,
                                 int64_t, const float*, int64_t, bool);
template void multiply_over_rows(const KernelTable<double>&, double*, int64_t, int64_t, int64_t, int64_t,
                                 const double*, int64_t, const double*, int64_t, bool);

}  // namespace whet::cpu
