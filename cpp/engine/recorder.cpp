#include "engine/recorder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace whet {

namespace {

// Flat is where the derivative is as far below its largest as that of tanh is beyond 0.97, Karpathy's mark for
// saturation (nn-zero-to-hero, makemore part 3).
constexpr double kFlat = 1 - 0.97 * 0.97;

constexpr int64_t kMostRows = 1024;  // of a step, whatever it has
constexpr int64_t kPart = 1 << 15;   // elements that stay in cache from one kernel to the next

constexpr size_t kSteps = 0, kRows = 1, kParameters = 2;  // places in the sums

/// The largest derivative of what is bounded on both sides; 0 for what is not.
double steepest(math::ActivationId id) {
  using enum math::ActivationId;
  switch (id) {
    case Tanh:
    case Softsign:
    case Hardtanh:
      return 1;
    case Sigmoid:
      return 0.25;
    case Hardsigmoid:
      return 1.0 / 6;
    default:
      return 0;
  }
}

/// Whether it stands between layers; others are arithmetic.
bool is_between_layers(math::ActivationId id) {
  using enum math::ActivationId;
  switch (id) {
    case Identity:
    case Exp:
    case Log:
    case Sqrt:
    case Abs:
    case Square:
    case Reciprocal:
    case Sin:
    case Cos:
    case Affine:
      return false;
    default:
      return true;
  }
}

const Activation* activation_of(const Instruction& instruction) {
  if (instruction.activation) return &*instruction.activation;
  const ActivationCall* const call = instruction.node->op->as_activation();
  return call ? &call->activation : nullptr;
}

/// What the derivative reads.
ConstMatrix saved_of(const Program& program, const Pass& pass, const Instruction& instruction) {
  if (instruction.activation) return program.saved(pass, instruction);
  const bool input = instruction.node->op->as_activation()->saved == math::Saved::input;
  return program.value(pass, input ? instruction.node->inputs[0] : instruction.output);
}

template <class T>
void add_flat(double* flat, const T* slopes, int64_t rows, int64_t cols, double bound) {
  const T limit = static_cast<T>(bound);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) flat[j] += std::abs(slopes[i * cols + j]) <= limit ? 1 : 0;
}

std::vector<RecordedLayer> find_layers(const Program& program) {
  std::vector<RecordedLayer> found;
  const Graph& graph = program.graph();
  for (size_t i = 0; i < program.instructions().size(); ++i) {
    const Instruction& instruction = program.instructions()[i];
    const Activation* const f = activation_of(instruction);
    if (graph.target() >= 0 && instruction.output > graph.target()) break;  // the loss, which is no layer
    if (!f || !is_between_layers(f->id) || !program.reverses(i)) continue;
    const auto makes = [&](const Node& node) { return node.output == instruction.output; };
    const auto node = std::ranges::find_if(graph.nodes(), makes) - graph.nodes().begin();
    const double slope = steepest(f->id);
    found.push_back({i, static_cast<int>(node), graph.width(instruction.output), slope > 0, kFlat * slope});
  }
  return found;
}

}  // namespace

Recorder::Recorder(const std::shared_ptr<const Graph>& graph, std::shared_ptr<State> state, Device& device,
                   int64_t every)
    : state_(std::move(state)),
      device_(&device),
      every_(every),
      layers_(find_layers(Program(graph, device, 1, Purpose::train))),
      before_(state_->like()) {
  int64_t units = 0, widest = 0;
  for (const RecordedLayer& layer : layers_) {
    units += layer.units;
    widest = std::max(widest, layer.units);
  }
  sums_.resize(kParameters + 3 * state_->specs().size() + static_cast<size_t>(units));
  step_.resize(sums_.size());
  part_ = Arena(static_cast<size_t>(std::max(kPart, widest)) * size_of(device.dtype()));
}

void Recorder::begin() {
  std::ranges::fill(step_, 0.0);
  step_[kSteps] = 1;
  std::memcpy(before_.data(), state_->parameters(), before_.size());
}

void Recorder::look(const Program& program, const Pass& pass) {
  const int64_t rows = std::min(pass.rows, kMostRows - static_cast<int64_t>(step_[kRows]));
  if (rows <= 0) return;
  step_[kRows] += static_cast<double>(rows);
  double* flat = step_.data() + kParameters + 3 * state_->specs().size();
  for (const RecordedLayer& layer : layers_) {
    const Instruction& instruction = program.instructions()[layer.instruction];
    ConstMatrix saved = saved_of(program, pass, instruction);
    saved.rows = rows;
    count_flat(layer, saved, *activation_of(instruction), flat);
    flat += layer.units;
  }
}

void Recorder::count_flat(const RecordedLayer& layer, ConstMatrix saved, const Activation& f, double* flat) {
  const DType dtype = device_->dtype();
  const int64_t most = std::max<int64_t>(kPart / layer.units, 1);
  for (int64_t first = 0; first < saved.rows; first += most) {
    const int64_t rows = std::min(most, saved.rows - first);
    const auto* const data =
        static_cast<const std::byte*>(saved.data) + static_cast<size_t>(first * saved.stride) * size_of(dtype);
    const Matrix slopes{part_.data(), rows, layer.units, layer.units};
    device_->fill(slopes, 1);
    device_->activate_backward(slopes, slopes, {data, rows, saved.cols, saved.stride}, f, false);
    if (dtype == DType::float32)
      add_flat(flat, static_cast<const float*>(slopes.data), rows, layer.units, layer.bound);
    else
      add_flat(flat, static_cast<const double*>(slopes.data), rows, layer.units, layer.bound);
  }
}

const void* Recorder::at(const void* flat, int64_t element) const {
  return static_cast<const std::byte*>(flat) + static_cast<size_t>(element) * size_of(state_->dtype());
}

void Recorder::take(const Arena& gradients) {
  const size_t parameters = state_->specs().size();
  for (size_t i = 0; i < parameters; ++i)
    step_[kParameters + i] = device_->sum_of_squares(state_->at(gradients, i), count(state_->specs()[i].shape));
}

void Recorder::commit() {
  const size_t parameters = state_->specs().size();
  for (size_t i = 0; i < parameters; ++i) {
    const int64_t first = state_->layout().offsets[i], end = first + count(state_->specs()[i].shape);
    for (int64_t begin = first; begin < end; begin += kPart) {
      const int64_t n = std::min(kPart, end - begin);
      const void* const now = at(state_->parameters(), begin);
      device_->combine({part_.data(), 1, n, n}, {now, 1, n, n}, {at(before_.data(), begin), 1, n, n},
                       math::CombinationId::Sub);
      step_[kParameters + parameters + i] += device_->sum_of_squares(part_.data(), n);
      step_[kParameters + 2 * parameters + i] += device_->sum_of_squares(now, n);
    }
  }
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += step_[i];
}

}  // namespace whet
