#include "engine/optimizers/optimizers.h"

namespace whet::optimizers {

std::span<const MethodInfo* const> methods() {
  static const MethodInfo* const list[] = {&lamb(), &muon()};
  return list;
}

const MethodInfo* find_method(std::string_view name) {
  for (const MethodInfo* const method : methods())
    if (method->optimizer.name == name) return method;
  return nullptr;
}

void follow(Device& device, void* y, const void* x, double factor, double shrink, int64_t n) {
  device.update(y, x, nullptr, n, {math::OptimizerId::Gd, {factor, -shrink}});  // gradient descent's own sweep
}

}  // namespace whet::optimizers
