#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "math/activations.h"
#include "math/losses.h"
#include "math/optimizers.h"

/// The lists of activations.h, losses.h and optimizers.h, as data.
namespace whet::math {

struct ActivationInfo {
  std::string_view name;
  ActivationId id;
  std::span<const Option> options;
  Saved saved;
};

struct LossInfo {
  std::string_view name;
  LossId id;
  std::span<const Option> options;
};

struct OptimizerInfo {
  std::string_view name;
  OptimizerId id;
  std::span<const Option> options;
  std::span<const char* const> slots;
  Coefficients (*prepare)(const OptionValues&, int64_t step);
  int average = -1;  // the slot that holds what to evaluate in place of the parameters, or -1
};

std::span<const ActivationInfo> activations();
std::span<const LossInfo> losses();
std::span<const OptimizerInfo> optimizers();

/// The entry of that name. Throws std::invalid_argument naming the valid ones.
const ActivationInfo& find_activation(std::string_view name);
const LossInfo& find_loss(std::string_view name);
const OptimizerInfo& find_optimizer(std::string_view name);

/// The values of `options`, defaults where none is given. Throws std::invalid_argument on an unknown name.
using NamedValues = std::span<const std::pair<std::string, double>>;
OptionValues option_values(std::string_view owner, std::span<const Option> options, NamedValues given);

}  // namespace whet::math
