#include "device/cpu/gemm.h"

#include <algorithm>

#include "core/arena.h"
#include "device/cpu/cpu.h"
#include "device/cpu/pool.h"
#include "device/cpu/slabs.h"

namespace whet::cpu {

namespace {

// Block sizes. None of them changes a bit of a result: where k is cut, the chains go on from c.

/// k of a block. At 1024 x 1024 x 1024, 512 and 768 take 8 % and 5 % longer, for c passes by more often.
constexpr int64_t kDepth = 1024;
static_assert(kSlabRows <= kDepth);
/// Of a, packed, in one block: 8 tiles of 14 x 1024 floats; two panels of b stand beside them in 1 MB of L2.
constexpr int64_t kBlockBytes = int64_t{448} << 10;
/// Panels of b that one thread packs at a time: 4 * 32 * 1024 floats are 524 KB.
constexpr int64_t kGroupPanels = 4;
/// Rows and columns of a block that is summed over slabs, in tiles and panels: in L2 there are two blocks of c
/// (168 x 256 floats are 172 KB each), a (172 KB) and b (262 KB).
constexpr int64_t kSlabTiles = 12, kSlabPanels = 8;
/// Of b, packed at once for all threads, for L3.
constexpr int64_t kPackedBytes = int64_t{16} << 20;
/// A b so small is read where it stands.
constexpr int64_t kUnpackedBytes = int64_t{512} << 10;
/// Columns of b, in bytes of a row, that do not repay packing a: 130 -> 139 GFLOP/s at 256 x 256 x 256.
constexpr int64_t kUnpackedRow = 1024;
/// Rows so far apart share their lines of L1.
constexpr int64_t kAliasBytes = 4096;
/// Multiply-adds that are one block, where the operands stand: cutting it up takes a dozen divisions.
constexpr int64_t kSmallProduct = 1 << 17;
/// Elements of c that are computed transposed at a time, for L2.
constexpr int64_t kTurnedElements = int64_t{64} << 10;
/// What better_turned reckons with, in FMAs of a register: half a panel, for its tiles load more than they multiply; an
/// element transposed; and the gain below which nothing is turned. 256 x 256 x 100 with a transposed: 90 -> 116
/// GFLOP/s.
constexpr double kHalfPanel = 1.25, kTransposition = 1, kWorthTurning = 0.97;
/// Multiply-adds that are worth another thread: about 4 us of one.
constexpr double kMinProducts = 1 << 18;

int threads_for(int64_t m, int64_t n, int64_t k) {
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  return static_cast<int>(std::clamp(products / kMinProducts, 1.0, static_cast<double>(num_threads())));
}

/// Packed operands: of the block that a thread is at, and of all blocks, owned by the thread that was called.
thread_local Arena local_a, local_b, local_c, shared_a, shared_b;

template <class T>
T* reserve(Arena& arena, int64_t elements) {
  arena.reserve(static_cast<size_t>(elements) * sizeof(T));
  return reinterpret_cast<T*>(arena.data());
}

/// Columns of a panel of b for a product of m rows.
template <class T>
int64_t panel_width(const KernelTable<T>& kernels, int64_t m) {
  return (m <= kernels.wide_rows ? 4 : 2) * kernels.vector;
}

/// The packing of what begins at k = p.
template <class T>
Packing<T> packing_from(const Packing<T>& packing, int64_t p) {
  return {packing.precision, packing.scales ? packing.scales + p : nullptr};
}

/// Packs columns of a and of b, which are rows of the other orientation if their own are not contiguous.
template <class T>
void pack_a(const KernelTable<T>& kernels, T* packed, Operand<T> a, int64_t m, int64_t k, Precision precision) {
  // Of one column, both strides may be 1: only rows in their length write past the end, where another slab may lie.
  kernels.pack_a(packed, a.data, a.row != 1 ? a.row : a.col, a.row != 1, m, k, precision);
}
template <class T>
void pack_b(const KernelTable<T>& kernels, T* packed, Operand<T> b, int64_t k, int64_t n, int64_t panel,
            const Packing<T>& packing) {
  kernels.pack_b(packed, b.data, b.col == 1 ? b.row : b.col, b.col != 1, k, n, panel, packing);
}

/// Elements along k of a packed operand.
template <class T>
int64_t packed_depth(const KernelTable<T>& kernels, int64_t k, Precision precision) {
  return kernels.pairs && precision == Precision::bfloat16 ? divide_up(k, 2) : k;
}

/// Multiplies a block that is packed as the precision demands.
template <class T>
void multiply(const KernelTable<T>& kernels, BlockProduct<T> product, Precision precision) {
  product.precision = precision;
  product.k = packed_depth(kernels, product.k, precision);
  kernels.multiply(product);
}

/// Packs the a of one block.
template <class T>
void pack_local_a(const KernelTable<T>& kernels, BlockProduct<T>& product, Precision precision) {
  T* const packed = reserve<T>(local_a, product.m * product.k + kernels.vector);
  pack_a(kernels, packed, product.a, product.m, product.k, precision);
  product.a.data = packed;
  product.a_packed = true;
}

/// Packs its b, or if not `all`, b's last panel unless that is full.
template <class T>
void pack_local_b(const KernelTable<T>& kernels, BlockProduct<T>& product, bool all, const Packing<T>& packing) {
  const int64_t from = all ? 0 : product.n & -product.panel;  // panels are powers of two
  if (from == product.n) return;
  T* const packed = reserve<T>(local_b, product.k * round_up(product.n - from, product.panel));
  const Operand<T> columns{product.b.data + from * product.b.col, product.b.row, product.b.col};
  pack_b(kernels, packed, columns, product.k, product.n - from, product.panel, packing);
  product.b_packed = all;
  (all ? product.b.data : product.b_edge) = packed;
}

template <class T>
BlockProduct<T> block_product(T* c, int64_t c_stride, Operand<T> a, Operand<T> b, int64_t m, int64_t n, int64_t k,
                              int64_t panel, TileMode mode) {
  BlockProduct<T> product{};
  product.c = c;
  product.c_stride = c_stride;
  product.a = a;
  product.b = b;
  product.m = m;
  product.n = n;
  product.k = k;
  product.panel = panel;
  product.mode = mode;
  return product;
}

template <class T>
void multiply_small(const KernelTable<T>& kernels, const Packing<T>& packing, T* c, int64_t c_stride, int64_t m,
                    int64_t n, int64_t k, Operand<T> a, Operand<T> b, TileMode mode, const Finish<T>& finish) {
  BlockProduct<T> product = block_product(c, c_stride, a, b, m, n, k, panel_width(kernels, m), mode);
  product.finish = finish;
  const bool rounded = packing.precision != Precision::full;
  if (rounded) pack_local_a(kernels, product, packing.precision);
  pack_local_b(kernels, product, rounded || packing.scales || b.col != 1, packing);
  multiply(kernels, product, packing.precision);
}

template <class T>
struct Multiplication {
  const KernelTable<T>& kernels;
  T* c;
  int64_t c_stride, m, n, k;
  Operand<T> a, b;
  TileMode mode;  // how the first cut of k meets c; `add` allows one cut only
  Finish<T> finish;
  Packing<T> packing;  // of b
  int threads;

