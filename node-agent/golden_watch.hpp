// Checks a host's device by golden runs for as long as it lives, in a thread of its own, for whoever serves with it. Owned by the agent's main; thread-safe.
#pragma once

#include "node-agent/evaluate.hpp"

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace kevolve::agent {

class golden_watch {
public:
  /// `say`: for people, called by the watch's thread. `host` outlives it.
  golden_watch(host_evaluator& host, const device_health::settings& how, std::function<void(const std::string&)> say);
  golden_watch(const golden_watch&) = delete;
  golden_watch& operator=(const golden_watch&) = delete;
  ~golden_watch(); // a run under way is cut short
  /// Why the device is to serve nobody; "": it serves.
  [[nodiscard]] std::string why_suspended() const;

private:
  void watch();
  void check();

  host_evaluator& host_;
  device_health health_;
  std::function<void(const std::string&)> say_;
  mutable std::mutex mutex_;
  std::string why_; // with the mutex
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

} // namespace kevolve::agent
