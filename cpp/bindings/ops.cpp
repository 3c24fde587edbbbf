#include <vector>

#include "bindings/bindings.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/random.h"
#include "core/shape.h"

namespace whet::bindings {

namespace {

void check_shape(ConstMatrix m, int64_t rows, int64_t cols, const char* where, const char* what) {
  if (m.rows != rows || m.cols != cols)
    fail(where, "expected ", what, " of shape ", to_string({rows, cols}), ", got ", to_string({m.rows, m.cols}));
}

void matmul(py::array out, const py::array& a, bool transpose_a, const py::array& b, bool transpose_b,
            const std::optional<py::array>& bias, const std::string& activation, const Options& options,
            const std::string& precision) {
  const DType dtype = dtype_of(a, "matmul");
  const ConstMatrix ma = matrix(a, dtype, "matmul"), mb = matrix(b, dtype, "matmul");
  const Matrix y = mutable_matrix(out, dtype, "matmul");
  const int64_t m = transpose_a ? ma.cols : ma.rows, k = transpose_a ? ma.rows : ma.cols;
  const int64_t kb = transpose_b ? mb.cols : mb.rows, n = transpose_b ? mb.rows : mb.cols;
  if (k != kb)
    fail("matmul", "expected b with ", k, transpose_b ? " columns" : " rows", ", got ", to_string({mb.rows, mb.cols}));
  check_shape(y, m, n, "matmul", "out");
  Epilogue epilogue;
  epilogue.bias = bias ? vector(*bias, dtype, n, "matmul bias") : nullptr;
  epilogue.activation = parse_activation(activation, options);
  Device& device = cpu_device(dtype, parse_precision(precision));
  const Work work;
  device.gemm(y, ma, transpose_a, mb, transpose_b, false, epilogue);
}

void activate(py::array out, const py::array& x, const std::string& name, const Options& options) {
  const DType dtype = dtype_of(x, "activation");
  const ConstMatrix mx = matrix(x, dtype, "activation");
  const Matrix y = mutable_matrix(out, dtype, "activation");
  check_shape(y, mx.rows, mx.cols, "activation", "out");
  const Activation activation = parse_activation(name, options);
  const Work work;
  cpu_device(dtype).activate(y, mx, activation);
}

void activation_gradient(py::array dx, const py::array& dy, const py::array& x, const std::string& name,
                         const Options& options) {
  const DType dtype = dtype_of(x, "activation");
  const ConstMatrix mx = matrix(x, dtype, "activation"), mdy = matrix(dy, dtype, "activation");
  const Matrix mdx = mutable_matrix(dx, dtype, "activation");
  check_shape(mdy, mx.rows, mx.cols, "activation", "dy");
  check_shape(mdx, mx.rows, mx.cols, "activation", "out");
  const Activation activation = parse_activation(name, options);
  const Work work;
  Device& device = cpu_device(dtype);
  ConstMatrix saved = mx;
  Arena output;
  if (math::find_activation(name).saved == math::Saved::output) {
    output = Arena(static_cast<size_t>(mx.rows * mx.cols) * size_of(dtype));
    const Matrix y{output.data(), mx.rows, mx.cols, mx.cols};
    device.activate(y, mx, activation);
    saved = y;
  }
  device.activate_backward(mdx, mdy, saved, activation, false);
}

double loss_value(std::optional<py::array> gradient, const py::array& prediction, const py::array& truth,
                  const std::optional<py::array>& weights, const std::string& name, const LossOptions& options) {
  const DType dtype = dtype_of(prediction, "loss");
  const ConstMatrix p = matrix(prediction, dtype, "loss");
  const Loss loss = parse_loss(name, options);
  const Target t = target(truth, dtype, p.rows, p.cols, loss);
  const void* w = weights ? vector(*weights, dtype, p.rows, "sample_weight") : nullptr;
  Matrix dp;
  if (gradient) {
    dp = mutable_matrix(*gradient, dtype, "loss");
    check_shape(dp, p.rows, p.cols, "loss", "gradient");
  }
  if (p.rows == 0 || p.cols == 0)
    fail("loss", "expected at least one row and one column, got shape ", to_string({p.rows, p.cols}));
  const Work work;
  Device& device = cpu_device(dtype);
  const Arena losses(static_cast<size_t>(p.rows) * size_of(dtype));
  const double total = w ? device.weighted_sum(w, nullptr, p.rows) : static_cast<double>(p.rows);
  const Arena scales(w ? static_cast<size_t>(p.rows) * size_of(dtype) : 0);
  if (w) {
    const math::OptionValues factor{1 / total};
    device.activate({scales.data(), 1, p.rows, p.rows}, {w, 1, p.rows, p.rows}, {math::ActivationId::Affine, factor});
  }
  device.loss(losses.data(), dp, p, t, w ? scales.data() : nullptr, 1 / total, loss);
  return device.weighted_sum(losses.data(), w, p.rows) / total;
}

void softmax(py::array out, const py::array& x) {
  const DType dtype = dtype_of(x, "softmax");
  const ConstMatrix mx = matrix(x, dtype, "softmax");
  const Matrix y = mutable_matrix(out, dtype, "softmax");
  check_shape(y, mx.rows, mx.cols, "softmax", "out");
  const Work work;
  cpu_device(dtype).softmax(y, mx);
}

void update(py::array parameter, const py::array& gradient, std::vector<py::array> slots, int64_t step,
            const std::string& name, const Options& options) {
  const DType dtype = dtype_of(parameter, "update");
  const math::OptimizerInfo& info = math::find_optimizer(name);
  const math::OptionValues values = math::option_values(name, info.options, options);
  const int64_t n = parameter.size();
  if (slots.size() != info.slots.size()) fail("update", "expected ", info.slots.size(), " slots, got ", slots.size());
  void* p = mutable_vector(parameter, dtype, n, "update parameter");
  const void* g = vector(gradient, dtype, n, "update gradient");
  void* s[math::kMaxSlots] = {};
  for (size_t i = 0; i < slots.size(); ++i) s[i] = mutable_vector(slots[i], dtype, n, "update state");
  const Work work;
  cpu_device(dtype).update(p, g, s, n, {info.id, info.prepare(values, step)});
}

/// The first element that is NaN or infinite, as (row, column), or None.
std::optional<std::pair<int64_t, int64_t>> find_nonfinite(const py::array& x) {
  const DType dtype = dtype_of(x, "find_nonfinite");
  const ConstMatrix m = matrix(x, dtype, "find_nonfinite");
  int64_t found;
  {
    const Work work;
    found = cpu_device(dtype).find_nonfinite(m);
  }
  if (found < 0) return std::nullopt;
  return std::pair{found / m.cols, found % m.cols};
}

}  // namespace

void bind_ops(py::module_& module) {
  module.def("matmul", &matmul);
  module.def("activate", &activate);
  module.def("activation_gradient", &activation_gradient);
  module.def("loss", &loss_value);
  module.def("softmax", &softmax);
  module.def("update", &update);
  module.def("find_nonfinite", &find_nonfinite);

  // Random numbers of the initialisers (stream 0) and of splits (stream 3), for `index`, the parameter's or 0.
  module.def("random_uniform", [](uint64_t seed, uint32_t index, double low, double high, int64_t n) {
    py::array_t<double> out(n);
    random_uniform({seed, Stream::initialize, 0, index}, low, high, out.mutable_data(), n);
    return out;
  });
  module.def("random_normal", [](uint64_t seed, uint32_t index, double mean, double deviation, int64_t n) {
    py::array_t<double> out(n);
    random_normal({seed, Stream::initialize, 0, index}, mean, deviation, out.mutable_data(), n);
    return out;
  });
  module.def("random_permutation", [](uint64_t seed, int64_t n) {
    py::array_t<int64_t> out(n);
    cpu_device(DType::float32).random_permutation(out.mutable_data(), n, {seed, Stream::split, 0, 0});
    return out;
  });
}

}  // namespace whet::bindings
