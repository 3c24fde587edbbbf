// Compiled once per instruction set, into a namespace of its own: see cpp/CMakeLists.txt. No allocation, no threads, no
// exceptions, no static initialisers, no libm in here.

#include "device/cpu/kernels/elementwise.h"
#include "device/cpu/kernels/gemm.h"
#include "device/cpu/kernels/narrow.h"
#include "device/cpu/kernels/sparse.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

template <class T>
constexpr ProductKernels<T> make_product_kernels() {
  return {
      .vector = Vec<T>::size,
      .tile_rows = kTileRows,
      .wide_rows = kWideRows,
      .wide_squares = kWideSquares,
      .pairs = kPairs,
      .multiply = multiply<T>,
      .pack_a = pack_a<T>,
      .pack_b = pack_b<T>,
      .multiply_narrow = {multiply_narrow<T, 1>, multiply_narrow<T, 2>, multiply_narrow<T, 3>, multiply_narrow<T, 4>},
      .multiply_sparse = multiply_sparse<T>,
      .transpose = transpose_matrix<T>,
#define WHET_ENTRY(F) finish<T, math::F>,
      .finish = {WHET_FUSED_ACTIVATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
#define WHET_ENTRY(F) finish_backward<T, math::F>,
      .finish_backward = {WHET_FUSED_ACTIVATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
  };
}

constexpr BothTypes<ProductKernels> product_kernels{make_product_kernels<float>(), make_product_kernels<double>()};

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
