// A bounded queue from any thread to the one thread that owns a socket, which polls `wake_descriptor()` beside it. Full: `put` says no and the
// caller decides. Owned by the socket's thread; `put` may be called by any thread.
#pragma once

#include "protocol/check.hpp"

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace kevolve {

template <class T>
class outbox {
public:
  explicit outbox(std::size_t bound) : bound_(bound), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { KEVOLVE_CHECK(wake_ >= 0); }
  ~outbox() { close(wake_); }
  outbox(const outbox&) = delete;
  outbox& operator=(const outbox&) = delete;

  [[nodiscard]] bool put(T item) {
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      if (items_.size() >= bound_)
        return false;
      first = items_.empty();
      items_.push_back(std::move(item));
    }
    if (first)
      wake();
    return true;
  }
  /// Makes the owner's poll return, with or without an item.
  void wake() {
    std::uint64_t one = 1;
    ssize_t written = 0;
    do
      written = write(wake_, &one, sizeof one);
    while (written < 0 && errno == EINTR); // EAGAIN: it is awake already
  }
  /// Everything queued so far, oldest first; the owner's thread only.
  std::vector<T> take() {
    std::uint64_t count = 0;
    while (read(wake_, &count, sizeof count) < 0 && errno == EINTR) {
    }
    std::lock_guard lock(mutex_);
    return std::exchange(items_, {});
  }
  [[nodiscard]] int wake_descriptor() const { return wake_; }

private:
  const std::size_t bound_;
  const int wake_;
  std::mutex mutex_;
  std::vector<T> items_;
};

} // namespace kevolve
