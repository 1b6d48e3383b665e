// What the cluster remembers, in LMDB: the event log is the truth; results, leaders, session summaries are views folded in the same
// transaction and rebuildable from the log. One process writes (flock), others read. One writer thread commits groups with full sync;
// completions run on it, after the commit. Every record: version, length, CRC32C; each session's log is a hash chain. LMDB's map is opened
// by a child process first, so that a damaged file is an error here, not a crash.
#pragma once

#include "protocol/event.hpp"
#include "protocol/result.hpp"

#include <chrono>
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
  std::string workload;         // uuid, or "" for the operator as a whole (geometric mean over `workloads`)
  candidate_id candidate;       // or "eager", "compile" where a baseline leads
  double speedup = 0;
  interval speedup_ci95;
  double latency_s = 0;
  session_id session;
  node_number number = 0;
  std::int64_t at_ms = 0;
  std::vector<std::string> workloads; // of a leader of the whole operator: only equal sets are compared
};

/// A skill with its evidence over all finished sessions on one kind of hardware and operators of the same features.
struct known_skill {
  skill what;
  std::string hardware;
  std::string features;
  std::vector<std::string> operators; // by name, sorted
  std::uint32_t sessions = 0;
};

struct store_options {
  std::size_t map_bytes = std::size_t{16} << 30;  // address space to begin with (not disk); doubled when 70% are used
  std::size_t queued_events = 65'536;             // append() waits when this many ...
  std::size_t queued_bytes = std::size_t{256} << 20; // ... or this many bytes are not durable yet
  /// How long a full disk is waited for; then everything queued fails with errc::full, and so does each append until `recover`.
  std::chrono::milliseconds full_patience{5'000};
  /// For `check` alone: opens a store whose newest records are damaged, too; appends are refused.
  bool only_check = false;
};

struct check_report {
  std::uint64_t records = 0;
  std::uint64_t sessions = 0;
  std::vector<std::string> damage; // each: where, found, expected
  bool repaired = false;              // views were rebuilt, and a second check found nothing
  std::vector<std::string> remaining; // damage that rebuilding the views does not mend: of the log itself
};

struct seal_report {
  std::uint64_t sessions = 0;
  std::uint64_t events = 0;
  std::uint64_t candidates = 0;
  std::uint64_t bytes_before = 0; // of the records that were sealed
  std::uint64_t bytes_after = 0;  // of the segments they are in now
};

/// Whether a process has the store open to write, now. Looks at its lock; creates nothing.
bool is_being_written(const std::filesystem::path& directory);

class store {
public:
  /// Creates the directory and database where missing (read_write). Errors: busy (a second writer), read-only or full disk, damaged (with
  /// what is damaged and what to run).
  static result<std::unique_ptr<store>> open(const std::filesystem::path& directory, access how);
  static result<std::unique_ptr<store>> open(const std::filesystem::path& directory, access how, const store_options& options);
  virtual ~store() = default; // drains pending appends

  using completion = std::function<void(result<std::uint64_t>)>; // position of the event in its session's log
  /// Queues one event of a session; `done` runs on the writer thread once it is durable (or failed). Appends of one session keep their order.
  /// Refused: a session that does not begin with its session_opened, or opens twice; a candidate whose id is not its hash. Blocks while the
  /// queue is full, so `done` may append only while fewer than `queued_events` are outstanding.
  virtual void append(const session_id& session, event what, completion done) = 0;
  /// Waits until everything queued so far is durable.
  virtual result<void> flush() = 0;
  /// Good, or why nothing can be written now: full while a full disk is waited for and after the patience ran out; io after a failed write
  /// or sync (never retried: reopen the store, which verifies it).
  virtual result<void> health() const = 0;
  /// Lets a store that gave up on a full disk accept appends again; the sessions concerned continue from their logs.
  virtual result<void> recover() = 0;

  /// All events of a session in order, hash chain and checksums verified.
  virtual result<std::vector<event>> events(const session_id& session) const = 0;
  /// What a session began with: its first event alone.
  virtual result<session_opened> opening(const session_id& session) const = 0;
  /// Digest of the chain over the first `count` events (all: count = 0): equal prefixes have equal digests.
  virtual result<std::string> digest(const session_id& session, std::uint64_t count) const = 0;

  virtual result<std::vector<session_summary>> sessions() const = 0; // newest first
  virtual result<std::optional<candidate>> find_candidate(const candidate_id& id_or_prefix) const = 0; // refused: ambiguous prefix
  /// (session, number) pairs in which a candidate occurs.
  virtual result<std::vector<std::pair<session_id, node_number>>> occurrences(const candidate_id& id) const = 0;
  virtual result<std::vector<leader>> leaders(const std::string& definition_or_all) const = 0;
  /// The skill library: most wins first.
  virtual result<std::vector<known_skill>> skills() const = 0;
  /// The newest passed evaluation of a candidate on a hardware key, by timing key (hardware x toolchain x judge version).
  virtual result<std::optional<evaluation>> find_evaluation(const candidate_id& id, const std::string& hardware) const = 0;
  /// Evaluations that settled whether a candidate compiles and is correct (passed, compile_error, incorrect_*) for a target, on whatever
  /// hardware: the newest first, at most `most`. Whether they still hold is for the agent to say, who knows its toolchain, judge and oracle.
  virtual result<std::vector<evaluation>> known_evaluations(const candidate_id& id, const target& on, std::size_t most) const = 0;

  /// Verifies every record; with `repair` rebuilds the views from the log.
  virtual result<check_report> check(bool repair) = 0;
  /// Packs what changes no more (sealing.hpp): events of sessions that ended before a time (milliseconds since 1970), and candidates. Loses
  /// nothing; appends go on meanwhile. One caller at a time.
  virtual result<seal_report> seal(std::int64_t finished_before_ms) = 0;
  /// A consistent compacted copy while running.
  virtual result<void> snapshot(const std::filesystem::path& directory) const = 0;
};

} // namespace kevolve::kb
