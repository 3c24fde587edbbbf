// A step allocates nothing. All that asks for memory comes by here.

#include <atomic>
#include <cstddef>

#include "check.h"
#include "core/random.h"
#include "device/cpu/cpu.h"
#include "engine/optimizers/optimizers.h"
#include "engine/predictor.h"
#include "engine/trainer.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WHET_COUNTS 1
#endif

namespace {
std::atomic<int64_t> allocations{0};
}  // namespace

#if WHET_COUNTS
// The C library's own functions under its own names, and the calls of everybody else before them.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t n) { return ++allocations, __libc_malloc(n); }
void* calloc(size_t n, size_t size) { return ++allocations, __libc_calloc(n, size); }
void* realloc(void* p, size_t n) { return ++allocations, __libc_realloc(p, n); }
void* aligned_alloc(size_t alignment, size_t n) { return ++allocations, __libc_memalign(alignment, n); }
int posix_memalign(void** p, size_t alignment, size_t n) {
  *p = __libc_memalign(alignment, n);
  return ++allocations, 0;
}
}
#endif

namespace {

using namespace whet;

struct Case {
  std::vector<int64_t> widths;
  int64_t batch_rows, rows;
  Precision precision = Precision::full;
  Shaping shaping{};
  bool every_operation = false;  // between the layers
  const char* optimizer = "adam";
};

/// All that may be done besides the sweep.
const Shaping kEverything{.centralize = true,
                          .noise = 0.01,
                          .noise_decay = 0.55,
                          .normalize = true,
                          .clip_norm = 1,
                          .clip_value = 0.1,
                          .max_norm = 1,
                          .accumulate = 2,
                          .ema = 0.9};

/// Parameters of `every_operation`, and the operations: rows of 24 features in, rows of 24 out.
const std::vector<ParameterSpec> kOwn{{"gamma", {24}},           {"beta", {24}},       {"mean", {24}, false},
                                      {"variance", {24}, false}, {"count", {}, false}, {"table", {5, 3}},
                                      {"w", {4, 6, 2}},          {"b", {4, 2}},        {"s", {4, 6}}};

int every_operation(Graph& graph, int x, int first) {
  const auto own = [&](std::vector<int> which) {
    for (int& i : which) i += first;
    return which;
  };
  const int normal = graph.add("normalize", {{"groups", 2}}, {x}, own({0, 1}));
  const int batch = graph.add("batch_norm", {}, {normal}, own({2, 3, 4, 0, 1}));
  const int lines = graph.add("reshape", {{"size0", 4}, {"size1", 6}}, {batch}, {});
  const int scaled = graph.add("scale_shift", {}, {lines}, own({8}));
  const int product = graph.add("mul", {}, {scaled}, own({8}));
  const int groups = graph.add("grouped_linear", {}, {product}, own({6, 7}));
  const int means = graph.add("mean", {{"axis", 1}}, {groups}, {});
  const int sums = graph.add("sum", {{"axis", 0}}, {product}, {});
  const int whole = graph.add("logsumexp", {}, {batch}, {});
  const int part = graph.add("slice", {{"start", 3}, {"stop", 7}}, {batch}, {});
  const int right = graph.add("greater", {}, {part, means}, {});
  const int chosen = graph.add("where", {}, {right, part, means}, {});
  const int column = graph.add("slice", {{"axis", 1}, {"start", 0}, {"stop", 1}}, {groups}, {});
  const int outer = graph.add("div", {}, {product, graph.add("exp", {}, {column}, {})}, {});
  const int zero = graph.add("affine", {{"scale", 0}}, {part}, {});
  const int looked = graph.add("embedding", {}, {zero}, own({5}));
  const int kept = graph.add("alpha_dropout", {{"p", 0.1}}, {graph.add("reshape", {{"size0", 12}}, {looked}, {})}, {});
  const int beside = graph.add("concatenate", {}, {sums, chosen, whole, graph.add("constant", {}, {}, {}), kept}, {});
  const int flat = graph.add("reshape", {{"size0", 24}}, {outer}, {});
  return graph.add("maximum", {}, {flat, graph.add("sub", {}, {beside, whole}, {})}, {});
}

/// A network of ReLUs and what it is trained on.
struct Training {
  std::vector<float> x, y;
  std::shared_ptr<Graph> graph;
  std::shared_ptr<State> state;
  std::unique_ptr<Trainer> trainer;
  Data data;

