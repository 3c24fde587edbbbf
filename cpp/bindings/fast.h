#pragma once

#include <optional>

#include "bindings/bindings.h"

/// For functions that are called often on small arrays: the interpreter's fast calls and NumPy's arrays as they stand,
/// without pybind11's casters, which cost 600 to 2,000 ns a call. A fast function takes only what needs no conversion
/// and returns None for all else; the Python layer then goes its thorough way, which also words the errors.
namespace whet::bindings::fast {

/// A NumPy array of float32 or float64, aligned and native.
class Array {
 public:
  /// Nothing for any other object, subclasses of arrays included.
  static std::optional<Array> of(PyObject* object);

  DType dtype() const { return dtype_; }
  int dimensions() const { return proxy().nd; }
  int64_t size(int axis) const { return proxy().dimensions[axis]; }
  int64_t stride(int axis) const { return proxy().strides[axis]; }
  bool writeable() const;
  void* data() const { return proxy().data; }

  /// Two dimensions, neither empty, whose rows are contiguous; `transposed` sees the array turned.
  std::optional<Matrix> rows(bool transposed = false) const;

 private:
  Array(PyObject* object, DType dtype) : object_(object), dtype_(dtype) {}
  const py::detail::PyArray_Proxy& proxy() const {
    return *reinterpret_cast<const py::detail::PyArray_Proxy*>(object_);
  }

  PyObject* object_;
  DType dtype_;
};

/// A new array of rows x cols, uninitialised; null with an error set if there is no memory.
PyObject* new_matrix(DType dtype, int64_t rows, int64_t cols);

/// Whether two matrices of a dtype may share memory.
bool overlap(ConstMatrix a, ConstMatrix b, DType dtype);

/// True or False as themselves; nothing for what only counts as one.
std::optional<bool> flag(PyObject* object);

/// Calls `work`, without the GIL if it does at least so many multiply-adds that giving it up does not show.
/// False, with an error set, if it throws.
template <class F>
bool run(double products, F work) {
  constexpr double worth_a_release = 1 << 16;
  try {
    if (products < worth_a_release) {
      work();
    } else {
      const ReleaseGil released;
      work();
    }
    return true;
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return false;
}

/// Adds a function of the interpreter's fast calls to the module. `definition` has to live for ever.
void add(py::module_& module, PyMethodDef& definition);

}  // namespace whet::bindings::fast
