#include <algorithm>

#include "bindings/bindings.h"
#include "core/error.h"
#include "core/shape.h"
#include "engine/trainer.h"

namespace whet::bindings {

namespace {

/// A writable array over memory that `owner` keeps alive.
py::array view(DType dtype, const Shape& shape, void* data, py::handle owner) {
  return py::array(numpy_dtype(dtype), shape, data, owner);
}

Data borrow(const Trainer& trainer, const Graph& graph, const Loss& loss, const py::array& x, const py::array& y,
            const std::optional<py::array>& weights) {
  const DType dtype = trainer.state().dtype();
  Data data;
  data.x = matrix(x, dtype, "fit");
  if (data.x.rows == 0) fail("fit", "expected at least one row, got none");
  if (data.x.cols != graph.width(0)) fail("fit", "expected ", graph.width(0), " features, got ", data.x.cols);
  data.target = target(y, dtype, data.x.rows, graph.width(graph.output()), loss);
  data.weights = weights ? vector(*weights, dtype, data.x.rows, "sample_weight") : nullptr;
  return data;
}

/// A Trainer with what its arguments are checked against.
struct BoundTrainer {
  std::shared_ptr<Graph> graph;
  Loss loss;
  Trainer trainer;
};

double step(BoundTrainer& self, const py::array& x, const py::array& y, const std::optional<py::array>& weights) {
  const Data batch = borrow(self.trainer, *self.graph, self.loss, x, y, weights);
  Watch watch = interruptible();
  const Work work;
  return self.trainer.step(batch, watch);
}

py::tuple epoch(BoundTrainer& self, const py::array& x, const py::array& y, const std::optional<py::array>& weights,
                int64_t batch_rows, bool shuffle, uint32_t number, int64_t max_steps,
                const std::vector<double>& learning_rates, std::optional<py::array> predictions) {
  const Data data = borrow(self.trainer, *self.graph, self.loss, x, y, weights);
  if (batch_rows < 1) fail("fit", "expected a batch size of at least 1, got ", batch_rows);
  const int64_t steps = std::min((data.x.rows - 1) / batch_rows + 1, max_steps);
  if (!learning_rates.empty() && static_cast<int64_t>(learning_rates.size()) < steps)
    fail("fit", "expected ", steps, " learning rates, got ", learning_rates.size());
  EpochPlan plan{batch_rows, shuffle, number, max_steps, learning_rates, {}};
  if (predictions) {
    plan.predictions = mutable_matrix(*predictions, self.trainer.state().dtype(), "fit");
    if (plan.predictions.rows != data.x.rows || plan.predictions.cols != self.graph->width(self.graph->output()))
      fail("fit", "expected room for one prediction per row");
  }
  Watch watch = interruptible();
  EpochResult result;
  {
    const Work work;
    result = self.trainer.epoch(data, plan, watch);
  }
  return py::make_tuple(result.loss_sum, result.weight_sum, result.steps);
}

}  // namespace

void bind_engine(py::module_& module) {
  py::class_<State, std::shared_ptr<State>>(module, "State")
      .def(py::init([](const std::vector<std::pair<std::string, Shape>>& parameters, const std::string& dtype) {
             std::vector<ParameterSpec> specs;
             for (const auto& [name, shape] : parameters) specs.push_back({name, shape});
             return std::make_shared<State>(std::move(specs), parse_dtype(dtype));
           }),
           py::arg("parameters"), py::arg("dtype"))
      .def_property_readonly("dtype", [](const State& state) { return name_of(state.dtype()); })
      .def_property("left", &State::left, &State::set_left)
      .def("parameter", [](const py::object& self, size_t i) {
        const auto& state = self.cast<const State&>();
        if (i >= state.specs().size()) throw py::index_error();
        return view(state.dtype(), state.specs()[i].shape, state.parameter(i), self);
      });

  py::class_<BoundTrainer>(module, "Trainer")
      .def(py::init([](std::shared_ptr<Graph> graph, std::shared_ptr<State> state, const std::string& loss,
                       const LossOptions& loss_options, const std::string& optimizer, const Options& optimizer_options,
                       const std::string& precision, std::optional<double> clip_norm, std::optional<double> clip_value,
                       uint64_t seed) {
             const Loss parsed = parse_loss(loss, loss_options);
             const math::OptimizerInfo& info = math::find_optimizer(optimizer);
             const math::OptionValues values = math::option_values(optimizer, info.options, optimizer_options);
             Device& device = cpu_device(state->dtype(), parse_precision(precision));
             const Clipping none, clipping{clip_norm.value_or(none.norm), clip_value.value_or(none.value)};
             return new BoundTrainer{
                 graph, parsed, {graph, std::move(state), device, parsed, info, values, clipping, seed}};
           }),
           py::arg("graph"), py::arg("state"), py::arg("loss"), py::arg("loss_options"), py::arg("optimizer"),
           py::arg("optimizer_options"), py::arg("precision"), py::arg("clip_norm"), py::arg("clip_value"),
           py::arg("seed"))
      .def("step", &step, py::arg("x"), py::arg("y"), py::arg("weights"))
      .def("epoch", &epoch, py::arg("x"), py::arg("y"), py::arg("weights"), py::arg("batch_rows"), py::arg("shuffle"),
           py::arg("number"), py::arg("max_steps"), py::arg("learning_rates"), py::arg("predictions"))
      .def("gradient",
           [](const py::object& self, size_t i) {
             const Trainer& trainer = self.cast<BoundTrainer&>().trainer;
             const State& state = trainer.state();
             return view(state.dtype(), state.specs().at(i).shape, state.at(trainer.gradients(), i), self);
           })
      .def("slot",
           [](const py::object& self, size_t slot, size_t i) {
             const Trainer& trainer = self.cast<BoundTrainer&>().trainer;
             const State& state = trainer.state();
             return view(state.dtype(), state.specs().at(i).shape, state.at(trainer.slots().at(slot), i), self);
           })
      .def_property(
          "steps", [](const BoundTrainer& self) { return self.trainer.steps(); },
          [](BoundTrainer& self, int64_t steps) { self.trainer.set_steps(steps); });
}

}  // namespace whet::bindings
