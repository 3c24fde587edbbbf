#pragma once

#include <string>
#include <vector>

/// What users may ask of the CPU device besides its kernels.
namespace whet::cpu {

/// Threads that kernels may use: what was set, else WHET_NUM_THREADS, else the processors this process may use; at most
/// the limit of the calling thread.
int num_threads();

/// Throws std::invalid_argument unless n is at least 1.
void set_num_threads(int n);

/// Kernels that the calling thread starts use at most n threads from now on. Throws std::invalid_argument unless n is
/// at least 1.
void limit_threads_here(int n);

/// The chosen instruction set: WHET_ISA if set, else the best this processor has. Chosen once, at first use.
/// Throws std::invalid_argument if WHET_ISA names a set that is unknown or that this processor lacks.
std::string instruction_set();

/// Every set that this build has and this processor can run, the plainest first.
std::vector<std::string> available_instruction_sets();

/// Treats denormal numbers as zero while it lives: set on entry of a whet call, restored on exit.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

}  // namespace whet::cpu
