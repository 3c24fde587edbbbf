#pragma once

#include <cstddef>
#include <memory>

namespace whet {

/// One block of zeroed memory, aligned to 64 bytes, on huge pages where it is large and the system has them.
/// Throws std::bad_alloc.
class Arena {
 public:
  Arena() = default;
  explicit Arena(size_t bytes);

  std::byte* data() const { return memory_.get(); }
  size_t size() const { return size_; }

  /// Grows to at least `bytes`; what was stored is lost if it has to.
  void reserve(size_t bytes);

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> memory_;
  size_t size_ = 0;
};

}  // namespace whet
