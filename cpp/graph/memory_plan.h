#pragma once

#include <cstdint>
#include <vector>

namespace whet {

/// A stretch of memory that is needed from time `first` to time `last`, both included.
struct Lifetime {
  int64_t bytes;
  int first, last;
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // one per lifetime, multiples of 64 bytes
  int64_t bytes = 0;
};

/// Places buffers so that two that live at the same time never overlap: largest first, each at the lowest offset that
/// fits.
MemoryPlan plan_memory(const std::vector<Lifetime>& buffers);

}  // namespace whet
