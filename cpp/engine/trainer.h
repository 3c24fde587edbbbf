#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/arena.h"
#include "engine/breakdown.h"
#include "engine/recorder.h"
#include "engine/state.h"
#include "engine/updater.h"
#include "graph/program.h"
#include "graph/watch.h"
#include "metrics/sums.h"

namespace whet {

/// Rows to train on, borrowed: features, right answers, and perhaps a weight per row.
struct Data {
  Features x;
  Target target;
  const void* weights = nullptr;
};

/// From predictions and right answers of some rows: the loss of each, and its gradient.
using RowLoss = std::function<void(ConstMatrix prediction, const Target& target, void* row_losses, Matrix gradient)>;

/// How the losses of rows become that of a batch: factor * sum(weight * loss), divided by the sum of weights or not.
struct Reduction {
  double factor = 1;
  bool mean = true;
};

/// Where the predictions of an epoch are summed for metrics, and the right answers as these read them.
struct Measured {
  metrics::Sums* sums = nullptr;
  metrics::Answers answers{};
  bool as_loss = false;  // the answers and weights are those that the loss takes
};

/// A number of a group, or of the graph, that is another one at every step.
struct Scheduled {
  double* number;
  const double* values;
};

struct EpochPlan {
  using Clock = std::chrono::steady_clock;
  int64_t batch_rows = 1;
  bool shuffle = true;
  uint32_t epoch = 0;
  int64_t max_steps = INT64_MAX;           // of this call
  std::span<const Scheduled> schedules{};  // from the first step of this call
  Matrix predictions{};                    // where each row's prediction of this epoch is put, or null data
  Measured measured{};
  Clock::time_point deadline = Clock::time_point::max();  // the call ends after the step that passes it
  int64_t first_batch = 0;  // of the epoch, that the data begin with, where they are a part of its rows
};

/// Where an epoch stands, between two steps.
struct EpochPosition {
  int64_t batches = 0;    // seen
  int64_t steps = 0;      // taken: a batch whose rows all weigh 0 is none
  double loss_sum = 0;    // of weight * loss, over the rows seen
  double weight_sum = 0;  // of weights, over the rows seen
  bool stop = false;      // set from outside: to end the call after the step that is being taken
};

/// Trains a State: forward, loss, backward, update, for a batch or a whole epoch. Steps and slots live here and go on
/// from call to call. Not to be used by two threads at once.
///
/// A batch is a step, or one of so many as the recipe accumulates: its loss is the weighted mean over its rows, or what
/// a Reduction says.
/// Whatever throws (BreakdownError for a loss or a gradient that is not finite, NonFiniteError for a norm, or a watch)
/// leaves parameters, slots and counters as the last whole step left them. An epoch ends with a look at the parameters.
class Trainer {
 public:
  /// `device` computes in the state's dtype. The order of rows, and what the graph draws, come from `seed`.
  Trainer(std::shared_ptr<const Graph> graph, std::shared_ptr<State> state, Device& device, const Loss& loss,
          Recipe recipe, uint64_t seed = 0);

  /// Takes the loss from a function of predictions and so many target values a row, in place of the one named.
  void set_row_loss(RowLoss function, int64_t targets);
  /// Elements of a row's target that are values.
  int64_t target_width() const { return target_width_; }

  void set_reduction(Reduction reduction) { reduction_ = reduction; }

  /// All rows of `batch`; a step once the recipe has its batches, whose gradient is that of all their rows. Returns the
  /// batch's loss before the update.
  double step(const Data& batch, Watch& watch);

  /// From `position` on, one pass over `data` in batches, the last one perhaps short; in the order drawn from (seed,
  /// epoch) if shuffled. The position follows every whole step, also where something throws.
  void epoch(const Data& data, const EpochPlan& epoch, EpochPosition& position, Watch& watch);

  /// From now on, `epoch` notes every `every`-th step of each.
  void record(int64_t every) { recorder_ = std::make_unique<Recorder>(graph_, state_, *device_, every); }
  /// Null if there is none.
  Recorder* recorder() const { return recorder_.get(); }

