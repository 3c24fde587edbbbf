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
constexpr int64_t kBlockTiles = 12;                  // rows of a block, in tiles: packed a of 12 * 14 * 384 floats is 258 KB of L2
constexpr int64_t kBlockPanels = 8;                  // columns of a block that is summed over slabs, in panels
constexpr int64_t kMaxDepth = 8192;                  // k that is packed at once
constexpr int64_t kPackedBytes = int64_t{8} << 20;   // of b that are packed at once, for L3
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

/// Packed a of this thread's current block.
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
          if (product.n > 4 * panel) pack_a(kernels, product, a_here);
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

template <class T>
void multiply_over_rows(const KernelTable<T>& kernels, T* c, int64_t c_stride, int64_t m, int64_t n, int64_t rows,
                        const T* a, int64_t a_stride, const T* b, int64_t b_stride, bool accumulate) {
  if (m == 0 || n == 0) return;
  if (rows == 0) {
    if (!accumulate)
      for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * c_stride, n, T(0));
    return;
  }
  const int threads = threads_for(m, n, rows);
  const int64_t panels = divide_up(n, 2 * kernels.vector);
  const int64_t down = divide_up(m, kBlockTiles * kernels.tile_rows);
  // As many blocks as give every thread the same share.
  const int64_t across = std::min(divide_up(divide_up(panels, kBlockPanels) * down, threads) * threads / down, panels);
  const auto slab = [&](int64_t s, const Block& block, T* out, int64_t out_stride, TileMode mode) {
    const int64_t first = s * kSlabRows;
    BlockProduct<T> product{};
    product.c = out;
    product.c_stride = out_stride;
    product.m = block.rows;
    product.n = block.cols;
    product.k = std::min(kSlabRows, rows - first);
    product.panel = (block.rows <= kernels.wide_rows ? 4 : 2) * kernels.vector;
    product.mode = mode;
    const Operand<T> a_here{a + first * a_stride + block.row, 1, a_stride};
    const Operand<T> b_here{b + first * b_stride + block.col, b_stride, 1};
    product.a = a_here.data;
    product.a_row = 1;
    product.a_k = a_stride;
    if (block.cols > 2 * product.panel) pack_a(kernels, product, a_here);
    product.b = b_here.data;
    product.b_stride = b_stride;
    const int64_t full = block.cols / product.panel * product.panel;
    const bool pack_all_b = block.rows > 2 * kernels.tile_rows;
    if (pack_all_b || full < block.cols) {
      const int64_t from = pack_all_b ? 0 : full;
      T* const packed = reserve<T>(b_memory, product.k * round_up(block.cols - from, product.panel));
      pack_b(kernels, packed, {b_here.data + from, b_stride, 1}, product.k, block.cols - from, product.panel);
      product.b_packed = pack_all_b;
      (pack_all_b ? product.b : product.b_edge) = packed;
    }
    kernels.multiply(product);
  };
  sum_over_slabs(kernels, c, c_stride, m, n, down, std::max(across, int64_t{1}), divide_up(rows, kSlabRows), accumulate,
                 threads, slab);
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
