#include <memory>

#include "check.h"
#include "core/error.h"
#include "core/random.h"
#include "engine/predictor.h"
#include "engine/trainer.h"
#include "graph/memory_plan.h"

namespace {

using namespace whet;

TEST(buffers_that_live_together_do_not_overlap) {
  for (uint64_t round = 0; round < 200; ++round) {
    const RandomKey key{.seed = round};
    std::vector<Lifetime> buffers;
    int64_t together = 0;
    for (uint64_t i = 0; i < 30; ++i) {
      const auto number = [&](uint64_t j, double below) {
        return static_cast<int>(random_unit(key, 3 * i + j) * below);
      };
      const int first = number(0, 20);
      buffers.push_back({1 + number(1, 500), first, first + number(2, 10)});
      together += round_up(buffers.back().bytes, kAlignment);
    }
    const MemoryPlan plan = plan_memory(buffers);
    CHECK(plan.bytes < together, "nothing is shared");
    for (size_t i = 0; i < buffers.size(); ++i) {
      CHECK(plan.offsets[i] % static_cast<int64_t>(kAlignment) == 0);
      CHECK(plan.offsets[i] + buffers[i].bytes <= plan.bytes);
      for (size_t j = 0; j < i; ++j) {
        const bool alive = buffers[i].first <= buffers[j].last && buffers[j].first <= buffers[i].last;
        const bool overlap = plan.offsets[i] < plan.offsets[j] + buffers[j].bytes &&
                             plan.offsets[j] < plan.offsets[i] + buffers[i].bytes;
        CHECK(!(alive && overlap), round, " ", i, " ", j);
      }
    }
  }
}

/// y = 2 x0 - 3 x1 + 1, without noise.
struct Line {
  static constexpr int64_t rows = 1000;
  std::vector<float> x = std::vector<float>(2 * rows), y = std::vector<float>(rows);
  std::shared_ptr<Graph> graph;
  std::shared_ptr<State> state;