  static constexpr int64_t size = sizeof(T);

  int64_t tiles = divide_up(m, kernels.tile_rows);
  int64_t cuts = divide_up(k, kDepth);
  int64_t block_tiles = std::max(kBlockBytes / (divide_up(k, cuts) * kernels.tile_rows * size), int64_t{4});

  bool changed = packing.scales || packing.precision != Precision::full;
  // An a whose rows share their lines of L1 cannot be read where it stands.
  bool aliased = std::max(a.row, a.col) * size % kAliasBytes == 0;
  // Registers of b that cross cache lines are read in two pieces, and NumPy's arrays start anywhere: unpacked, 132 ->
  // 104 GFLOP/s at 128 x 128 x 128. Rows 512 bytes apart use an eighth of L1's sets: many tiles would miss it.
  bool crossing = (reinterpret_cast<uintptr_t>(b.data) | static_cast<uintptr_t>(b.row * size)) % kAlignment != 0;
  bool reread = crossing ? tiles > 6 : tiles > 8 && (tiles > 16 || b.row * size % 512 == 0);
  // Wide panels read less: 117 -> 131 and 127 -> 141 GFLOP/s at 128 and 256, the squares of these sizes, where packing
  // is the other way; nothing where b can be read as it stands, and -7 % with a panel that is not full.
  bool wide = kernels.wide_squares && !changed && !aliased && !crossing && b.col == 1 && reread &&
              k * n * size <= kUnpackedBytes && n % (4 * kernels.vector) == 0;
  int64_t panel = wide ? 4 * kernels.vector : panel_width(kernels, m);
  int64_t panels = divide_up(n, panel);
  bool pack_all_b =
      !wide && (changed || b.col != 1 || reread || (m > kernels.tile_rows && k * n * size > kUnpackedBytes));
  bool pack_all_a = packing.precision != Precision::full || (aliased && panels > 1);

