#pragma once

#include <chrono>
#include <functional>
#include <utility>

namespace whet {

/// Asks now and then whether to go on. `check` is called at most every 20 ms, and throws to stop.
class Watch {
 public:
  explicit Watch(std::function<void()> check = {}) : check_(std::move(check)) {}

  void poll() {
    if (!check_) return;
    const auto now = Clock::now();
    if (now - last_ < std::chrono::milliseconds(20)) return;
    check_();
    last_ = Clock::now();
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::function<void()> check_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace whet