  Line() {
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(random_unit({.seed = 1}, i));
    for (size_t i = 0; i < y.size(); ++i) y[i] = 2 * x[2 * i] - 3 * x[2 * i + 1] + 1;
    const std::vector<ParameterSpec> parameters{{"weight", {1, 2}}, {"bias", {1}}};
    graph = std::make_shared<Graph>(Shape{2}, parameters);
    graph->add("linear", {}, {0}, {0, 1});
    state = std::make_shared<State>(parameters, DType::float32);
  }
  Data data() const { return {{x.data(), rows, 2, 2}, {{y.data(), rows, 1, 1}}}; }
  Trainer trainer() const {
    const auto& adam = math::find_optimizer("adam");
    return {graph,
            state,
            cpu_device(DType::float32),
            Loss{},
            {&adam,
             {{math::option_values("adam", adam.options, std::vector<std::pair<std::string, double>>{{"lr", 0.05}})}}}};
  }
  const float* parameter(size_t i) const { return static_cast<const float*>(state->parameter(i)); }
};

TEST(a_trainer_finds_the_line) {
  const Line line;
  Trainer trainer = line.trainer();
  Watch watch;
  EpochPosition last;
  for (uint32_t epoch = 0; epoch < 30; ++epoch) {
    last = {};
    trainer.epoch(line.data(), {.batch_rows = 64, .epoch = epoch}, last, watch);
  }
  CHECK(last.steps == 16 && last.batches == 16 && trainer.steps() == 480);
  CHECK(last.loss_sum / last.weight_sum < 1e-4, last.loss_sum);
  CHECK(std::abs(line.parameter(0)[0] - 2) < 0.05f && std::abs(line.parameter(0)[1] + 3) < 0.05f);
  CHECK(std::abs(line.parameter(1)[0] - 1) < 0.05f);

  Predictor predictor(line.graph, DType::float32);
  std::vector<float> prediction(Line::rows);
  predictor.predict(*line.state, line.data().x, {prediction.data(), Line::rows, 1, 1}, watch);
  for (size_t i = 0; i < prediction.size(); ++i) CHECK(std::abs(prediction[i] - line.y[i]) < 0.1f, i);
}

TEST(blocks_of_a_batch_change_no_bit_of_a_gradient) {
  // 2,900 rows are 12 slabs; the trainer takes them in blocks of one slab, the program here all at once.
  constexpr int64_t rows = 2900, in = 20, hidden = 700;
  const std::vector<ParameterSpec> parameters{{"w", {hidden, in}}, {"b", {hidden}}, {"v", {1, hidden}}, {"c", {1}}};
  auto graph = std::make_shared<Graph>(Shape{in}, parameters);
  graph->add("linear", {}, {graph->add("tanh", {}, {graph->add("linear", {}, {0}, {0, 1})}, {})}, {2, 3});
  const auto state = std::make_shared<State>(parameters, DType::float32);
  const auto fill = [](float* out, int64_t n, uint64_t seed) {
    for (int64_t i = 0; i < n; ++i)
      out[i] = static_cast<float>(random_unit({.seed = seed}, static_cast<uint64_t>(i))) - 0.5f;
  };
  std::vector<float> x(rows * in), y(rows), losses(rows);
  fill(static_cast<float*>(state->parameters()), state->layout().size, 1);
  fill(x.data(), rows * in, 2);
  fill(y.data(), rows, 3);
  const Data data{{x.data(), rows, in, in}, {{y.data(), rows, 1, 1}}};
  Device& device = cpu_device(DType::float32);
  Watch watch;

  const Program whole(graph, device, rows, Purpose::train);
  const Arena arena(whole.arena_bytes()), gradients = state->like();
  Pass pass;
  pass.arena = arena.data();
  pass.parameters = state->parameters();
  pass.gradients = gradients.data();
  pass.rows = rows;
  pass.input = data.x;
  whole.forward(pass, watch);
  device.loss(losses.data(), whole.output_gradient(pass), whole.output(pass), data.target, nullptr, 1.0 / rows, {});
  whole.backward(pass, watch);

  const auto& gd = math::find_optimizer("gd");
  Trainer trainer(graph, state, device, Loss{}, {&gd, {{math::option_values("gd", gd.options, {})}}});
  trainer.step(data, watch);
  const auto elements = [&](const Arena& flat) {
    const float* const first = reinterpret_cast<const float*>(flat.data());
    return std::vector<float>(first, first + state->layout().size);
  };
  CHECK(same_bits(elements(gradients), elements(trainer.gradients())));
}

TEST(what_throws_leaves_a_whole_step) {
  const Line line;
  Trainer trainer = line.trainer();
  int polls = 0;
  Watch stop([&] {
    if (++polls == 2) throw std::runtime_error("stop");
  });
  EpochPosition position;
  uint32_t stopped_in = 0;
  try {
    for (;; ++stopped_in) {
      position = {};
      trainer.epoch(line.data(), {.batch_rows = 8, .epoch = stopped_in}, position, stop);
    }
  } catch (const std::runtime_error&) {
  }
  const int64_t steps = trainer.steps();
  const std::vector<float> stopped(line.parameter(0), line.parameter(0) + 2);

  const Line again;
  Trainer straight = again.trainer();
  Watch watch;
  EpochPosition whole;
  for (uint32_t epoch = 0; straight.steps() < steps; ++epoch) {
    whole = {};
    straight.epoch(again.data(), {.batch_rows = 8, .epoch = epoch, .max_steps = steps - straight.steps()}, whole,
                   watch);
  }
  CHECK(same_bits(stopped, std::vector<float>(again.parameter(0), again.parameter(0) + 2)), steps);
  CHECK(position.steps == whole.steps && position.loss_sum == whole.loss_sum, "in epoch ", stopped_in);
}

TEST(shapes_that_do_not_fit_are_refused_and_change_nothing) {
  Graph graph({3}, {{"weight", {4, 2}}});
  CHECK_THROWS(std::invalid_argument, graph.add("linear", {}, {0}, {0}));
  CHECK_THROWS(std::invalid_argument, graph.add("no such operation", {}, {0}, {}));
  CHECK_THROWS(std::invalid_argument, graph.add("relu", {}, {7}, {}));
  CHECK(graph.nodes().empty() && graph.values() == 1 && graph.output() == 0);
}

}  // namespace

int main() { return whet::run_tests(); }
