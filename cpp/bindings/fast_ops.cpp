#include <string_view>

#include "bindings/fast.h"

namespace whet::bindings {

namespace {

/// The identity for None, and nothing for a name that is no activation's.
std::optional<Activation> activation(PyObject* name) {
  if (name == Py_None) return Activation{};
  Py_ssize_t length = 0;
  const char* const text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &length) : nullptr;
  if (!text) {
    PyErr_Clear();
    return std::nullopt;
  }
  for (const math::ActivationInfo& info : math::activations())
    if (info.name == std::string_view(text, static_cast<size_t>(length)))
      return Activation{info.id, math::option_values(text, info.options, {})};
  return std::nullopt;
}

bool is_float32(PyObject* precision) {
  return PyUnicode_Check(precision) && PyUnicode_CompareWithASCIIString(precision, "float32") == 0;
}

struct Operand {
  Matrix matrix;
  bool transposed;
  int64_t rows() const { return transposed ? matrix.cols : matrix.rows; }
  int64_t cols() const { return transposed ? matrix.rows : matrix.cols; }
};

/// Rows of the array or of its transpose, whichever are contiguous.
std::optional<Operand> operand(const fast::Array& array, bool transposed) {
  if (const auto rows = array.rows()) return Operand{*rows, transposed};
  if (const auto rows = array.rows(true)) return Operand{*rows, !transposed};
  return std::nullopt;
}

// matmul(a, b, transpose_a, transpose_b, bias, activation, precision, out), as whet.ops.matmul.
PyObject* matmul(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  const auto otherwise = [] { return Py_NewRef(Py_None); };
  if (count != 8) return otherwise();
  const auto a = fast::Array::of(arguments[0]), b = fast::Array::of(arguments[1]);
  const auto transpose_a = fast::flag(arguments[2]), transpose_b = fast::flag(arguments[3]);
  if (!a || !b || a->dtype() != b->dtype() || !transpose_a || !transpose_b || !is_float32(arguments[6]))
    return otherwise();
  const DType dtype = a->dtype();
  const auto left = operand(*a, *transpose_a), right = operand(*b, *transpose_b);
  const auto function = activation(arguments[5]);
  if (!left || !right || !function || left->cols() != right->rows()) return otherwise();
  const int64_t m = left->rows(), n = right->cols(), k = left->cols();

  Epilogue epilogue;
  epilogue.activation = *function;
  std::optional<fast::Array> bias;
  if (arguments[4] != Py_None) {
    bias = fast::Array::of(arguments[4]);
    if (!bias || bias->dtype() != dtype || bias->dimensions() != 1 || bias->size(0) != n ||
        (n > 1 && bias->stride(0) != static_cast<int64_t>(size_of(dtype))))
      return otherwise();
    epilogue.bias = bias->data();
  }

  const bool given = arguments[7] != Py_None;
  if (given) {
    const auto out = fast::Array::of(arguments[7]);
    const auto y = out ? out->rows() : std::nullopt;
    if (!y || out->dtype() != dtype || !out->writeable() || y->rows != m || y->cols != n ||
        fast::overlap(*y, left->matrix, dtype) || fast::overlap(*y, right->matrix, dtype) ||
        (bias && fast::overlap(*y, {bias->data(), 1, n, n}, dtype)))
      return otherwise();
  }
  PyObject* const result = given ? Py_NewRef(arguments[7]) : fast::new_matrix(dtype, m, n);
  if (!result) return nullptr;
  const Matrix y = *fast::Array::of(result)->rows();
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const bool done = fast::run(products, [&] {
    cpu_device(dtype).gemm(y, left->matrix, left->transposed, right->matrix, right->transposed, false, epilogue);
  });
  if (done) return result;
  Py_DECREF(result);
  return nullptr;
}

}  // namespace

void bind_fast_ops(py::module_& module) {
  static PyMethodDef matmul_definition = {
      "fast_matmul", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&matmul)), METH_FASTCALL, nullptr};
  fast::add(module, matmul_definition);
}

}  // namespace whet::bindings
