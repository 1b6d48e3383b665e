// The actor system as the two executables see it: sessions go in, progress comes out. Owns the CAF actor system and the ZeroMQ link; names
// no CAF type, so that only actors/ compiles against CAF. Thread-safe.
#pragma once

#include "kb/store.hpp"
#include "protocol/event.hpp"
#include "protocol/message.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::agent {
class host_evaluator;
}

namespace kevolve {

struct runtime_settings {
  std::string endpoint = "inproc://kevolve"; // where agents connect
  void* zmq_context = nullptr;               // shared with an in-process agent; null: own
  unsigned threads = 0;                      // CAF workers; 0: one per core
};

/// What a person watching a session sees; sent on every change, at most 10 a second.
struct session_progress {
  session_id session;
  std::string phase;               // "calibrating", "searching", "verifying", "done"
  std::uint32_t evaluations = 0;
  std::uint32_t evaluations_budget = 0; // 0: none
  std::vector<std::pair<outcome, std::uint32_t>> outcomes;
  double best_over_root = 0;       // root's time / best time
  double best_latency_s = 0;       // geometric mean over workloads
  double roofline_fraction = 0;
  std::string best_edge;           // what made the newest leader
  double elapsed_s = 0;
  double time_left_s = 0;          // by the time budget; negative: no limit
};

/// How a session ended, with everything the report needs (also in the log).
struct session_outcome {
  session_finished finished;
  std::optional<leader_verified> verified; // empty where nothing passed
  std::optional<error> failure;            // why it could not go on: exit code by exit_code()
  stage_times spent;                       // summed over evaluations
};

class runtime {
public:
  static result<std::unique_ptr<runtime>> start(kb::store& memory, runtime_settings settings);
  virtual ~runtime() = default; // drains: running sessions are paused, resumable

  /// Opens a session; the first event is durable when this returns.
  virtual result<session_id> submit(problem subject, target on, session_settings settings) = 0;
  /// Continues a session from its log, with another budget where one is given.
  virtual result<session_id> resume(const session_id& session, std::optional<budget_changed> budget = std::nullopt) = 0;
  /// Blocks until the session ends, is paused or cancelled. `progress` runs on another thread.
  virtual session_outcome wait(const session_id& session, std::function<void(const session_progress&)> progress) = 0;
  virtual result<void> pause(const session_id& session) = 0;
  virtual result<void> cancel(const session_id& session) = 0;
};

/// An agent inside this process: serves `host` over ZeroMQ (inproc:// or tcp://) until destroyed. Owns its threads.
class agent_service {
public:
  static result<std::unique_ptr<agent_service>> start(agent::host_evaluator& host, std::string endpoint, void* zmq_context, std::string name);
  virtual ~agent_service() = default;
};

} // namespace kevolve
