#pragma once

#include "device/device.h"
#include "graph/op.h"

namespace whet {

struct ActivationCall {
  Activation activation;
  math::Saved saved;
};

std::shared_ptr<const Op> make_activation(const std::string& name, const NamedOptions& options);
std::shared_ptr<const Op> make_linear();
std::shared_ptr<const Op> make_add();
std::shared_ptr<const Op> make_concatenate();

}  // namespace whet
