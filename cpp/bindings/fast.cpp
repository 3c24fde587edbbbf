#include "bindings/fast.h"

#include <cstdint>

namespace whet::bindings::fast {

namespace {

using Npy = py::detail::npy_api;

/// NumPy's one descriptor object of a native dtype.
PyObject* descriptor(DType dtype) {
  static PyObject* const descriptors[] = {numpy_dtype(DType::float32).release().ptr(),
                                          numpy_dtype(DType::float64).release().ptr()};
  return descriptors[static_cast<int>(dtype)];
}

const Npy& numpy() {
  static const Npy& api = Npy::get();
  return api;
}

}  // namespace

std::optional<Array> Array::of(PyObject* object) {
  if (Py_TYPE(object) != numpy().PyArray_Type_) return std::nullopt;
  const auto& proxy = *reinterpret_cast<const py::detail::PyArray_Proxy*>(object);
  if (!(proxy.flags & Npy::NPY_ARRAY_ALIGNED_)) return std::nullopt;
  for (const DType dtype : {DType::float32, DType::float64})
    if (proxy.descr == descriptor(dtype)) return Array(object, dtype);
  return std::nullopt;
}

bool Array::writeable() const { return proxy().flags & Npy::NPY_ARRAY_WRITEABLE_; }

std::optional<Matrix> Array::rows(bool transposed) const {
  if (dimensions() != 2) return std::nullopt;
  const int across = transposed ? 0 : 1;
  const auto item = static_cast<int64_t>(size_of(dtype_));
  const int64_t rows = size(1 - across), cols = size(across);
  if (rows == 0 || cols == 0 || (cols > 1 && stride(across) != item)) return std::nullopt;
  const int64_t bytes = rows > 1 ? stride(1 - across) : cols * item;
  if (bytes < cols * item || (bytes & (item - 1)) != 0) return std::nullopt;
  return Matrix{data(), rows, cols, bytes / item};
}

PyObject* new_matrix(DType dtype, int64_t rows, int64_t cols) {
  PyObject* const kind = descriptor(dtype);
  Py_INCREF(kind);  // NumPy takes it over
  const Py_intptr_t shape[] = {rows, cols};
  return numpy().PyArray_NewFromDescr_(numpy().PyArray_Type_, kind, 2, shape, nullptr, nullptr, 0, nullptr);
}

bool overlap(ConstMatrix a, ConstMatrix b, DType dtype) {
  const auto first = [](ConstMatrix m) { return reinterpret_cast<uintptr_t>(m.data); };
  const auto last = [&](ConstMatrix m) {
    return first(m) + static_cast<size_t>((m.rows - 1) * m.stride + m.cols) * size_of(dtype);
  };
  return first(a) < last(b) && first(b) < last(a);
}

std::optional<bool> flag(PyObject* object) {
  if (object == Py_True) return true;
  if (object == Py_False) return false;
  return std::nullopt;
}

void add(py::module_& module, PyMethodDef& definition) {
  const auto name = py::reinterpret_steal<py::object>(PyModule_GetNameObject(module.ptr()));
  PyObject* const function = PyCFunction_NewEx(&definition, nullptr, name.ptr());
  if (!function) throw py::error_already_set();
  module.add_object(definition.ml_name, py::reinterpret_steal<py::object>(function));
}

}  // namespace whet::bindings::fast
