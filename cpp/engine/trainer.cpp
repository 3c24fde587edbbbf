#include "engine/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "core/tree.h"
#include "engine/blocks.h"

namespace whet {

namespace {

size_t bytes(int64_t elements, DType dtype) { return static_cast<size_t>(elements) * size_of(dtype); }

const void* advance(const void* data, int64_t elements, DType dtype) {
  return data ? static_cast<const std::byte*>(data) + bytes(elements, dtype) : nullptr;
}

/// Rows first to first + rows - 1 of `data`.
Data slice(const Data& data, int64_t first, int64_t rows, DType dtype) {
  const auto cut = [&](ConstMatrix x) {
    return ConstMatrix{advance(x.data, first * x.stride, dtype), rows, x.cols, x.stride};
  };
  return {data.x.slice(first, rows, dtype),
          {cut(data.target.values), data.target.classes ? data.target.classes + first : nullptr},
          advance(data.weights, first, dtype)};
}

Matrix at_row(Matrix y, int64_t first, int64_t rows, DType dtype) {
  if (y.data) y.data = static_cast<std::byte*>(y.data) + bytes(first * y.stride, dtype);
  y.rows = rows;
  return y;
}

double weight(const void* weights, int64_t row, DType dtype) {
  return dtype == DType::float32 ? static_cast<const float*>(weights)[row] : static_cast<const double*>(weights)[row];
}

/// Writes weights[i] / total for every row.
template <class T>
void scale_weights(void* scales, const void* weights, int64_t n, double total) {
  const T* w = static_cast<const T*>(weights);
  for (int64_t i = 0; i < n; ++i) static_cast<T*>(scales)[i] = static_cast<T>(static_cast<double>(w[i]) / total);
}

}  // namespace

Trainer::Trainer(std::shared_ptr<const Graph> graph, std::shared_ptr<State> state, Device& device, const Loss& loss,
                 Recipe recipe, uint64_t seed)
    : graph_(std::move(graph)),
      state_(std::move(state)),
      device_(&device),
      loss_(loss),
      target_width_(graph_->width(graph_->target() < 0 ? graph_->output() : graph_->target())),
      numbers_(graph_->numbers()),
      seed_(seed),
      updater_(state_, device, std::move(recipe), seed),
      gradients_(state_->like()),
      bounds_(graph_->parameters().size()),
      block_rows_(block_rows(graph_, device, Purpose::train)) {
  if (updater_.recipe().shaping.accumulate > 1) accumulated_ = state_->like();
  for (const Node& node : graph_->nodes())
    for (const int i : node.parameters)
      if (const ParameterSpec& spec = graph_->parameters()[static_cast<size_t>(i)];
          node.op->needs_whole_batch() && !spec.trainable)
        statistics_.push_back({state_->layout().offsets[static_cast<size_t>(i)], count(spec.shape)});
  if (!statistics_.empty()) kept_statistics_ = state_->like();
  if (updater_.searches())
    for (Arena* const each : {&before_, &elsewhere_}) *each = state_->like();
}

void Trainer::set_row_loss(RowLoss function, int64_t targets) {
  row_loss_ = std::move(function);
  target_width_ = targets;
}

void Trainer::plan(const Data& data, int64_t batch_rows) {
  const int64_t rows = std::min(batch_rows, block_rows_);
  const auto levels = static_cast<size_t>(tree_levels((batch_rows - 1) / block_rows_ + 1));
  while (partial_gradients_.size() < levels) partial_gradients_.push_back(state_->like());
  const DType dtype = device_->dtype();
  if (!data.x.is_sparse()) batch_x_.reserve(bytes(rows * row_stride(graph_->width(0), dtype), dtype));
  if (program_ && program_->max_rows() >= rows) return;
  auto program = std::make_unique<Program>(graph_, *device_, rows, Purpose::train);
  arena_.reserve(program->arena_bytes());
  batch_values_.reserve(bytes(rows * row_stride(target_width_, dtype), dtype));
  batch_classes_.reserve(static_cast<size_t>(rows) * sizeof(int32_t));
  batch_weights_.reserve(bytes(rows, dtype));
  row_losses_.reserve(bytes(rows, dtype));
  scales_.reserve(bytes(rows, dtype));
  program_ = std::move(program);
}

/// The rows of `data` that `order` names, copied into the workspace; but sparse ones are read where they stand.
Data Trainer::gather(const Data& data, const int64_t* order, int64_t rows) {
  const DType dtype = device_->dtype();
  const auto pick = [&](ConstMatrix source, const Arena& arena) {
    const Matrix picked{arena.data(), rows, source.cols, row_stride(source.cols, dtype)};
    device_->gather_rows(picked, source, order);
    return picked;
  };
  Data batch;
  batch.x = data.x;
  batch.x.dense.rows = batch.x.sparse.rows = rows;
  if (data.x.is_sparse())
    batch.x.sparse.order = order;
  else
    batch.x.dense = pick(data.x.dense, batch_x_);
  if (data.target.classes) {
    auto* classes = reinterpret_cast<int32_t*>(batch_classes_.data());
    for (int64_t i = 0; i < rows; ++i) classes[i] = data.target.classes[order[i]];
    batch.target.classes = classes;
  } else {
    batch.target.values = pick(data.target.values, batch_values_);
  }
  if (data.weights) batch.weights = pick({data.weights, data.x.rows(), 1, 1}, batch_weights_).data;
  return batch;
}

double Trainer::total_weight(const Data& data, const int64_t* order, int64_t rows) {
  if (!data.weights) return static_cast<double>(rows);
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) total += weight(data.weights, order ? order[i] : i, device_->dtype());
  return total;
}

