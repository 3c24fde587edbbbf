#include "engine/updater.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "core/error.h"
#include "core/random.h"

namespace whet {

void check_finite(const char* what, double value, int64_t steps) {
  if (std::isfinite(value)) return;
  std::ostringstream message;
  message << "[train] the " << what << " became "
          << (std::isnan(value) ? "nan"
              : value > 0       ? "inf"
                                : "-inf")
          << " at step " << steps + 1
          << "; the parameters are those before it. A lower learning rate or features of smaller scale may help";
  throw NonFiniteError(message.str());
}

Updater::Updater(std::shared_ptr<State> state, Device& device, Recipe recipe, uint64_t seed)
    : state_(std::move(state)), device_(&device), recipe_(std::move(recipe)), seed_(seed) {
  const ParameterLayout& layout = state_->layout();
  const size_t count = layout.offsets.size();
  for (size_t i = 0; i < count; ++i) {
    const int group = recipe_.group_of.empty() ? 0 : recipe_.group_of.at(i);
    if (group < 0) continue;
    const int64_t first = layout.offsets[i], end = i + 1 < count ? layout.offsets[i + 1] : layout.size;
    Segment* const last = segments_.empty() ? nullptr : &segments_.back();
    if (last && last->group == static_cast<size_t>(group) && last->first + last->size == first)
      last->size = end - last->first;
    else
      segments_.push_back({{first, end - first}, static_cast<size_t>(group)});
  }
  coefficients_.resize(recipe_.groups.size());
  if (follows()) average_ = state_->like();
  if (recipe_.method && recipe_.method->make_search) {
    search_ = recipe_.method->make_search(*state_, device, recipe_.groups.at(0).options,
                                          {segments_.begin(), segments_.end()});
    return;
  }
  make_slots();
  if (recipe_.method) {
    method_ = recipe_.method->make(*state_, device);
    shaped_ = state_->like();
  }
}

void Updater::make_slots() {
  std::vector<std::vector<ParameterSpec>> found;
  size_t slots = 0;
  for (const ParameterSpec& each : state_->specs()) {
    found.push_back(slots_of(*recipe_.optimizer, recipe_.method, each.shape, recipe_.groups.at(0).options));
    slots = std::max(slots, found.back().size());
  }
  for (size_t s = 0; s < slots; ++s) {
    std::vector<ParameterSpec> specs;
    for (const auto& each : found) specs.push_back(s < each.size() ? each[s] : ParameterSpec{"", {0}});
    ParameterLayout layout(specs, state_->dtype());
    Arena memory(static_cast<size_t>(layout.size) * size_of(state_->dtype()));
    slots_.push_back({std::move(specs), std::move(layout), std::move(memory)});
  }
}

View Updater::slot(size_t slot, size_t i) const {
  if (search_) return {state_->specs().at(i).shape, state_->at(search_->slots()[slot], i)};
  const Slot& found = slots_.at(slot);
  return {found.specs.at(i).shape, at(found.memory.data(), found.layout.offsets.at(i))};
}

void* Updater::at(void* flat, int64_t element) const {
  return static_cast<std::byte*>(flat) + static_cast<size_t>(element) * size_of(state_->dtype());
}

/// Calls visit(matrix) with the part of `flat` of each parameter that is a matrix, or more, and moves.
template <class Visit>
void Updater::for_weights(void* flat, Visit visit) const {
  for (size_t i = 0; i < state_->specs().size(); ++i) {
    const Shape& shape = state_->specs()[i].shape;
    if (shape.size() < 2 || (!recipe_.group_of.empty() && recipe_.group_of[i] < 0)) continue;
    const int64_t cols = count(shape) / std::max<int64_t>(shape[0], 1);
    visit(Matrix{at(flat, state_->layout().offsets[i]), shape[0], cols, cols});
  }
}

void Updater::shape(void* gradients) {
  const Shaping& s = recipe_.shaping;
  if (s.centralize) for_weights(gradients, [&](Matrix g) { device_->center_rows(g); });
  if (s.noise == 0) return;
  const double variance =
      s.noise * math::exponential(-s.noise_decay * math::logarithm(1.0 + static_cast<double>(steps_)));
  const RandomKey key{seed_, Stream::gradients, 0, static_cast<uint32_t>(steps_)};
  for (size_t i = 0; i < state_->specs().size(); ++i) {
    const int64_t first = state_->layout().offsets[i];
    device_->add_noise(at(gradients, first), count(state_->specs()[i].shape), std::sqrt(variance), key, first);
  }
}

/// Of the gradients that count. Throws NonFiniteError if it is not finite.
double Updater::checked_norm(const void* gradients) const {
  double squares = 0;
  for (const Segment& each : segments_)
    squares += device_->sum_of_squares(at(const_cast<void*>(gradients), each.first), each.size);
  const double norm = std::sqrt(squares);
  check_finite("norm of the gradient", norm, steps_);
  return norm;
}

/// What to multiply gradients by: for a norm of 1, and then of at most the limit, as torch.nn.utils.clip_grad_norm_.
double Updater::gradient_scale(const void* gradients) const {
  const Shaping& s = recipe_.shaping;
  if (s.clip_norm == Shaping::kNone && !s.normalize) return 1;
  double norm = checked_norm(gradients), scale = 1;
  if (s.normalize && norm > 0) {
    scale = 1 / norm;
    norm = 1;
  }
  return scale * std::min(1.0, s.clip_norm / (norm + 1e-6));
}

/// One sweep for each segment.
void Updater::sweep(const void* gradients, double scale) {
  for (size_t i = 0; i < coefficients_.size(); ++i)
    coefficients_[i] = recipe_.optimizer->prepare(recipe_.groups[i].options, steps_);
  for (const Segment& each : segments_) {
    void* slots[math::kMaxSlots] = {};
    for (size_t i = 0; i < slots_.size(); ++i) slots[i] = at(slots_[i].memory.data(), each.first);
    device_->update(at(state_->parameters(), each.first), at(const_cast<void*>(gradients), each.first), slots,
                    each.size,
                    {recipe_.optimizer->id, coefficients_[each.group], scale, recipe_.shaping.clip_value,
                     recipe_.groups[each.group].l1});
  }
}

/// The method's step of each parameter.
void Updater::apply(const void* gradients, double scale) {
  if (scale != 1 || recipe_.shaping.clip_value != Shaping::kNone) {
    const int64_t n = state_->layout().size;
    std::memset(shaped_.data(), 0, static_cast<size_t>(n) * size_of(state_->dtype()));
    device_->update(shaped_.data(), gradients, nullptr, n,
                    {math::OptimizerId::Gd, {1, 0}, scale, recipe_.shaping.clip_value});
    gradients = shaped_.data();
  }
  for (size_t i = 0; i < state_->specs().size(); ++i) {
    const int group = recipe_.group_of.empty() ? 0 : recipe_.group_of[i];
    if (group < 0) continue;
    const Shape& shape = state_->specs()[i].shape;
    const int64_t first = state_->layout().offsets[i], rows = shape.empty() ? 1 : std::max<int64_t>(shape[0], 1);
    const int64_t cols = count(shape) / rows;
    Part part{{at(state_->parameters(), first), rows, cols, cols}, shape, at(const_cast<void*>(gradients), first)};
    for (size_t s = 0; s < slots_.size(); ++s) part.slots[s] = at(slots_[s].memory.data(), slots_[s].layout.offsets[i]);
    method_->step(part, recipe_.groups[static_cast<size_t>(group)].options, steps_);
  }
}

void Updater::step(void* gradients) {
  shape(gradients);
  const double scale = gradient_scale(gradients);
  ++steps_;
  if (method_)
    apply(gradients, scale);
  else
    sweep(gradients, scale);
  if (recipe_.shaping.max_norm != Shaping::kNone)
    for_weights(state_->parameters(), [&](Matrix p) { device_->limit_rows(p, recipe_.shaping.max_norm); });
  if (follows()) follow();
}

void Updater::search(double loss, const void* gradients, const Objective& objective) {
  checked_norm(gradients);
  search_->step(loss, gradients, objective, recipe_.groups[0].options);
  ++steps_;
  if (follows()) follow();
}

int64_t Updater::averaged() const {
  if (recipe_.optimizer->average >= 0 || recipe_.shaping.ema > 0) return steps_;
  return follows() ? steps_ - recipe_.shaping.average_after : 0;
}

/// The average follows the parameters.
void Updater::follow() {
  const int64_t n = averaged();
  if (n <= 0) return;
  const double share = n == 1 ? 1.0 : recipe_.shaping.ema > 0 ? 1 - recipe_.shaping.ema : 1 / static_cast<double>(n);
  // average + share (p - average), as a step of gradient descent: the average's penalty is -1, p its gradient.
  for (const Segment& each : segments_)
    device_->update(at(average_.data(), each.first), at(state_->parameters(), each.first), nullptr, each.size,
                    {math::OptimizerId::Gd, {share, -1}});
}

void Updater::set_average_after(int64_t steps) {
  recipe_.shaping.average_after = steps;
  if (follows() && !average_.data()) average_ = state_->like();
}

bool Updater::swap_average() {
  if (averaged() <= 0) return false;
  for (const Segment& each : segments_) {
    auto* const p = static_cast<std::byte*>(at(state_->parameters(), each.first));
    const size_t bytes = static_cast<size_t>(each.size) * size_of(state_->dtype());
    std::swap_ranges(p, p + bytes, static_cast<std::byte*>(at(average().data(), each.first)));
  }
  return true;
}

}  // namespace whet
