#pragma once

#include "graph/op.h"

namespace whet {

std::shared_ptr<const Op> make_activation(const std::string& name, const NamedOptions& options);
std::shared_ptr<const Op> make_linear();
std::shared_ptr<const Op> make_add();
std::shared_ptr<const Op> make_concatenate();

}  // namespace whet
