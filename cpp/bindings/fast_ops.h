#pragma once

#include "bindings/fast.h"

/// The fast ways that have files of their own; see Definition.
namespace whet::bindings::fast {

PyObject* loss(const Call& call);
PyObject* predict(const Call& call);
PyObject* update(const Call& call);

}  // namespace whet::bindings::fast
