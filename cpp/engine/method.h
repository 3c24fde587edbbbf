#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "device/device.h"
#include "engine/state.h"
#include "math/registry.h"

namespace whet {

/// A parameter, seen as a matrix of its first axis and the rest, with what belongs to it.
struct Part {
  Matrix parameter;
  const Shape& shape;
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

/// Elements of the flat vectors.
struct Range {
  int64_t first, size;
};

/// What a search asks for: the loss of the rows at the present parameters, and its gradient, which is then where
/// `gradient` points. Where the loss is not finite, there is no gradient.
struct Objective {
  const void* gradient;
  const std::function<double()>& evaluate;
  int64_t steps;  // taken so far
};

/// An optimizer whose step looks at several places: it moves all parameters along a line, and asks for the loss there.
/// It holds what it remembers itself: vectors laid out as the parameters, and numbers.
class Search {
 public:
  virtual ~Search() = default;

  /// Moves the parameters from where `loss` and `gradient` are theirs. If it throws, what it remembers is as before,
  /// but the parameters stand anywhere.
  virtual void step(double loss, const void* gradient, const Objective& objective,
                    const math::OptionValues& options) = 0;

  /// The vectors, in the order of their names, and others behind them.
  virtual std::span<const Arena> slots() const = 0;
  virtual std::vector<double> numbers() const = 0;
  /// Sets the numbers; the vectors are for the caller to fill. Throws std::invalid_argument for what `numbers` never
  /// says.
  virtual void set_numbers(std::span<const double> numbers) = 0;
};

/// A method's entry in the list of engine/optimizers: it makes a Method or a Search.
struct MethodInfo {
  math::OptimizerInfo optimizer;  // name, options and slots; its id and `prepare` mean nothing
  std::unique_ptr<Method> (*make)(const State& state, Device& device) = nullptr;
  /// Of the parameters in `moving`; the options that size its memory stay as they are.
  std::unique_ptr<Search> (*make_search)(const State& state, Device& device, const math::OptionValues& options,
                                         std::vector<Range> moving) = nullptr;
  /// The slots of a parameter of that shape, if they are no vectors of its shape with the names above; for a search,
  /// those that hold something when it remembers these numbers. Throws std::invalid_argument for what it never does.
  std::vector<ParameterSpec> (*slots)(const Shape& parameter, const math::OptionValues& options,
                                      std::span<const double> numbers) = nullptr;
};

/// The slots that an optimizer, with the method if it is one, keeps of a parameter of that shape.
std::vector<ParameterSpec> slots_of(const math::OptimizerInfo& optimizer, const MethodInfo* method,
                                    const Shape& parameter, const math::OptionValues& options,
                                    std::span<const double> numbers = {});

}  // namespace whet
