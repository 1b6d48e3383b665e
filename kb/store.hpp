// What the cluster remembers, in LMDB: the event log is the truth; results, leaders, session summaries are views folded in the same
// transaction and rebuildable from the log. One process writes (flock), others read. One writer thread commits groups with full sync;
// completions run on it, after the commit. Every record: version, length, CRC32C; each session's log is a hash chain. LMDB's map is opened
// by a child process first, so that a damaged file is an error here, not a crash.
#pragma once

#include "protocol/event.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::kb {

enum class access : std::uint8_t { read_only, read_write };

struct session_summary {
  session_id session;
  std::string definition;
  target on;
  std::string state;            // running, paused, finished, failed
  std::string stopped_by;
  std::uint32_t proposals = 0;
  std::uint32_t evaluations = 0;
  double best_speedup = 0;      // verified, against the best baseline; 0: none
  candidate_id best;
  std::int64_t opened_ms = 0;
  std::int64_t changed_ms = 0;
};

struct leader {
  std::string definition;
  std::string hardware;
  std::string workload;         // uuid, or "" for the operator as a whole (geometric mean)
  candidate_id candidate;       // or "eager", "compile" where a baseline leads
  double speedup = 0;
  interval speedup_ci95;
  double latency_s = 0;
  session_id session;
  node_number number = 0;
  std::int64_t at_ms = 0;
};

struct check_report {
  std::uint64_t records = 0;
  std::uint64_t sessions = 0;
  std::vector<std::string> damage; // each: where, found, expected
  bool repaired = false;
};

class store {
public:
  /// Creates the directory and database where missing (read_write). Errors: busy (a second writer), read-only or full disk, damaged (with
  /// what is damaged and what to run).
  static result<std::unique_ptr<store>> open(const std::filesystem::path& directory, access how);
  virtual ~store() = default; // drains pending appends

  using completion = std::function<void(result<std::uint64_t>)>; // position of the event in its session's log
  /// Queues one event of a session; `done` runs on the writer thread once it is durable (or failed). Appends of one session keep their order.
  virtual void append(const session_id& session, event what, completion done) = 0;
  /// Waits until everything queued so far is durable.
  virtual result<void> flush() = 0;

  /// All events of a session in order, hash chain and checksums verified.
  virtual result<std::vector<event>> events(const session_id& session) const = 0;
  /// Digest of the chain over the first `count` events (all: count = 0): equal prefixes have equal digests.
  virtual result<std::string> digest(const session_id& session, std::uint64_t count) const = 0;

  virtual result<std::vector<session_summary>> sessions() const = 0; // newest first
  virtual result<std::optional<candidate>> find_candidate(const candidate_id& id_or_prefix) const = 0; // refused: ambiguous prefix
  /// (session, number) pairs in which a candidate occurs.
  virtual result<std::vector<std::pair<session_id, node_number>>> occurrences(const candidate_id& id) const = 0;
  virtual result<std::vector<leader>> leaders(const std::string& definition_or_all) const = 0;
  /// The newest passed evaluation of a candidate on a hardware key, by timing key (hardware x toolchain x judge version).
  virtual result<std::optional<evaluation>> find_evaluation(const candidate_id& id, const std::string& hardware) const = 0;

  /// Verifies every record; with `repair` rebuilds the views from the log.
  virtual result<check_report> check(bool repair) = 0;
  /// A consistent compacted copy while running.
  virtual result<void> snapshot(const std::filesystem::path& directory) const = 0;
};

} // namespace kevolve::kb
