// Compiled once per instruction set, into a namespace of its own: see cpp/CMakeLists.txt. No allocation, no threads, no
// exceptions, no static initialisers, no libm in here.

#include "device/cpu/kernels/limits.h"
#include "device/cpu/kernels/noise.h"
#include "device/cpu/kernels/optimizers.h"
#include "device/cpu/kernels/reduce.h"

namespace whet::cpu::WHET_ISA_NAMESPACE {

template <class T>
constexpr SweepKernels<T> make_sweep_kernels() {
  return {
#define WHET_ENTRY(F) update<T, math::SweepOf<math::F>::type>,
      .update = {WHET_OPTIMIZERS(WHET_ENTRY)},
#undef WHET_ENTRY
      .scale_and_shift = scale_and_shift<T>,
      .add_noise = add_noise<T>,
      .random_numbers = random_numbers,
      .column_sums = column_sums<T>,
      .weighted_sum = weighted_sum<T>,
      .largest = largest<T>,
      .find_nonfinite = find_nonfinite<T>,
      .fma_flops = fma_flops<T>(),
      .fma_loop = fma_loop<T>,
      .stream = stream<T>,
  };
}

constexpr BothTypes<SweepKernels> sweep_kernels{make_sweep_kernels<float>(), make_sweep_kernels<double>()};

}  // namespace whet::cpu::WHET_ISA_NAMESPACE