  bool packs_a(int64_t panels_here) const { return !wide && (pack_all_a || panels_here * panel * size > kUnpackedRow); }

  /// Pairs along k, which bfloat16 takes together, are not cut.
  int64_t cut(int64_t s) const { return s == cuts ? k : k * s / cuts & -2; }
  Packing<T> packing_of(int64_t s) const { return packing_from(packing, cut(s)); }

  /// The product of `rows` rows from i and the columns of some panels, in the s-th cut of k.
  BlockProduct<T> block(int64_t i, int64_t rows, int64_t first_panel, int64_t last_panel, int64_t s) const {
    const int64_t p = cut(s), j = first_panel * panel;
    const Operand<T> rows_of_a{a.data + i * a.row + p * a.col, a.row, a.col};
    const Operand<T> columns_of_b{b.data + p * b.row + j * b.col, b.row, b.col};
    BlockProduct<T> product =
        block_product(c + i * c_stride + j, c_stride, rows_of_a, columns_of_b, rows,
                      std::min(n, last_panel * panel) - j, cut(s + 1) - p, panel, s > 0 ? TileMode::chain : mode);
    product.row = i;
    product.col = j;
    if (s + 1 == cuts) product.finish = finish;
    return product;
  }

  void run() const {
    if (tiles <= block_tiles && (threads == 1 || panels >= 4 * threads))
      by_columns();
    else
      by_rows();
  }

  /// One block of rows: every thread takes a slice of the columns, and packs what it needs by itself.
  void by_columns() const {
    const int64_t slices = std::min<int64_t>(threads, panels);
    run_tasks(threads, slices, [&](int64_t slice) {
      const int64_t from = panels * slice / slices, to = panels * (slice + 1) / slices;
      const int64_t group = pack_all_b ? kGroupPanels : to - from;
      for (int64_t s = 0; s < cuts; ++s) {
        BlockProduct<T> whole = block(0, m, from, to, s);
        if (packs_a(to - from)) pack_local_a(kernels, whole, packing.precision);
        for (int64_t j = from; j < to; j += group) {
          BlockProduct<T> product = block(0, m, j, std::min(to, j + group), s);
          product.a = whole.a;
          product.a_packed = whole.a_packed;
          pack_local_b(kernels, product, pack_all_b, packing_of(s));
          multiply(kernels, product, packing.precision);
        }
      }
    });
  }