  const State& state() const { return *state_; }
  /// Of the last step, before clipping.
  const Arena& gradients() const { return gradients_; }
  Updater& updater() { return updater_; }
  /// Those of the graph.
  std::vector<double>& numbers() { return numbers_; }
  const Updater& updater() const { return updater_; }
  int64_t steps() const { return updater_.steps(); }

 private:
  void plan(const Data& data, int64_t batch_rows);
  struct Sums {
    double loss = 0, weight = 0;
  };
  double reduced(const Sums& sums) const { return sums.loss * reduction_.factor / (reduction_.mean ? sums.weight : 1); }
  Data gather(const Data& data, const int64_t* order, int64_t rows);
  double total_weight(const Data& data, const int64_t* order, int64_t rows);
  /// Rows of `data`: those that `order` names, or the first ones if it is null.
  struct Batch {
    const Data& data;
    const int64_t* order;
    int64_t first;  // of the rows, without an order, in what `data` is a part of
    int64_t rows;
    double weight;   // of the rows, in sum
    double divisor;  // of the sum of losses
    Matrix predictions;
    Watch& watch;
    const Measured* measured = nullptr;
    Recorder* recorder = nullptr;  // that notes this step
    bool looks = false;            // at a place of a search: no loss is refused, and running statistics stay

    // Rows of weight zero are masked: a batch of them alone is seen, but is no step.
    bool counts() const { return weight > 0; }
  };
  /// As many rows as the workspace holds.
  struct Block {
    Data data;
    const int64_t* order;
    Pass pass;
  };
  Batch batch_of(const Data& data, const int64_t* order, int64_t first, int64_t rows, Matrix predictions, Watch& watch);
  Block load(const Batch& batch, int64_t first, void* gradients, bool accumulate);
  Matrix start_of_gradients(const Pass& pass) const;
  const void* losses_of(const Batch& batch, const Block& block);
  void measure(const Batch& batch, const Block& block, int64_t first, const void* losses);
  Sums search(Batch batch);
  Sums differentiate(const Batch& batch, Arena& gradients);
  bool accumulate(double weight, int64_t rows);
  double backpropagate(const Batch& batch, int64_t first, void* gradients, bool accumulate);

  /// Copies the running statistics, which a backward pass changes before anybody has seen its gradients; or puts them
  /// back.
  void keep_statistics(bool put_back = false);
  void check_gradients(const Batch& batch, const Arena& gradients);
  bool is_finite(const Arena& gradients) const;
  void check_parameters();
  int64_t first_nonfinite(const void* flat) const;
  bool is_nonfinite(const void* flat, int64_t parameter) const;
  Breakdown find_breakdown(const Batch& batch);
  [[noreturn]] void report(const char* what, Breakdown breakdown) const;

  std::shared_ptr<const Graph> graph_;
  std::shared_ptr<State> state_;
  Device* device_;
  Loss loss_;
  RowLoss row_loss_;
  Reduction reduction_;
  int64_t target_width_;
  std::vector<double> numbers_;
  uint64_t seed_;
  Updater updater_;
  Arena gradients_;
  std::vector<double> bounds_;  // of the gradients, per parameter
  std::vector<Range> statistics_;
  Arena kept_statistics_;
  std::unique_ptr<Recorder> recorder_;
  Arena before_, elsewhere_;  // of a search: the parameters before the step, gradients of the other places it looks at

  // Of the batches since the last step: their gradients times their weights, in sum.
  Arena accumulated_;
  int64_t batches_ = 0, rows_ = 0;
  double weight_ = 0;

  // The workspace, planned for the largest block of rows seen so far.
  int64_t block_rows_;
  std::unique_ptr<Program> program_;
  std::vector<Arena> partial_gradients_;
  Arena arena_, batch_x_, batch_values_, batch_classes_, batch_weights_, row_losses_, scales_;
  std::vector<int64_t> order_;
  uint32_t order_epoch_ = 0;  // that `order_` is of, if it has rows
};

}  // namespace whet