Trainer::Batch Trainer::batch_of(const Data& data, const int64_t* order, int64_t first, int64_t rows,
                                 Matrix predictions, Watch& watch) {
  const double weight = total_weight(data, order, rows);
  const double divisor = (weight > 0 && reduction_.mean ? weight : 1.0) / reduction_.factor;
  return {data, order, first, rows, weight, divisor, predictions, watch};
}

/// The gradient of the loss of the batch.
Trainer::Sums Trainer::differentiate(const Batch& batch, Arena& total) {
  Sums sums{0, batch.weight};
  const auto gradients = [&](int level) -> void* {
    return level == 0 ? total.data() : partial_gradients_[static_cast<size_t>(level - 1)].data();
  };
  const auto add = [&](int level) {
    const int64_t n = state_->layout().size;
    const Matrix sum{gradients(level), 1, n, n};
    device_->add(sum, sum, {gradients(level + 1), 1, n, n});
  };
  std::fill(bounds_.begin(), bounds_.end(), 0.0);
  const auto block = [&](int64_t i, int level, bool adds) {
    sums.loss += backpropagate(batch, i * block_rows_, gradients(level), adds);
    if (!batch.looks && !std::isfinite(sums.loss)) report("loss", find_breakdown(batch));
  };
  sum_parts(0, (batch.rows - 1) / block_rows_ + 1, 0, block, add);
  if (!batch.looks && batch.counts()) check_gradients(batch, total);
  if (batch.recorder) batch.recorder->take(total);
  return sums;
}

/// A step of a search. What throws finds the parameters, with their running statistics, as they were.
Trainer::Sums Trainer::search(Batch batch) {
  std::memcpy(before_.data(), state_->parameters(), before_.size());
  try {
    const Sums sums = differentiate(batch, gradients_);
    batch.looks = true;
    batch.recorder = nullptr;
    batch.predictions = {};
    batch.measured = nullptr;
    const auto evaluate = [&] {
      batch.watch.poll();
      return reduced(differentiate(batch, elsewhere_));
    };
    const Objective objective{elsewhere_.data(), std::ref(evaluate), steps()};
    if (batch.counts()) updater_.search(reduced(sums), gradients_.data(), objective);
    return sums;
  } catch (...) {
    std::memcpy(state_->parameters(), before_.data(), before_.size());
    throw;
  }
}

