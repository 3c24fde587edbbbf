#pragma once

#include <cstdint>
#include <memory>

#include "device/device.h"
#include "engine/state.h"
#include "math/registry.h"

namespace whet {

/// A parameter, seen as a matrix of its first axis and the rest, with what belongs to it.
struct Part {
  Matrix parameter;
  const void* gradient = nullptr;
  void* slots[math::kMaxSlots] = {};
  int64_t size() const { return parameter.rows * parameter.cols; }
};

/// An optimizer that needs norms or products of whole parameters: one that is no sweep over elements.
class Method {
 public:
  virtual ~Method() = default;
  /// Changes the parameter and its slots; `step` counts from 1.
  virtual void step(const Part& part, const math::OptionValues& options, int64_t step) = 0;
};

/// A method's entry in the list of engine/optimizers.
struct MethodInfo {
  math::OptimizerInfo optimizer;  // name, options and slots; its id and `prepare` mean nothing
  std::unique_ptr<Method> (*make)(const State& state, Device& device);
};

}  // namespace whet