  /// Many rows: b is packed once, by all threads together, as many columns at a time as L3 holds.
  void by_rows() const {
    int64_t down = divide_up(tiles, block_tiles), across = 1;
    if (threads > 1) {
      // Whole rounds of tasks for all threads, none of fewer than two tiles; then the columns are cut as well.
      down = std::min(divide_up(down, threads) * threads, divide_up(tiles, 2));
      if (down < threads) across = divide_up(threads, down);
    }
    const int64_t at_once = pack_all_b ? std::max(kPackedBytes / (k * size * panel), int64_t{1}) : panels;
    for (int64_t first = 0; first < panels; first += at_once) {
      const int64_t here = std::min(at_once, panels - first);
      T* const packed = pack_all_b ? reserve<T>(shared_b, k * here * panel) : nullptr;
      // The panels of one cut of k lie together, and they are a group for each thread.
      const auto place = [&](int64_t s, int64_t j) {
        return packed + cut(s) * here * panel +
               j * panel * packed_depth(kernels, cut(s + 1) - cut(s), packing.precision);
      };
      const int64_t groups = std::min<int64_t>(threads, here);
      if (pack_all_b)
        run_tasks(threads, cuts * groups, [&](int64_t task) {
          const int64_t s = task / groups, g = task % groups, from = here * g / groups, to = here * (g + 1) / groups;
          const BlockProduct<T> product = block(0, m, first + from, first + to, s);
          pack_b(kernels, place(s, from), product.b, product.k, product.n, panel, packing_of(s));
        });
      const int64_t columns = std::min(across, here);
      run_tasks(threads, down * columns, [&](int64_t task) {
        const int64_t x = task / columns, y = task % columns;
        const int64_t i = m * x / down, rows = m * (x + 1) / down - i;
        const int64_t from = here * y / columns, to = here * (y + 1) / columns;
        for (int64_t s = 0; s < cuts; ++s) {
          BlockProduct<T> product = block(i, rows, first + from, first + to, s);
          if (packs_a(to - from)) pack_local_a(kernels, product, packing.precision);
          if (pack_all_b) {
            product.b.data = place(s, from);
            product.b_packed = true;
          } else {
            pack_local_b(kernels, product, false, packing);
          }
          multiply(kernels, product, packing.precision);
        }
      });
    }
  }
};

/// Registers of columns that a product of n columns takes for each row and k, the last panel's included.
template <class T>
double registers(const KernelTable<T>& kernels, int64_t n) {
  const int64_t panel = 2 * kernels.vector, rest = n % panel;
  const double last = rest == 0 ? 0 : rest <= kernels.vector ? kHalfPanel : 2;
  return static_cast<double>(n / panel * 2) + last;
}

/// Whether c^T = b^T a^T, and its transposition, takes less time: the columns of c fill panels badly, its rows do not.
/// All in FMAs of a register, for one k.
template <class T>
bool better_turned(const KernelTable<T>& kernels, int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b) {
  if (n % (2 * kernels.vector) == 0 || m <= kernels.tile_rows) return false;
  const double rows = static_cast<double>(m), cols = static_cast<double>(n);
  const double straight = rows * registers(kernels, n) + (b.col == 1 ? 0 : cols * kTransposition);
  const double turned = cols * registers(kernels, m) + (a.row == 1 ? 0 : rows * kTransposition) +
                        rows * cols * kTransposition / static_cast<double>(k);
  return turned < kWorthTurning * straight;
}

/// The product as c^T = b^T a^T, some rows of c at a time.
template <class T>
void multiply_turned(const KernelTable<T>& kernels, const Packing<T>& packing, T* c, int64_t c_stride, int64_t m,
                     int64_t n, int64_t k, Operand<T> a, Operand<T> b, const Finish<T>& finish) {
  const int threads = threads_for(m, n, k);
  const int64_t panel = 2 * kernels.vector, panels = divide_up(m, panel);
  const int64_t at_once = std::max(kTurnedElements / (n * panel), int64_t{1});
  const int64_t tasks = std::min(divide_up(divide_up(panels, at_once), threads) * threads, panels);
  const Operand<T> left{b.data, b.col, b.row};
  run_tasks(threads, tasks, [&](int64_t task) {
    const int64_t i = panels * task / tasks * panel, rows = std::min(panels * (task + 1) / tasks * panel, m) - i;
    const Operand<T> right{a.data + i * a.row, a.col, a.row};
    T* const turned = reserve<T>(local_c, n * rows);
    Multiplication<T>{kernels, turned, rows, n, rows, k, left, right, TileMode::store, {}, packing, 1}.run();
    T* const here = c + i * c_stride;
    kernels.transpose(here, c_stride, turned, rows, rows, n);
    if (finish.function) finish.function(here, c_stride, {i, rows, 0, n}, finish);
  });
}

/// The product of a few columns, or of a few rows, where the k of the other operand is contiguous; or false.
template <class T>
bool multiply_narrow(const KernelTable<T>& kernels, T* c, int64_t c_stride, int64_t m, int64_t n, int64_t k,
                     Operand<T> a, Operand<T> b, const Finish<T>& finish) {
  const bool columns = n <= kNarrow && a.col == 1;
  if (!columns && !(m <= kNarrow && b.row == 1)) return false;
  NarrowProduct<T> whole = columns ? NarrowProduct<T>{c, c_stride, 1, a.data, a.row, b.data, b.row, b.col, m, k}
                                   : NarrowProduct<T>{c, 1, c_stride, b.data, b.col, a.data, a.col, a.row, n, k};
  if (whole.rows < kernels.vector / 2) return false;
  const int threads = threads_for(m, n, k);
  const int64_t units = divide_up(whole.rows, kernels.vector), tasks = std::min<int64_t>(threads, units);
  const int64_t cols = columns ? n : m;
  // A dense column is finished as a row.
  const bool dense = columns && n == 1 && c_stride == 1 && (!finish.input || finish.input_stride == 1) &&
                     (!finish.saved || finish.saved_stride == 1) && (!finish.residual || finish.residual_stride == 1);
  run_tasks(threads, tasks, [&](int64_t task) {
    const int64_t from = units * task / tasks * kernels.vector;
    NarrowProduct<T> part = whole;
    part.rows = std::min(units * (task + 1) / tasks * kernels.vector, whole.rows) - from;
    part.x += from * whole.x_row;
    part.c += from * whole.c_row;
    kernels.multiply_narrow[cols - 1](part);
    if (!finish.function) return;
    if (dense) {
      Finish<T> along = finish;
      along.one_bias = true;
      return finish.function(part.c, part.rows, {0, 1, from, part.rows}, along);
    }
    const Block block = columns ? Block{from, part.rows, 0, n} : Block{0, m, from, part.rows};
    finish.function(part.c, c_stride, block, finish);
  });
  return true;
}

/// The product by whichever way is fastest; `packing` is that of b.
template <class T>
void multiply_block(const KernelTable<T>& kernels, const Packing<T>& packing, T* c, int64_t c_stride, int64_t m,
                    int64_t n, int64_t k, Operand<T> a, Operand<T> b, TileMode mode, const Finish<T>& finish) {
  // The first comparisons keep the product of three from overflowing.
  if (m < kSmallProduct && n * k < kSmallProduct && m * (n * k) <= kSmallProduct)
    multiply_small(kernels, packing, c, c_stride, m, n, k, a, b, mode, finish);
  else if (mode == TileMode::store && !packing.scales && better_turned(kernels, m, n, k, a, b))
    multiply_turned(kernels, packing, c, c_stride, m, n, k, a, b, finish);
  else
    Multiplication<T>{kernels, c, c_stride, m, n, k, a, b, mode, finish, packing, threads_for(m, n, k)}.run();
}

/// A product with its own transpose is computed in so many parts, of whole panels; from this size on, and unless it is
/// flat: below, the mirror image costs what it saves.
constexpr int64_t kSymmetricParts = 8, kSymmetricColumns = 32, kLeastSymmetric = 64, kFlat = 16;

/// c (n, n) = a a^T, which is symmetric to the last bit: some columns at a time from the diagonal downwards, with their
/// mirror image above it. On one thread, 64, 128, 208, 512 and 1024 squared take 1.1, 1.4, 1.6, 1.5 and 1.4 times less
/// than in full.
template <class T>
void multiply_symmetric(const KernelTable<T>& kernels, const Packing<T>& packing, T* c, int64_t c_stride, int64_t n,
                        int64_t k, Operand<T> a) {
  const int64_t width = round_up(divide_up(n, kSymmetricParts), kSymmetricColumns);
  run_tasks(threads_for(n, n, k), divide_up(n, width), [&](int64_t task) {
    const int64_t j = task * width, cols = std::min(width, n - j), rows = n - j;
    T* const corner = c + j * c_stride + j;
    const Operand<T> left{a.data + j * a.row, a.row, a.col}, right{left.data, a.col, a.row};
    Multiplication<T>{kernels, corner, c_stride, rows, cols, k, left, right, TileMode::store, {}, packing, 1}.run();
    kernels.transpose(corner + cols, c_stride, corner + cols * c_stride, c_stride, cols, rows - cols);
  });
}

template <class T>
void fill_zeros(T* c, int64_t c_stride, int64_t m, int64_t n) {
  for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * c_stride, n, T(0));
}

}  // namespace

