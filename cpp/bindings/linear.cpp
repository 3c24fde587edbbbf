#include <array>
#include <cstring>

#include "bindings/bindings.h"
#include "core/error.h"
#include "linear/coordinate_descent.h"
#include "linear/sgd.h"

/// Linear models that are trained without a graph, in double precision.
namespace whet::bindings {

namespace {

std::span<double> span_of(py::array& array, int64_t n, const char* where) {
  return {static_cast<double*>(mutable_vector(array, DType::float64, n, where)), static_cast<size_t>(n)};
}

std::span<const double> span_of(const py::array& array, int64_t n, const char* where) {
  return {static_cast<const double*>(vector(array, DType::float64, n, where)), static_cast<size_t>(n)};
}

py::tuple described(const linear::Descent& found) { return py::make_tuple(found.gap, found.sweeps, found.converged); }

void check_square(const py::array& array, int64_t p) {
  if (array.ndim() != 2 || array.shape(0) != p || array.shape(1) != p || !(array.flags() & py::array::c_style) ||
      !array.dtype().equal(numpy_dtype(DType::float64)))
    fail("coordinate_descent", "expected a float64 matrix of ", p, " rows in C order");
}

/// n compressed rows or columns: their indices are below p, and each begins where the last one ends.
void check_compressed(const char* where, const py::array& data, const py::array& index, const py::array& start,
                      int64_t n, int64_t p) {
  const auto whole = py::dtype::of<int32_t>();
  if (!index.dtype().equal(whole) || !start.dtype().equal(whole) || start.size() != n + 1 ||
      index.size() != data.size() || !(index.flags() & py::array::c_style) || !(start.flags() & py::array::c_style))
    fail(where, "expected compressed rows or columns with int32 indices");
  const auto* const indices = static_cast<const int32_t*>(index.data());
  const auto* const begins = static_cast<const int32_t*>(start.data());
  bool right = begins[0] == 0 && begins[n] == data.size();
  for (int64_t i = 0; i < n; ++i) right = right && begins[i] <= begins[i + 1];
  for (int64_t k = 0; right && k < index.size(); ++k) right = indices[k] >= 0 && indices[k] < p;
  if (!right) fail(where, "expected compressed rows or columns whose indices lie within the matrix");
}

linear::ElasticNet elastic_net(double l1, double l2, double tolerance, int64_t max_sweeps, bool positive, bool random,
                               uint64_t seed) {
  return {l1, l2, tolerance, max_sweeps, positive, random, seed};
}

py::tuple coordinate_descent_gram(py::array w, const py::array& gram, const py::array& q, double y_squares, double l1,
                                  double l2, double tolerance, int64_t max_sweeps, bool positive, bool random,
                                  uint64_t seed) {
  constexpr const char* where = "coordinate_descent";
  const int64_t p = w.size();
  check_square(gram, p);
  const auto problem = elastic_net(l1, l2, tolerance, max_sweeps, positive, random, seed);
  const std::span<double> weights = span_of(w, p, where);
  const std::span<const double> product = span_of(q, p, where);
  std::vector<double> gradient(static_cast<size_t>(p));
  const auto* const g = static_cast<const double*>(gram.data());
  Watch watch = interruptible();
  linear::Descent found{};
  {
    const Work work;
    found = linear::descend_gram(weights, g, product, y_squares, gradient, problem, watch);
  }
  return described(found);
}

py::tuple coordinate_descent(py::array w, const py::array& x, const py::array& y, double l1, double l2,
                             double tolerance, int64_t max_sweeps, bool positive, bool random, uint64_t seed) {
  constexpr const char* where = "coordinate_descent";
  const int64_t p = w.size(), n = y.size();
  if (x.ndim() != 2 || x.shape(0) != n || x.shape(1) != p || !(x.flags() & py::array::f_style) ||
      !x.dtype().equal(numpy_dtype(DType::float64)))
    fail(where, "expected a float64 matrix of ", n, " rows and ", p, " columns in Fortran order");
  const auto problem = elastic_net(l1, l2, tolerance, max_sweeps, positive, random, seed);
  const std::span<double> weights = span_of(w, p, where);
  const std::span<const double> target = span_of(y, n, where);
  std::vector<double> residual(static_cast<size_t>(n));
  const auto* const columns = static_cast<const double*>(x.data());
  Watch watch = interruptible();
  linear::Descent found{};
  {
    const Work work;
    found = linear::descend_columns(weights, columns, target, residual, problem, watch);
  }
  return described(found);
}

py::tuple coordinate_descent_sparse(py::array w, const py::array& values, const py::array& index,
                                    const py::array& start, const py::array& means, double weight, const py::array& y,
                                    double l1, double l2, double tolerance, int64_t max_sweeps, bool positive,
                                    bool random, uint64_t seed) {
  constexpr const char* where = "coordinate_descent";
  const int64_t p = w.size(), n = y.size();
  check_compressed(where, values, index, start, p, n);
  const auto problem = elastic_net(l1, l2, tolerance, max_sweeps, positive, random, seed);
  const std::span<double> weights = span_of(w, p, where);
  const std::span<const double> target = span_of(y, n, where);
  const linear::SparseColumns x{span_of(values, values.size(), where).data(), static_cast<const int32_t*>(index.data()),
                                static_cast<const int32_t*>(start.data()), span_of(means, p, where), weight};
  std::vector<double> residual(static_cast<size_t>(n));
  Watch watch = interruptible();
  linear::Descent found{};
  {
    const Work work;
    found = linear::descend_sparse(weights, x, target, residual, problem, watch);
  }
  return described(found);
}

template <class E>
E parse(const std::string& name, const std::vector<const char*>& names) {
  for (size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<E>(i);
  fail("descend_rows", "expected another name than '", name, "'");
}

linear::RowLoss parse_loss(const std::string& name) {
  return parse<linear::RowLoss>(name, {"hinge", "perceptron", "squared_hinge", "log_loss", "modified_huber",
                                       "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"});
}

linear::Rate parse_rate(const std::string& name) {
  return parse<linear::Rate>(name, {"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"});
}

linear::RowDescent row_descent(const py::dict& how) {
  return {parse_loss(how["loss"].cast<std::string>()),
          how["epsilon"].cast<double>(),
          how["penalised"].cast<bool>(),
          how["alpha"].cast<double>(),
          how["l1_ratio"].cast<double>(),
          parse_rate(how["learning_rate"].cast<std::string>()),
          how["eta0"].cast<double>(),
          how["power_t"].cast<double>(),
          how["fit_intercept"].cast<bool>(),
          how["intercept_decay"].cast<double>(),
          how["shuffle"].cast<bool>(),
          how["seed"].cast<uint32_t>(),
          how["max_iter"].cast<int64_t>(),
          how["n_iter_no_change"].cast<int64_t>(),
          how["tol"].cast<double>(),
          how["average"].cast<int64_t>(),
          how["positive_weight"].cast<double>(),
          how["negative_weight"].cast<double>()};
}

template <class T>
py::tuple descend(py::array& w, py::array& average, double intercept, double average_intercept, const py::array& data,
                  const std::optional<py::array>& index, const std::optional<py::array>& start, const py::array& y,
                  const py::array& weights, const py::array& held, double t, const py::dict& how,
                  const std::optional<py::function>& told, const std::optional<py::function>& score) {
  constexpr const char* where = "descend_rows";
  const int64_t n = y.size(), p = w.size();
  if (index.has_value() != start.has_value()) fail(where, "expected both indices and starts of rows, or none");
  if (index) check_compressed(where, data, *index, *start, n, p);
  const DType dtype = dtype_of(data, where);
  const linear::RowsOf<T> rows{static_cast<const T*>(vector(data, dtype, index ? data.size() : n * p, where)),
                               index ? static_cast<const int32_t*>(index->data()) : nullptr,
                               start ? static_cast<const int32_t*>(start->data()) : nullptr, n, p};
  if (!held.dtype().equal(py::dtype::of<uint8_t>()) || held.size() != n) fail(where, "expected a mark for each row");
  const linear::RowDescent descent = row_descent(how);
  const std::span<double> coefficients = span_of(w, p, where), means = span_of(average, average.size(), where);
  if (descent.average > 0 && average.size() != p) fail(where, "expected an average of ", p, " weights");
  const auto targets = span_of(y, n, where), counts = span_of(weights, n, where);
  std::function<bool(const linear::RowDescentEnd&)> after;
  if (told)
    after = [&](const linear::RowDescentEnd& now) {
      const py::gil_scoped_acquire gil;
      return (*told)(now.intercept, now.average_intercept, now.epochs).template cast<bool>();
    };
  std::function<double(double)> asked;
  if (score)
    asked = [&](double now) {
      const py::gil_scoped_acquire gil;
      return (*score)(now).template cast<double>();
    };
  linear::RowDescentEnd end{intercept, average_intercept, 0, true};
  Watch watch = interruptible();
  {
    const Work work;
    end = linear::descend_rows<T>(coefficients, means, end, rows, targets.data(), counts.data(),
                                  static_cast<const uint8_t*>(held.data()), t, descent, after, asked, watch);
  }
  return py::make_tuple(end.intercept, end.average_intercept, end.epochs, end.finite);
}

py::tuple descend_rows(py::array w, py::array average, double intercept, double average_intercept,
                       const py::array& data, const std::optional<py::array>& index,
                       const std::optional<py::array>& start, const py::array& y, const py::array& weights,
                       const py::array& held, double t, const py::dict& how, const std::optional<py::function>& told,
                       const std::optional<py::function>& score) {
  const auto call = dtype_of(data, "descend_rows") == DType::float32 ? &descend<float> : &descend<double>;
  return call(w, average, intercept, average_intercept, data, index, start, y, weights, held, t, how, told, score);
}

}  // namespace

void bind_linear(py::module_& module) {
  module.def("coordinate_descent", &coordinate_descent);
  module.def("coordinate_descent_gram", &coordinate_descent_gram);
  module.def("coordinate_descent_sparse", &coordinate_descent_sparse);
  module.def("descend_rows", &descend_rows);
}

}  // namespace whet::bindings