/// Adds a batch's gradient to those since the last step. Returns whether they are enough for one; then the gradient is
/// the mean of all, or their sum.
bool Trainer::accumulate(double weight, int64_t rows) {
  const int64_t wanted = updater_.recipe().shaping.accumulate;
  if (wanted == 1) return weight > 0;
  const int64_t n = state_->layout().size;
  const double share = reduction_.mean ? weight : 1;
  if (weight > 0 && weight_ == 0)
    device_->scale(accumulated_.data(), gradients_.data(), share, n);
  else if (weight > 0)  // as a step of gradient descent: one of -share along the gradient
    device_->update(accumulated_.data(), gradients_.data(), nullptr, n, {math::OptimizerId::Gd, {share, 0}});
  weight_ += weight;
  rows_ += (rows + kSlabRows - 1) / kSlabRows * kSlabRows;
  if (++batches_ < wanted) return false;
  const bool counts = weight_ > 0;
  if (counts) device_->scale(gradients_.data(), accumulated_.data(), reduction_.mean ? 1 / weight_ : 1, n);
  batches_ = rows_ = 0;
  weight_ = 0;
  return counts;
}

/// The rows of the batch from `first`, as many as a block has, and what a pass over them works on.
Trainer::Block Trainer::load(const Batch& batch, int64_t first, void* gradients, bool accumulate) {
  const DType dtype = device_->dtype();
  const int64_t rows = std::min(block_rows_, batch.rows - first);
  const int64_t* const order = batch.order ? batch.order + first : nullptr;
  Block block{order ? gather(batch.data, order, rows) : slice(batch.data, first, rows, dtype), order, {}};
  if (block.data.weights) {
    if (dtype == DType::float32)
      scale_weights<float>(scales_.data(), block.data.weights, rows, batch.divisor);
    else
      scale_weights<double>(scales_.data(), block.data.weights, rows, batch.divisor);
  }
  Pass& pass = block.pass;
  pass.arena = arena_.data();
  pass.parameters = state_->parameters();
  pass.gradients = gradients;
  pass.accumulate_gradients = accumulate;
  pass.bounds = bounds_.data();
  pass.settles = !batch.looks;
  pass.rows = rows;
  pass.first_row = rows_ + first;
  pass.seed = seed_;
  pass.step = static_cast<uint32_t>(steps());  // after 2^32 steps, random numbers come again
  pass.input = block.data.x;
  pass.target = block.data.target.values;
  pass.numbers = numbers_.data();
  return block;
}

/// The gradient that a backward pass starts from, where anything needs it.
Matrix Trainer::start_of_gradients(const Pass& pass) const {
  return graph_->loss() < 0 ? program_->output_gradient(pass) : program_->loss_gradient(pass);
}

/// The loss of each row after a forward pass; fills the gradient that a backward pass starts from.
const void* Trainer::losses_of(const Batch& batch, const Block& block) {
  const Matrix prediction = program_->output(block.pass), slope = start_of_gradients(block.pass);
  const void* const scales = block.data.weights ? scales_.data() : nullptr;
  const double share = 1.0 / batch.divisor;
  if (row_loss_) {
    row_loss_(prediction, block.data.target, row_losses_.data(), slope);
    if (slope.data && scales)
      device_->combine(slope, slope, {scales, slope.rows, 1, 1}, math::CombinationId::Mul);
    else if (slope.data)
      device_->activate(slope, slope, {math::ActivationId::Affine, {share, 0}});
    return row_losses_.data();
  }
  if (graph_->loss() < 0) {
    device_->loss(row_losses_.data(), slope, prediction, block.data.target, scales, share, loss_);
    return row_losses_.data();
  }
  if (slope.data && scales) device_->copy(slope, {scales, slope.rows, 1, 1}, false);
  if (slope.data && !scales) device_->fill(slope, share);
  return program_->loss(block.pass).data;
}

/// Sums the predictions of the block of rows from `first` for metrics. What was gathered for the loss, and a log loss
/// itself, are in cache: they are not made again.
void Trainer::measure(const Batch& batch, const Block& block, int64_t first, const void* losses) {
  const Measured& measured = *batch.measured;
  const ConstMatrix prediction = program_->output(block.pass);
  if (!measured.as_loss) return measured.sums->add(prediction, measured.answers, block.order, batch.first + first);
  const bool plain = loss_.id == math::LossId::BceWithLogits && loss_.options[0] == 1 && loss_.columns.empty();
  metrics::LogLosses known;
  if (!row_loss_ && graph_->loss() < 0 && (plain || loss_.id == math::LossId::CrossEntropy))
    known = {losses, start_of_gradients(block.pass), block.data.weights ? scales_.data() : nullptr, 1 / batch.divisor};
  measured.sums->add(prediction, {block.data.target, block.data.weights}, nullptr, 0, known);
}

