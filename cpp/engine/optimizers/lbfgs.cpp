#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "engine/optimizers/line_search.h"
#include "engine/optimizers/optimizers.h"
#include "engine/updater.h"

namespace whet::optimizers {

namespace {

enum { kLr, kMaxIter, kMaxEval, kToleranceGrad, kToleranceChange, kHistorySize, kStrongWolfe };

constexpr std::array<math::Option, 7> kOptions{{{"lr", 1.0},
                                                {"max_iter", 20},
                                                {"max_eval", 25},
                                                {"tolerance_grad", 1e-7},
                                                {"tolerance_change", 1e-9},
                                                {"history_size", 100},
                                                {"strong_wolfe", 1.0}}};

/// What is remembered besides vectors, by the names of torch.optim.LBFGS.
struct Memory {
  int64_t n_iter = 0, pairs = 0;  // `pairs`: of old_dirs and old_stps
  double t = 0, h_diag = 1;
};

/// From n_iter, t, h_diag and a number for each pair.
Memory read(std::span<const double> numbers, const math::OptionValues& o) {
  const double n_iter = numbers.empty() ? -1 : numbers[0], pairs = static_cast<double>(numbers.size()) - 3;
  if (!(pairs >= 0 && pairs <= o[kHistorySize] && n_iter >= pairs && n_iter < 0x1p62))
    fail("lbfgs", "expected the numbers of at most ", o[kHistorySize], " pairs");
  return {static_cast<int64_t>(n_iter), static_cast<int64_t>(pairs), numbers[1], numbers[2]};
}

/// Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989, in the form of
/// torch.optim.LBFGS. Vectors of all parameters, in which those that stay have zeros.
///
/// A step that throws must leave what is remembered: it writes new pairs behind the old ones, and the vectors of the
/// last iteration beside those of the last step, until it ends.
class Lbfgs final : public Search {
 public:
  Lbfgs(const State& state, Device& device, const math::OptionValues& o, std::vector<Range> moving)
      : device_(&device),
        options_(o),
        size_(state.layout().size),
        parameters_(static_cast<std::byte*>(state.parameters())),
        moving_(std::move(moving)),
        history_(static_cast<int64_t>(o[kHistorySize])),
        room_(history_ + std::min(history_, static_cast<int64_t>(o[kMaxIter])) + 1) {
    for (int64_t i = 0; i < 2 + 2 * room_; ++i) vectors_.push_back(state.like());
    for (Arena* const each : {&gradient_, &base_, &scratch_, &last_[0], &last_[1]}) *each = state.like();
    for (Arena& each : places_) each = state.like();
    ro_.resize(static_cast<size_t>(room_));
    al_.resize(static_cast<size_t>(history_));
  }

  void step(double loss, const void* gradient, const Objective& objective, const math::OptionValues& o) override {
    take(gradient_.data(), gradient);
    if (device_->largest(gradient_.data(), size_) <= o[kToleranceGrad]) return;
    Memory now = memory_;
    first_ = memory_.pairs;  // of the pairs of this step
    const Arena *previous = &vectors_[0], *direction = &vectors_[1];
    int64_t evaluations = 1;
    for (int64_t iteration = 1; iteration <= static_cast<int64_t>(o[kMaxIter]); ++iteration) {
      if (++now.n_iter > 1) remember(now, *previous, *direction);
      find_direction(now);
      previous = &last_[0], direction = &last_[1];
      assign(last_[0], gradient_, 1);
      now.t = now.n_iter == 1 ? std::min(1.0, 1 / sum_of_sizes(gradient_)) * o[kLr] : o[kLr];
      const double slope = dot(gradient_, *direction), before = loss;
      if (slope > -o[kToleranceChange]) break;
      take(base_.data(), parameters_);
      const bool last = iteration == static_cast<int64_t>(o[kMaxIter]);
      if (o[kStrongWolfe] != 0)
        loss = search(now, {0, loss, slope}, objective, o, evaluations);
      else
        loss = walk(now, last ? nullptr : &objective, loss, evaluations);
      if (last || evaluations >= static_cast<int64_t>(o[kMaxEval])) break;
      if (device_->largest(gradient_.data(), size_) <= o[kToleranceGrad]) break;
      if (device_->largest(direction->data(), size_) * std::abs(now.t) <= o[kToleranceChange]) break;
      if (std::abs(loss - before) < o[kToleranceChange]) break;
    }
    settle(now);
  }

