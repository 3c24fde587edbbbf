#pragma once

#include <utility>

#include "device/cpu/kernels/simd.h"
#include "device/cpu/kernels/table.h"

/// Matrix products of one block, as in BLIS (Van Zee and van de Geijn, "BLIS: a framework for rapidly instantiating
/// BLAS functionality", 2015): tiles of c in registers, a broadcast element by element, b a register at a time.
namespace whet::cpu::WHET_ISA_NAMESPACE {

// Registers of a tile of kTileRows x 2: accumulators, two of b, one broadcast element of a. A tile of kWideRows x 4 has
// four of b. Few rows need it, or the latency of FMA would show; and it loads less, where b is not packed.
#if defined(WHET_ISA_avx512)
constexpr int kTileRows = 14;  // 28 + 2 + 1 of 32
constexpr int kWideRows = 6;   // 24 + 4 + 1
#elif defined(WHET_ISA_avx2)
constexpr int kTileRows = 6;  // 12 + 2 + 1 of 16
constexpr int kWideRows = 3;  // 12 + 4, the element of a in memory
#else
constexpr int kTileRows = 4;  // 8 + 2 + 1 of 16, and one for the product that no FMA takes in
constexpr int kWideRows = 2;  // 8 + 4 + 1, and that one
#endif
// Rows of an unpacked b to fetch ahead of their use: 94 -> 109 GFLOP/s at 512 x 512 x 512, the same for 4 and 16.
// Fetching a ahead too costs 3 % at 256 x 256 x 256.
constexpr int kAhead = 8;
// Rows of a packed tile whose element of a is no register's broadcast but the memory operand of each FMA: fewer
// instructions, more loads. Where another thread shares the core, 8 % faster at 1024 x 1024 x 1024 than none; alone,
// none to four are equal, and seven cost 2 %. AVX2 has no such operand.
#if defined(WHET_ISA_avx512)
constexpr int kFoldedRows = 4;
#else
constexpr int kFoldedRows = 0;
#endif
// Whether panels of four registers pay for many rows too, where b is read as it stands. With 16 registers such tiles
// load as much as the others, and k = 256 fills L1 with a panel: 73 -> 86 % of the peak of AVX2 on Zen 3 without them
// at 256 x 256 x 256 with a transposed, 64 -> 80 % with k = 64.
#if defined(WHET_ISA_avx512)
constexpr bool kWideSquares = true;
#else
constexpr bool kWideSquares = false;
#endif

/// Where rows 0 .. 13 of an unpacked a stand: two pointers seven rows apart and three strides, which x86 multiplies by
/// 1, 2 or 4.
template <class T>
struct RowPointers {
  const char* low;
  const char* high;
  int64_t one, three, five;

  RowPointers(const T* a, int64_t stride) {
    one = stride * static_cast<int64_t>(sizeof(T));
    three = 3 * one;
    five = 5 * one;
    low = reinterpret_cast<const char*>(a);
    high = low + 7 * one;
    // Hidden from the compilers: GCC would keep seven strides and spill them, Clang would chain thirteen additions.
    asm("" : "+r"(high), "+r"(one), "+r"(three), "+r"(five));
  }

  template <int i>
  Vec<T> broadcast() const {
    constexpr int step = i % 7;
    const char* p = i < 7 ? low : high;
    if constexpr (step == 1) p += one;
    if constexpr (step == 2) p += 2 * one;
    if constexpr (step == 3) p += three;
    if constexpr (step == 4) p += 4 * one;
    if constexpr (step == 5) p += five;
    if constexpr (step == 6) p += 2 * three;
    return Vec<T>(*reinterpret_cast<const T*>(p));
  }

