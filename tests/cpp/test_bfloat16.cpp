// Products in bfloat16 have the same bits on every set: those that round floats, those that multiply pairs. Compiled
// for AVX-512 as the set with VDPBF16PS is, but with that instruction replaced by what it does, so that all else of it
// is tested on processors without it.

#include <algorithm>

#include "check.h"
#include "device/cpu/kernels/gemm.h"
#include "reference.h"

namespace {

using namespace whet;

Device& by_pairs() {
  static const cpu::InstructionSet set = [] {
    cpu::InstructionSet emulated = cpu::find_instruction_set("avx512");
    cpu::KernelTable<float>& table = emulated.float_kernels;
    table.pairs = cpu::emulated::kPairs;
    table.multiply = cpu::emulated::multiply<float>;
    table.pack_a = cpu::emulated::pack_a<float>;
    table.pack_b = cpu::emulated::pack_b<float>;
    return emulated;
  }();
  return cpu::cpu_device(DType::float32, Precision::bfloat16, set);
}

bool has_avx512() {
  const auto here = sets();
  return std::find(here.begin(), here.end(), "avx512") != here.end();
}

struct Case {
  int64_t m, n, k;
};
const Case kCases[] = {{1, 1, 1},      {3, 5, 2},       {14, 32, 3},    {13, 10, 64},    {17, 33, 255},
                       {100, 70, 512}, {64, 300, 1025}, {300, 10, 784}, {256, 100, 256}, {40, 513, 2101}};

std::vector<float> product(Device& device, const Case& c, bool transpose_a, bool transpose_b) {
  const Sheet<float> a(transpose_a ? c.k : c.m, transpose_a ? c.m : c.k, 3, 1);
  const Sheet<float> b(transpose_b ? c.n : c.k, transpose_b ? c.k : c.n, 1, 2);
  Sheet<float> y(c.m, c.n, 2, 3);
  device.gemm(y.matrix(), a.matrix(), transpose_a, b.matrix(), transpose_b, false, {});
  return y.elements();
}

std::vector<float> over_rows(Device& device, const Case& c, bool scaled) {
  const Sheet<float> a(c.k, c.m, 3, 4), b(c.k, c.n, 1, 5), scales(1, c.k, 0, 6);
  Sheet<float> y(c.m, c.n, 2, 7);
  device.gemm_over_rows(y.matrix(), a.matrix(), b.matrix(), scaled ? scales.values.data() : nullptr, false);
  return y.elements();
}

template <class Body>
void on_every_set(Body body) {
  for (const std::string& set : sets()) {
    if (set == "baseline") continue;  // no FMA
    Device& rounding = cpu::cpu_device(DType::float32, Precision::bfloat16, cpu::find_instruction_set(set));
    for (const int threads : {1, 3}) {
      cpu::set_num_threads(threads);
      for (const Case& c : kCases) body(rounding, c, set);
    }
  }
  cpu::set_num_threads(2);
}

TEST(pairs_and_floats_give_the_same_products) {
  if (!has_avx512()) return;
  on_every_set([](Device& rounding, const Case& c, const std::string& set) {
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        CHECK(
            same_bits(product(by_pairs(), c, transpose_a, transpose_b), product(rounding, c, transpose_a, transpose_b)),
            set, ' ', c.m, 'x', c.n, 'x', c.k, " transposed ", transpose_a, transpose_b);
  });
}

TEST(pairs_and_floats_give_the_same_weight_gradients) {
  if (!has_avx512()) return;
  on_every_set([](Device& rounding, const Case& c, const std::string& set) {
    for (const bool scaled : {false, true})
      CHECK(same_bits(over_rows(by_pairs(), c, scaled), over_rows(rounding, c, scaled)), set, ' ', c.m, 'x', c.n, 'x',
            c.k, " scaled ", scaled);
  });
}

TEST(float64_has_no_products_in_bfloat16) {
  CHECK_THROWS(std::invalid_argument, cpu_device(DType::float64, Precision::bfloat16));
}

}  // namespace

int main() { return whet::run_tests(); }
