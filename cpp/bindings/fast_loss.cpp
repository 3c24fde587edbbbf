#include <cmath>
#include <limits>
#include <numeric>

#include "bindings/fast_ops.h"

namespace whet::bindings::fast {

namespace {

/// What a target has to fulfil, as the classes of whet.losses say; nothing for a loss whose checks do not stand here.
enum class Rule { finite, fractions, distributions };

std::optional<Rule> rule_of(math::LossId id) {
  switch (id) {
    case math::LossId::Mse:
    case math::LossId::L1:
    case math::LossId::Huber:
    case math::LossId::SmoothL1:
    case math::LossId::LogCosh:
    case math::LossId::Quantile:
      return Rule::finite;
    case math::LossId::BceWithLogits:
      return Rule::fractions;
    case math::LossId::CrossEntropy:
      return Rule::distributions;
    default:
      return std::nullopt;
  }
}

// Tests are gathered in an int, not a bool, for GCC to make vectors of the loops.
template <class T>
bool are_fractions(ConstMatrix x) {
  if (x.stride == x.cols) x = {x.data, 1, x.rows * x.cols, x.rows * x.cols};
  for (int64_t i = 0; i < x.rows; ++i) {
    const T* const row = static_cast<const T*>(x.data) + i * x.stride;
    int outside = 0;
    for (int64_t j = 0; j < x.cols; ++j) outside |= !((row[j] >= 0) & (row[j] <= 1));
    if (outside) return false;
  }
  return true;
}

/// The thorough way allows a sum to be off by 1e-3, and sums in another order: it decides what comes close to that.
template <class T>
bool are_distributions(ConstMatrix x) {
  constexpr double allowed = 0.999e-3;
  constexpr int64_t chains = 8;
  for (int64_t i = 0; i < x.rows; ++i) {
    const T* const row = static_cast<const T*>(x.data) + i * x.stride;
    int below = 0;
    for (int64_t j = 0; j < x.cols; ++j) below |= !(row[j] >= 0);
    double sums[chains] = {};
    int64_t j = 0;
    for (; j + chains <= x.cols; j += chains)
      for (int64_t k = 0; k < chains; ++k) sums[k] += static_cast<double>(row[j + k]);
    for (; j < x.cols; ++j) sums[0] += static_cast<double>(row[j]);
    const double sum = std::accumulate(sums, sums + chains, 0.0);
    if (below || !(std::abs(sum - 1) <= allowed)) return false;
  }
  return true;
}

bool fulfils(ConstMatrix target, Rule rule, Device& device) {
  const bool narrow = device.dtype() == DType::float32;
  switch (rule) {
    case Rule::finite:
      return device.find_nonfinite(target) < 0;
    case Rule::fractions:
      return narrow ? are_fractions<float>(target) : are_fractions<double>(target);
    case Rule::distributions:
      return narrow ? are_distributions<float>(target) : are_distributions<double>(target);
  }
  return false;
}

/// The labels as the kernels take them, if all are classes.
bool copy_classes(int32_t* classes, const Integers& labels, int64_t rows, int64_t count) {
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t label = labels[i];
    if (label < 0 || label >= count) return false;
    classes[i] = static_cast<int32_t>(label);
  }
  return true;
}

}  // namespace

PyObject* loss(const Call& call) {
  enum { loss_, prediction_, target_ };
  static const Names names(math::losses());
  const auto found = names.find(call[loss_]);
  const auto array = Floats::of(call[prediction_]);
  const auto prediction = array ? array->rows_or_column() : std::nullopt;
  if (!found || !prediction) return nullptr;
  const math::LossInfo& info = math::losses()[*found];
  const Loss described{info.id, math::option_values(info.name, info.options, {})};
  const auto rule = rule_of(info.id);
  if (!rule) return nullptr;
  const int64_t rows = prediction->rows, cols = prediction->cols;
  const DType dtype = array->dtype();

  std::optional<Integers> labels;
  Target target;
  if (*rule == Rule::distributions) {
    if (cols < 2 || cols > std::numeric_limits<int32_t>::max()) return nullptr;
    labels = Integers::of(call[target_]);
  }
  if (labels) {
    if (labels->size(0) != rows) return nullptr;
  } else {
    const auto given = Floats::of(call[target_], dtype);
    const auto values = given ? given->rows_or_column() : std::nullopt;
    if (!values || values->rows != rows || values->cols != cols) return nullptr;
    target.values = *values;
  }

  const py::object gradient = new_array(dtype, array->dimensions(), array->shape());
  if (!gradient) return nullptr;
  const Matrix slope{Floats::of(gradient.ptr())->data(), rows, cols, cols};
  bool valid = false;
  double value = 0;
  const bool done = run(work_of(slope, 32), [&] {
    Device& device = cpu_device(dtype);
    const size_t room = static_cast<size_t>(rows) * size_of(dtype);
    const Scratch memory(room + (labels ? static_cast<size_t>(rows) * sizeof(int32_t) : 0));
    auto* const classes = reinterpret_cast<int32_t*>(memory.data() + room);
    valid = labels ? copy_classes(classes, *labels, rows, cols) : fulfils(target.values, *rule, device);
    if (!valid) return;
    if (labels) target.classes = classes;
    const auto total = static_cast<double>(rows);
    device.loss(memory.data(), slope, *prediction, target, nullptr, 1.0 / total, described);
    value = device.weighted_sum(memory.data(), nullptr, rows) / total;
  });
  if (!done || !valid) return nullptr;
  const auto number = py::reinterpret_steal<py::object>(PyFloat_FromDouble(value));
  return number ? PyTuple_Pack(2, number.ptr(), gradient.ptr()) : nullptr;
}

}  // namespace whet::bindings::fast
