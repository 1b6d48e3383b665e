// The invariants' own books, kept apart from the code under test: who holds which lease, which results may count, what was acknowledged. Each
// call throws `violated` at the first contradiction. Invariants are named as in tests/simulation/README.md.
#pragma once

#include "actors/dispatch_logic.hpp"
#include "actors/session_logic.hpp"
#include "tests/simulation/world.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace kevolve::simulation {

/// A session's log on the scheduler's disk: `durable` events survive any crash.
struct session_disk {
  std::vector<event> log;
  std::size_t durable = 0;
};

class ledger {
public:
  // ---- the dispatcher's effects, in order
  void granted(const dispatch::grant& what);
  void ended(const std::string& task) { leases_.erase(task); }  // revoked, requeued
  void over(const std::string& task);                           // given up, withdrawn
  /// Whoever is asked for a permission has a slot free for it.
  void asked_permit(const dispatch::ask_permit& what, const dispatch::dispatcher& logic, double now_s);
  void permitted(const std::string& task);
  void agent_gone(const std::string& identity);
  void delivered(const dispatch::deliver& what);
  /// A model was asked on an agent: that may be paid for now.
  void spent(const std::string& session, std::uint64_t tokens, const session_disk& disk);
  void scheduler_died();
  void joined(const std::string& identity);                     // an agent's process names itself at its start
  // ---- checks after steps
  void check(const dispatch::dispatcher& logic) const;
  void check_acknowledged(const std::string& task, std::uint64_t epoch, const session_disk* disk, node_number number, std::uint32_t attempt, bool verification);
  /// An agent is told that its result, which was delivered, does not count: no log says otherwise.
  void uncounted(const std::string& task, const session_disk& disk, node_number number, std::uint32_t attempt);
  /// An answer that has come and was not delivered yet: its agent may not forget it.
  void check_not_awaited(const dispatch::acknowledge& what) const;
  void check_survived(const std::string& session, const session_disk& disk) const;
  /// The newest events of a session's log, from `from` on.
  void appended(const std::string& session, const session_disk& disk, std::size_t from);
  void check_shown(const session_disk& disk, std::uint32_t evaluations) const;

  /// A program that an agent is about to run for a candidate.
  void check_program(const std::string& candidate, const std::string& program) const;

  std::uint64_t leases = 0, counted = 0, compilations = 0, writings = 0;
  std::uint64_t reserved_in_vain = 0; // permissions that a scheduler's death left without a lease

private:
  struct lease { std::string agent; std::uint64_t epoch = 0; bool kept = false; };
  struct books {
    std::map<node_number, std::string> candidates;
    std::set<node_number> recorded;
    std::uint64_t answered = 0; // tokens
    std::size_t events = 0;
  };
  std::map<std::string, lease> leases_;
  struct promise { std::string agent; double until_s = 0; };
  std::map<std::string, promise> promises_;        // slots that wait for permissions
  std::set<std::string> permitted_;                // and not leased yet
  std::map<std::string, std::uint64_t> delivered_; // task -> epoch, of this life
  std::set<std::string> uncounted_;                // of them
  std::map<std::string, std::uint64_t> epochs_;    // the newest of each task, of all lives: names are unique
  std::set<std::string> identities_;
  struct promised { node_number number = 0; std::uint32_t attempt = 0; std::size_t within = 0; bool writing = false; };
  std::map<std::string, std::vector<promised>> acknowledged_; // by session
  std::map<std::string, books> books_;
  std::map<std::string, std::uint64_t> spent_; // tokens, by session: what really was
};

/// What a made-up compiler makes of a candidate, wherever it runs; and whether it does.
std::string program_of(const std::string& candidate);
bool compiles(const std::string& candidate);
/// The task is a compilation for another agent.
inline bool is_compilation(const std::string& task) { return task.starts_with("compile/"); }
/// The task is to write a candidate.
inline bool is_writing(const std::string& task) { return task.find("/write-") != std::string::npos; }

/// What the first `events` of a log say that models took: answered requests, and reservations of those that are not.
struct logged_tokens { std::uint64_t answered = 0, reserved = 0; };
logged_tokens tokens_in(const session_disk& disk, std::size_t events);

/// The first `events` of the log have a proposal's candidate, or why there is none.
bool is_written(const session_disk& disk, std::size_t events, node_number number);
/// What the log says of a proposal's attempt, among the first `events`.
bool is_logged(const session_disk& disk, std::size_t events, node_number number, std::uint32_t attempt, bool verification);

} // namespace kevolve::simulation
