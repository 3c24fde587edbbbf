#include <algorithm>

#include "bindings/bindings.h"
#include "core/arena.h"
#include "core/error.h"
#include "device/cpu/pool.h"
#include "device/cpu/select.h"

/// The machine's limits in float32, for benchmarks: nothing else calls these.
namespace whet::bindings {

namespace {

void check_at_least(int64_t least, int64_t value, const char* what) {
  if (value < least) fail("limits", "expected ", what, " of at least ", least, ", got ", value);
}

double fma_loop(int threads, int64_t rounds) {
  check_at_least(1, threads, "threads");
  check_at_least(0, rounds, "rounds");
  const auto& kernels = cpu::chosen_instruction_set().float_kernels;
  const Work work;
  cpu::run_tasks(threads, threads, [&](int64_t) { kernels.fma_loop(rounds); });
  return static_cast<double>(threads) * static_cast<double>(rounds) * static_cast<double>(kernels.fma_flops);
}

void stream(py::array p, const py::array& g, py::array m, py::array v, int threads) {
  check_at_least(1, threads, "threads");
  const int64_t n = p.size();
  auto* const pp = static_cast<float*>(mutable_vector(p, DType::float32, n, "stream"));
  auto* const mm = static_cast<float*>(mutable_vector(m, DType::float32, n, "stream"));
  auto* const vv = static_cast<float*>(mutable_vector(v, DType::float32, n, "stream"));
  const auto* const gg = static_cast<const float*>(vector(g, DType::float32, n, "stream"));
  const auto& kernels = cpu::chosen_instruction_set().float_kernels;
  const Work work;
  // Cut at whole cache lines, so that no two threads write to one.
  constexpr int64_t line = kAlignment / sizeof(float);
  const int64_t lines = (n + line - 1) / line;
  cpu::run_tasks(threads, threads, [&](int64_t i) {
    const int64_t from = lines * i / threads * line, to = std::min(n, lines * (i + 1) / threads * line);
    kernels.stream(pp + from, gg + from, mm + from, vv + from, to - from);
  });
}

}  // namespace

void bind_limits(py::module_& module) {
  module.def("fma_loop", &fma_loop);
  module.def("stream", &stream);
}

}  // namespace whet::bindings
