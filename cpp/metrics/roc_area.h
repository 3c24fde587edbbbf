#pragma once

#include <cstdint>

namespace whet::metrics {

/// The area under the ROC curve of n scores, none of them NaN: the chance that one that is positive lies above one that
/// is not, ties counting half (Mann and Whitney). `weights` may be null. NaN where either of them weighs nothing.
template <class T>
double roc_area(const T* scores, const bool* positive, const double* weights, int64_t n);

}  // namespace whet::metrics
