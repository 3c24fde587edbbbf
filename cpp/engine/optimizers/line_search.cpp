#include "engine/optimizers/line_search.h"

#include <algorithm>
#include <cmath>

namespace whet::optimizers {

namespace {

/// Where the cubic through both points, with their slopes, is lowest between `low` and `high`; the middle, where there
/// is no such point.
double lowest_of_cubic(const Trial& a, const Trial& b, double low, double high) {
  const Trial &left = a.t <= b.t ? a : b, &right = a.t <= b.t ? b : a;
  const double d = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t), square = d * d - a.slope * b.slope;
  const double root = std::sqrt(square);
  const double t = right.t - (right.t - left.t) * ((right.slope + root - d) / (right.slope - left.slope + 2 * root));
  return square >= 0 && std::isfinite(t) ? std::min(std::max(t, low), high) : (low + high) / 2;
}

/// Two points with one between them that meets the conditions, or a single one that does.
struct Bracket {
  Trial ends[2];
  bool done = false;

  int low() const { return ends[0].loss <= ends[1].loss ? 0 : 1; }
  double least() const { return std::min(ends[0].t, ends[1].t); }
  double most() const { return std::max(ends[0].t, ends[1].t); }
  /// A place where neither has its gradient.
  int free_place() const {
    int place = 0;
    while (place == ends[0].place || place == ends[1].place) ++place;
    return place;
  }
};

class StrongWolfe {
 public:
  StrongWolfe(const Trial& start, int64_t attempts, const Look& look)
      : start_(start), attempts_(attempts), look_(look) {}

  /// Goes on along the line until there is a bracket.
  Bracket bracket(double t) {
    Bracket found{{start_, look_(t, 0)}};
    Trial &before = found.ends[0], &now = found.ends[1];
    for (; tried_ < attempts_; ++tried_) {
      if (too_high(now) || (tried_ > 1 && now.loss >= before.loss)) return found;
      if (flat(now)) return {{now, now}, true};
      if (now.slope >= 0) return found;
      t = lowest_of_cubic(before, now, now.t + 0.01 * (now.t - before.t), now.t * 10);
      const int place = found.free_place();
      before = now;
      now = look_(t, place);
    }
    return {{start_, now}};
  }

  /// Narrows a bracket until a point meets the conditions.
  Trial zoom(Bracket bracket, double longest, double tolerance_change) {
    Trial* const ends = bracket.ends;
    int low = bracket.low();
    bool near_end = false;
    while (!bracket.done && tried_ < attempts_) {
      const double width = bracket.most() - bracket.least();
      if (width * longest < tolerance_change) break;
      const double t =
          move_inside(bracket, lowest_of_cubic(ends[0], ends[1], bracket.least(), bracket.most()), near_end);
      const Trial now = look_(t, bracket.free_place());
      ++tried_;
      if (too_high(now) || now.loss >= ends[low].loss) {
        ends[1 - low] = now;
        low = bracket.low();
        continue;
      }
      if (flat(now))
        bracket.done = true;
      else if (now.slope * (ends[1 - low].t - ends[low].t) >= 0)
        ends[1 - low] = ends[low];
      ends[low] = now;
    }
    return ends[low];
  }

 private:
  static constexpr double kDecrease = 1e-4, kCurvature = 0.9;

  bool too_high(const Trial& x) const { return x.loss > start_.loss + kDecrease * x.t * start_.slope; }
  bool flat(const Trial& x) const { return std::abs(x.slope) <= -kCurvature * start_.slope; }

  /// A point close to an end once more, or at it, is moved a tenth of the bracket away.
  static double move_inside(const Bracket& bracket, double t, bool& near_end) {
    const double least = bracket.least(), most = bracket.most(), margin = 0.1 * (most - least);
    if (std::min(most - t, t - least) >= margin) {
      near_end = false;
      return t;
    }
    const bool moves = near_end || t >= most || t <= least;
    near_end = !moves;
    if (!moves) return t;
    return std::abs(t - most) < std::abs(t - least) ? most - margin : least + margin;
  }

  const Trial& start_;
  int64_t attempts_, tried_ = 0;
  const Look& look_;
};

}  // namespace

Trial strong_wolfe(const Trial& start, double t, double longest, double tolerance_change, int64_t attempts,
                   const Look& look) {
  StrongWolfe search(start, attempts, look);
  return search.zoom(search.bracket(t), longest, tolerance_change);
}

}  // namespace whet::optimizers
