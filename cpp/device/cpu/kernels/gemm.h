#pragma once

#include <utility>

#include "device/cpu/kernels/simd.h"
#include "device/cpu/kernels/table.h"

/// Matrix products of one block, as in BLIS (Van Zee and van de Geijn, "BLIS: a framework for rapidly instantiating BLAS
/// functionality", 2015): tiles of c in registers, a broadcast element by element, b a register at a time.
namespace whet::cpu::WHET_ISA_NAMESPACE {

// Registers of a tile of kTileRows x 2: accumulators, two of b, one broadcast element of a.
#if defined(WHET_ISA_avx512)
constexpr int kTileRows = 14;  // 28 + 2 + 1 of 32
#elif defined(WHET_ISA_avx2)
constexpr int kTileRows = 6;  // 12 + 2 + 1 of 16
#else
constexpr int kTileRows = 4;  // 8 + 2 + 1 of 16, and one for the product that no FMA takes in
#endif
// A tile of few rows takes four registers of columns, or the latency of FMA would show.
constexpr int kWideRows = kTileRows / 3 + 1;

/// Where rows 0 .. 13 of a stand: two pointers seven rows apart and three strides, which x86 multiplies by 1, 2 or 4.
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

template <class T>
using Tile = void (*)(T* c, int64_t c_stride, const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_k, int64_t k,
                      int64_t cols, TileMode mode);

/// c (M, cols) from a (M, k) and b (k, N registers). Only c may have fewer columns than the registers hold.
template <class T, int N, int... rows>
inline void run_tile(std::integer_sequence<int, rows...>, T* c, int64_t c_stride, const T* a, int64_t a_row, int64_t a_k,
                     const T* b, int64_t b_k, int64_t k, int64_t cols, TileMode mode) {
  using V = Vec<T>;
  constexpr int M = sizeof...(rows);
  V acc[M][N];
  const auto for_each_of_c = [&](auto body) {
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < N; ++j) {
        T* const p = c + i * c_stride + j * V::size;
        const int64_t rest = cols - j * V::size;
        if (rest >= V::size)
          body(p, acc[i][j], Whole<T>());
        else if (rest > 0)
          body(p, acc[i][j], Part<T>{rest});
      }
  };
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) acc[i][j] = V(T(0));
  if (mode == TileMode::chain) for_each_of_c([](T* p, V& sum, auto part) { sum = part.load(p); });

  RowPointers<T> pointers(a, a_row);
  a_k *= static_cast<int64_t>(sizeof(T));
  do {
    V bv[N];
    for (int j = 0; j < N; ++j) bv[j] = V::load(b + j * V::size);
    const auto row = [&](V av, V* sums) {
      for (int j = 0; j < N; ++j) sums[j] = fma(av, bv[j], sums[j]);
    };
    (row(pointers.template broadcast<rows>(), acc[rows]), ...);
    pointers.advance(a_k);
    b += b_k;
  } while (--k > 0);

  if (mode == TileMode::add)
    for_each_of_c([](T* p, V& sum, auto part) { part.store(p, part.load(p) + sum); });
  else
    for_each_of_c([](T* p, V& sum, auto part) { part.store(p, sum); });
}

template <class T, int M, int N>
void tile(T* c, int64_t c_stride, const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_k, int64_t k,
          int64_t cols, TileMode mode) {
  run_tile<T, N>(std::make_integer_sequence<int, M>(), c, c_stride, a, a_row, a_k, b, b_k, k, cols, mode);
}

/// The tiles of N registers' columns, by their rows less one.
template <class T, int N, class Rows>
struct Tiles;

template <class T, int N, int... rows>
struct Tiles<T, N, std::integer_sequence<int, rows...>> {
  static constexpr Tile<T> of_rows[] = {tile<T, rows + 1, N>...};
};

template <class T>
inline Tile<T> find_tile(int64_t rows, int64_t cols) {
  using All = std::make_integer_sequence<int, kTileRows>;
  using Few = std::make_integer_sequence<int, kWideRows>;
  if (cols <= Vec<T>::size) return Tiles<T, 1, All>::of_rows[rows - 1];
  if (cols <= 2 * Vec<T>::size) return Tiles<T, 2, All>::of_rows[rows - 1];
  return Tiles<T, 4, Few>::of_rows[rows - 1];
}

/// Columns that the panel at the right edge takes, zeros included: 1, 2 or 4 registers.
template <class T>
inline int64_t padded_panel(int64_t cols) {
  return cols <= Vec<T>::size ? Vec<T>::size : cols <= 2 * Vec<T>::size ? 2 * Vec<T>::size : 4 * Vec<T>::size;
}

/// m rows in tiles as equal as can be (64 = 13 + 13 + 13 + 13 + 12): calls body(first row, rows).
template <class Body>
inline void for_each_tile(int64_t m, Body body) {
  const int64_t tiles = (m + kTileRows - 1) / kTileRows, rows = m / tiles, larger = m % tiles;
  for (int64_t t = 0, i = 0; t < tiles; ++t) {
    const int64_t height = rows + (t < larger);
    body(i, height);
    i += height;
  }
}