  void advance(int64_t bytes) {
    low += bytes;
    high += bytes;
  }
};

/// `next` is memory to fetch into L2 meanwhile, given if and only if a and b both lie packed.
template <class T>
using Tile = void (*)(T* c, int64_t c_stride, const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_k,
                      int64_t k, int64_t cols, TileMode mode, const T* next);

/// Calls body(pointer, part) for each register of a row of c that has columns.
template <class T, int N, class Body>
WHET_ALWAYS_INLINE inline void for_each_of_row(T* c, Vec<T>* sums, int64_t cols, Body body) {
  constexpr int size = Vec<T>::size;
  for (int j = 0; j < N; ++j) {
    const int64_t rest = cols - j * size;
    if (rest >= size)
      body(c + j * size, sums[j], Whole<T>());
    else if (rest > 0)
      body(c + j * size, sums[j], Part<T>{rest});
  }
}

/// acc (M, N registers) += a (M, k) b (k, N registers), wherever they stand.
template <class T, int N, int... rows>
WHET_ALWAYS_INLINE inline void add_strided(std::integer_sequence<int, rows...>, Vec<T> (*acc)[N], const T* a,
                                           int64_t a_row, int64_t a_k, const T* b, int64_t b_k, int64_t k) {
  using V = Vec<T>;
  constexpr int line = 64 / static_cast<int>(sizeof(T));
  RowPointers<T> pointers(a, a_row);
  a_k *= static_cast<int64_t>(sizeof(T));
  // Behind b there may be a page without memory, for which the processor looks in vain at each prefetch.
  const char* const last = pointers.low + k * a_k;
  const char* end = k > kAhead ? last - kAhead * a_k : last;
  int64_t ahead = k > kAhead ? kAhead * b_k : 0;
  for (;;) {
    do {
      V bv[N];
      for (int j = 0; j < N; ++j) {
        bv[j] = V::load(b + j * V::size);
        if (j * V::size % line == 0) __builtin_prefetch(b + ahead + j * V::size);
      }
      const auto row = [&](V av, V* sums) {
        for (int j = 0; j < N; ++j) sums[j] = fma(av, bv[j], sums[j]);
      };
      (row(pointers.template broadcast<rows>(), acc[rows]), ...);
      pointers.advance(a_k);
      b += b_k;
    } while (pointers.low != end);
    if (end == last) return;
    end = last;
    ahead = 0;
    // Hidden from the compilers: they would make two loops of it and keep the sums in memory between them.
    asm("" : "+r"(end), "+r"(ahead));
  }
}

/// acc + a b, or with pairs of bfloat16 in each element the sum of two products.
template <bool pairs, class T>
WHET_ALWAYS_INLINE inline Vec<T> multiply_add(Vec<T> a, Vec<T> b, Vec<T> acc) {
  if constexpr (pairs)
    return dot(a, b, acc);
  else
    return fma(a, b, acc);
}

/// The same as add_strided with both operands packed: a (k, M), b (k, N registers).
template <class T, int N, bool pairs, int... rows>
WHET_ALWAYS_INLINE inline void add_packed(std::integer_sequence<int, rows...>, Vec<T> (*acc)[N], const T* a, const T* b,
                                          int64_t k, const T* next) {
  using V = Vec<T>;
  constexpr int M = sizeof...(rows), kUnrolled = 4;
  const T* a_again = a;
  const auto add = [&](int p) WHET_ALWAYS_INLINE {
    V bv[N];
    for (int j = 0; j < N; ++j) bv[j] = V::load(b + (p * N + j) * V::size);
    const auto row = [&](int i) WHET_ALWAYS_INLINE {
      const V av(a[p * M + i]);
      if (N == 2 && i >= M - kFoldedRows) {
        acc[i][0] = multiply_add<pairs>(av, bv[0], acc[i][0]);
        acc[i][N - 1] = multiply_add<pairs>(V(a_again[p * M + i]), bv[N - 1], acc[i][N - 1]);
      } else {
        for (int j = 0; j < N; ++j) acc[i][j] = multiply_add<pairs>(av, bv[j], acc[i][j]);
      }
    };
    (row(rows), ...);
  };
  for (; k >= kUnrolled; k -= kUnrolled) {
    __builtin_prefetch(next, 0, 2);
    next += 64 / sizeof(T);
    // Hidden from the compilers: they would make one broadcast of two equal ones.
    a_again = a;
    asm("" : "+r"(a_again));
    add(0), add(1), add(2), add(3);
    a += kUnrolled * M;
    b += kUnrolled * N * V::size;
    asm("" : "+r"(a), "+r"(b));
  }
  for (; k > 0; --k) {
    a_again = a;
    add(0);
    a += M;
    b += N * V::size;
  }
}

/// c (M, cols) from a (M, k) and b (k, N registers). Only c may have fewer columns than the registers hold.
template <class T, int N, bool pairs, int... rows>
inline void run_tile(std::integer_sequence<int, rows...> all, T* c, int64_t c_stride, const T* a, int64_t a_row,
                     int64_t a_k, const T* b, int64_t b_k, int64_t k, int64_t cols, TileMode mode, const T* next) {
  using V = Vec<T>;
  V acc[sizeof...(rows)][N];
  if (mode == TileMode::chain) {
    const auto load = [](T* p, V& sum, auto part) { sum = part.load(p); };
    for (auto& row : acc)
      for (V& sum : row) sum = V(T(0));
    (for_each_of_row<T, N>(c + rows * c_stride, acc[rows], cols, load), ...);
  } else {
    for (auto& row : acc)
      for (V& sum : row) sum = V(T(0));
  }

  if (pairs || next)
    add_packed<T, N, pairs>(all, acc, a, b, k, next);
  else
    add_strided<T, N>(all, acc, a, a_row, a_k, b, b_k, k);

  const auto add = [](T* p, V sum, auto part) { part.store(p, part.load(p) + sum); };
  const auto store = [](T* p, V sum, auto part) { part.store(p, sum); };
  if (mode == TileMode::add)
    (for_each_of_row<T, N>(c + rows * c_stride, acc[rows], cols, add), ...);
  else if (cols == N * V::size)
    (for_each_of_row<T, N>(c + rows * c_stride, acc[rows], N * V::size, store), ...);
  else
    (for_each_of_row<T, N>(c + rows * c_stride, acc[rows], cols, store), ...);
}

template <class T, int M, int N, bool pairs>
void tile(T* c, int64_t c_stride, const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_k, int64_t k,
          int64_t cols, TileMode mode, const T* next) {
  run_tile<T, N, pairs>(std::make_integer_sequence<int, M>(), c, c_stride, a, a_row, a_k, b, b_k, k, cols, mode, next);
}

/// The tiles of N registers' columns, by their rows less one.
template <class T, int N, bool pairs, class Rows>
struct Tiles;

template <class T, int N, bool pairs, int... rows>
struct Tiles<T, N, pairs, std::integer_sequence<int, rows...>> {
  static constexpr Tile<T> of_rows[] = {tile<T, rows + 1, N, pairs>...};
};

template <class T, bool pairs>
inline Tile<T> find_tile(int64_t rows, int64_t cols) {
  using All = std::make_integer_sequence<int, kTileRows>;
  using Few = std::make_integer_sequence<int, kWideRows>;
  if (cols <= Vec<T>::size) return Tiles<T, 1, pairs, All>::of_rows[rows - 1];
  if (cols <= 2 * Vec<T>::size) return Tiles<T, 2, pairs, All>::of_rows[rows - 1];
  return Tiles<T, 4, pairs, Few>::of_rows[rows - 1];
}

/// Columns that the panel at the right edge takes, zeros included: 1, 2 or 4 registers.
template <class T>
inline int64_t padded_panel(int64_t cols) {
  return cols <= Vec<T>::size ? Vec<T>::size : cols <= 2 * Vec<T>::size ? 2 * Vec<T>::size : 4 * Vec<T>::size;
}

/// From so many k on a tile takes longer than fetching the next tile of c. At 64 x 64 x 64, fetching costs 125 -> 116
/// GFLOP/s.
constexpr int64_t kLongEnough = 128;

/// m rows in tiles as equal as can be (64 = 13 + 13 + 13 + 13 + 12): calls body(first row, rows).
template <class Body>
inline void for_each_tile(int64_t m, Body body, int64_t most = kTileRows) {
  const int64_t tiles = (m + most - 1) / most, rows = m / tiles, larger = m % tiles;
  for (int64_t t = 0, i = 0; t < tiles; ++t) {
    const int64_t height = rows + (t < larger);
    body(i, height);
    i += height;
  }
}

template <class T, bool pairs>
void multiply_tiles(const BlockProduct<T>& p) {
  const auto run = [&](int64_t i, int64_t rows, int64_t j) {
    const int64_t cols = p.n - j < p.panel ? p.n - j : p.panel;
    const bool packed = p.b_packed || cols < p.panel;
    const T* const b = p.b_packed ? p.b.data + j * p.k : packed ? p.b_edge : p.b.data + j;
    const T* const a = p.a.data + i * (p.a_packed ? p.k : p.a.row);
    T* const c = p.c + i * p.c_stride + j;
    // Each tile fetches its share of the next panel, or the panel's first tile takes twice as long as the others.
    const bool another = p.b_packed && j + p.panel < p.n;
    const T* const next = p.a_packed && packed ? b + (another ? p.panel : 0) * p.k + p.panel * p.k * i / p.m : nullptr;
    if (p.k >= kLongEnough) {
      const int64_t end = 2 * rows < p.m - i ? 2 * rows : p.m - i;
      for (int64_t r = rows; r < end; ++r)
        for (int64_t col = 0; col < cols; col += 64 / static_cast<int64_t>(sizeof(T)))
          __builtin_prefetch(c + r * p.c_stride + col, 1);
    }
    find_tile<T, pairs>(rows, cols)(c, p.c_stride, a, p.a_packed ? 1 : p.a.row, p.a_packed ? rows : p.a.col, b,
                                    packed ? padded_panel<T>(cols) : p.b.row, p.k, cols, p.mode, next);
    if (p.finish.function) p.finish.function(c, p.c_stride, {p.row + i, rows, p.col + j, cols}, p.finish);
  };
  // The panel of b that all tiles share stays in L1; if all of b does, c is better written along its rows.
  constexpr int64_t small = 32 << 10;
  const int64_t most = p.panel == 4 * Vec<T>::size ? kWideRows : kTileRows;
  if (p.n * p.k * static_cast<int64_t>(sizeof(T)) <= small) {
    const auto along = [&](int64_t i, int64_t rows) {
      for (int64_t j = 0; j < p.n; j += p.panel) run(i, rows, j);
    };
    for_each_tile(p.m, along, most);
  } else {
    for (int64_t j = 0; j < p.n; j += p.panel) {
      const auto down = [&](int64_t i, int64_t rows) { run(i, rows, j); };
      for_each_tile(p.m, down, most);
    }
  }
}

template <class T>
void multiply(const BlockProduct<T>& p) {
  if constexpr (kPairs && sizeof(T) == sizeof(float))
    if (p.precision == Precision::bfloat16) return multiply_tiles<T, true>(p);
  multiply_tiles<T, false>(p);
}

// A square of as many registers as each has elements is transposed in steps of one instruction each: GCC 12 makes two
// or three of a freely chosen permutation.

/// a and b interleaved in units of `unit` elements, within blocks of 16 bytes: lower halves into a, upper halves into
/// b.
template <class T, int unit, int... lane>
inline void interleave(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, lane...>) {
  constexpr int size = Vec<T>::size, block = 16 / static_cast<int>(sizeof(T));
  const auto x = a.r, y = b.r;
  a.r = __builtin_shufflevector(
      x, y, (lane / unit % 2 * size + lane / block * block + lane % block / (2 * unit) * unit + lane % unit)...);
  b.r = __builtin_shufflevector(
      x, y,
      (lane / unit % 2 * size + lane / block * block + block / 2 + lane % block / (2 * unit) * unit + lane % unit)...);
}

/// The blocks of 16 bytes of a and then b: those of even number into a, the others into b.
template <class T, int... lane>
inline void part_blocks(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, lane...>) {
  constexpr int block = 16 / static_cast<int>(sizeof(T));
  const auto x = a.r, y = b.r;
  a.r = __builtin_shufflevector(x, y, (lane / block * 2 * block + lane % block)...);
  b.r = __builtin_shufflevector(x, y, (lane / block * 2 * block + block + lane % block)...);
}

template <class T>
inline void transpose(Vec<T>* v) {
  constexpr int size = Vec<T>::size, block = 16 / static_cast<int>(sizeof(T)), blocks = size / block;
  constexpr auto lanes = std::make_integer_sequence<int, size>();
  for (int i = 0; i < size; i += block) {
    interleave<T, 1>(v[i], v[i + 1], lanes);
    if constexpr (block == 4) {
      interleave<T, 1>(v[i + 2], v[i + 3], lanes);
      interleave<T, 2>(v[i], v[i + 2], lanes);
      interleave<T, 2>(v[i + 1], v[i + 3], lanes);
      std::swap(v[i + 1], v[i + 2]);
    }
  }
  for (int i = 0; i < block; ++i)
    for (int distance = 1; distance < blocks; distance *= 2)
      for (int j = 0; j < blocks; ++j)
        if (!(j & distance)) part_blocks(v[i + j * block], v[i + (j + distance) * block], lanes);
}

/// packed[p * width + i] = x[i * stride + p] for i < rows, and 0 up to a whole register; p in [0, k).
template <class T, class Rows>
inline void pack_transposed(T* packed, int64_t width, const T* x, int64_t stride, Rows rows, int64_t k) {
  constexpr int size = Vec<T>::size;
  Vec<T> v[size];
  for (int64_t p = 0; p < k; p += size) {
    const int64_t rest = k - p;
    for (int i = 0; i < size; ++i)
      v[i] = i >= rows      ? Vec<T>(T(0))
             : rest >= size ? Vec<T>::load(x + i * stride + p)
                            : Vec<T>::load(x + i * stride + p, rest);
    transpose(v);
    // In ascending order: where a register overlaps the next k, that one is written later.
    for (int i = 0; i < size; ++i)
      if (i < rest) v[i].store(packed + (p + i) * width);
  }
}

/// As above for a register or less of rows; a full register has a loop of its own.
template <class T>
inline void pack_rows(T* packed, int64_t width, const T* x, int64_t stride, int64_t rows, int64_t k) {
  constexpr int size = Vec<T>::size;
  if (rows < size) return pack_transposed(packed, width, x, stride, rows, k);
  const int64_t whole = k / size * size;
  pack_transposed(packed, width, x, stride, std::integral_constant<int, size>(), whole);
  if (whole < k) pack_transposed(packed + whole * width, width, x + whole, stride, rows, k - whole);
}

template <class T>
inline void pack_tiles(T* packed, const T* a, int64_t stride, bool contiguous_k, int64_t m, int64_t k) {
  if (contiguous_k) {
    for_each_tile(m, [&](int64_t i, int64_t rows) {
      // The last register of rows first: what it writes too much is the start of the next k, and that is written later.
      for (int64_t part = (rows - 1) / Vec<T>::size * Vec<T>::size; part >= 0; part -= Vec<T>::size) {
        const int64_t count = rows - part < Vec<T>::size ? rows - part : Vec<T>::size;
        pack_rows(packed + i * k + part, rows, a + (i + part) * stride, stride, count, k);
      }
    });
    return;
  }
  // Along the rows of memory: tile after tile would touch a page for every k.
  for (int64_t p = 0; p < k; ++p)
    for_each_tile(m, [&](int64_t i, int64_t rows) {
      for_each_register<T>(rows, [&](int64_t part, auto lanes) {
        lanes.store(packed + i * k + p * rows + part, lanes.load(a + p * stride + i + part));
      });
    });
}

/// Calls body(first column, columns, panel's width) for n columns, the width in whole registers.
template <class T, class Body>
inline void for_each_panel(int64_t n, int64_t panel, Body body) {
  int64_t j = 0;
  for (; j + panel <= n; j += panel) body(j, panel, panel);
  if (j < n) body(j, n - j, padded_panel<T>(n - j));
}

template <class T>
inline void pack_panels(T* packed, const T* b, int64_t stride, bool contiguous_k, int64_t k, int64_t n, int64_t panel) {
  constexpr int64_t size = Vec<T>::size;
  if (contiguous_k) {
    for_each_panel<T>(n, panel, [&](int64_t j, int64_t cols, int64_t width) {
      for (int64_t part = 0; part < width; part += size) {
        const int64_t rest = cols - part, count = rest < 0 ? 0 : rest < size ? rest : size;
        pack_rows(packed + j * k + part, width, count == 0 ? b : b + (j + part) * stride, stride, count, k);
      }
    });
    return;
  }
  if (n < panel) {
    // Down one panel, so that its edge is found once.
    for (int64_t part = 0; part < padded_panel<T>(n); part += size) {
      const int64_t rest = n - part;
      const auto copy = [&](auto lanes) {
        for (int64_t p = 0; p < k; ++p) lanes.load(b + p * stride + part).store(packed + p * padded_panel<T>(n) + part);
      };
      if (rest >= size)
        copy(Whole<T>());
      else
        copy(Part<T>{rest > 0 ? rest : 0});
    }
    return;
  }
  for (int64_t p = 0; p < k; ++p)
    for_each_panel<T>(n, panel, [&](int64_t j, int64_t cols, int64_t width) {
      const T* const from = b + p * stride + j;
      T* const to = packed + j * k + p * width;
      for (int64_t part = 0; part < width; part += size) {
        const int64_t rest = cols - part;
        if (rest >= size)
          Vec<T>::load(from + part).store(to + part);
        else
          (rest > 0 ? Vec<T>::load(from + part, rest) : Vec<T>(T(0))).store(to + part);
      }
    });
}

/// x rounded to bfloat16: to the nearest, and of two equally near ones to the even.
inline vf to_bfloat16(vf x) {
  const vf::Bits bits = x.bits(), quiet = bits | 0x00400000;
  const vf rounded = vf::from_bits(bits + 0x7fff + (bits >> 16 & 1));
  return vf::from_bits(select(x == x, rounded, vf::from_bits(quiet)).bits() & 0xffff0000);
}

/// From so many k of a tile or a panel to what lies packed.
constexpr int64_t kPackedAtOnce = 16;

/// packed = x (k, width), a part of a tile or a panel that starts at an even k, with its factors and rounded.
template <class T>
inline void change_packed(T* packed, T* x, int64_t k, int64_t width, Precision precision, const T* scales) {
  if (scales)
    for (int64_t p = 0; p < k; ++p)
      for_each_register<T>(width, [&](int64_t i, auto part) {
        part.store(x + p * width + i, part.load(x + p * width + i) * Vec<T>(scales[p]));
      });
  if constexpr (sizeof(T) == sizeof(float)) {
    if (precision == Precision::bfloat16) {
      for (int64_t p = 0; p < k; p += 2)
        for_each_register<T>(width, [&](int64_t i, auto part) {
          const bool last = p + 1 == k;
          const vf even = to_bfloat16(part.load(x + p * width + i));
          const vf odd = last ? vf(0.0f) : to_bfloat16(part.load(x + (p + 1) * width + i));
          if (kPairs) return part.store(packed + p / 2 * width + i, vf::from_bits(odd.bits() | even.bits() >> 16));
          // VDPBF16PS adds the product of the odd k before that of the even one below it: here, too.
          if (!last) part.store(packed + p * width + i, odd);
          part.store(packed + (p + !last) * width + i, even);
        });
      return;
    }
  }
  for_each_register<T>(k * width, [&](int64_t i, auto part) { part.store(packed + i, part.load(x + i)); });
}

/// Elements of one column of a or row of b, packed.
inline int64_t packed_depth(int64_t k, Precision precision) {
  return kPairs && precision == Precision::bfloat16 ? (k + 1) / 2 : k;
}

template <class T>
void pack_a(T* packed, const T* a, int64_t stride, bool contiguous_k, int64_t m, int64_t k, Precision precision) {
  if (precision == Precision::full) return pack_tiles(packed, a, stride, contiguous_k, m, k);
  for_each_tile(m, [&](int64_t i, int64_t rows) {
    alignas(64) T part[kPackedAtOnce * kTileRows + Vec<T>::size];
    for (int64_t p = 0; p < k; p += kPackedAtOnce) {
      const int64_t here = k - p < kPackedAtOnce ? k - p : kPackedAtOnce;
      pack_tiles(part, a + (contiguous_k ? i * stride + p : p * stride + i), stride, contiguous_k, rows, here);
      change_packed<T>(packed + i * packed_depth(k, precision) + packed_depth(p, precision) * rows, part, here, rows,
                       precision, nullptr);
    }
  });
}

template <class T>
void pack_b(T* packed, const T* b, int64_t stride, bool contiguous_k, int64_t k, int64_t n, int64_t panel,
            const Packing<T>& packing) {
  if (packing.precision == Precision::full && !packing.scales)
    return pack_panels(packed, b, stride, contiguous_k, k, n, panel);
  for_each_panel<T>(n, panel, [&](int64_t j, int64_t cols, int64_t width) {
    alignas(64) T part[kPackedAtOnce * 4 * Vec<T>::size];
    for (int64_t p = 0; p < k; p += kPackedAtOnce) {
      const int64_t here = k - p < kPackedAtOnce ? k - p : kPackedAtOnce;
      pack_panels(part, b + (contiguous_k ? j * stride + p : p * stride + j), stride, contiguous_k, here, cols, panel);
      change_packed(packed + j * packed_depth(k, packing.precision) + packed_depth(p, packing.precision) * width, part,
                    here, width, packing.precision, packing.scales ? packing.scales + p : nullptr);
    }
  });
}

/// y (rows, cols) = the transpose of x (cols, rows).
template <class T>
void transpose_matrix(T* y, int64_t y_stride, const T* x, int64_t x_stride, int64_t rows, int64_t cols) {
  constexpr int64_t size = Vec<T>::size;
  Vec<T> v[size];
  for (int64_t row = 0; row < rows; row += size)
    for (int64_t col = 0; col < cols; col += size) {
      const int64_t height = rows - row < size ? rows - row : size, width = cols - col < size ? cols - col : size;
      for (int64_t i = 0; i < size; ++i) {
        const T* const from = x + (col + i) * x_stride + row;
        v[i] = i >= width ? Vec<T>(T(0)) : height == size ? Vec<T>::load(from) : Vec<T>::load(from, height);
      }
      transpose(v);
      for (int64_t i = 0; i < size; ++i) {
        T* const to = y + (row + i) * y_stride + col;
        if (i < height && width == size)
          v[i].store(to);
        else if (i < height)
          v[i].store(to, width);
      }
    }
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
