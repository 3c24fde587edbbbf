// Compiled once per instruction set, into a namespace of its own: see cpp/CMakeLists.txt. No allocation, no threads, no
// exceptions, no static initialisers, no libm in here.

#include "device/cpu/kernels/dropout.h"
#include "device/cpu/kernels/elementwise.h"
#include "device/cpu/kernels/gemm.h"
#include "device/cpu/kernels/limits.h"
#include "device/cpu/kernels/losses.h"
#include "device/cpu/kernels/narrow.h"
#include "device/cpu/kernels/optimizers.h"
#include "device/cpu/kernels/reduce.h"
#include "device/cpu/kernels/table.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

namespace {

template <class T>
constexpr KernelTable<T> table() {
  return {
      .vector = Vec<T>::size,
      .tile_rows = kTileRows,
      .wide_rows = kWideRows,
      .pairs = kPairs,
      .multiply = multiply<T>,
      .pack_a = pack_a<T>,
      .pack_b = pack_b<T>,
      .multiply_narrow = {multiply_narrow<T, 1>, multiply_narrow<T, 2>, multiply_narrow<T, 3>, multiply_narrow<T, 4>},
      .transpose = transpose_matrix<T>,
#define WHET_ENTRY(F) finish<T, math::F>,
      .finish = {WHET_ACTIVATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
#define WHET_ENTRY(F) finish_backward<T, math::F>,
      .finish_backward = {WHET_ACTIVATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
#define WHET_ENTRY(F) activate<T, math::F>,
      .activate = {WHET_ACTIVATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
#define WHET_ENTRY(F) activate_backward<T, math::F>,
      .activate_backward = {WHET_ACTIVATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
      .add = add<T>,
      .gather_rows = gather_rows<T>,
      .dropout = dropout<T>,
      .dropout_backward = dropout_backward<T>,
#define WHET_ENTRY(F) update<T, math::F>,
      .update = {WHET_OPTIMIZERS(WHET_ENTRY)},
#undef WHET_ENTRY
      .softmax = softmax<T>,
#define WHET_ENTRY(F) loss<T, math::F>,
      .loss = {WHET_ELEMENTWISE_LOSSES(WHET_ENTRY)},
#undef WHET_ENTRY
      .cross_entropy = cross_entropy<T>,
      .column_sums = column_sums<T>,
      .weighted_sum = weighted_sum<T>,
      .find_nonfinite = find_nonfinite<T>,
      .fma_flops = fma_flops<T>(),
      .fma_loop = fma_loop<T>,
      .stream = stream<T>,
  };
}

}  // namespace

constexpr KernelTable<float> float_kernels = table<float>();
constexpr KernelTable<double> double_kernels = table<double>();

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