template <class T>
void multiply_matrices(const KernelTable<T>& kernels, Precision precision, T* c, int64_t c_stride, int64_t m, int64_t n,
                       int64_t k, Operand<T> a, Operand<T> b, bool accumulate, const Finish<T>& finish) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (!accumulate) fill_zeros(c, c_stride, m, n);
    if (finish.function) finish.function(c, c_stride, {0, m, 0, n}, finish);
    return;
  }
  const TileMode mode = accumulate ? TileMode::chain : TileMode::store;
  const Packing<T> packing{precision, nullptr};
  if (!accumulate && precision == Precision::full && multiply_narrow(kernels, c, c_stride, m, n, k, a, b, finish))
    return;
  const bool transposed = a.data == b.data && a.row == b.col && a.col == b.row && m == n;
  if (transposed && !accumulate && !finish.function && n >= kLeastSymmetric && n <= kFlat * k)
    return multiply_symmetric(kernels, packing, c, c_stride, n, k, a);
  multiply_block(kernels, packing, c, c_stride, m, n, k, a, b, mode, finish);
}

namespace {

/// A product over at most so many slabs that a and b, packed, stay in L3.
template <class T>
struct SlabProduct {
  const KernelTable<T>& kernels;
  Packing<T> packing;
  int64_t m, n, rows;
  const T* a;
  int64_t a_stride;
  const T* b;
  int64_t b_stride;