  std::span<const Arena> slots() const override { return vectors_; }

  std::vector<double> numbers() const override {
    std::vector<double> numbers{static_cast<double>(memory_.n_iter), memory_.t, memory_.h_diag};
    numbers.insert(numbers.end(), ro_.begin(), ro_.begin() + memory_.pairs);
    return numbers;
  }

  void set_numbers(std::span<const double> numbers) override {
    memory_ = read(numbers, options_);
    std::copy(numbers.begin() + 3, numbers.end(), ro_.begin());
  }

 private:
  double dot(const Arena& a, const Arena& b) const { return device_->weighted_sum(a.data(), b.data(), size_); }
  void add(const Arena& y, double factor, const Arena& x) const {
    follow(*device_, y.data(), x.data(), factor, 0, size_);
  }
  void assign(const Arena& y, const Arena& x, double factor) const {
    device_->scale(y.data(), x.data(), factor, size_);
  }
  double sum_of_sizes(const Arena& x) const {
    device_->activate({scratch_.data(), 1, size_, size_}, {x.data(), 1, size_, size_}, {math::ActivationId::Abs});
    return device_->weighted_sum(scratch_.data(), nullptr, size_);
  }

  /// y = x where parameters move; both laid out as they are.
  void take(void* y, const void* x) const {
    for (const Range& each : moving_) {
      const size_t first = static_cast<size_t>(each.first) * size_of(device_->dtype());
      std::memcpy(static_cast<std::byte*>(y) + first, static_cast<const std::byte*>(x) + first,
                  static_cast<size_t>(each.size) * size_of(device_->dtype()));
    }
  }

  Arena& dirs(int64_t pair) { return vectors_[static_cast<size_t>(2 + 2 * pair)]; }
  Arena& stps(int64_t pair) { return vectors_[static_cast<size_t>(3 + 2 * pair)]; }

  /// The oldest pair that counts.
  int64_t oldest(const Memory& now) const { return std::max<int64_t>(0, now.pairs - history_); }
  /// Moves pairs [middle, end) to before [begin, middle).
  void rotate(int64_t begin, int64_t middle, int64_t end) {
    std::rotate(vectors_.begin() + 2 + 2 * begin, vectors_.begin() + 2 + 2 * middle, vectors_.begin() + 2 + 2 * end);
    std::rotate(ro_.begin() + begin, ro_.begin() + middle, ro_.begin() + end);
  }

  /// A new pair: how gradient and parameters changed in the last iteration.
  void remember(Memory& now, const Arena& previous, const Arena& direction) {
    const Arena &y = dirs(now.pairs), &s = stps(now.pairs);
    assign(y, gradient_, 1);
    add(y, -1, previous);
    assign(s, direction, now.t);
    const double along = dot(y, s);
    if (along <= 1e-10) return;
    ro_[static_cast<size_t>(now.pairs)] = 1 / along;
    now.h_diag = along / dot(y, y);
    if (++now.pairs < room_) return;
    rotate(first_, first_ + 1, now.pairs);  // of this step's pairs, the oldest counts no more
    --now.pairs;
  }

  /// The direction, last_[1]: the inverse Hessian that the pairs tell of, times the gradient, downhill.
  void find_direction(const Memory& now) {
    const Arena& d = last_[1];
    assign(d, gradient_, -1);
    const int64_t first = oldest(now);
    for (int64_t i = now.pairs; i-- > first;) {
      double& al = al_[static_cast<size_t>(i - first)];
      al = dot(stps(i), d) * ro_[static_cast<size_t>(i)];
      add(d, -al, dirs(i));
    }
    if (now.h_diag != 1) assign(d, d, now.h_diag);
    for (int64_t i = first; i < now.pairs; ++i)
      add(d, al_[static_cast<size_t>(i - first)] - dot(dirs(i), d) * ro_[static_cast<size_t>(i)], stps(i));
  }

