#include "engine/predictor.h"

#include <atomic>

#include "bindings/fast_ops.h"
#include "core/error.h"

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

void predict(BoundPredictor& self, const py::object& x, py::array& out) {
  const Graph& graph = *self.graph;
  const Features input = features(x, self.state->dtype(), graph, "predict");
  const Matrix output = mutable_matrix(out, self.state->dtype(), "predict");
  if (output.rows != input.rows() || output.cols != graph.width(graph.output()))
    fail("predict", "expected room for every output");
  Watch watch = interruptible();
  const Work work;
  self.predictor.predict(*self.state, input, output, watch);
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
}

}  // namespace whet::bindings
