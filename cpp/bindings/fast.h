#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "bindings/bindings.h"
#include "core/arena.h"

/// For functions that are called often on small arrays: the interpreter's vectorcalls and NumPy's arrays as they stand,
/// without pybind11's casters, which cost 600 to 2,000 ns a call. A fast way takes only what needs no conversion, and
/// declines all else; the thorough way in Python then does the work, or words the error.
namespace whet::bindings::fast {

/// Texts that a caller may give, mostly found by the address of the interned string.
class Names {
 public:
  Names() = default;
  Names(std::initializer_list<std::string_view> texts) {
    for (const std::string_view text : texts) add(text);
  }

  /// The names of entries of a list of cpp/math.
  template <class Entry>
  explicit Names(std::span<const Entry> entries) {
    for (const Entry& entry : entries) add(entry.name);
  }

  /// Nothing for other texts, and for what is no text or a subclass of it.
  std::optional<size_t> find(PyObject* object) const {
    for (size_t i = 0; i < names_.size(); ++i)
      if (names_[i] == object) return i;
    return find_text(object);
  }

  size_t size() const { return names_.size(); }
  PyObject* operator[](size_t i) const { return names_[i]; }
  void add(std::string_view text);

 private:
  std::optional<size_t> find_text(PyObject* object) const;

  std::vector<PyObject*> names_;  // kept for ever
};

/// A call's arguments in the order of the signature, null where none was given, and keywords that name no parameter.
struct Call {
  static constexpr size_t kMost = 8;
  struct Option {
    PyObject *name, *value;
  };

  PyObject* operator[](size_t i) const { return arguments[i]; }
  bool has(size_t i) const { return arguments[i] && arguments[i] != Py_None; }
  std::span<const Option> options() const { return {option, option_count}; }

  PyObject* arguments[kMost] = {};
  Option option[kMost];
  size_t option_count = 0;
};

/// The fast way of the Python function of that name. Returns a new reference; or null, with an error set if it failed,
/// with none if it declines, having changed nothing.
struct Definition {
  const char* name;
  Names parameters;     // at most Call::kMost
  Py_ssize_t required;  // so many come first, in their place or by name; the others come by name, or not at all
  bool options;         // whether it takes other keywords
  PyObject* (*body)(const Call&);
};

/// Adds the decorator `fast` to the module. `definitions` have to live for ever.
void add_decorator(py::module_& module, std::span<const Definition> definitions);

/// A NumPy array that is aligned and native, and of no subclass.
class Array {
 public:
  int dimensions() const { return proxy().nd; }
  const Py_intptr_t* shape() const { return proxy().dimensions; }
  int64_t size(int axis) const { return proxy().dimensions[axis]; }
  int64_t stride(int axis) const { return proxy().strides[axis]; }
  int64_t count() const;
  bool contiguous() const { return proxy().flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_; }
  bool writeable() const {
    constexpr unsigned warns_on_write = 1u << 31;  // results of numpy.broadcast_arrays; the warning is NumPy's to give
    const auto flags = static_cast<unsigned>(proxy().flags);
    return (flags & (py::detail::npy_api::NPY_ARRAY_WRITEABLE_ | warns_on_write)) ==
           py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  }
  bool has_shape(int dimensions, const Py_intptr_t* shape) const {
    return this->dimensions() == dimensions && std::equal(shape, shape + dimensions, this->shape());
  }
  void* data() const { return proxy().data; }

 protected:
  explicit Array(PyObject* object) : object_(object) {}
  const py::detail::PyArray_Proxy& proxy() const {
    return *reinterpret_cast<const py::detail::PyArray_Proxy*>(object_);
  }

  PyObject* object_;
};

class Floats : public Array {
 public:
  static std::optional<Floats> of(PyObject* object);
  static std::optional<Floats> of(PyObject* object, DType dtype);

  DType dtype() const { return dtype_; }

  /// Two dimensions, neither empty, whose rows are contiguous; `transposed` sees the array turned.
  std::optional<Matrix> rows(bool transposed = false) const;

