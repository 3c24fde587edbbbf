#include "bindings/bindings.h"
#include "core/error.h"

namespace py = pybind11;

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
  module.doc() = "The compiled core of whet.";
  module.attr("__version__") = WHET_VERSION;

  // A subclass of ArithmeticError, as Python's own floating-point errors.
  static py::exception<whet::NonFiniteError> non_finite(module, "NonFiniteError", PyExc_ArithmeticError);
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const whet::NonFiniteError& e) {
      py::set_error(non_finite, e.what());
    }
  });

  whet::bindings::bind_device(module);
  whet::bindings::bind_ops(module);
  whet::bindings::bind_fast_ops(module);
  whet::bindings::bind_graph(module);
  whet::bindings::bind_engine(module);
  whet::bindings::bind_predictor(module);
  whet::bindings::bind_limits(module);
}