  explicit Training(const Case& c) {
    std::vector<ParameterSpec> parameters;
    for (size_t i = 1; i < c.widths.size(); ++i) {
      parameters.push_back({"weight", {c.widths[i], c.widths[i - 1]}});
      parameters.push_back({"bias", {c.widths[i]}});
    }
    const int weights = static_cast<int>(parameters.size());
    if (c.every_operation) parameters.insert(parameters.end(), kOwn.begin(), kOwn.end());
    graph = std::make_shared<Graph>(Shape{c.widths[0]}, parameters);
    int value = 0;
    for (int i = 0; i < weights; i += 2) {
      value = graph->add("linear", {}, {value}, {i, i + 1});
      if (i + 2 == weights) break;
      value = c.every_operation ? every_operation(*graph, value, weights) : graph->add("relu", {}, {value}, {});
    }
    state = std::make_shared<State>(parameters, DType::float32);
    const auto fill = [](float* out, int64_t n, uint64_t seed) {
      for (int64_t i = 0; i < n; ++i)
        out[i] = static_cast<float>(random_unit({.seed = seed}, static_cast<uint64_t>(i))) - 0.5f;
    };
    fill(static_cast<float*>(state->parameters()), state->layout().size, 1);
    const int64_t in = c.widths.front(), out = c.widths.back();
    x.resize(static_cast<size_t>(c.rows * in));
    y.resize(static_cast<size_t>(c.rows * out));
    fill(x.data(), c.rows * in, 2);
    fill(y.data(), c.rows * out, 3);
    data = {{x.data(), c.rows, in, in}, {{y.data(), c.rows, out, out}}};
    const MethodInfo* const method = optimizers::find_method(c.optimizer);
    const auto& info = method ? method->optimizer : math::find_optimizer(c.optimizer);
    const Numbers numbers{math::option_values(info.name, info.options, {}), method ? 0 : 0.01};
    // Weights and biases in two groups: as many sweeps as parameters.
    std::vector<int> group_of;
    for (size_t i = 0; i < parameters.size(); ++i) group_of.push_back(static_cast<int>(i % 2));
    trainer = std::make_unique<Trainer>(graph, state, cpu_device(DType::float32, c.precision), Loss{},
                                        Recipe{&info, {numbers, numbers}, group_of, c.shaping, method});
  }
};

const Case kCases[] = {
    {{8, 1}, 32, 320},
    {{10, 32, 32, 1}, 32, 330},
    {{100, 256, 256, 1}, 256, 2000},
    {{50, 300, 10}, 700, 3000},
    {{50, 300, 10}, 700, 3000, Precision::bfloat16},
    {{50, 300, 10}, 700, 3000, Precision::full, kEverything},
    {{8, 24, 2}, 40, 300, Precision::full, {}, true},
    {{50, 300, 10}, 700, 3000, Precision::full, kEverything, false, "lamb"},
    {{50, 300, 10}, 700, 3000, Precision::full, kEverything, false, "muon"},
    {{50, 300, 10}, 700, 3000, Precision::full, kEverything, false, "adafactor"},
    {{8, 24, 2}, 40, 300, Precision::full, {}, true, "lbfgs"},
};

/// Whether `run` comes to do without allocating: each thread's memory grows once, when the thread first gets a task.
template <class F>
bool settles(F run) {
  for (int i = 0; i < 100; ++i) {
    const int64_t before = allocations;
    run();
    if (allocations == before) return true;
  }
  return false;
}

TEST(a_step_allocates_nothing) {
  for (const int threads : {1, 2}) {
    cpu::set_num_threads(threads);
    for (const Case& c : kCases) {
      Training training(c);
      Watch watch;
      metrics::Plan plan{.columns = c.widths.back()};
      for (const char* const each : {"absolute", "relative", "squares", "deviations"}) plan.want(each);
      metrics::Sums sums(plan, cpu_device(DType::float32));
      const Measured measured{&sums, {training.data.target}};
      const auto epoch = [&] {
        EpochPosition position;
        training.trainer->epoch(training.data, {.batch_rows = c.batch_rows, .measured = measured}, position, watch);
      };
      const auto step = [&] { training.trainer->step(training.data, watch); };
      CHECK(settles(epoch), "batches of ", c.batch_rows, " rows on ", threads, " threads");
      CHECK(settles(step), "a step of ", c.rows, " rows on ", threads, " threads");
    }
  }
}

TEST(a_prediction_allocates_nothing) {
  Training training(kCases[1]);
  Predictor predictor(training.graph, DType::float32);
  std::vector<float> out(training.y.size());
  Watch watch;
  const auto predict = [&](int64_t rows) {
    const Features x = training.data.x.slice(0, rows, DType::float32);
    predictor.predict(*training.state, x, {out.data(), rows, 1, 1}, watch);
  };
  for (const int64_t rows : {1, 7, 330}) CHECK(settles([&] { predict(rows); }), rows, " rows");
}

TEST(what_allocates_is_counted) {
#if WHET_COUNTS
  const int64_t before = allocations;
  const Arena arena(1000);
  const std::vector<int> vector(10);
  CHECK(allocations >= before + 2);
#endif
}

}  // namespace

int main() { return whet::run_tests(); }
