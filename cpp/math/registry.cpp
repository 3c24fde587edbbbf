#include "math/registry.h"

#include <algorithm>

#include "core/error.h"

namespace whet::math {

namespace {

template <class Info>
const Info& find(const char* kind, std::span<const Info> list, std::string_view name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Info& info) { return info.name == name; });
  if (found != list.end()) return *found;
  std::string valid;
  for (const Info& info : list) valid += (valid.empty() ? "" : ", ") + std::string(info.name);
  fail(kind, "expected one of ", valid, "; got '", name, "'");
}

template <class F>
constexpr int average_of() {
  if constexpr (requires { F::average; })
    return F::average;
  else
    return -1;
}

}  // namespace

std::span<const ActivationInfo> activations() {
  static const ActivationInfo list[] = {
#define WHET_ENTRY(F) {F::name, ActivationId::F, F::options, F::saved},
      WHET_ACTIVATIONS(WHET_ENTRY)
#undef WHET_ENTRY
  };
  return list;
}

std::span<const LossInfo> losses() {
  static const LossInfo list[] = {
#define WHET_ENTRY(F) {F::name, LossId::F, F::options},
      WHET_ELEMENTWISE_LOSSES(WHET_ENTRY)
#undef WHET_ENTRY
          {"cross_entropy", LossId::CrossEntropy, {}},
  };
  return list;
}

std::span<const OptimizerInfo> optimizers() {
  static const OptimizerInfo list[] = {
#define WHET_ENTRY(F) {F::name, OptimizerId::F, F::options, F::slots, F::prepare, average_of<F>()},
      WHET_OPTIMIZERS(WHET_ENTRY)
#undef WHET_ENTRY
  };
  return list;
}

const ActivationInfo& find_activation(std::string_view name) { return find("activation", activations(), name); }
const LossInfo& find_loss(std::string_view name) { return find("loss", losses(), name); }
const OptimizerInfo& find_optimizer(std::string_view name) { return find("optimizer", optimizers(), name); }

OptionValues option_values(std::string_view owner, std::span<const Option> options, NamedValues given) {
  OptionValues values{};
  for (size_t i = 0; i < options.size(); ++i) values[i] = options[i].value;
  for (const auto& [name, value] : given) {
    size_t i = 0;
    while (i < options.size() && options[i].name != name) ++i;
    if (i == options.size()) fail(std::string(owner), "has no option '", name, "'");
    values[i] = value;
  }
  return values;
}

}  // namespace whet::math
