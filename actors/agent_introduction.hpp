// When an agent says hello: until it is welcomed every second, then every ten, and at once when a scheduler welcomes it unasked or under a new
// name: then it does not know this agent's devices (it started again, or took the agent for dead). Pure; owned by the agent's socket thread.
#pragma once

#include <chrono>
#include <string>

namespace kevolve {

class agent_introduction {
public:
  using time = std::chrono::steady_clock::time_point;

  [[nodiscard]] bool is_due(time now) const { return now >= next_; }
  void said(time now) {
    asked_ = true;
    next_ = now + std::chrono::seconds(1);
  }
  /// True: hello is to be said now. A welcome that answers a hello only puts off the next.
  bool welcomed(const std::string& scheduler, time now) {
    const bool again = !asked_ || scheduler != scheduler_;
    scheduler_ = scheduler;
    asked_ = false;
    next_ = now + std::chrono::seconds(10);
    return again;
  }

private:
  std::string scheduler_; // as it named itself in its newest welcome
  bool asked_ = false;
  time next_{};
};

} // namespace kevolve
