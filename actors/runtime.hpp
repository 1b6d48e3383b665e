// The actor system as the two executables see it: sessions go in, progress comes out. Owns the CAF actor system and the ZeroMQ link; names
// no CAF type, so that only actors/ compiles against CAF. Thread-safe.
#pragma once

#include "actors/gatekeeper.hpp"
#include "kb/store.hpp"
#include "protocol/event.hpp"
#include "protocol/message.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kevolve {

class model_desk; // actors/model_desk.hpp

struct runtime_settings {
  std::string endpoint = "inproc://kevolve"; // where agents connect
  void* zmq_context = nullptr;               // shared with an in-process agent; null: own
  unsigned threads = 0;                      // CAF workers; 0: one per core
  std::optional<link_security> security;     // CURVE, for agents in other processes
  double agent_wait_s = 10;                  // how long a session that begins waits for an agent that serves its target
  double unserved_limit_s = 10;              // how long one that runs waits for such an agent to come back
  std::shared_ptr<model_desk> models;        // who else writes candidates; null: the generator alone
  /// The learned policy (session_opened::policy_model) of a session that begins on this hardware; empty function or "": the rules.
  std::function<std::string(const std::string& hardware)> policy_model;
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

/// An agent as the dispatcher knows it.
struct agent_status {
  std::string name;
  std::string incarnation;
  std::vector<device_description> devices;
  std::uint32_t leases = 0, credit = 0; // held, and how many it may hold
  bool draining = false;
  double silent_s = 0;                  // since it was heard
  std::vector<found_device> found = {}; // accelerators of its host that nothing runs on
  bool compiles = true;                 // on its own host
  bool served = true;                   // it compiles, or another agent compiles for it; false: it is given nothing that has to be compiled
  std::vector<std::string> toolchains = {}; // with which it compiles for others
  std::vector<writer_description> writers = {}; // who writes candidates there
  std::vector<std::string> labels = {};
  std::uint32_t writes = 0, writing_slots = 0;  // proposals that are being written there, and how many may be
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
  virtual result<std::vector<agent_status>> agents() = 0;
  /// Asks an agent to finish what it holds and take nothing more; how many incarnations of that name there were.
  virtual result<std::size_t> drain(const std::string& agent) = 0;
  /// Why nobody can take some of a session's work now, in words; "": somebody can, or there is none.
  virtual result<std::string> waits_for(const session_id& session) = 0;
};

} // namespace kevolve
