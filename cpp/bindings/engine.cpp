#include <algorithm>
#include <cstring>

#include "bindings/bindings.h"
#include "bindings/metrics.h"
#include "core/error.h"
#include "core/shape.h"
#include "engine/optimizers/optimizers.h"
#include "engine/trainer.h"

namespace whet::bindings {

namespace {

/// A writable array over memory that `owner` keeps alive.
py::array view(DType dtype, const Shape& shape, void* data, py::handle owner) {
  return py::array(numpy_dtype(dtype), shape, data, owner);
}

Data borrow(const Trainer& trainer, const Graph& graph, const Loss& loss, const py::object& x, const py::array& y,
            const std::optional<py::array>& weights) {
  const DType dtype = trainer.state().dtype();
  Data data;
  data.x = features(x, dtype, graph, "fit");
  const int64_t rows = data.x.rows();
  if (rows == 0) fail("fit", "expected at least one row, got none");
  data.target = target(y, dtype, rows, trainer.target_width(), loss);
  data.weights = weights ? vector(*weights, dtype, rows, "sample_weight") : nullptr;
  return data;
}

/// A Trainer with what its arguments are checked against.
struct BoundTrainer {
  std::shared_ptr<Graph> graph;
  Loss loss;
  Trainer trainer;
};

/// Values, one for every step, of an option of a group; or, of no group, -1, of a number of the graph.
using Series = std::tuple<int64_t, std::string, std::vector<double>>;

Numbers parse_numbers(const math::OptimizerInfo& info, Options given) {
  Numbers numbers;
  std::erase_if(given, [&](const auto& option) {
    if (option.first == "l1") numbers.l1 = option.second;
    return option.first == "l1";
  });
  numbers.options = math::option_values(info.name, info.options, given);
  return numbers;
}

double* number_of(Trainer& trainer, int64_t group, const std::string& option) {
  if (group < 0) return &trainer.numbers().at(static_cast<size_t>(std::stoi(option)));
  Updater& updater = trainer.updater();
  Numbers& numbers = updater.numbers(static_cast<size_t>(group));
  if (option == "l1") return &numbers.l1;
  const auto options = updater.recipe().optimizer->options;
  for (size_t i = 0; i < options.size(); ++i)
    if (options[i].name == option) return &numbers.options[i];
  fail("fit", "has no option '", option, "'");
}

Shaping parse_shaping(const Options& given) {
  Shaping shaping;
  for (const auto& [name, value] : given) {
    if (name == "centralize")
      shaping.centralize = value != 0;
    else if (name == "noise")
      shaping.noise = value;
    else if (name == "noise_decay")
      shaping.noise_decay = value;
    else if (name == "normalize")
      shaping.normalize = value != 0;
    else if (name == "clip_norm")
      shaping.clip_norm = value;
    else if (name == "clip_value")
      shaping.clip_value = value;
    else if (name == "max_norm")
      shaping.max_norm = value;
    else if (name == "accumulate")
      shaping.accumulate = static_cast<int64_t>(value);
    else if (name == "ema")
      shaping.ema = value;
    else
      fail("fit", "has no option '", name, "'");
  }
  return shaping;
}

/// A copy of a matrix as an array.
py::array copied(DType dtype, ConstMatrix x) {
  py::array copy(numpy_dtype(dtype), std::vector<py::ssize_t>{x.rows, x.cols});
  const size_t element = size_of(dtype), row = static_cast<size_t>(x.cols) * element;
  for (int64_t i = 0; i < x.rows; ++i)
    std::memcpy(static_cast<std::byte*>(copy.mutable_data()) + static_cast<size_t>(i) * row,
                static_cast<const std::byte*>(x.data) + static_cast<size_t>(i * x.stride) * element, row);
  return copy;
}

/// Asks function(prediction, target) for the loss of each row and its gradient, exact arrays of the trainer's dtype.
void call_row_loss(const py::function& function, DType dtype, ConstMatrix prediction, ConstMatrix target,
                   void* row_losses, Matrix gradient) {
  const py::gil_scoped_acquire gil;
  const py::tuple answer = function(copied(dtype, prediction), copied(dtype, target));
  const auto losses = answer[0].cast<py::array>(), slopes = answer[1].cast<py::array>();
  std::memcpy(row_losses, vector(losses, dtype, prediction.rows, "loss"),
              static_cast<size_t>(prediction.rows) * size_of(dtype));
  const ConstMatrix from = matrix(slopes, dtype, "loss");
  if (from.rows != prediction.rows || from.cols != prediction.cols) fail("loss", "expected a gradient of all outputs");
  if (gradient.data) cpu_device(dtype).copy(gradient, from, false);
}

double step(BoundTrainer& self, const py::object& x, const py::array& y, const std::optional<py::array>& weights) {
  const Data batch = borrow(self.trainer, *self.graph, self.loss, x, y, weights);
  Watch watch = interruptible();
  const Work work;
  return self.trainer.step(batch, watch);
}

/// Sums, and the answers and weights of the rows of an epoch as metrics read them.
using MeasuredRows = std::tuple<metrics::Sums*, py::array, std::optional<py::array>>;

constexpr double kMostSeconds = 1e9;  // more is for ever, and what a clock can count

void epoch(BoundTrainer& self, const py::object& x, const py::array& y, const std::optional<py::array>& weights,
           int64_t batch_rows, bool shuffle, uint32_t number, int64_t max_steps, const std::vector<Series>& schedules,
           std::optional<py::array> predictions, EpochPosition& position, double seconds, int64_t first_batch,
           const std::optional<MeasuredRows>& measured) {
  const Data data = borrow(self.trainer, *self.graph, self.loss, x, y, weights);
  if (batch_rows < 1) fail("fit", "expected a batch size of at least 1, got ", batch_rows);
  if (position.batches < first_batch) fail("fit", "expected data that an epoch has come to");
  const int64_t batches = (data.x.rows() - 1) / batch_rows + 1 - (position.batches - first_batch);
  const int64_t steps = std::min(batches, max_steps);
  std::vector<Scheduled> scheduled;
  for (const auto& [group, option, values] : schedules) {
    if (static_cast<int64_t>(values.size()) < steps)
      fail("fit", "expected ", steps, " values of ", option, ", got ", values.size());
    scheduled.push_back({number_of(self.trainer, group, option), values.data()});
  }
  EpochPlan plan{batch_rows, shuffle, number, max_steps, scheduled};
  plan.first_batch = first_batch;
  if (seconds < kMostSeconds)
    plan.deadline = EpochPlan::Clock::now() + std::chrono::duration_cast<EpochPlan::Clock::duration>(
                                                  std::chrono::duration<double>(std::max(seconds, 0.0)));
  if (predictions) {
    plan.predictions = mutable_matrix(*predictions, self.trainer.state().dtype(), "fit");
    if (plan.predictions.rows != data.x.rows() || plan.predictions.cols != self.graph->width(self.graph->output()))
      fail("fit", "expected room for one prediction per row");
  }
  if (measured) {
    const auto& [sums, truth, given] = *measured;
    const int64_t outputs = self.graph->width(self.graph->output());
    if (sums->dtype() != self.trainer.state().dtype() || outputs < sums->plan().first + sums->plan().columns)
      fail("fit", "expected sums of these outputs");
    plan.measured = {sums, answers(*sums, truth, given, data.x.rows())};
  }
  Watch watch = interruptible();
  const Work work;
  self.trainer.epoch(data, plan, position, watch);
}

Recorder& recorder_of(BoundTrainer& self) {
  if (!self.trainer.recorder()) fail("fit", "records nothing");
  return *self.trainer.recorder();
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

  py::class_<EpochPosition>(module, "EpochPosition")
      .def(py::init([](int64_t batches, int64_t steps, double loss_sum, double weight_sum) {
             return EpochPosition{batches, steps, loss_sum, weight_sum};
           }),
           py::arg("batches") = 0, py::arg("steps") = 0, py::arg("loss_sum") = 0.0, py::arg("weight_sum") = 0.0)
      .def_readonly("batches", &EpochPosition::batches)
      .def_readonly("steps", &EpochPosition::steps)
      .def_readonly("loss_sum", &EpochPosition::loss_sum)
      .def_readonly("weight_sum", &EpochPosition::weight_sum)
      .def_readwrite("stop", &EpochPosition::stop);

  module.def(
      "slots",
      [](const std::string& optimizer, const Options& options, const Shape& parameter,
         const std::vector<double>& numbers) {
        const MethodInfo* const method = optimizers::find_method(optimizer);
        const auto& info = method ? method->optimizer : math::find_optimizer(optimizer);
        std::vector<std::pair<std::string, Shape>> found;
        for (const ParameterSpec& slot :
             slots_of(info, method, parameter, parse_numbers(info, options).options, numbers))
          found.emplace_back(slot.name, slot.shape);
        return found;
      },
      py::arg("optimizer"), py::arg("options"), py::arg("parameter"), py::arg("numbers"));

  py::class_<BoundTrainer>(module, "Trainer")
      .def(
          py::init([](std::shared_ptr<Graph> graph, std::shared_ptr<State> state, const std::string& loss,
                      const LossOptions& loss_options, const std::string& optimizer, const std::vector<Options>& groups,
                      std::vector<int> group_of, const Options& shaping, const std::string& precision, uint64_t seed) {
            // A graph with a loss of its own needs no other.
            const Loss parsed = graph->loss() < 0 ? parse_loss(loss, loss_options) : Loss{};
            const MethodInfo* const method = optimizers::find_method(optimizer);
            const auto& info = method ? method->optimizer : math::find_optimizer(optimizer);
            Recipe recipe{&info, {}, std::move(group_of), parse_shaping(shaping), method};
            for (const Options& group : groups) recipe.groups.push_back(parse_numbers(*recipe.optimizer, group));
            Device& device = cpu_device(state->dtype(), parse_precision(precision));
            return new BoundTrainer{graph, parsed, {graph, std::move(state), device, parsed, std::move(recipe), seed}};
          }),
          py::arg("graph"), py::arg("state"), py::arg("loss"), py::arg("loss_options"), py::arg("optimizer"),
          py::arg("groups"), py::arg("group_of"), py::arg("shaping"), py::arg("precision"), py::arg("seed"))
      .def(
          "set_row_loss",
          [](BoundTrainer& self, py::function function, int64_t targets) {
            const DType dtype = self.trainer.state().dtype();
            self.trainer.set_row_loss(
                [function = std::move(function), dtype](ConstMatrix prediction, const Target& target, void* row_losses,
                                                        Matrix gradient) {
                  call_row_loss(function, dtype, prediction, target.values, row_losses, gradient);
                },
                targets);
          },
          py::arg("function"), py::arg("targets"))
      .def(
          "set_reduction",
          [](BoundTrainer& self, double factor, bool mean) { self.trainer.set_reduction({factor, mean}); },
          py::arg("factor"), py::arg("mean"))
      .def("step", &step, py::arg("x"), py::arg("y"), py::arg("weights"))
      .def("epoch", &epoch, py::arg("x"), py::arg("y"), py::arg("weights"), py::arg("batch_rows"), py::arg("shuffle"),
           py::arg("number"), py::arg("max_steps"), py::arg("schedules"), py::arg("predictions"), py::arg("position"),
           py::arg("seconds"), py::arg("first_batch") = 0, py::arg("measured") = std::nullopt)
      .def("record", [](BoundTrainer& self, int64_t every) { self.trainer.record(every); })
      .def_property_readonly("sums",
                             [](const py::object& self) {
                               const std::span<double> sums = recorder_of(self.cast<BoundTrainer&>()).sums();
                               return view(DType::float64, {static_cast<int64_t>(sums.size())}, sums.data(), self);
                             })
      .def_property_readonly("recorded",
                             [](BoundTrainer& self) {
                               py::list found;
                               for (const RecordedLayer& each : recorder_of(self).layers())
                                 found.append(py::make_tuple(each.node, each.units, each.squashes));
                               return found;
                             })
      .def("gradient",
           [](const py::object& self, size_t i) {
             const Trainer& trainer = self.cast<BoundTrainer&>().trainer;
             const State& state = trainer.state();
             return view(state.dtype(), state.specs().at(i).shape, state.at(trainer.gradients(), i), self);
           })
      .def("slot",  // -1 is the average
           [](const py::object& self, int64_t slot, size_t i) {
             const Trainer& trainer = self.cast<BoundTrainer&>().trainer;
             const State& state = trainer.state();
             const View found = slot < 0 ? View{state.specs().at(i).shape, state.at(trainer.updater().average(), i)}
                                         : trainer.updater().slot(static_cast<size_t>(slot), i);
             return view(state.dtype(), found.shape, found.data, self);
           })
      .def_property(
          "numbers",
          [](const BoundTrainer& self) {
            const Search* const memory = self.trainer.updater().memory();
            return memory ? memory->numbers() : std::vector<double>{};
          },
          [](BoundTrainer& self, const std::vector<double>& numbers) {
            if (Search* const memory = self.trainer.updater().memory()) memory->set_numbers(numbers);
          })
      .def_property(
          "steps", [](const BoundTrainer& self) { return self.trainer.steps(); },
          [](BoundTrainer& self, int64_t steps) { self.trainer.updater().set_steps(steps); })
      .def("average_after", [](BoundTrainer& self, int64_t steps) { self.trainer.updater().set_average_after(steps); })
      .def("swap_average", [](BoundTrainer& self) { return self.trainer.updater().swap_average(); });
}

}  // namespace whet::bindings
