#pragma once

#include <cstdint>
#include <functional>

namespace whet::optimizers {

/// A point of a line that has been looked at: how far along, the loss there and its slope along the line, and where
/// its gradient is kept.
struct Trial {
  double t = 0, loss = 0, slope = 0;
  int place = -1;
};

/// Looks at the point `t` and keeps its gradient in a place from 0 to kPlaces - 1.
constexpr int kPlaces = 3;
using Look = std::function<Trial(double t, int place)>;

/// A point where the strong Wolfe conditions hold, or the lowest one found in so many attempts: Nocedal and Wright,
/// "Numerical optimization", algorithms 3.5 and 3.6, in the form of torch.optim.lbfgs._strong_wolfe. It starts at `t`;
/// `longest` is the largest size of an element of the line's direction. A point whose loss is not finite counts as
/// infinitely high, and is come nearer from by halves.
Trial strong_wolfe(const Trial& start, double t, double longest, double tolerance_change, int64_t attempts,
                   const Look& look);

}  // namespace whet::optimizers
