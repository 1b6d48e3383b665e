// The one thread that writes. Takes what is queued as one group, appends it to the log, folds the views, commits with full sync, and only
// then runs the completions: nothing is acknowledged before it is durable, and a killed writer leaves a prefix of what was queued.
// A full disk is waited for (store_options::full_patience); a failed write or sync is never retried. `push` from any thread.
#pragma once

#include "kb/database.hpp"
#include "kb/fold.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace kevolve::kb {

/// One event on its way, encoded by its caller. Without a session: a marker that completes when everything before it is durable.
struct queued_event {
  session_id session;
  event what;             // without a candidate's sources
  packed_body body;
  chain_hash content{};
  std::string candidate;  // 32 bytes of the added candidate's id
  packed_body candidate_body;
  store::completion done;

  std::size_t bytes() const { return body.bytes.size() + candidate_body.bytes.size(); }
};

class log_writer {
public:
  log_writer(database& into, head_row head, const store_options& options);
  ~log_writer(); // writes what is queued

  void push(queued_event what);
  result<void> health() const;
  result<void> recover();
  /// Between two groups, for as long as the lock lives.
  std::unique_lock<std::mutex> pause() { return std::unique_lock(writing_); }
  /// While paused: the views were rebuilt.
  void forget(head_row head);

private:
  struct group_state;
  void run();
  void write_group(std::deque<queued_event>& group);
  int apply(const std::deque<queued_event>& group, std::vector<result<std::uint64_t>>& outcomes, group_state& state);
  int apply_event(const queued_event& item, result<std::uint64_t>& outcome, group_state& state);
  int add_candidate(const queued_event& item, std::uint64_t sequence, std::uint64_t& number, group_state& state);
  int put_facts(const queued_event& item, const event_place& at, const session_row& row, group_state& state);
  int put_sessions(group_state& state);
  int find_number(const std::string& id_bytes, std::optional<std::uint64_t>& number, group_state& state);
  int row_of(const session_id& session, session_row*& row, group_state& state, error& problem);
  int grow_map(std::size_t at_least_free);
  bool disk_is_full() const;
  bool wait_for_space(const error& why, std::chrono::steady_clock::time_point since);
  void give_up(const error& why, bool fatal);
  void complete(std::deque<queued_event>& group, std::vector<result<std::uint64_t>> outcomes);

  database& into_;
  const store_options options_;
  head_row head_;                                           // as committed
  std::unordered_map<session_id, session_row> rows_;        // as committed, of sessions met lately
  std::unordered_map<std::string, std::uint64_t> numbers_;  // candidates met lately

  std::mutex writing_; // held while a group is applied
  mutable std::mutex mutex_;
  std::condition_variable queued_, room_;
  std::deque<queued_event> queue_;
  std::size_t outstanding_events_ = 0, outstanding_bytes_ = 0; // queued or being written
  std::optional<error> trouble_;
  bool given_up_ = false;
  bool fatal_ = false;
  bool closing_ = false;
  std::thread thread_; // last: starts when everything else is there
};

} // namespace kevolve::kb
