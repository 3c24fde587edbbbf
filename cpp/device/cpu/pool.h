#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

/// The threads that the CPU device computes with: our own, for GCC's OpenMP deadlocks after fork and two OpenMP
/// runtimes in one process crash. Created at first use, spinning briefly between jobs and then asleep, never joined.
namespace whet::cpu {

/// A reference to something callable with the number of a task; the callable must outlive it.
class Task {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Task>)
  Task(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, int64_t i) { (*static_cast<std::remove_reference_t<F>*>(object))(i); }) {}

  void operator()(int64_t i) const { call_(object_, i); }

 private:
  void* object_;
  void (*call_)(void*, int64_t);
};

/// Calls task(0) ... task(tasks - 1) on up to `threads` threads, the caller being one of them, and returns when all are
/// done. Tasks are handed out one by one in ascending order. The first exception of a task is thrown again here; tasks
/// not begun by then are left out. Runs on the caller alone from inside a task, or while another caller has the
/// threads.
void run_tasks(int threads, int64_t tasks, Task task);

}  // namespace whet::cpu