  /// Moves the parameters to t along the direction from base_.
  void move(double t) const {
    take(parameters_, base_.data());
    for (const Range& each : moving_) {
      const size_t first = static_cast<size_t>(each.first) * size_of(device_->dtype());
      follow(*device_, parameters_ + first, last_[1].data() + first, t, 0, each.size);
    }
  }

  /// To a point that the line search finds, with its gradient. Returns its loss.
  double search(Memory& now, const Trial& start, const Objective& objective, const math::OptionValues& o,
                int64_t& evaluations) {
    const auto look = [&](double t, int place) {
      move(t);
      Trial trial{t, objective.evaluate(), 0, place};
      ++evaluations;
      if (std::isfinite(trial.loss)) {
        take(places_[place].data(), objective.gradient);
        trial.slope = dot(places_[place], last_[1]);
      }
      if (!std::isfinite(trial.loss) || !std::isfinite(trial.slope))
        trial.loss = std::numeric_limits<double>::infinity(), trial.slope = std::numeric_limits<double>::quiet_NaN();
      return trial;
    };
    const double longest = device_->largest(last_[1].data(), size_);
    const int64_t attempts = static_cast<int64_t>(o[kMaxEval]) - evaluations;
    const Trial found = strong_wolfe(start, now.t, longest, o[kToleranceChange], attempts, std::ref(look));
    now.t = found.t;
    move(now.t);
    if (found.place >= 0) std::swap(gradient_, places_[found.place]);
    return found.loss;
  }

  /// To t, and asks for loss and gradient there if there is an objective.
  double walk(const Memory& now, const Objective* objective, double loss, int64_t& evaluations) {
    move(now.t);
    if (!objective) return loss;
    loss = objective->evaluate();
    ++evaluations;
    check_finite("loss", loss, objective->steps);
    take(gradient_.data(), objective->gradient);
    return loss;
  }

  /// Makes the step's end what is remembered.
  void settle(Memory& now) {
    rotate(0, oldest(now), now.pairs);
    now.pairs -= oldest(now);
    std::swap(vectors_[0], last_[0]);
    std::swap(vectors_[1], last_[1]);
    memory_ = now;
  }

  Device* device_;
  math::OptionValues options_;
  int64_t size_;
  std::byte* parameters_;
  std::vector<Range> moving_;
  int64_t history_, room_;  // pairs that count, and that there is room for, with one that is tried

  std::vector<Arena> vectors_;  // previous gradient, direction; then dirs and stps of each pair, the oldest first
  std::vector<double> ro_, al_;
  Memory memory_;

  int64_t first_ = 0;
  Arena gradient_, base_, scratch_, last_[2], places_[kPlaces];
};

}  // namespace

const MethodInfo& lbfgs() {
  static const MethodInfo info{
      .optimizer = {.name = "lbfgs", .id = {}, .options = kOptions, .slots = {}, .prepare = nullptr},
      .make_search = [](const State& state, Device& device, const math::OptionValues& options,
                        std::vector<Range> moving) -> std::unique_ptr<Search> {
        return std::make_unique<Lbfgs>(state, device, options, std::move(moving));
      },
      .slots =
          [](const Shape& parameter, const math::OptionValues& options, std::span<const double> numbers) {
            const Memory memory = read(numbers, options);
            std::vector<ParameterSpec> slots;
            if (memory.n_iter > 0) slots = {{"prev_flat_grad", parameter}, {"d", parameter}};
            for (int64_t i = 0; i < memory.pairs; ++i) {
              slots.push_back({"old_dirs." + std::to_string(i), parameter});
              slots.push_back({"old_stps." + std::to_string(i), parameter});
            }
            return slots;
          }};
  return info;
}

}  // namespace whet::optimizers
