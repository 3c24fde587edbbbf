// Compiled once per instruction set, into a namespace of its own: see cpp/CMakeLists.txt. No allocation, no threads, no
// exceptions, no static initialisers, no libm in here.

#include "device/cpu/kernels/combine.h"
#include "device/cpu/kernels/dropout.h"
#include "device/cpu/kernels/elementwise.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

template <class T>
constexpr ElementKernels<T> make_element_kernels() {
  return {
#define WHET_ENTRY(F) activate<T, math::F>,
      .activate = {WHET_ACTIVATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
#define WHET_ENTRY(F) activate_backward<T, math::F>,
      .activate_backward = {WHET_ACTIVATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
#define WHET_ENTRY(F) combine<T, math::F>,
      .combine = {WHET_COMBINATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
#define WHET_ENTRY(F) {combine_backward<T, math::F, true>, combine_backward<T, math::F, false>},
      .combine_backward = {WHET_SMOOTH_COMBINATIONS(WHET_ENTRY)},
#undef WHET_ENTRY
      .choose = choose<T>,
      .gather_rows = gather_rows<T>,
      .dropout = dropout<T>,
      .dropout_backward = dropout_backward<T>,
  };
}

constexpr BothTypes<ElementKernels> element_kernels{make_element_kernels<float>(), make_element_kernels<double>()};

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
