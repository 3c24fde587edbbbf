#include "bindings/metrics.h"

#include "core/error.h"
#include "metrics/roc_area.h"

namespace whet::bindings {

namespace {

template <class T, size_t n>
T parse(const char* what, const std::string& name, const std::pair<const char*, T> (&known)[n]) {
  for (const auto& [word, value] : known)
    if (name == word) return value;
  fail("metrics", "knows no ", what, " '", name, "'");
}

constexpr std::pair<const char*, metrics::Kind> kKinds[] = {
    {"values", metrics::Kind::values}, {"labels", metrics::Kind::labels}, {"classes", metrics::Kind::classes}};
constexpr std::pair<const char*, metrics::Link> kLinks[] = {{"", metrics::Link::none},
                                                            {"exp", metrics::Link::exp},
                                                            {"sigmoid", metrics::Link::sigmoid},
                                                            {"softmax", metrics::Link::softmax}};
constexpr std::pair<const char*, metrics::Section> kSections[] = {
    {"total", metrics::kTotal},         {"hits", metrics::kHits},
    {"predicted", metrics::kPredicted}, {"true", metrics::kTrue},
    {"occurring", metrics::kOccurring}, {"right", metrics::kRight},
    {"ranks", metrics::kRanks},         {"log_loss", metrics::kLogLoss},
    {"brier", metrics::kBrier},         {"absolute", metrics::kAbsolute},
    {"relative", metrics::kRelative},   {"squares", metrics::kSquares},
    {"mean", metrics::kMean},           {"deviations", metrics::kDeviations}};

py::array view(std::span<double> numbers, const py::object& owner) {
  return py::array(py::dtype::of<double>(), static_cast<py::ssize_t>(numbers.size()), numbers.data(), owner);
}

template <class T>
double roc_area(const py::array& scores, const py::array_t<bool>& positive, const std::optional<py::array>& weights,
                int64_t n) {
  const auto* const w = weights ? static_cast<const double*>(vector(*weights, DType::float64, n, "roc_auc")) : nullptr;
  const T* const s = static_cast<const T*>(scores.data());
  const bool* const p = positive.data();
  const ReleaseGil released;
  return metrics::roc_area(s, p, w, n);
}

}  // namespace

metrics::Answers answers(const metrics::Sums& sums, const py::array& truth, const std::optional<py::array>& weights,
                         int64_t rows) {
  const metrics::Plan& plan = sums.plan();
  metrics::Answers found;
  found.weights = weights ? vector(*weights, sums.dtype(), rows, "sample_weight") : nullptr;
  if (plan.kind != metrics::Kind::classes) {
    found.target.values = matrix(truth, sums.dtype(), "metrics");
    if (found.target.values.rows != rows || found.target.values.cols != plan.columns)
      fail("metrics", "expected an answer for each of ", rows, " rows and ", plan.columns, " outputs");
    return found;
  }
  if (!truth.dtype().equal(py::dtype::of<int32_t>()) || truth.ndim() != 1 || truth.shape(0) != rows ||
      (rows > 1 && truth.strides(0) != 4))
    fail("metrics", "expected ", rows, " contiguous class indices");
  found.target.classes = static_cast<const int32_t*>(truth.data());
  for (int64_t i = 0; i < rows; ++i)
    if (found.target.classes[i] >= plan.columns)
      fail("metrics", "expected class indices below ", plan.columns, ", got another in row ", i);
  return found;
}

void bind_metrics(py::module_& module) {
  py::class_<metrics::Sums>(module, "MetricSums")
      .def(py::init([](const std::string& dtype, const std::string& kind, const std::string& link, int64_t first,
                       int64_t columns, double threshold, const std::vector<std::string>& wanted) {
             if (first < 0 || columns < 1) fail("metrics", "expected at least one output");
             metrics::Plan plan{parse("kind", kind, kKinds), parse("link", link, kLinks), first, columns, threshold};
             for (const std::string& each : wanted) plan.want(each);
             return new metrics::Sums(plan, cpu_device(parse_dtype(dtype)));
           }),
           py::arg("dtype"), py::arg("kind"), py::arg("link"), py::arg("first"), py::arg("columns"),
           py::arg("threshold"), py::arg("wanted"))
      .def(
          "add",
          [](metrics::Sums& self, const py::array& outputs, const py::array& truth,
             const std::optional<py::array>& weights) {
            const ConstMatrix rows = matrix(outputs, self.dtype(), "metrics");
            if (rows.cols < self.plan().first + self.plan().columns) fail("metrics", "expected more outputs");
            const metrics::Answers right = answers(self, truth, weights, rows.rows);
            const Work work;
            self.begin();
            self.add(rows, right, nullptr, 0);
            self.commit();
          },
          py::arg("outputs"), py::arg("truth"), py::arg("weights"))
      .def_property_readonly("all",
                             [](const py::object& self) { return view(self.cast<metrics::Sums&>().all(), self); })
      .def("section", [](const py::object& self, const std::string& name) {
        return view(self.cast<metrics::Sums&>().section(parse("sum", name, kSections)), self);
      });

  module.def(
      "roc_area",
      [](const py::array& scores, const py::array_t<bool>& positive, const std::optional<py::array>& weights) {
        const DType dtype = dtype_of(scores, "roc_auc");
        const auto n = static_cast<int64_t>(scores.size());
        vector(scores, dtype, n, "roc_auc");
        if (positive.ndim() != 1 || positive.size() != n || (n > 1 && positive.strides(0) != 1))
          fail("roc_auc", "expected a contiguous truth for each score");
        return dtype == DType::float32 ? roc_area<float>(scores, positive, weights, n)
                                       : roc_area<double>(scores, positive, weights, n);
      },
      py::arg("scores"), py::arg("positive"), py::arg("weights"));
}

}  // namespace whet::bindings
