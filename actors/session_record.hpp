// One session as the threads outside the actor system see it: what it was opened with, its newest progress, how it ended. Written by the
// session's actor and its supervisor, read by whoever waits. Thread-safe. An end, once set, stays.
#pragma once

#include "actors/runtime.hpp"
#include "protocol/event.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::actors {

class session_record {
public:
  // Fixed before the session's actor starts.
  session_id session;
  session_opened opening;
  std::vector<event> log;                               // of an earlier life; empty for a new session
  std::optional<budget_changed> budget;                 // the new one of a session that goes on

  void show(session_progress progress);
  /// The opening is durable.
  void durable();
  void end(session_outcome how);

  /// Until the opening is durable or the session has ended; the failure if it did without.
  result<void> await_durable();
  /// Runs `progress` on the caller's thread for the newest progress, ten times a second at most.
  session_outcome await_end(const std::function<void(const session_progress&)>& progress);
  [[nodiscard]] bool ended() const;

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool durable_ = false;
  std::optional<session_progress> newest_;
  std::optional<session_outcome> end_;
};

} // namespace kevolve::actors
