#include "bindings/fast.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace whet::bindings::fast {

namespace {

using Npy = py::detail::npy_api;

/// What pybind11 does not offer of NumPy's table of functions; the places in it are for ever.
struct Numpy {
  Npy& api = Npy::get();
  PyObject* (*zeros)(int, const Py_intptr_t*, PyObject*, int);
  PyObject* descriptors[2];  // the objects of native float32 and float64 that nearly all arrays share

  Numpy() {
    constexpr size_t place_of_zeros = 183;
    const py::object capsule = py::detail::import_numpy_core_submodule("multiarray").attr("_ARRAY_API");
    void* const* const table = static_cast<void**>(PyCapsule_GetPointer(capsule.ptr(), nullptr));
    if (!table) throw py::error_already_set();
    zeros = reinterpret_cast<decltype(zeros)>(table[place_of_zeros]);
    for (const DType dtype : {DType::float32, DType::float64})
      descriptors[static_cast<int>(dtype)] = numpy_dtype(dtype).release().ptr();
  }
};

const Numpy& numpy() {
  static const Numpy& found = *new Numpy;
  return found;
}

PyObject* new_descriptor(DType dtype) { return Py_NewRef(numpy().descriptors[static_cast<int>(dtype)]); }

const py::detail::PyArray_Proxy* array_of(PyObject* object) {
  if (!object || Py_TYPE(object) != numpy().api.PyArray_Type_) return nullptr;
  const auto* const array = reinterpret_cast<const py::detail::PyArray_Proxy*>(object);
  return array->flags & Npy::NPY_ARRAY_ALIGNED_ ? array : nullptr;
}

/// NumPy's number of a native dtype, or -1.
int type_number(const py::detail::PyArray_Proxy& array) {
  const auto* const descriptor = py::detail::array_descriptor_proxy(array.descr);
  constexpr char swapped = std::endian::native == std::endian::little ? '>' : '<';
  return descriptor->byteorder == swapped ? -1 : descriptor->type_num;
}

}  // namespace

void Names::add(std::string_view text) {
  PyObject* name = PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
  if (!name) throw py::error_already_set();
  PyUnicode_InternInPlace(&name);
  names_.push_back(name);
}

std::optional<size_t> Names::find_text(PyObject* object) const {
  if (!object || !PyUnicode_CheckExact(object) || PyUnicode_CHECK_INTERNED(object)) return std::nullopt;
  for (size_t i = 0; i < names_.size(); ++i)
    if (PyUnicode_Compare(names_[i], object) == 0) return i;
  return std::nullopt;
}

int64_t Array::count() const {
  int64_t elements = 1;
  for (int axis = 0; axis < dimensions(); ++axis) elements *= size(axis);
  return elements;
}

std::optional<Floats> Floats::of(PyObject* object) {
  const auto* const array = array_of(object);
  if (!array || array->nd == 0) return std::nullopt;  // without axes, NumPy 1 promotes an array by its value
  for (const DType dtype : {DType::float32, DType::float64})
    if (array->descr == numpy().descriptors[static_cast<int>(dtype)]) return Floats(object, dtype);
  switch (type_number(*array)) {
    case Npy::NPY_FLOAT_:
      return Floats(object, DType::float32);
    case Npy::NPY_DOUBLE_:
      return Floats(object, DType::float64);
    default:
      return std::nullopt;
  }
}

std::optional<Floats> Floats::of(PyObject* object, DType dtype) {
  const auto array = of(object);
  return array && array->dtype() == dtype ? array : std::nullopt;
}

std::optional<Matrix> Floats::rows(bool transposed) const {
  if (dimensions() != 2) return std::nullopt;
  const int across = transposed ? 0 : 1;
  const auto item = static_cast<int64_t>(size_of(dtype_));
  const int64_t rows = size(1 - across), cols = size(across);
  if (rows == 0 || cols == 0 || (cols > 1 && stride(across) != item)) return std::nullopt;
  const int64_t bytes = rows > 1 ? stride(1 - across) : cols * item;
  if (bytes < cols * item || (bytes & (item - 1)) != 0) return std::nullopt;
  return Matrix{data(), rows, cols, bytes / item};
}

std::optional<Matrix> Floats::rows_or_column() const {
  if (dimensions() != 1) return rows();
  const auto item = static_cast<int64_t>(size_of(dtype_));
  const int64_t rows = size(0), bytes = rows > 1 ? stride(0) : item;
  if (rows == 0 || bytes < item || (bytes & (item - 1)) != 0) return std::nullopt;
  return Matrix{data(), rows, 1, bytes / item};
}

std::optional<Matrix> Floats::flat() const {
  const int64_t n = count();
  if (n == 0 || !contiguous()) return std::nullopt;
  return Matrix{data(), 1, n, n};
}

std::optional<Integers> Integers::of(PyObject* object) {
  const auto* const array = array_of(object);
  if (!array || !(array->nd == 1 || (array->nd == 2 && array->dimensions[1] == 1))) return std::nullopt;
  switch (type_number(*array)) {
    case Npy::NPY_INT_:
      static_assert(sizeof(int) == 4);
      return Integers(object, false);
    case Npy::NPY_LONG_:
      return Integers(object, sizeof(long) == 8);
    case Npy::NPY_LONGLONG_:
      return Integers(object, true);
    default:
      return std::nullopt;
  }
}

py::object new_array(DType dtype, int dimensions, const Py_intptr_t* shape) {
  const Npy& api = numpy().api;  // takes the descriptor over
  return py::reinterpret_steal<py::object>(api.PyArray_NewFromDescr_(api.PyArray_Type_, new_descriptor(dtype),
                                                                     dimensions, shape, nullptr, nullptr, 0, nullptr));
}

py::object new_zeros(DType dtype, int dimensions, const Py_intptr_t* shape) {
  return py::reinterpret_steal<py::object>(numpy().zeros(dimensions, shape, new_descriptor(dtype), 0));
}

py::object result(PyObject* out, DType dtype, int dimensions, const Py_intptr_t* shape) {
  if (!out || out == Py_None) return new_array(dtype, dimensions, shape);
  const auto array = Floats::of(out, dtype);
  if (!array || !array->writeable() || !array->has_shape(dimensions, shape)) return {};
  return py::reinterpret_borrow<py::object>(out);
}

std::optional<bool> flag(PyObject* object) {
  if (object == Py_True) return true;
  if (!object || object == Py_False) return false;
  return std::nullopt;
}

std::optional<double> number(PyObject* object) {
  double value;
  if (PyFloat_CheckExact(object)) {
    value = PyFloat_AS_DOUBLE(object);
  } else if (PyLong_CheckExact(object)) {
    value = PyLong_AsDouble(object);
    if (value == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      return std::nullopt;
    }
  } else {
    return std::nullopt;
  }
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<int64_t> whole_number(PyObject* object) {
  if (!PyLong_CheckExact(object)) return std::nullopt;
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  return overflow ? std::nullopt : std::optional<int64_t>(value);
}

Scratch::Scratch(size_t bytes) {
  constexpr size_t worth_keeping = 1 << 18;
  static thread_local Arena kept;
  if (bytes > worth_keeping)
    own_ = Arena(bytes);
  else
    kept.reserve(bytes);
  data_ = (bytes > worth_keeping ? own_ : kept).data();
}

}  // namespace whet::bindings::fast