/// Forward, loss and backward for the block of rows from `first`. Returns the weighted sum of their losses; without
/// one that is finite, the gradients are left as they are.
double Trainer::backpropagate(const Batch& batch, int64_t first, void* gradients, bool accumulate) {
  const DType dtype = device_->dtype();
  const Block block = load(batch, first, gradients, accumulate);
  const int64_t rows = block.pass.rows;
  program_->forward(block.pass, batch.watch);
  if (batch.recorder) batch.recorder->look(*program_, block.pass);
  const void* const losses = losses_of(batch, block);
  const double loss = device_->weighted_sum(losses, block.data.weights, rows);
  if (!std::isfinite(loss)) return loss;
  const Matrix to = batch.predictions, prediction = program_->output(block.pass);
  if (to.data && block.order) device_->scatter_rows(to, prediction, block.order);
  if (to.data && !block.order) device_->copy(at_row(to, first, rows, dtype), prediction, false);
  if (batch.measured) measure(batch, block, first, losses);
  if (!batch.counts()) return loss;
  if (block.pass.settles) keep_statistics();
  program_->backward(block.pass, batch.watch);
  return loss;
}

double Trainer::step(const Data& data, Watch& watch) {
  const int64_t rows = data.x.rows();
  plan(data, rows);
  const Batch batch = batch_of(data, nullptr, 0, rows, {}, watch);
  const Sums sums = updater_.searches() ? search(batch) : differentiate(batch, gradients_);
  if (!updater_.searches() && accumulate(sums.weight, rows)) updater_.step(gradients_.data());
  return reduced(sums);
}

void Trainer::epoch(const Data& data, const EpochPlan& epoch, EpochPosition& position, Watch& watch) {
  const int64_t n = data.x.rows();
  const int64_t batch_rows = std::min(epoch.batch_rows, n);
  const DType dtype = device_->dtype();
  plan(data, batch_rows);
  // A batch of all rows needs no order: its mean is the same.
  const bool shuffle = epoch.shuffle && batch_rows < n;
  if (shuffle && (order_.size() != static_cast<size_t>(n) || order_epoch_ != epoch.epoch)) {
    order_.resize(static_cast<size_t>(n));
    order_epoch_ = epoch.epoch;
    device_->random_permutation(order_.data(), n, {seed_, Stream::shuffle, epoch.epoch, 0});
  }

  Measured measured = epoch.measured;
  measured.as_loss = measured.answers.target.values.data == data.target.values.data &&
                     measured.answers.target.classes == data.target.classes && measured.answers.weights == data.weights;
  int64_t taken = 0;  // in this call
  for (int64_t first; (first = (position.batches - epoch.first_batch) * batch_rows) < n && taken < epoch.max_steps &&
                      !position.stop;) {
    const int64_t rows = std::min(batch_rows, n - first);
    for (const Scheduled& each : epoch.schedules) *each.number = each.values[taken];
    const int64_t* const order = shuffle ? order_.data() + first : nullptr;
    const Data part = shuffle ? data : slice(data, first, rows, dtype);
    const Matrix predictions = shuffle ? epoch.predictions : at_row(epoch.predictions, first, rows, dtype);
    Batch batch = batch_of(part, order, first, rows, predictions, watch);
    if (measured.sums) {
      measured.sums->begin();
      batch.measured = &measured;
    }
    if (recorder_ && batch.counts() && recorder_->samples(position.steps)) batch.recorder = recorder_.get();
    if (batch.recorder) batch.recorder->begin();
    const Sums sums = updater_.searches() ? search(batch) : differentiate(batch, gradients_);
    if (!updater_.searches() && batch.counts()) updater_.step(gradients_.data());
    if (batch.recorder) batch.recorder->commit();
    if (batch.measured) batch.measured->sums->commit();
    position.loss_sum += sums.loss;
    position.weight_sum += sums.weight;
    position.batches += 1;
    position.steps += batch.counts();
    taken += batch.counts();
    if (epoch.deadline != EpochPlan::Clock::time_point::max() && EpochPlan::Clock::now() >= epoch.deadline) break;
    watch.poll();
  }
  check_parameters();
}

}  // namespace whet
