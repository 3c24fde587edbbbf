// Compiled once per instruction set, into a namespace of its own: see cpp/CMakeLists.txt. No allocation, no threads, no
// exceptions, no static initialisers, no libm in here.

#include "device/cpu/kernels/rows.h"

#include "device/cpu/kernels/losses.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

template <class T>
constexpr RowKernels<T> make_row_kernels() {
  return {
      .row_sums = row_sums<T>,
      .logsumexp = logsumexp<T>,
      .logsumexp_backward = logsumexp_backward<T>,
      .normalize = normalize<T>,
      .normalize_backward = normalize_backward<T>,
      .column_moments = column_moments<T>,
      .standardize = standardize<T>,
      .standardize_backward = standardize_backward<T>,
      .softmax = softmax<T>,
#define WHET_ENTRY(F) direct_loss<T, math::F>,
      .direct_loss = {WHET_DIRECT_LOSSES(WHET_ENTRY)},
#undef WHET_ENTRY
#define WHET_ENTRY(F) loss_elements<T, math::F>,
      .loss_elements = {WHET_SHARING_LOSSES(WHET_ENTRY)},
#undef WHET_ENTRY
      .loss = loss<T>,
      .cross_entropy = cross_entropy<T>,
  };
}

constexpr BothTypes<RowKernels> row_kernels{make_row_kernels<float>(), make_row_kernels<double>()};

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
