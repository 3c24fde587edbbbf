#include "check.h"
#include "device/cpu/select.h"
#include "reference.h"

namespace {

using namespace whet;

/// In closed form: a chain that starts from i is 2 + (i - 2) / 2^rounds, exactly.
template <class T>
void loops_are_right(const cpu::KernelTable<T>& kernels, const std::string& set) {
  const int64_t chains = kernels.fma_flops / (2 * kernels.vector);
  CHECK(chains * 2 * kernels.vector == kernels.fma_flops, set);
  for (const int64_t rounds : {0, 1, 2, 7, 1000}) {
    double expected = 0;
    for (int64_t i = 0; i < chains; ++i)
      expected += static_cast<double>(kernels.vector) * (2 + (i - 2) * std::exp2(-static_cast<double>(rounds)));
    const double sum = kernels.fma_loop(rounds);
    CHECK(std::abs(sum - expected) <= 1e-6 * expected, set, ' ', rounds, ": ", sum, " expected ", expected);
  }
}

template <class T>
void streams_are_right(const cpu::KernelTable<T>& kernels, const std::string& set) {
  for (const int64_t n : {0, 1, 5, 16, 37, 100}) {
    const auto size = static_cast<size_t>(n);
    std::vector<T> p(size, T(1)), g(size), m(size, T(3)), v(size, T(4));
    for (size_t i = 0; i < size; ++i) g[i] = static_cast<T>(i);
    kernels.stream(p.data(), g.data(), m.data(), v.data(), n);
    for (size_t i = 0; i < size; ++i) {
      const T slope = static_cast<T>(i);
      CHECK(g[i] == slope && m[i] == 3 + slope && v[i] == 4 + slope && p[i] == 8 + 2 * slope, set, ' ', n, ' ', i);
    }
  }
}

TEST(the_loop_of_fmas_computes_what_it_says) {
  for (const std::string& set : sets()) {
    loops_are_right(cpu::find_instruction_set(set).float_kernels, set);
    loops_are_right(cpu::find_instruction_set(set).double_kernels, set);
  }
}

TEST(the_stream_computes_what_it_says) {
  for (const std::string& set : sets()) {
    streams_are_right(cpu::find_instruction_set(set).float_kernels, set);
    streams_are_right(cpu::find_instruction_set(set).double_kernels, set);
  }
}

}  // namespace

int main() { return run_tests(); }
