#include "engine/optimizers/optimizers.h"

namespace whet::optimizers {

const MethodInfo* find_method(std::string_view name) {
  for (const MethodInfo* const method : {&lamb(), &muon(), &adafactor(), &lbfgs()})
    if (method->optimizer.name == name) return method;
  return nullptr;
}

void follow(Device& device, void* y, const void* x, double factor, double shrink, int64_t n) {
  device.update(y, x, nullptr, n, {math::OptimizerId::Gd, {factor, -shrink}});  // gradient descent's own sweep
}

}  // namespace whet::optimizers
