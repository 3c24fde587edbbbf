#include "engine/method.h"

namespace whet {

std::vector<ParameterSpec> slots_of(const math::OptimizerInfo& optimizer, const MethodInfo* method,
                                    const Shape& parameter, const math::OptionValues& options,
                                    std::span<const double> numbers) {
  if (method && method->slots) return method->slots(parameter, options, numbers);
  std::vector<ParameterSpec> slots;
  for (const char* const name : optimizer.slots) slots.push_back({name, parameter});
  return slots;
}

}  // namespace whet
