#pragma once

#include <bit>
#include <cstdint>

/// The aligned binary tree in which the parts of a sum are combined, whoever computes them: sum(lo, hi) = sum(lo, mid)
/// + sum(mid, hi), mid = lo + the largest power of two below hi - lo. So many parts at a time as a power of two are a
/// subtree: cutting a sum at multiples of them changes no bit.
namespace whet {

inline int64_t tree_middle(int64_t lo, int64_t hi) {
  return lo + static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(hi - lo - 1)));
}

/// Sums parts [lo, hi) into the buffer of `level`, with the buffers of higher levels for what is unfinished:
/// part(i, level, adds) puts part i into that buffer or adds it, add(level) adds buffer level + 1 to buffer level.
template <class Part, class Add>
void sum_parts(int64_t lo, int64_t hi, int level, const Part& part, const Add& add) {
  if (hi - lo <= 2) {
    part(lo, level, false);
    if (hi - lo == 2) part(lo + 1, level, true);
    return;
  }
  const int64_t middle = tree_middle(lo, hi);
  sum_parts(lo, middle, level, part, add);
  sum_parts(middle, hi, level + 1, part, add);
  add(level);
}

/// Buffers beyond the first that sum_parts needs for so many parts.
inline int tree_levels(int64_t parts) { return parts <= 2 ? 0 : std::bit_width(static_cast<uint64_t>(parts - 1)); }

/// Combines [lo, hi) into lo, where add(i, j) adds part j to part i.
template <class Add>
void combine_parts(int64_t lo, int64_t hi, const Add& add) {
  if (hi - lo < 2) return;
  const int64_t middle = tree_middle(lo, hi);
  combine_parts(lo, middle, add);
  combine_parts(middle, hi, add);
  add(lo, middle);
}

/// The sum of part(lo) ... part(hi - 1).
template <class Part>
double tree_sum(int64_t lo, int64_t hi, const Part& part) {
  if (hi - lo == 1) return part(lo);
  const int64_t middle = tree_middle(lo, hi);
  return tree_sum(lo, middle, part) + tree_sum(middle, hi, part);
}

}  // namespace whet
