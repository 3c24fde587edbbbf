#include "engine/state.h"

namespace whet {

State::State(std::vector<ParameterSpec> parameters, DType dtype)
    : specs_(std::move(parameters)), dtype_(dtype), layout_(specs_, dtype), memory_(like()) {}

void* State::at(const Arena& flat, size_t i) const {
  return flat.data() + static_cast<size_t>(layout_.offsets[i]) * size_of(dtype_);
}

}  // namespace whet
