#pragma once

// To add an optimizer that is no sweep over elements: a file here with its class and its MethodInfo, a line below and
// in optimizers.cpp, a class in python/whet/optim, and a test against its peer.

#include <string_view>

#include "engine/method.h"

namespace whet::optimizers {

const MethodInfo& adafactor();
const MethodInfo& lamb();
const MethodInfo& lbfgs();
const MethodInfo& muon();

/// The one of that name, or null.
const MethodInfo* find_method(std::string_view name);

/// y = y + factor * (x - shrink * y), over n elements: what most steps are made of.
void follow(Device& device, void* y, const void* x, double factor, double shrink, int64_t n);

}  // namespace whet::optimizers
