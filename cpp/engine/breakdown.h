#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace whet {

/// Where in a step a number first was not finite.
struct Breakdown {
  enum class Place {
    parameter,  // before the step
    forward,    // the output of an instruction
    loss,       // of rows, or its gradient
    backward,   // the gradient of an instruction's input or parameter
    sum,        // over the rows alone
  };
  Place place = Place::sum;
  int64_t index = -1;           // of the parameter or the instruction
  std::vector<int64_t> rows{};  // of the data, where some rows have it
};

/// A step that cannot be taken.
struct BreakdownError : NonFiniteError {
  BreakdownError(const std::string& message, int64_t next_step, Breakdown found)
      : NonFiniteError(message), step(next_step), breakdown(std::move(found)) {}
  int64_t step;  // that would have been the next, from 1
  Breakdown breakdown;
};

}  // namespace whet