  /// The same of two dimensions, or one dimension as a column.
  std::optional<Matrix> rows_or_column() const;

  /// All elements as one row, if there are any and there are no gaps.
  std::optional<Matrix> flat() const;

 private:
  Floats(PyObject* object, DType dtype) : Array(object), dtype_(dtype) {}
  DType dtype_;
};

/// Integers of 32 or 64 bits along one axis: shape (rows,) or (rows, 1).
class Integers : public Array {
 public:
  static std::optional<Integers> of(PyObject* object);

  int64_t operator[](int64_t i) const {
    const char* const element = first_ + i * step_;
    return wide_ ? *reinterpret_cast<const int64_t*>(element) : *reinterpret_cast<const int32_t*>(element);
  }

 private:
  Integers(PyObject* object, bool wide)
      : Array(object), first_(static_cast<const char*>(data())), step_(stride(0)), wide_(wide) {}

  const char* first_;
  int64_t step_;
  bool wide_;
};

/// Equally shaped arrays as equally shaped matrices: one row each if none has gaps, else their rows.
template <class... More>
std::optional<std::array<Matrix, 1 + sizeof...(More)>> elements(const Floats& first, const More&... more) {
  const bool flat = (first.contiguous() && ... && more.contiguous());
  const auto matrix = [&](const Floats& array) { return flat ? array.flat() : array.rows(); };
  const std::array found{matrix(first), matrix(more)...};
  std::array<Matrix, found.size()> matrices;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) return std::nullopt;
    matrices[i] = *found[i];
  }
  return matrices;
}

/// A new array, uninitialised or zero; null with an error set if there is no memory.
py::object new_array(DType dtype, int dimensions, const Py_intptr_t* shape);
py::object new_zeros(DType dtype, int dimensions, const Py_intptr_t* shape);

/// `out` if it can take such a result as it stands, a new array if it is None or null; null if it has to be declined.
py::object result(PyObject* out, DType dtype, int dimensions, const Py_intptr_t* shape);

/// Whether two matrices of a dtype may share memory.
inline bool overlap(const ConstMatrix& a, const ConstMatrix& b, DType dtype) {
  const auto first = [](const ConstMatrix& m) { return reinterpret_cast<uintptr_t>(m.data); };
  const auto last = [&](const ConstMatrix& m) {
    return first(m) + static_cast<size_t>((m.rows - 1) * m.stride + m.cols) * size_of(dtype);
  };
  return first(a) < last(b) && first(b) < last(a);
}

/// Whether two equally shaped matrices are the same memory, or share none: then one may be made of the other in place.
inline bool same_or_apart(const ConstMatrix& a, const ConstMatrix& b, DType dtype) {
  return (a.data == b.data && a.stride == b.stride) || !overlap(a, b, dtype);
}

/// True or False as themselves, False for null; nothing for what only counts as one.
std::optional<bool> flag(PyObject* object);

/// A finite number of Python's own types float and int.
std::optional<double> number(PyObject* object);

/// An int of 64 bits.
std::optional<int64_t> whole_number(PyObject* object);

/// What the elements of a matrix cost, each so many multiply-adds.
inline double work_of(const ConstMatrix& x, double each) {
  return each * static_cast<double>(x.rows) * static_cast<double>(x.cols);
}

/// Memory for one call: this thread's, unless it is too much to keep.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  std::byte* data() const { return data_; }

 private:
  Arena own_;
  std::byte* data_;
};

/// Calls `work`, without the GIL if it does at least so many multiply-adds that giving it up does not show.
/// False, with an error set, if it throws.
template <class F>
bool run(double products, F work) {
  constexpr double worth_a_release = 1 << 16;
  try {
    const cpu::FlushDenormals once;  // not once for each kernel
    if (products < worth_a_release) {
      work();
    } else {
      const ReleaseGil released;
      work();
    }
    return true;
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::invalid_argument& error) {  // such as an environment variable of no meaning
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return false;
}

}  // namespace whet::bindings::fast
