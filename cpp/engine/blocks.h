#pragma once

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>

#include "graph/program.h"

namespace whet {

/// Where rows depend on their batch, it is one block. Else many rows go through a program in blocks of so many: what
/// they keep stays in L2, or passes memory about as often as the parameters, which every block reads. Training on
/// 20,000 rows at once of 100-256-256-1: 232 -> 170 ms in blocks of 256. A power of two of slabs, so that no bit of a
/// gradient depends on it, or for very wide rows a part of a slab, which depends on graph and dtype alone.
inline int64_t block_rows(const std::shared_ptr<const Graph>& graph, Device& device, Purpose purpose) {
  if (purpose == Purpose::train && graph->needs_whole_batch()) return std::numeric_limits<int64_t>::max();
  constexpr size_t kBlockBytes = size_t{1} << 20;
  constexpr uint64_t kMostSlabs = 64;
  constexpr int64_t kLeastRows = 16;
  const Program slab(graph, device, kSlabRows, purpose);
  const size_t parameter_bytes = static_cast<size_t>(slab.layout().size) * size_of(device.dtype());
  const size_t slab_bytes = std::max(slab.arena_bytes(), size_t{1}), wanted = std::max(kBlockBytes, parameter_bytes);
  // Rows that are matrices themselves, such as those of an ensemble's members, make slabs beyond any cache. In blocks
  // of fewer rows a step of TabM with 32 members takes 13.6 instead of 28.6 ms; from twice as large, nothing is gained.
  if (const size_t excess = slab_bytes / wanted; excess >= 4)
    return std::max(kLeastRows, kSlabRows / static_cast<int64_t>(std::bit_floor(excess)));
  const uint64_t slabs = std::bit_ceil((wanted + slab_bytes - 1) / slab_bytes);
  return static_cast<int64_t>(std::min(slabs, kMostSlabs)) * kSlabRows;
}

}  // namespace whet
