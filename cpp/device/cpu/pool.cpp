#include "device/cpu/pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/platform.h"
#include "device/cpu/cpu.h"

namespace whet::cpu {

namespace {

constexpr int kMaxThreads = 1024;

/// Long enough to span the gap between two kernels of a step, short enough to leave the processor to others.
constexpr auto kSpin = std::chrono::microseconds(50);

/// True while this thread is inside a task: what it calls from there runs serially.
thread_local bool inside_task = false;

/// Spins until `ready` holds or the time is over, and says which.
template <class Ready>
bool spin_until(Ready ready) {
  constexpr int rounds = 64;  // between two looks at the clock
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < rounds; ++i) {
      if (ready()) return true;
      platform::relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

class Pool {
 public:
  void run(int threads, int64_t tasks, Task task);

 private:
  // One word holds the number of the job and the next task to hand out. A job's fields change only while no task can be
  // handed out, so a worker whose exchange succeeds has read the fields of that very job. A worker that comes late
  // finds nothing to do and is not waited for.
  static constexpr uint64_t kIndexBits = 32, kClosed = (uint64_t{1} << kIndexBits) - 1;
  static constexpr uint64_t job_of(uint64_t word) { return word >> kIndexBits; }
  static constexpr uint64_t index_of(uint64_t word) { return word & kClosed; }

  void work(int worker);
  void take_tasks(int worker);
  void grow(int workers);

  std::mutex running_;
  int workers_ = 0;

  alignas(64) std::atomic<uint64_t> word_{kClosed};
  std::atomic<const Task*> task_{nullptr};
  std::atomic<uint64_t> tasks_{0};
  std::atomic<int> allowed_{0};  // workers that may take part
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;  // written by the task that sets failed_, read when all are done

  alignas(64) std::atomic<uint64_t> done_{0};

  alignas(64) std::atomic<int> asleep_{0};
  std::mutex sleep_;
  std::condition_variable wake_;
};

void Pool::take_tasks(int worker) {
  uint64_t word = word_.load(std::memory_order_acquire);
  for (;;) {
    const Task* const task = task_.load(std::memory_order_relaxed);
    if (worker >= allowed_.load(std::memory_order_relaxed)) return;
    if (index_of(word) >= tasks_.load(std::memory_order_relaxed)) return;
    if (!word_.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    if (!failed_.load(std::memory_order_relaxed)) {
      try {
        (*task)(static_cast<int64_t>(index_of(word)));
      } catch (...) {
        if (!failed_.exchange(true)) failure_ = std::current_exception();
      }
    }
    done_.fetch_add(1, std::memory_order_acq_rel);
    word = word_.load(std::memory_order_acquire);
  }
}

void Pool::work(int worker) {
  const FlushDenormals flush;
  inside_task = true;
  uint64_t seen = 0;
  for (;;) {
    const auto news = [&] { return job_of(word_.load(std::memory_order_seq_cst)) != seen; };
    if (!spin_until(news)) {
      std::unique_lock lock(sleep_);
      asleep_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, news);
      asleep_.fetch_sub(1, std::memory_order_seq_cst);
    }
    seen = job_of(word_.load(std::memory_order_acquire));
    take_tasks(worker);
  }
}

void Pool::grow(int workers) {
  for (; workers_ < workers; ++workers_) {
    try {
      std::thread([this, worker = workers_] { work(worker); }).detach();
    } catch (const std::system_error&) {
      return;  // the system has no more threads: the work is done by those there are
    }
  }
}

void Pool::run(int threads, int64_t tasks, Task task) {
  const auto serially = [&] {
    for (int64_t i = 0; i < tasks; ++i) task(i);
  };
  if (threads <= 1 || tasks <= 1 || inside_task) return serially();
  std::unique_lock running(running_, std::try_to_lock);
  if (!running.owns_lock()) return serially();
  grow(threads - 1);

  // Closed first, open when all fields stand: two job numbers, so that the closed state is nobody's news.
  const uint64_t job = job_of(word_.load(std::memory_order_relaxed)) + 1;
  word_.store((job - 1) << kIndexBits | kClosed, std::memory_order_seq_cst);
  task_.store(&task, std::memory_order_relaxed);
  tasks_.store(static_cast<uint64_t>(tasks), std::memory_order_relaxed);
  allowed_.store(threads - 1, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  failure_ = nullptr;
  done_.store(0, std::memory_order_relaxed);
  word_.store((job & kClosed) << kIndexBits, std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_seq_cst) > 0) {
    {
      std::lock_guard lock(sleep_);
    }
    wake_.notify_all();
  }

  inside_task = true;
  take_tasks(-1);
  inside_task = false;
  const auto finished = [&] { return done_.load(std::memory_order_acquire) == static_cast<uint64_t>(tasks); };
  while (!spin_until(finished)) std::this_thread::yield();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

std::atomic<Pool*> current{nullptr};

/// The child of a fork has none of the threads: it leaves the old pool where it is and makes a new one when it needs
/// one.
void forget_pool() { current.store(nullptr); }
[[maybe_unused]] const bool registered = (platform::after_fork_in_child(forget_pool), true);

Pool& pool() {
  if (Pool* const existing = current.load(std::memory_order_acquire)) return *existing;
  // Never deleted: at exit workers may still look at it.
  auto fresh = std::make_unique<Pool>();
  Pool* expected = nullptr;
  return current.compare_exchange_strong(expected, fresh.get()) ? *fresh.release() : *expected;
}

int initial_threads() {
  const char* const text = std::getenv("WHET_NUM_THREADS");
  if (text == nullptr || *text == '\0') return platform::available_processors();
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  if (*end != '\0' || n < 1) fail("WHET_NUM_THREADS", "expected a number of at least 1, got '", text, "'");
  return static_cast<int>(std::min<long>(n, kMaxThreads));
}

std::atomic<int> chosen_threads{0};

thread_local int most_threads_here = kMaxThreads;

}  // namespace

void run_tasks(int threads, int64_t tasks, Task task) {
  if (threads <= 1 || tasks <= 1 || inside_task) {
    for (int64_t i = 0; i < tasks; ++i) task(i);
    return;
  }
  pool().run(threads, tasks, task);
}

int num_threads() {
  int chosen = chosen_threads.load(std::memory_order_relaxed);
  if (chosen == 0) {
    const int initial = initial_threads();
    if (chosen_threads.compare_exchange_strong(chosen, initial)) chosen = initial;
  }
  return std::min(chosen, most_threads_here);
}

void set_num_threads(int n) {
  if (n < 1) fail("set_num_threads", "expected at least 1, got ", n);
  chosen_threads.store(std::min(n, kMaxThreads), std::memory_order_relaxed);
}

void limit_threads_here(int n) {
  if (n < 1) fail("limit_threads_here", "expected at least 1, got ", n);
  most_threads_here = std::min(n, kMaxThreads);
}

}  // namespace whet::cpu