  int64_t panel = panel_width(kernels, m);
  int64_t panels = divide_up(n, panel), slabs = divide_up(rows, kSlabRows);

  bool rounded = packing.precision != Precision::full;
  bool pack_all_a = rounded || n * static_cast<int64_t>(sizeof(T)) > kUnpackedRow;
  bool pack_all_b = rounded || packing.scales || m > 2 * kernels.tile_rows;

  int64_t length(int64_t s) const { return std::min(kSlabRows, rows - s * kSlabRows); }
  Operand<T> a_of(int64_t s, int64_t row) const { return {a + s * kSlabRows * a_stride + row, 1, a_stride}; }
  Operand<T> b_of(int64_t s, int64_t col) const { return {b + s * kSlabRows * b_stride + col, b_stride, 1}; }
  Packing<T> packing_of(int64_t s) const { return packing_from(packing, s * kSlabRows); }

  void run(T* c, int64_t c_stride, bool accumulate) const {
    const int threads = threads_for(m, n, rows);
    Blocks blocks{m, n, panel, divide_up(m, kSlabTiles * kernels.tile_rows), 1};
    // As many blocks as give every thread the same share.
    const int64_t wanted = divide_up(divide_up(panels, kSlabPanels) * blocks.down, threads) * threads;
    blocks.across = std::clamp(wanted / blocks.down, int64_t{1}, panels);

    // What more than two blocks use is packed once for all; else it is cheaper in a buffer that stays in L2.
    const bool share_a = pack_all_a && blocks.across > 2, share_b = pack_all_b && blocks.down > 2;
    T* const packed_a = share_a ? reserve<T>(shared_a, rows * m + kernels.vector) : nullptr;
    T* const packed_b = share_b ? reserve<T>(shared_b, rows * panels * panel) : nullptr;
    const auto a_place = [&](int64_t s, const Block& block) {
      return packed_a + s * kSlabRows * m + block.row * packed_depth(kernels, length(s), packing.precision);
    };
    const auto b_place = [&](int64_t s, const Block& block) {
      return packed_b + s * kSlabRows * panels * panel +
             block.col * packed_depth(kernels, length(s), packing.precision);
    };
    if (share_a)
      run_tasks(threads, slabs * blocks.down, [&](int64_t task) {
        const int64_t s = task / blocks.down;
        const Block block = blocks[task % blocks.down * blocks.across];
        pack_a(kernels, a_place(s, block), a_of(s, block.row), block.rows, length(s), packing.precision);
      });
    if (share_b)
      run_tasks(threads, slabs * blocks.across, [&](int64_t task) {
        const int64_t s = task / blocks.across;
        const Block block = blocks[task % blocks.across];
        pack_b(kernels, b_place(s, block), b_of(s, block.col), length(s), block.cols, panel, packing_of(s));
      });

    sum_over_slabs(kernels, c, c_stride, blocks, slabs, accumulate, threads,
                   [&](int64_t s, const Block& block, T* out, int64_t out_stride, TileMode mode) {
                     BlockProduct<T> product = block_product(out, out_stride, a_of(s, block.row), b_of(s, block.col),
                                                             block.rows, block.cols, length(s), panel, mode);
                     if (share_a) product.a.data = a_place(s, block);
                     if (share_b) product.b.data = b_place(s, block);
                     product.a_packed = share_a;
                     product.b_packed = share_b;
                     if (pack_all_a && !share_a) pack_local_a(kernels, product, packing.precision);
                     if (!share_b) pack_local_b(kernels, product, pack_all_b, packing_of(s));
                     multiply(kernels, product, packing.precision);
                   });
  }
};

}  // namespace

