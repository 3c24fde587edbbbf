#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "check.h"
#include "device/cpu/cpu.h"
#include "device/cpu/pool.h"
#include "reference.h"

namespace {

using namespace whet;

/// How often each task ran.
std::vector<int> counts_of_run(int threads, int64_t tasks) {
  std::vector<std::atomic<int>> counts(static_cast<size_t>(tasks));
  cpu::run_tasks(threads, tasks, [&](int64_t i) { ++counts[static_cast<size_t>(i)]; });
  return {counts.begin(), counts.end()};
}

TEST(every_task_runs_once) {
  for (int round = 0; round < 200; ++round)
    for (const int threads : {1, 2, 3, 8})
      for (const int64_t tasks : {0, 1, 2, 7, 100})
        CHECK(counts_of_run(threads, tasks) == std::vector<int>(static_cast<size_t>(tasks), 1), threads, ' ', tasks);
}

TEST(sleeping_threads_wake_up) {
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(counts_of_run(4, 50) == std::vector<int>(50, 1));
  }
}

TEST(an_exception_reaches_the_caller) {
  for (int round = 0; round < 50; ++round) {
    std::string message;
    try {
      cpu::run_tasks(4, 100, [&](int64_t i) {
        if (i == 13) throw std::runtime_error("thirteen");
      });
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CHECK(message == "thirteen");
    CHECK(counts_of_run(4, 20) == std::vector<int>(20, 1), "after an exception");
  }
}

TEST(a_task_may_run_tasks) {
  std::atomic<int> inner{0};
  cpu::run_tasks(4, 10, [&](int64_t) { cpu::run_tasks(4, 10, [&](int64_t) { ++inner; }); });
  CHECK(inner == 100, inner.load());
}

TEST(callers_may_come_together) {
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) cpu::run_tasks(3, 20, [&](int64_t i) { sum += i; });
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(sum == 4 * 200 * 190, sum.load());
}

TEST(the_number_of_threads_may_change) {
  CHECK_THROWS(std::invalid_argument, (cpu::set_num_threads(0), 0));
  for (const int threads : {1, 5, 2, 3, 1, 2}) {
    cpu::set_num_threads(threads);
    CHECK(cpu::num_threads() == threads);
    CHECK(counts_of_run(cpu::num_threads(), 30) == std::vector<int>(30, 1));
  }
}

TEST(denormals_are_flushed_inside_only) {
  volatile float smallest = std::numeric_limits<float>::min();
  {
    const cpu::FlushDenormals flush;
    CHECK(smallest / 2 == 0);
    {
      const cpu::FlushDenormals again;
    }
    CHECK(smallest / 2 == 0);
  }
  CHECK(smallest / 2 > 0);
}

// A child of fork has none of the threads; it makes its own. Thread sanitizer does not follow threads made after a
// fork.
#if !defined(__SANITIZE_THREAD__)
TEST(children_of_fork_compute_too) {
  for (int round = 0; round < 50; ++round) {
    CHECK(counts_of_run(4, 20) == std::vector<int>(20, 1));
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // a deadlock ends as a signal
      const bool right =
          counts_of_run(4, 20) == std::vector<int>(20, 1) && counts_of_run(2, 9) == std::vector<int>(9, 1);
      _exit(right ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status ", status);
  }
}
#endif

}  // namespace

int main() { return run_tests(); }
