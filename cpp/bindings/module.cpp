#include "bindings/bindings.h"
#include "core/error.h"
#include "engine/breakdown.h"

namespace py = pybind11;

namespace {

const char* name_of(whet::Breakdown::Place place) {
  switch (place) {
    case whet::Breakdown::Place::parameter:
      return "parameter";
    case whet::Breakdown::Place::forward:
      return "forward";
    case whet::Breakdown::Place::loss:
      return "loss";
    case whet::Breakdown::Place::backward:
      return "backward";
    case whet::Breakdown::Place::sum:
      return "sum";
  }
  return "";
}

/// The exception, with what is known of the step in its attributes.
void set_breakdown(const py::object& type, const whet::BreakdownError& error) {
  const py::object exception = type(error.what());
  exception.attr("step") = error.step;
  exception.attr("place") = name_of(error.breakdown.place);
  exception.attr("index") = error.breakdown.index;
  exception.attr("rows") = error.breakdown.rows;
  PyErr_SetObject(type.ptr(), exception.ptr());
}

}  // namespace

// The name by which threadpoolctl tells this library from others that are called _core.
extern "C" PYBIND11_EXPORT int whet_num_threads() { return whet::cpu::num_threads(); }

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
  module.doc() = "The compiled core of whet.";
  module.attr("__version__") = WHET_VERSION;

  // A subclass of ArithmeticError, as Python's own floating-point errors.
  static py::exception<whet::NonFiniteError> non_finite(module, "NonFiniteError", PyExc_ArithmeticError);
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const whet::BreakdownError& e) {
      set_breakdown(non_finite, e);
    } catch (const whet::NonFiniteError& e) {
      py::set_error(non_finite, e.what());
    }
  });

  whet::bindings::bind_device(module);
  whet::bindings::bind_features(module);
  whet::bindings::bind_ops(module);
  whet::bindings::bind_fast_ops(module);
  whet::bindings::bind_graph(module);
  whet::bindings::bind_metrics(module);
  whet::bindings::bind_engine(module);
  whet::bindings::bind_predictor(module);
  whet::bindings::bind_limits(module);
  whet::bindings::bind_linear(module);
}
