#pragma once

#include <optional>

#include "bindings/bindings.h"
#include "metrics/sums.h"

namespace whet::bindings {

/// Right answers of so many rows as the sums read them, and their weights, checked.
metrics::Answers answers(const metrics::Sums& sums, const py::array& truth, const std::optional<py::array>& weights,
                         int64_t rows);

}  // namespace whet::bindings
