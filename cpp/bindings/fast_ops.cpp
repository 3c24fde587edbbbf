#include "bindings/fast_ops.h"

namespace whet::bindings {

namespace {

/// The entry of that name with its default options; nothing for a name that is no activation's.
std::optional<Activation> activation_of(PyObject* name) {
  static const fast::Names names(math::activations());
  const auto found = names.find(name);
  if (!found) return std::nullopt;
  const math::ActivationInfo& info = math::activations()[*found];
  return Activation{info.id, math::option_values(info.name, info.options, {})};
}

/// That with the options of the call; nothing if one is unknown or no finite number.
std::optional<Activation> activation_of(PyObject* name, const fast::Call& call) {
  auto activation = activation_of(name);
  if (!activation || call.options().empty()) return activation;
  static const std::vector<fast::Names> options = [] {
    std::vector<fast::Names> of_each;
    for (const math::ActivationInfo& info : math::activations()) of_each.emplace_back(info.options);
    return of_each;
  }();
  for (const auto [option, value] : call.options()) {
    const auto place = options[static_cast<size_t>(activation->id)].find(option);
    const auto number = fast::number(value);
    if (!place || !number) return std::nullopt;
    activation->options[*place] = *number;
  }
  return activation;
}

/// Of no name, that of the arrays; nothing for a name that is no precision's.
std::optional<Precision> precision_of(PyObject* name) {
  static const fast::Names names{"float32", "bfloat16"};
  if (!name) return Precision::full;
  const auto found = names.find(name);
  return found ? std::optional(*found == 0 ? Precision::full : Precision::bfloat16) : std::nullopt;
}

struct Operand {
  Matrix matrix;
  bool transposed;
  int64_t rows() const { return transposed ? matrix.cols : matrix.rows; }
  int64_t cols() const { return transposed ? matrix.rows : matrix.cols; }
};

/// Rows of the array or of its transpose, whichever are contiguous.
std::optional<Operand> operand(const fast::Floats& array, bool transposed) {
  if (const auto rows = array.rows()) return Operand{*rows, transposed};
  if (const auto rows = array.rows(true)) return Operand{*rows, !transposed};
  return std::nullopt;
}

PyObject* matmul(const fast::Call& call) {
  enum { a_, b_, transpose_a_, transpose_b_, bias_, activation_, precision_, out_ };
  const auto a = fast::Floats::of(call[a_]);
  const auto b = a ? fast::Floats::of(call[b_], a->dtype()) : std::nullopt;
  const auto transpose_a = fast::flag(call[transpose_a_]), transpose_b = fast::flag(call[transpose_b_]);
  const auto precision = precision_of(call[precision_]);
  if (!b || !transpose_a || !transpose_b || !precision) return nullptr;
  const DType dtype = a->dtype();
  if (*precision != Precision::full && dtype != DType::float32) return nullptr;
  const auto left = operand(*a, *transpose_a), right = operand(*b, *transpose_b);
  if (!left || !right || left->cols() != right->rows()) return nullptr;
  const int64_t m = left->rows(), n = right->cols(), k = left->cols();

  Epilogue epilogue;
  if (call.has(activation_)) {
    const auto function = activation_of(call[activation_]);
    if (!function) return nullptr;
    epilogue.activation = *function;
  }
  ConstMatrix bias;
  if (call.has(bias_)) {
    const auto array = fast::Floats::of(call[bias_], dtype);
    const auto row = array && array->dimensions() == 1 ? array->flat() : std::nullopt;
    if (!row || row->cols != n) return nullptr;
    bias = *row;
    epilogue.bias = bias.data;
  }
  const Py_intptr_t shape[] = {m, n};
  py::object result = fast::result(call[out_], dtype, 2, shape);
  const auto y = result ? fast::Floats::of(result.ptr())->rows() : std::nullopt;
  if (!y || (call.has(out_) && (fast::overlap(*y, left->matrix, dtype) || fast::overlap(*y, right->matrix, dtype) ||
                                (bias.data && fast::overlap(*y, bias, dtype)))))
    return nullptr;
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const bool done = fast::run(products, [&] {
    cpu_device(dtype, *precision)
        .gemm(*y, left->matrix, left->transposed, right->matrix, right->transposed, false, epilogue);
  });
  return done ? result.release().ptr() : nullptr;
}

PyObject* activation(const fast::Call& call) {
  enum { name_, x_, out_ };
  const auto function = activation_of(call[name_], call);
  const auto x = fast::Floats::of(call[x_]);
  if (!function || !x) return nullptr;
  py::object result = fast::result(call[out_], x->dtype(), x->dimensions(), x->shape());
  const auto matrices = result ? fast::elements(*x, *fast::Floats::of(result.ptr())) : std::nullopt;
  if (!matrices) return nullptr;
  const Matrix mx = (*matrices)[0], y = (*matrices)[1];
  if (!fast::same_or_apart(y, mx, x->dtype())) return nullptr;
  const bool done = fast::run(fast::work_of(y, 16), [&] { cpu_device(x->dtype()).activate(y, mx, *function); });
  return done ? result.release().ptr() : nullptr;
}

PyObject* activation_gradient(const fast::Call& call) {
  enum { name_, x_, dy_, out_ };
  const auto function = activation_of(call[name_], call);
  const auto x = fast::Floats::of(call[x_]);
  const auto dy = x ? fast::Floats::of(call[dy_], x->dtype()) : std::nullopt;
  if (!function || !dy || !dy->has_shape(x->dimensions(), x->shape())) return nullptr;
  const DType dtype = x->dtype();
  py::object result = fast::result(call[out_], dtype, x->dimensions(), x->shape());
  const auto matrices = result ? fast::elements(*x, *dy, *fast::Floats::of(result.ptr())) : std::nullopt;
  if (!matrices) return nullptr;
  const Matrix mx = (*matrices)[0], mdy = (*matrices)[1], dx = (*matrices)[2];
  if (fast::overlap(dx, mx, dtype) || !fast::same_or_apart(dx, mdy, dtype)) return nullptr;
  const bool done = fast::run(fast::work_of(dx, 32), [&] {
    Device& device = cpu_device(dtype);
    if (math::activations()[static_cast<size_t>(function->id)].saved == math::Saved::input)
      return device.activate_backward(dx, mdy, mx, *function, false);
    const fast::Scratch memory(static_cast<size_t>(mx.rows * mx.cols) * size_of(dtype));
    const Matrix y{memory.data(), mx.rows, mx.cols, mx.cols};
    device.activate(y, mx, *function);
    device.activate_backward(dx, mdy, y, *function, false);
  });
  return done ? result.release().ptr() : nullptr;
}

PyObject* softmax(const fast::Call& call) {
  enum { x_, out_ };
  const auto x = fast::Floats::of(call[x_]);
  const auto rows = x ? x->rows() : std::nullopt;
  if (!rows) return nullptr;
  py::object result = fast::result(call[out_], x->dtype(), 2, x->shape());
  const auto y = result ? fast::Floats::of(result.ptr())->rows() : std::nullopt;
  if (!y || !fast::same_or_apart(*y, *rows, x->dtype())) return nullptr;
  const bool done = fast::run(fast::work_of(*y, 16), [&] { cpu_device(x->dtype()).softmax(*y, *rows); });
  return done ? result.release().ptr() : nullptr;
}

PyObject* one_hot(const fast::Call& call) {
  enum { labels_, classes_ };
  const auto labels = fast::Integers::of(call[labels_]);
  const auto classes = fast::whole_number(call[classes_]);
  if (!labels || labels->dimensions() != 1 || labels->size(0) == 0 || !classes || *classes < 1) return nullptr;
  const Py_intptr_t shape[] = {labels->size(0), *classes};
  py::object result = fast::new_zeros(DType::float32, 2, shape);
  if (!result) {
    PyErr_Clear();  // the thorough way looks at the labels first
    return nullptr;
  }
  float* row = static_cast<float*>(fast::Floats::of(result.ptr())->data());
  bool valid = true;
  const bool done = fast::run(16.0 * static_cast<double>(shape[0]), [&] {
    for (int64_t i = 0; i < shape[0] && valid; ++i, row += *classes) {
      const int64_t label = (*labels)[i];
      valid = label >= 0 && label < *classes;
      if (valid) row[label] = 1;
    }
  });
  return done && valid ? result.release().ptr() : nullptr;
}

}  // namespace

void bind_fast_ops(py::module_& module) {
  static const fast::Definition definitions[] = {
      {"matmul", {"a", "b", "transpose_a", "transpose_b", "bias", "activation", "precision", "out"}, 2, false, matmul},
      {"activation", {"name", "x", "out"}, 2, true, activation},
      {"activation_gradient", {"name", "x", "dy", "out"}, 3, true, activation_gradient},
      {"softmax", {"x", "out"}, 1, false, softmax},
      {"one_hot", {"labels", "classes"}, 2, false, one_hot},
      {"loss", {"loss", "prediction", "target"}, 3, false, fast::loss},
      {"update", {"name", "parameter", "gradient", "state", "betas"}, 4, true, fast::update},
      {"predict", {"self", "X"}, 2, false, fast::predict},
  };
  fast::add_decorator(module, definitions);
}

}  // namespace whet::bindings
