#include "device/cpu/select.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "device/cpu/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace whet::cpu {

namespace {

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
#endif

}  // namespace

std::span<const InstructionSet> instruction_sets() {
#define WHET_TABLE(dtype, set, others) \
  {set::product_kernels.dtype, others::element_kernels.dtype, others::row_kernels.dtype, others::sweep_kernels.dtype}
#define WHET_TABLES(set, others) WHET_TABLE(floats, set, others), WHET_TABLE(doubles, set, others)
  static const InstructionSet sets[] = {
      {"baseline", [] { return true; }, WHET_TABLES(baseline, baseline)},
#if defined(__x86_64__)
      // __builtin_cpu_supports asks the operating system too (XGETBV): both halves must keep the registers.
      {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, WHET_TABLES(avx2, avx2)},
      {"avx512", has_avx512, WHET_TABLES(avx512, avx512)},
      {"avx512bf16", [] { return has_avx512() && __builtin_cpu_supports("avx512bf16"); },
       WHET_TABLES(avx512bf16, avx512)},
#endif
  };
#undef WHET_TABLES
#undef WHET_TABLE
  return sets;
}

std::vector<std::string> available_instruction_sets() {
  std::vector<std::string> names;
  for (const InstructionSet& set : instruction_sets())
    if (set.runs_here()) names.emplace_back(set.name);
  return names;
}

const InstructionSet& find_instruction_set(std::string_view name) {
  for (const InstructionSet& set : instruction_sets())
    if (set.name == name && set.runs_here()) return set;
  std::string valid;
  for (const std::string& available : available_instruction_sets()) valid += (valid.empty() ? "" : ", ") + available;
  const bool known =
      std::ranges::any_of(instruction_sets(), [&](const InstructionSet& set) { return set.name == name; });
  fail("WHET_ISA", "expected one of ", valid, "; got '", name, known ? "', which this processor lacks" : "'");
}

const InstructionSet& chosen_instruction_set() {
  static const InstructionSet& chosen = [&]() -> const InstructionSet& {
    const char* const name = std::getenv("WHET_ISA");
    return find_instruction_set(name && *name ? std::string_view(name) : available_instruction_sets().back());
  }();
  return chosen;
}

std::string instruction_set() { return std::string(chosen_instruction_set().name); }

namespace {

#if defined(__x86_64__)
constexpr unsigned kFlush = 0x8040;  // MXCSR: flush to zero, denormals are zero
unsigned control() { return _mm_getcsr(); }
void set_control(unsigned value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
constexpr unsigned kFlush = 1u << 24;  // FPCR: flush to zero
unsigned control() {
  uint64_t value;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return static_cast<unsigned>(value);
}
void set_control(unsigned value) { asm volatile("msr fpcr, %0" ::"r"(uint64_t{value})); }
#else
constexpr unsigned kFlush = 0;
unsigned control() { return 0; }
void set_control(unsigned) {}
#endif

}  // namespace

FlushDenormals::FlushDenormals() : saved_(control()) {
  if ((saved_ & kFlush) != kFlush) set_control(saved_ | kFlush);
}

FlushDenormals::~FlushDenormals() {
  if ((saved_ & kFlush) != kFlush) set_control(saved_);
}

}  // namespace whet::cpu
