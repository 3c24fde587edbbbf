#include "engine/breakdown.h"

#include <cstring>
#include <limits>
#include <sstream>

#include "engine/trainer.h"

namespace whet {

using Place = Breakdown::Place;

void Trainer::keep_statistics(bool put_back) {
  for (const Range& each : statistics_) {
    const size_t first = static_cast<size_t>(each.first) * size_of(state_->dtype());
    std::byte *const now = static_cast<std::byte*>(state_->parameters()) + first, *const kept =
                                                                                      kept_statistics_.data() + first;
    std::memcpy(put_back ? now : kept, put_back ? kept : now,
                static_cast<size_t>(each.size) * size_of(state_->dtype()));
  }
}

void Trainer::check_gradients(const Batch& batch, const Arena& gradients) {
  if (is_finite(gradients)) return;
  keep_statistics(true);
  report("gradient", find_breakdown(batch));
}

/// Looks at the gradients of all parameters that no bound is known of; those between two that are known, at once.
bool Trainer::is_finite(const Arena& gradients) const {
  const double largest =
      device_->dtype() == DType::float32 ? std::numeric_limits<float>::max() : std::numeric_limits<double>::max();
  const ParameterLayout& layout = state_->layout();
  const auto look = [&](int64_t from, int64_t to) {
    const auto* const data = gradients.data() + static_cast<size_t>(from) * size_of(device_->dtype());
    return from == to || device_->find_nonfinite({data, 1, to - from, to - from}) < 0;
  };
  int64_t from = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    if (!(bounds_[i] < largest / 4)) continue;  // sums may grow beyond it by their rounding
    if (!look(from, layout.offsets[i])) return false;
    from = i + 1 < bounds_.size() ? layout.offsets[i + 1] : layout.size;
  }
  return look(from, layout.size);
}

void Trainer::check_parameters() {
  const int64_t n = state_->layout().size;
  if (device_->find_nonfinite({state_->parameters(), 1, n, n}) < 0) return;
  report("parameters", {Place::parameter, first_nonfinite(state_->parameters()), {}});
}

/// The first parameter of those in `flat`, laid out as they are, that is not finite, or -1.
int64_t Trainer::first_nonfinite(const void* flat) const {
  for (size_t i = 0; i < state_->specs().size(); ++i)
    if (is_nonfinite(flat, static_cast<int64_t>(i))) return static_cast<int64_t>(i);
  return -1;
}

bool Trainer::is_nonfinite(const void* flat, int64_t parameter) const {
  const auto i = static_cast<size_t>(parameter);
  const int64_t n = count(state_->specs()[i].shape), first = state_->layout().offsets[i];
  const auto* const data = static_cast<const std::byte*>(flat) + static_cast<size_t>(first) * size_of(state_->dtype());
  return device_->find_nonfinite({data, 1, n, n}) >= 0;
}

/// What first is not finite when the batch is run once more, instruction by instruction: with the same random numbers,
/// and no other effect.
Breakdown Trainer::find_breakdown(const Batch& batch) {
  if (const int64_t i = first_nonfinite(state_->parameters()); i >= 0) return {Place::parameter, i, {}};
  const Arena gradients = state_->like();
  for (int64_t first = 0; first < batch.rows; first += block_rows_) {
    Block block = load(batch, first, gradients.data(), false);
    const Pass& pass = block.pass;
    block.pass.settles = false;
    const auto wrong_rows = [&](ConstMatrix x) {
      std::vector<int64_t> rows;
      for (int64_t i = 0; x.data && i < x.rows; ++i) {
        const auto* const row =
            static_cast<const std::byte*>(x.data) + static_cast<size_t>(i * x.stride) * size_of(state_->dtype());
        if (device_->find_nonfinite({row, 1, x.cols, x.cols}) >= 0)
          rows.push_back(batch.order ? batch.order[first + i] : batch.first + first + i);
      }
      return rows;
    };
    const std::vector<Instruction>& instructions = program_->instructions();
    for (size_t i = 0; i < instructions.size(); ++i) {
      program_->forward(i, pass);
      for (const int value : {instructions[i].activation_input, instructions[i].output})
        if (value >= 0)
          if (auto rows = wrong_rows(program_->value(pass, value)); !rows.empty())
            return {Place::forward, static_cast<int64_t>(i), std::move(rows)};
    }
    const ConstMatrix losses{losses_of(batch, block), pass.rows, 1, 1};
    for (const ConstMatrix& x : {losses, ConstMatrix(start_of_gradients(pass))})
      if (auto rows = wrong_rows(x); !rows.empty()) return {Place::loss, -1, std::move(rows)};
    if (!batch.counts()) continue;
    for (size_t i = instructions.size(); i-- > 0;) {
      program_->backward(i, pass);
      const Instruction& instruction = instructions[i];
      for (size_t k = 0; k < instruction.node->inputs.size(); ++k)
        if (instruction.needs_input_gradient[k])
          if (auto rows = wrong_rows(program_->gradient(pass, instruction.node->inputs[k])); !rows.empty())
            return {Place::backward, static_cast<int64_t>(i), std::move(rows)};
      for (const int parameter : instruction.node->parameters)
        if (is_nonfinite(gradients.data(), parameter)) return {Place::backward, static_cast<int64_t>(i), {}};
    }
  }
  return {};
}

void Trainer::report(const char* what, Breakdown breakdown) const {
  std::ostringstream message;
  message << "[train] the " << what << " stopped being finite at step " << steps() + 1;
  throw BreakdownError(message.str(), steps() + 1, std::move(breakdown));
}

}  // namespace whet
