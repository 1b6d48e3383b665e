// Places where a test lets a process die, by SIGKILL and for real: at the boundary of an effect, where what is on disk, what was sent and what is remembered
// differ. Only shells have them, never the pure state machines. Armed once, before any thread, by KEVOLVE_FAILPOINT=NAME or NAME:N (the N-th time that the
// process comes there); otherwise a place costs one load of a bool. `kevolve bench kill --cluster --failpoints` dies at each of them.
#pragma once

#include "protocol/result.hpp"

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

namespace kevolve {

enum class failpoint : std::uint8_t {
  log_before_commit,
  log_after_commit,
  grant_before_send,
  answer_came,
  acknowledgement_before_send,
  piece_before_relay,
  resume_before_start,
  hello_before_send,
  lease_taken,
  answer_before_spool,
  spool_before_commit,
  answer_spooled,
  answer_sent,
  answer_acknowledged,
  program_made,
  piece_before_send,
  piece_came,
  drain_told,
  goodbye_before_send,
  snapshot_before_rename,
  seal_before_commit,
  seal_after_commit,
};

/// Whose it is: a process of another kind never comes there.
enum class failpoint_process : std::uint8_t { scheduler, agent, command };

struct failpoint_description {
  failpoint at;
  std::string_view name;
  failpoint_process process;
  std::string_view where; // a sentence's end
};

/// All of them, in the order of the enumeration.
std::span<const failpoint_description> failpoints();

/// What KEVOLVE_FAILPOINT says; "" arms nothing. Errors: configuration, a name that there is not (all are named), or a count that is none.
result<void> arm_failpoint(std::string_view text);
/// The same, from the environment.
result<void> arm_failpoint_of_environment();

namespace detail {
extern std::atomic<bool> failpoint_is_armed;
void count_failpoint(failpoint at);
} // namespace detail

/// Any thread. Does not return where this place is armed and its count has come.
inline void pass(failpoint at) {
  if (detail::failpoint_is_armed.load(std::memory_order_relaxed)) [[unlikely]]
    detail::count_failpoint(at);
}

} // namespace kevolve
