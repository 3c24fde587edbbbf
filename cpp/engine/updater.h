#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "device/device.h"
#include "engine/method.h"
#include "engine/state.h"
#include "math/registry.h"

namespace whet {

/// What is done to gradients before an optimizer uses them, and to parameters after it; as it stands here, nothing.
struct Shaping {
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  bool centralize = false;     // each row of a weight's gradient less its mean
  double noise = 0;            // variance of normal numbers added in the first step; it falls with
  double noise_decay = 0;      // (1 + steps)^-noise_decay
  bool normalize = false;      // the whole gradient has norm 1
  double clip_norm = kNone;    // of the whole gradient
  double clip_value = kNone;   // of each element, after that
  double max_norm = kNone;     // of each row of a weight, after the step
  int64_t accumulate = 1;      // batches of a step of Trainer::step
  double ema = 0;              // decay of the average of the parameters; 0: none
  int64_t average_after = -1;  // the plain mean of all parameters after so many steps; -1: none
};

/// The numbers of a group of parameters.
struct Numbers {
  math::OptionValues options{};
  double l1 = 0;  // strength of the penalty l1 * |p|, as a subgradient
};

/// How gradients become steps.
struct Recipe {
  const math::OptimizerInfo* optimizer;
  std::vector<Numbers> groups;
  std::vector<int> group_of{};  // of each parameter, -1 for one that stays as it is; empty: all are of the first
  Shaping shaping{};
  const MethodInfo* method = nullptr;  // of `optimizer`, if that is no sweep; it takes no l1, and a search no groups
                                       // and no shaping but an average
};

/// What belongs to one parameter.
struct View {
  Shape shape;
  void* data;
};

/// Takes the steps of a Recipe, parameter by parameter: adjacent ones of a group are one sweep. Steps and slots live
/// here. A step allocates nothing.
class Updater {
 public:
  Updater(std::shared_ptr<State> state, Device& device, Recipe recipe, uint64_t seed);

  /// One step along `gradients`, which may change. Throws NonFiniteError, before anything has changed, for a norm that
  /// is needed and not finite.
  void step(void* gradients);

  /// Whether steps are those of a search.
  bool searches() const { return search_ != nullptr; }
  /// One step of the search from here, where `loss` and `gradients` are the present ones. Throws NonFiniteError for a
  /// gradient that is not finite. If it throws, only the parameters have changed.
  void search(double loss, const void* gradients, const Objective& objective);

  const Recipe& recipe() const { return recipe_; }
  Numbers& numbers(size_t group) { return recipe_.groups.at(group); }
  /// What a slot holds of parameter `i`.
  View slot(size_t slot, size_t i) const;
  /// What a search remembers besides.
  Search* memory() const { return search_.get(); }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

  /// Starts the plain mean after so many steps; -1 for none.
  void set_average_after(int64_t steps);
  /// Of the parameters; empty where there is none.
  const Arena& average() const {
    return recipe_.optimizer->average < 0 ? average_ : slots_[static_cast<size_t>(recipe_.optimizer->average)].memory;
  }
  /// Exchanges parameters and average, if there is one yet. Returns whether there is.
  bool swap_average();

 private:
  struct Segment : Range {
    size_t group;
  };
  /// A vector for each parameter, none of them longer than it.
  struct Slot {
    std::vector<ParameterSpec> specs;
    ParameterLayout layout;
    Arena memory;
  };
  void make_slots();
  bool follows() const { return recipe_.shaping.ema > 0 || recipe_.shaping.average_after >= 0; }
  /// Steps that the average is of.
  int64_t averaged() const;
  void shape(void* gradients);
  double checked_norm(const void* gradients) const;
  double gradient_scale(const void* gradients) const;
  void sweep(const void* gradients, double scale);
  void apply(const void* gradients, double scale);
  void follow();
  void* at(void* flat, int64_t element) const;
  template <class Visit>
  void for_weights(void* flat, Visit visit) const;

  std::shared_ptr<State> state_;
  Device* device_;
  Recipe recipe_;
  uint64_t seed_;
  std::vector<Segment> segments_;
  std::vector<math::Coefficients> coefficients_;  // of each group
  std::unique_ptr<Method> method_;
  std::unique_ptr<Search> search_;
  std::vector<Slot> slots_;
  Arena average_, shaped_;
  int64_t steps_ = 0;
};

/// Throws NonFiniteError if `value` is NaN or infinite; `steps` are those taken.
void check_finite(const char* what, double value, int64_t steps);

}  // namespace whet
