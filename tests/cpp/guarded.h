#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "device/device.h"

/// Operands beside pages that may not be touched, so that a kernel which reads or writes beyond them is caught.
namespace whet {

constexpr int kFaultStatus = 3;  // what a program ends with that touched a forbidden page

/// Memory between two forbidden pages, never given back: make it static.
class GuardedPages {
 public:
  GuardedPages(const char* name, size_t bytes) : name_(name), page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    const size_t inside = (bytes + page_ - 1) / page_ * page_;
    void* const all = mmap(nullptr, inside + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) stop("mmap");
    begin_ = static_cast<std::byte*>(all) + page_;
    end_ = begin_ + inside;
    if (mprotect(begin_, inside, PROT_READ | PROT_WRITE) != 0) stop("mprotect");
    next_ = list_;
    list_ = this;
    struct sigaction action{};
    action.sa_sigaction = explain;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
  }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;

  template <class T>
  T* begin() const {
    return reinterpret_cast<T*>(begin_);
  }
  template <class T>
  T* end() const {
    return reinterpret_cast<T*>(end_);
  }

  /// What a fault prints. Set it before each call of what is tested, for the fault may come in any thread.
  static void say_at_fault(const std::string& text) { std::snprintf(doing_, sizeof doing_, "%s", text.c_str()); }

 private:
  static void stop(const char* what) {
    std::perror(what);
    std::abort();
  }

  // Faults come from inside a kernel, which holds no lock of the C library.
  static void explain(int, siginfo_t* info, void*) {
    const auto* const at = static_cast<const std::byte*>(info->si_addr);
    const char* where = "elsewhere";
    long long behind = 0;  // its first byte, and so less than zero before it
    for (const GuardedPages* pages = list_; pages; pages = pages->next_) {
      if (at < pages->begin_ - pages->page_ || at >= pages->end_ + pages->page_) continue;
      where = pages->name_;
      behind = at - (at < pages->begin_ ? pages->begin_ : pages->end_);
    }
    char text[sizeof doing_ + 200];
    const int length = std::snprintf(text, sizeof text, "FAULT at %p, %lld bytes from the %s of %s: %s\n",
                                     info->si_addr, behind, behind < 0 ? "begin" : "end", where, doing_);
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, static_cast<size_t>(length));
    _exit(kFaultStatus);
  }

  static inline char doing_[1000] = "";
  static inline GuardedPages* list_ = nullptr;

  const char* name_;
  size_t page_;
  std::byte* begin_;
  std::byte* end_;
  GuardedPages* next_;
};

/// Where a matrix stands in its pages: `shift` elements from the page behind it, or from the one before it.
struct Place {
  int64_t rows, cols, stride, shift;
  bool at_end;
};

/// A matrix in guarded pages, with what surrounds it: the gaps between its rows and some elements at both ends.
template <class T>
class GuardedMatrix {
 public:
  GuardedMatrix(const GuardedPages& pages, const Place& place)
      : rows_(place.rows), cols_(place.cols), stride_(place.stride) {
    const int64_t extent = rows_ == 0 || cols_ == 0 ? 0 : (rows_ - 1) * stride_ + cols_;
    T *const begin = pages.begin<T>(), *const end = pages.end<T>();
    if (extent + place.shift > end - begin) std::abort();
    data_ = place.at_end ? end - place.shift - extent : begin + place.shift;
    constexpr int64_t margin = 64;
    first_ = std::max(begin, data_ - std::min(margin, data_ - begin));
    last_ = data_ + extent + std::min(margin, end - data_ - extent);
  }

  T& operator()(int64_t i, int64_t j) const { return data_[i * stride_ + j]; }
  T* data() const { return data_; }
  Matrix matrix() const { return {data_, rows_, cols_, stride_}; }

  /// Sets everything, and what surrounds it.
  void fill(T value) const { std::fill(first_, last_, value); }

  /// Whether all that surrounds the matrix is still that value, a number.
  bool surrounded_by(T value) const {
    const auto all = [&](const T* from, const T* to) { return std::all_of(from, to, [&](T x) { return x == value; }); };
    const T* gap = first_;
    for (int64_t i = 0; i < rows_ && cols_ > 0; ++i) {
      if (!all(gap, data_ + i * stride_)) return false;
      gap = data_ + i * stride_ + cols_;
    }
    return all(gap, last_);
  }

 private:
  int64_t rows_, cols_, stride_;
  T *data_, *first_, *last_;
};

}  // namespace whet
