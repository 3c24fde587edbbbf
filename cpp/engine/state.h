#pragma once

#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/dtype.h"
#include "graph/program.h"

namespace whet {

/// The parameters of a model: one flat, aligned vector. Shared by everything that reads or trains them.
class State {
 public:
  State(std::vector<ParameterSpec> parameters, DType dtype);

  DType dtype() const { return dtype_; }
  const std::vector<ParameterSpec>& specs() const { return specs_; }
  const ParameterLayout& layout() const { return layout_; }
  void* parameters() const { return memory_.data(); }
  void* parameter(size_t i) const { return at(memory_, i); }

  /// A zeroed vector laid out as the parameters: gradients, or a slot of an optimizer.
  Arena like() const { return Arena(static_cast<size_t>(layout_.size) * size_of(dtype_)); }
  void* at(const Arena& flat, size_t i) const;

  /// Whether a parameter has moved out, into another State.
  bool left() const { return left_; }
  void set_left(bool left) { left_ = left; }

 private:
  std::vector<ParameterSpec> specs_;
  DType dtype_;
  ParameterLayout layout_;
  Arena memory_;
  bool left_ = false;
};

}  // namespace whet