template <class T>
void multiply_over_rows(const KernelTable<T>& kernels, const Packing<T>& packing, T* c, int64_t c_stride, int64_t m,
                        int64_t n, int64_t rows, const T* a, int64_t a_stride, const T* b, int64_t b_stride,
                        bool accumulate) {
  static thread_local Arena chunk_memory;
  if (m == 0 || n == 0) return;
  if (rows == 0) {
    if (!accumulate) fill_zeros(c, c_stride, m, n);
    return;
  }
  if (rows <= kSlabRows)
    return multiply_block(kernels, packing, c, c_stride, m, n, rows, {a, 1, a_stride}, {b, b_stride, 1},
                          accumulate ? TileMode::add : TileMode::store, {});
  if (!accumulate && !packing.scales && better_turned<T>(kernels, m, n, rows, {a, 1, a_stride}, {b, b_stride, 1})) {
    T* const transposed = reserve<T>(local_c, m * n);
    multiply_over_rows(kernels, packing, transposed, m, n, m, rows, b, b_stride, a, a_stride, false);
    return kernels.transpose(c, c_stride, transposed, m, m, n);
  }
  // Chunks of slabs are aligned subtrees, so cutting the rows into them changes no bit.
  const int64_t fitting = kPackedBytes / (kSlabRows * (m + n) * static_cast<int64_t>(sizeof(T)));
  const int64_t chunk = power_of_two_above(std::max(fitting, int64_t{1})) * kSlabRows;
  sum_into(kernels, chunk_memory, c, c_stride, m, n, 0, divide_up(rows, chunk), accumulate,
           [&](int64_t i, T* out, int64_t out_stride, TileMode mode) {
             const int64_t first = i * chunk;
             const SlabProduct<T> product{kernels,  packing_from(packing, first),  m,
                                          n,        std::min(chunk, rows - first), a + first * a_stride,
                                          a_stride, b + first * b_stride,          b_stride};
             product.run(out, out_stride, mode == TileMode::add);
           });
}

template void multiply_matrices(const KernelTable<float>&, Precision, float*, int64_t, int64_t, int64_t, int64_t,
                                Operand<float>, Operand<float>, bool, const Finish<float>&);
template void multiply_matrices(const KernelTable<double>&, Precision, double*, int64_t, int64_t, int64_t, int64_t,
                                Operand<double>, Operand<double>, bool, const Finish<double>&);
template void multiply_over_rows(const KernelTable<float>&, const Packing<float>&, float*, int64_t, int64_t, int64_t,
                                 int64_t, const float*, int64_t, const float*, int64_t, bool);
template void multiply_over_rows(const KernelTable<double>&, const Packing<double>&, double*, int64_t, int64_t, int64_t,
                                 int64_t, const double*, int64_t, const double*, int64_t, bool);

}  // namespace whet::cpu
