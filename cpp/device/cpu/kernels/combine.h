#pragma once

#include "device/cpu/kernels/simd.h"
#include "device/cpu/kernels/table.h"
#include "math/combinations.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

/// The row of a term that a loop stands at.
template <class T>
struct TermRow {
  const T* data;
  int64_t stride;
  bool column;
  Vec<T> all;  // what a column has for the whole row

  explicit TermRow(const Term<T>& term)
      : data(term.data), stride(term.stride), column(term.column), all(term.column ? *term.data : T(0)) {}
  void next() {
    data += stride;
    if (column) all = Vec<T>(*data);
  }
  template <class Part>
  Vec<T> load(int64_t i, Part part) const {
    return column ? all : part.load(data + i);
  }
};

/// Calls body(i, part) for the registers of each row, and steps the terms on.
template <class T, class Body, class... Rows>
inline void for_each_row(int64_t rows, int64_t cols, Body body, Rows&... terms) {
  if (rows == 0) return;
  for (int64_t row = 0;;) {
    for_each_register<T>(cols, [&](int64_t i, auto part) { body(row, i, part); });
    if (++row == rows) return;
    (terms.next(), ...);
  }
}

template <class T, class F>
void combine(T* y, int64_t y_stride, const Term<T>& a, const Term<T>& b, int64_t rows, int64_t cols) {
  TermRow<T> a_row(a), b_row(b);
  for_each_row<T>(
      rows, cols,
      [&](int64_t row, int64_t i, auto part) {
        part.store(y + row * y_stride + i, F::value(a_row.load(i, part), b_row.load(i, part)));
      },
      a_row, b_row);
}

/// dx = dy times the derivative by the first or the second operand, or dx + that.
template <class T, class F, bool first>
void combine_backward(T* dx, int64_t dx_stride, const Term<T>& dy, const Term<T>& a, const Term<T>& b, int64_t rows,
                      int64_t cols, bool accumulate) {
  TermRow<T> dy_row(dy), a_row(a), b_row(b);
  for_each_row<T>(
      rows, cols,
      [&](int64_t row, int64_t i, auto part) {
        T* const to = dx + row * dx_stride + i;
        const Vec<T> av = a_row.load(i, part), bv = b_row.load(i, part);
        const Vec<T> d = dy_row.load(i, part) * (first ? F::by_a(av, bv) : F::by_b(av, bv));
        part.store(to, accumulate ? part.load(to) + d : d);
      },
      dy_row, a_row, b_row);
}

/// y = a where `chooser` is not zero, else b; or y + that.
template <class T>
void choose(T* y, int64_t y_stride, const Term<T>& chooser, const Term<T>& a, const Term<T>& b, int64_t rows,
            int64_t cols, bool accumulate) {
  TermRow<T> c_row(chooser), a_row(a), b_row(b);
  for_each_row<T>(
      rows, cols,
      [&](int64_t row, int64_t i, auto part) {
        T* const to = y + row * y_stride + i;
        const Vec<T> chosen = select(c_row.load(i, part) == Vec<T>(T(0)), b_row.load(i, part), a_row.load(i, part));
        part.store(to, accumulate ? part.load(to) + chosen : chosen);
      },
      c_row, a_row, b_row);
}

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
