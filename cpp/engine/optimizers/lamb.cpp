#include <cmath>
#include <cstring>

#include "engine/optimizers/optimizers.h"

namespace whet::optimizers {

namespace {

constexpr std::array<math::Option, 5> kOptions{
    {{"lr", 1e-3}, {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-6}, {"weight_decay", 0.0}}};
constexpr std::array<const char*, 2> kSlots{"exp_avg", "exp_avg_sq"};

/// You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020.
class Lamb final : public Method {
 public:
  Lamb(const State& state, Device& device) : device_(&device), along_(state.like()) {}

  void step(const Part& part, const math::OptionValues& o, int64_t step) override {
    const int64_t n = part.size();
    // Adam's step of rate 1 from zero: its direction.
    std::memset(along_.data(), 0, static_cast<size_t>(n) * size_of(device_->dtype()));
    const math::OptionValues adam{1.0, o[1], o[2], o[3], 0.0};
    device_->update(along_.data(), part.gradient, part.slots, n,
                    {math::OptimizerId::Adam, math::Adam::prepare(adam, step)});
    follow(*device_, along_.data(), part.parameter.data, -o[4], 0, n);
    const double size = norm(part.parameter.data, n), length = norm(along_.data(), n);
    const double trust = size > 0 && length > 0 ? size / length : 1;
    follow(*device_, part.parameter.data, along_.data(), o[0] * trust, 0, n);
  }

 private:
  double norm(const void* x, int64_t n) const { return std::sqrt(device_->sum_of_squares(x, n)); }

  Device* device_;
  Arena along_;
};

}  // namespace

const MethodInfo& lamb() {
  static const MethodInfo info{
      .optimizer = {.name = "lamb", .id = {}, .options = kOptions, .slots = kSlots, .prepare = nullptr},
      .make = [](const State& state, Device& device) -> std::unique_ptr<Method> {
        return std::make_unique<Lamb>(state, device);
      }};
  return info;
}

}  // namespace whet::optimizers
