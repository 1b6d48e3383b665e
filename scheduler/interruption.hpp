// Ctrl-C and SIGTERM: the first asks, the second kills. Install once, early; handlers are reset in whatever is exec'ed. The callback runs on
// a thread of this object, never in the handler.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

namespace kevolve::scheduler {

class interruption {
public:
  /// Takes SIGINT and SIGTERM over until destroyed; one object per process at a time.
  interruption();
  ~interruption();
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;

  /// What to do at the first signal; called at once when one came already. The thread starts here, so that a process that forks first can.
  void on_signal(std::function<void(int)> react);
  /// Runs no callback after this returns.
  void ignore_from_now();
  /// 0, or the signal that came.
  [[nodiscard]] int received() const noexcept;
  /// 128 + signal.
  [[nodiscard]] int exit_code() const noexcept { return 128 + received(); }

private:
  void watch();

  std::mutex mutex_;
  std::function<void(int)> react_;
  std::thread watcher_;
  int wake_[2] = {-1, -1};
};

} // namespace kevolve::scheduler
