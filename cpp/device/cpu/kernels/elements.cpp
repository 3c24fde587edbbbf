// Compiled once per instruction set, into a namespace of its own: see cpp/CMakeLists.txt. No allocation, no threads, no
// exceptions, no static initialisers, no libm in here.

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
      .add = add<T>,
      .gather_rows = gather_rows<T>,
      .dropout = dropout<T>,
      .dropout_backward = dropout_backward<T>,
  };
}

constexpr BothTypes<ElementKernels> element_kernels{make_element_kernels<float>(), make_element_kernels<double>()};

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
