#include <algorithm>
#include <cmath>

#include "engine/optimizers/optimizers.h"

namespace whet::optimizers {

namespace {

enum { kLr, kWeightDecay, kMomentum, kNesterov, kEps, kSteps, kMatchRms, kBeta2, kOrthogonal };

constexpr std::array<math::Option, 9> kOptions{{{"lr", 1e-3},
                                                {"weight_decay", 0.1},
                                                {"momentum", 0.95},  // AdamW's first beta for what is no such matrix
                                                {"nesterov", 1.0},
                                                {"eps", 1e-7},
                                                {"ns_steps", 5.0},
                                                {"match_rms_adamw", 0.0},
                                                {"beta2", 0.999},
                                                {"orthogonal", 1.0}}};
constexpr std::array<const char*, 2> kSlots{"momentum_buffer", "exp_avg_sq"};

/// Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024, in the form of torch.optim.Muon: the
/// step of a matrix is its momentum with all singular values brought near 1. Other parameters take AdamW's steps.
class Muon final : public Method {
 public:
  Muon(const State& state, Device& device) : device_(&device) {
    size_t largest = 0;
    for (const ParameterSpec& each : state.specs()) largest = std::max(largest, static_cast<size_t>(count(each.shape)));
    for (Arena* const arena : {&along_, &next_, &gram_, &polynomial_})
      *arena = Arena(largest * size_of(device.dtype()));
  }

  void step(const Part& part, const math::OptionValues& o, int64_t step) override {
    const int64_t n = part.size();
    if (o[kOrthogonal] == 0) {
      const math::OptionValues adamw{o[kLr], o[kMomentum], o[kBeta2], o[kEps], o[kWeightDecay]};
      return device_->update(part.parameter.data, part.gradient, part.slots, n,
                             {math::OptimizerId::AdamW, math::AdamW::prepare(adamw, step)});
    }
    void* const buffer = part.slots[0];
    follow(*device_, buffer, part.gradient, 1 - o[kMomentum], 1, n);
    const bool nesterov = o[kNesterov] != 0;
    device_->scale(along_.data(), nesterov ? part.gradient : buffer, 1, n);
    if (nesterov) follow(*device_, along_.data(), buffer, o[kMomentum], 1, n);
    orthogonalize(part.parameter.rows, part.parameter.cols, static_cast<int>(o[kSteps]), o[kEps]);

    const auto rows = static_cast<double>(part.parameter.rows), cols = static_cast<double>(part.parameter.cols);
    const double rate =
        o[kLr] * (o[kMatchRms] != 0 ? 0.2 * std::sqrt(std::max(rows, cols)) : std::sqrt(std::max(1.0, rows / cols)));
    if (rate > 0) follow(*device_, part.parameter.data, along_.data(), -rate, -o[kLr] * o[kWeightDecay] / rate, n);
  }

 private:
  /// along_ (rows, cols) = a X + b (X X^T) X + c (X X^T)^2 X, so many times: a quintic that takes the singular values
  /// of X, first divided by its norm, to about 1. Of X X^T and X^T X, the smaller one is formed, G, and then
  /// a I + b G + c G^2, where G G^T is the square: products with their own transpose take half the time.
  void orthogonalize(int64_t rows, int64_t cols, int steps, double eps) {
    constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
    const int64_t n = rows * cols, k = std::min(rows, cols);
    const bool wide = rows <= cols;
    const double norm = std::sqrt(device_->sum_of_squares(along_.data(), n));
    device_->scale(along_.data(), along_.data(), 1 / std::max(norm, eps), n);
    const Matrix gram{gram_.data(), k, k, k}, polynomial{polynomial_.data(), k, k, k};
    const Matrix diagonal{polynomial.data, k, 1, k + 1};
    for (int i = 0; i < steps; ++i) {
      const Matrix x{along_.data(), rows, cols, cols}, y{next_.data(), rows, cols, cols};
      device_->gemm(gram, x, !wide, x, wide, false, {});
      device_->gemm(polynomial, gram, false, gram, true, false, {});
      follow(*device_, polynomial.data, gram.data, b, (1 - c) / b, k * k);
      device_->activate(diagonal, diagonal, {math::ActivationId::Affine, {1, a}});
      if (wide)
        device_->gemm(y, polynomial, false, x, false, false, {});
      else
        device_->gemm(y, x, false, polynomial, false, false, {});
      std::swap(along_, next_);
    }
  }

  Device* device_;
  Arena along_, next_, gram_, polynomial_;
};

}  // namespace

const MethodInfo& muon() {
  static const MethodInfo info{
      .optimizer = {.name = "muon", .id = {}, .options = kOptions, .slots = kSlots, .prepare = nullptr},
      .make = [](const State& state, Device& device) -> std::unique_ptr<Method> {
        return std::make_unique<Muon>(state, device);
      }};
  return info;
}

}  // namespace whet::optimizers
