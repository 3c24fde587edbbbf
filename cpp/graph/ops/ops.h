#pragma once

#include "graph/op.h"

namespace whet {

std::shared_ptr<const Op> make_activation(const std::string& name, const NamedOptions& options);
std::shared_ptr<const Op> make_linear(const math::OptionValues& options);
std::shared_ptr<const Op> make_add(const math::OptionValues& options);
std::shared_ptr<const Op> make_concatenate(const math::OptionValues& options);
std::shared_ptr<const Op> make_dropout(const math::OptionValues& options);

}  // namespace whet
