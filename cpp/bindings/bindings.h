#pragma once

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "device/cpu/cpu.h"
#include "device/device.h"
#include "graph/features.h"
#include "graph/graph.h"
#include "graph/watch.h"
#include "math/registry.h"

/// Shared by the binding files. Arrays arrive with exactly the dtype and layout that the kernels want: the Python layer
/// converts, and these functions check. Nothing is ever converted silently here.
namespace whet::bindings {

namespace py = pybind11;

/// Lets other Python threads run while it lives. Unlike pybind11's, it may be unwound: at interpreter exit CPython ends
/// a daemon thread inside PyEval_RestoreThread by an exception, and a noexcept destructor would abort the process.
class ReleaseGil {
 public:
  ReleaseGil() : thread_(PyEval_SaveThread()) {}
  ~ReleaseGil() noexcept(false) { PyEval_RestoreThread(thread_); }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* thread_;
};

/// What every call into the kernels does first: releases the GIL, flushes denormals; undone on exit.
struct Work {
  ReleaseGil gil;
  cpu::FlushDenormals denormals;
};

/// On the main thread, lets signal handlers run and stops when one raises; elsewhere, never stops.
Watch interruptible();

DType dtype_of(const py::array& array, const char* where);
py::dtype numpy_dtype(DType dtype);
DType parse_dtype(const std::string& name);
Precision parse_precision(const std::string& name);

/// A two-dimensional array whose rows are contiguous. Throws TypeError or ValueError, naming `where`.
ConstMatrix matrix(const py::array& array, DType dtype, const char* where);
Matrix mutable_matrix(py::array& array, DType dtype, const char* where);

/// Rows that Python hands over as arrays, checked and kept alive.
struct SparseRows {
  py::array values;
  py::array_t<int32_t> columns;
  py::array_t<int64_t> starts;
  SparseMatrix matrix;
};

/// A matrix or SparseRows, for a graph that takes it.
Features features(const py::object& x, DType dtype, const Graph& graph, const char* where);

/// A one-dimensional contiguous array of n elements.
const void* vector(const py::array& array, DType dtype, int64_t n, const char* where);
void* mutable_vector(py::array& array, DType dtype, int64_t n, const char* where);

/// Class indices or values, whichever is given, for a prediction of rows x cols.
Target target(const py::array& array, DType dtype, int64_t rows, int64_t cols, const Loss& loss);

using Options = std::vector<std::pair<std::string, double>>;
/// A loss may have its first option for each column.
using LossOptions = std::vector<std::pair<std::string, std::variant<double, std::vector<double>>>>;
Loss parse_loss(const std::string& name, const LossOptions& options);
Activation parse_activation(const std::string& name, const Options& options);

void bind_features(py::module_& module);
void bind_device(py::module_& module);
void bind_ops(py::module_& module);
void bind_fast_ops(py::module_& module);
void bind_graph(py::module_& module);
void bind_engine(py::module_& module);
void bind_predictor(py::module_& module);
void bind_limits(py::module_& module);
void bind_metrics(py::module_& module);
void bind_linear(py::module_& module);

}  // namespace whet::bindings