template <class T>
void multiply(const BlockProduct<T>& p) {
  for (int64_t j = 0; j < p.n; j += p.panel) {
    const int64_t cols = p.n - j < p.panel ? p.n - j : p.panel;
    const bool packed = p.b_packed || cols < p.panel;
    const int64_t b_k = packed ? padded_panel<T>(cols) : p.b_stride;
    const T* const b = p.b_packed ? p.b + j * p.k : packed ? p.b_edge : p.b + j;
    for_each_tile(p.m, [&](int64_t i, int64_t rows) {
      const T* const a = p.a_packed ? p.a + i * p.k : p.a + i * p.a_row;
      T* const c = p.c + i * p.c_stride + j;
      find_tile<T>(rows, cols)(c, p.c_stride, a, p.a_packed ? 1 : p.a_row, p.a_packed ? rows : p.a_k, b, b_k, p.k, cols,
                               p.mode);
      if (const Finish<T>& f = p.finish; f.function)
        f.function(c, p.c_stride, f.bias ? f.bias + j : nullptr,
                   f.input ? f.input + i * f.input_stride + j : nullptr, f.input_stride, rows, cols, f.options);
    });
  }
}

/// Swaps element l + distance of register i with element l of register i + distance, wherever l has no bit `distance`.
template <class T, int distance, int... lane>
inline void exchange(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, lane...>) {
  constexpr int size = Vec<T>::size;
  const auto low = a.r, high = b.r;
  a.r = __builtin_shufflevector(low, high, (lane & distance ? size + lane - distance : lane)...);
  b.r = __builtin_shufflevector(low, high, (lane & distance ? size + lane : lane + distance)...);
}

/// Transposes a square of as many registers as each has elements, in log2(size) rounds.
template <class T, int distance = Vec<T>::size / 2>
inline void transpose(Vec<T>* v) {
  constexpr int size = Vec<T>::size;
  for (int i = 0; i < size; ++i)
    if (!(i & distance)) exchange<T, distance>(v[i], v[i + distance], std::make_integer_sequence<int, size>());
  if constexpr (distance > 1) transpose<T, distance / 2>(v);
}

/// packed[p * width + i] = x[i * stride + p] for i < rows, and 0 up to a whole register; p in [0, k). rows <= size.
template <class T>
inline void pack_transposed(T* packed, int64_t width, const T* x, int64_t stride, int64_t rows, int64_t k) {
  constexpr int size = Vec<T>::size;
  int64_t p = 0;
  Vec<T> v[size];
  for (; p + size <= k; p += size) {
    for (int i = 0; i < size; ++i) v[i] = i < rows ? Vec<T>::load(x + i * stride + p) : Vec<T>(T(0));
    transpose<T>(v);
    // In ascending order: where a register overlaps the next k, that one is written later.
    for (int i = 0; i < size; ++i) v[i].store(packed + (p + i) * width);
  }
  if (p == k) return;
  for (int i = 0; i < size; ++i) v[i] = i < rows ? Vec<T>::load(x + i * stride + p, k - p) : Vec<T>(T(0));
  transpose<T>(v);
  for (int i = 0; i < size; ++i)
    if (p + i < k) v[i].store(packed + (p + i) * width);
}

/// packed[p * width + i] = x[p * stride + i] for i < cols, and 0 up to a whole register; p in [0, k). cols <= size.
template <class T>
inline void pack_straight(T* packed, int64_t width, const T* x, int64_t stride, int64_t cols, int64_t k) {
  if (cols == Vec<T>::size)
    for (int64_t p = 0; p < k; ++p) Vec<T>::load(x + p * stride).store(packed + p * width);
  else
    for (int64_t p = 0; p < k; ++p) Vec<T>::load(x + p * stride, cols).store(packed + p * width);
}

template <class T>
inline void pack_register(T* packed, int64_t width, const T* x, int64_t stride, bool contiguous_k, int64_t count,
                          int64_t k) {
  if (contiguous_k)
    pack_transposed(packed, width, x, stride, count, k);
  else
    pack_straight(packed, width, x, stride, count, k);
}

template <class T>
void pack_a(T* packed, const T* a, int64_t stride, bool contiguous_k, int64_t m, int64_t k) {
  for_each_tile(m, [&](int64_t i, int64_t rows) {
    // The last register of rows first: what it writes too much is the start of the next k, and that is written later.
    for (int64_t part = (rows - 1) / Vec<T>::size * Vec<T>::size; part >= 0; part -= Vec<T>::size) {
      const int64_t count = rows - part < Vec<T>::size ? rows - part : Vec<T>::size;
      const T* const x = a + (i + part) * (contiguous_k ? stride : 1);
      pack_register(packed + i * k + part, rows, x, stride, contiguous_k, count, k);
    }
  });
}

template <class T>
void pack_b(T* packed, const T* b, int64_t stride, bool contiguous_k, int64_t k, int64_t n, int64_t panel) {
  for (int64_t j = 0; j < n; j += panel) {
    const int64_t cols = n - j < panel ? n - j : panel, width = padded_panel<T>(cols);
    for (int64_t part = 0; part < width; part += Vec<T>::size) {
      const int64_t rest = cols - part, count = rest < 0 ? 0 : rest < Vec<T>::size ? rest : Vec<T>::size;
      const T* const x = b + (count == 0 ? 0 : (j + part) * (contiguous_k ? stride : 1));
      pack_register(packed + j * k + part, width, x, stride, contiguous_k, count, k);
    }
  }
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
