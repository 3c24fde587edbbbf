#include "engine/predictor.h"

#include <atomic>

#include "bindings/fast_ops.h"
#include "core/error.h"
#include "engine/differentiator.h"
#include "engine/sampler.h"

namespace whet::bindings {

namespace {

/// Counts the changes to the modules of this process: what was found out about any of them is true until it grows.
std::atomic<int64_t> structure_version{0};

/// A Predictor for the model whose parameters a State holds.
struct BoundPredictor {
  std::shared_ptr<Graph> graph;
  std::shared_ptr<State> state;
  std::optional<int64_t> version;  // at which graph and state were the model's; none if that may change uncounted
  Predictor predictor;

  bool current() const { return version == structure_version && !state->left(); }
};

/// A Sampler or a Differentiator, likewise.
template <class Engine>
struct Bound {
  std::shared_ptr<Graph> graph;
  std::shared_ptr<State> state;
  Engine engine;
};
using BoundSampler = Bound<Sampler>;
using BoundDifferentiator = Bound<Differentiator>;

/// Throws std::invalid_argument unless a matrix has so many rows and the columns of a value.
void check_shape(ConstMatrix given, int64_t rows, int64_t cols, const char* where, const char* what) {
  if (given.rows != rows || given.cols != cols)
    fail(where, "expected ", what, " of shape (", rows, ", ", cols, "), got (", given.rows, ", ", given.cols, ")");
}

void predict(BoundPredictor& self, const py::object& x, py::array& out) {
  const Graph& graph = *self.graph;
  const Features input = features(x, self.state->dtype(), graph, "predict");
  const Matrix output = mutable_matrix(out, self.state->dtype(), "predict");
  check_shape(output, input.rows(), graph.width(graph.output()), "predict", "room for outputs");
  Watch watch = interruptible();
  const Work work;
  self.predictor.predict(*self.state, input, output, watch);
}

void sample(BoundSampler& self, const py::array& x, py::array& out, uint64_t seed, uint32_t pass) {
  const Graph& graph = *self.graph;
  const ConstMatrix input = matrix(x, self.state->dtype(), "sample");
  const Matrix output = mutable_matrix(out, self.state->dtype(), "sample");
  check_shape(input, input.rows, graph.width(0), "sample", "features");
  check_shape(output, input.rows, graph.width(graph.output()), "sample", "room for outputs");
  Watch watch = interruptible();
  const Work work;
  self.engine.sample(*self.state, input, output, seed, pass, watch);
}

void differentiate(BoundDifferentiator& self, const py::array& x, const py::array& dy, py::array& dx) {
  const Graph& graph = *self.graph;
  const ConstMatrix input = matrix(x, self.state->dtype(), "differentiate");
  const ConstMatrix output_gradient = matrix(dy, self.state->dtype(), "differentiate");
  const Matrix input_gradient = mutable_matrix(dx, self.state->dtype(), "differentiate");
  check_shape(input, input.rows, graph.width(0), "differentiate", "features");
  check_shape(output_gradient, input.rows, graph.width(graph.output()), "differentiate", "a gradient of outputs");
  check_shape(input_gradient, input.rows, input.cols, "differentiate", "room for gradients");
  Watch watch = interruptible();
  const Work work;
  self.engine.differentiate(*self.state, input, output_gradient, input_gradient, watch);
}

}  // namespace

/// Of a model whose predictor is current. What takes longer than a blink goes the thorough way, which can be
/// interrupted.
PyObject* fast::predict(const Call& call) {
  enum { model_, x_ };
  constexpr double blink = 1 << 25;
  static PyObject* const name = PyUnicode_InternFromString("_predictor");
  const auto held = py::reinterpret_steal<py::object>(PyObject_GetAttr(call[model_], name));
  if (!held) {
    PyErr_Clear();
    return nullptr;
  }
  py::detail::make_caster<BoundPredictor> caster;
  if (held.is_none() || !caster.load(held, false)) return nullptr;
  BoundPredictor& self = caster;
  if (!self.current()) return nullptr;

  const Graph& graph = *self.graph;
  const State& state = *self.state;
  const auto features = Floats::of(call[x_], state.dtype());
  const auto x = features ? features->rows() : std::nullopt;
  if (!x || x->cols != graph.width(0) || graph.shape(graph.output()).size() != 1) return nullptr;
  const double products = work_of({nullptr, x->rows, state.layout().size}, 1);
  if (products > blink) return nullptr;
  const Py_intptr_t shape[] = {x->rows, graph.width(graph.output())};
  const py::object result = new_array(state.dtype(), 2, shape);
  if (!result) return nullptr;
  const Matrix out{Floats::of(result.ptr(), state.dtype())->data(), shape[0], shape[1], shape[1]};
  bool finite = true;
  const bool done = run(products, [&] {
    finite = cpu_device(state.dtype()).find_nonfinite(*x) < 0;
    Watch never;
    if (finite) self.predictor.predict(state, {*x, {}}, out, never);
  });
  return done && finite ? py::object(result).release().ptr() : nullptr;
}

void bind_predictor(py::module_& module) {
  module.def("structure_version", [] { return structure_version.load(); });
  module.def("structure_changed", [] { ++structure_version; });
  py::class_<BoundPredictor>(module, "Predictor")
      .def(py::init([](std::shared_ptr<Graph> graph, std::shared_ptr<State> state) {
             return new BoundPredictor{graph, state, std::nullopt, {graph, state->dtype()}};
           }),
           py::arg("graph"), py::arg("state"))
      .def_readonly("graph", &BoundPredictor::graph)
      .def_readonly("state", &BoundPredictor::state)
      .def_readwrite("version", &BoundPredictor::version)
      .def("predict", &predict, py::arg("x"), py::arg("out"));
  py::class_<BoundSampler>(module, "Sampler")
      .def(py::init([](std::shared_ptr<Graph> graph, std::shared_ptr<State> state, std::vector<double> numbers) {
             return new BoundSampler{graph, state, {graph, state->dtype(), std::move(numbers)}};
           }),
           py::arg("graph"), py::arg("state"), py::arg("numbers"))
      .def("sample", &sample, py::arg("x"), py::arg("out"), py::arg("seed"), py::arg("number"));
  py::class_<BoundDifferentiator>(module, "Differentiator")
      .def(py::init([](std::shared_ptr<Graph> graph, std::shared_ptr<State> state) {
             return new BoundDifferentiator{graph, state, {graph, state->dtype()}};
           }),
           py::arg("graph"), py::arg("state"))
      .def("differentiate", &differentiate, py::arg("x"), py::arg("dy"), py::arg("dx"));
}

}  // namespace whet::bindings
