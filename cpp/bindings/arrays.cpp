#include "bindings/bindings.h"
#include "core/error.h"
#include "core/shape.h"

namespace whet::bindings {

namespace {

std::string describe(const py::array& array) {
  Shape shape(array.shape(), array.shape() + array.ndim());
  return std::string(py::str(static_cast<const py::object&>(array.dtype()))) + " array of shape " + to_string(shape);
}

void check(const py::array& array, DType dtype, const char* where) {
  if (!array.dtype().is(numpy_dtype(dtype)) && !array.dtype().equal(numpy_dtype(dtype)))
    throw py::type_error("[" + std::string(where) + "] expected a " + name_of(dtype) + " array, got a " +
                         describe(array));
  if (array.size() > 0 && reinterpret_cast<uintptr_t>(array.data()) % size_of(dtype) != 0)
    fail(where, "expected an aligned array");
}

void check_writeable(const py::array& array, const char* where) {
  if (!array.writeable()) fail(where, "expected an array that can be written, got a read-only one");
}

int64_t main_thread() {
  static const auto id = py::module_::import("threading").attr("main_thread")().attr("ident").cast<int64_t>();
  return id;
}

}  // namespace

Watch interruptible() {
  if (static_cast<int64_t>(PyThread_get_thread_ident()) != main_thread()) return Watch();
  return Watch([] {
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  });
}

DType dtype_of(const py::array& array, const char* where) {
  for (const DType dtype : {DType::float32, DType::float64})
    if (array.dtype().equal(numpy_dtype(dtype))) return dtype;
  throw py::type_error("[" + std::string(where) + "] expected a float32 or float64 array, got a " + describe(array));
}

py::dtype numpy_dtype(DType dtype) {
  return dtype == DType::float32 ? py::dtype::of<float>() : py::dtype::of<double>();
}

DType parse_dtype(const std::string& name) {
  for (const DType dtype : {DType::float32, DType::float64})
    if (name == name_of(dtype)) return dtype;
  fail("dtype", "expected 'float32' or 'float64', got '", name, "'");
}

Precision parse_precision(const std::string& name) {
  if (name == "float32") return Precision::full;
  if (name == "bfloat16") return Precision::bfloat16;
  fail("precision", "expected 'float32' or 'bfloat16', got '", name, "'");
}

ConstMatrix matrix(const py::array& array, DType dtype, const char* where) {
  check(array, dtype, where);
  if (array.ndim() != 2) fail(where, "expected two dimensions, got a ", describe(array));
  const auto item = static_cast<int64_t>(size_of(dtype));
  const int64_t rows = array.shape(0), cols = array.shape(1);
  if (array.size() == 0) return {array.data(), rows, cols, cols};  // its strides mean nothing
  const int64_t row_bytes = rows > 1 ? array.strides(0) : cols * item;
  if ((cols > 1 && array.strides(1) != item) || row_bytes % item != 0 ||
      (rows > 1 && cols > 0 && row_bytes < cols * item))
    fail(where, "expected rows that are contiguous, got strides ", to_string({array.strides(0), array.strides(1)}));
  return {array.data(), rows, cols, rows > 1 ? row_bytes / item : cols};
}

Matrix mutable_matrix(py::array& array, DType dtype, const char* where) {
  check_writeable(array, where);
  const ConstMatrix m = matrix(array, dtype, where);
  return {array.mutable_data(), m.rows, m.cols, m.stride};
}

const void* vector(const py::array& array, DType dtype, int64_t n, const char* where) {
  check(array, dtype, where);
  if (array.ndim() != 1 || array.shape(0) != n) fail(where, "expected shape (", n, ",), got a ", describe(array));
  if (n > 1 && array.strides(0) != static_cast<int64_t>(size_of(dtype))) fail(where, "expected a contiguous array");
  return array.data();
}

void* mutable_vector(py::array& array, DType dtype, int64_t n, const char* where) {
  check_writeable(array, where);
  vector(array, dtype, n, where);
  return array.mutable_data();
}

Target target(const py::array& array, DType dtype, int64_t rows, int64_t cols, const Loss& loss) {
  if (!loss.columns.empty() && static_cast<int64_t>(loss.columns.size()) != cols)
    fail("loss", "expected ", cols, " numbers, one for each output, got ", loss.columns.size());
  Target result;
  if (loss.id == math::LossId::CrossEntropy && array.dtype().equal(py::dtype::of<int32_t>())) {
    if (array.ndim() != 1 || array.shape(0) != rows || (rows > 1 && array.strides(0) != 4))
      fail("loss", "expected ", rows, " contiguous class indices, got a ", describe(array));
    result.classes = static_cast<const int32_t*>(array.data());
    for (int64_t i = 0; i < rows; ++i)
      if (result.classes[i] < 0 || result.classes[i] >= cols)
        fail("loss", "expected class indices from 0 to ", cols - 1, ", got another in row ", i);
    return result;
  }
  result.values = matrix(array, dtype, "loss");
  if (result.values.rows != rows || result.values.cols != cols)
    fail("loss", "expected a target of shape ", to_string({rows, cols}), ", got ",
         to_string({result.values.rows, result.values.cols}));
  return result;
}

Loss parse_loss(const std::string& name, const LossOptions& options) {
  const math::LossInfo& info = math::find_loss(name);
  Loss loss{info.id};
  Options numbers;
  for (const auto& [option, value] : options) {
    if (const auto* const columns = std::get_if<std::vector<double>>(&value)) {
      if (info.options.empty() || info.options[0].name != option) fail(name, "takes one number as ", option);
      loss.columns = *columns;
    } else {
      numbers.emplace_back(option, std::get<double>(value));
    }
  }
  loss.options = math::option_values(name, info.options, numbers);
  return loss;
}

Activation parse_activation(const std::string& name, const Options& options) {
  const math::ActivationInfo& info = math::find_activation(name);
  return {info.id, math::option_values(name, info.options, options)};
}

}  // namespace whet::bindings
