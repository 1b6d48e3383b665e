// The agent's job table: which leases it holds, what is to be started, stopped and said. Pure: state, event, now -> effects; no socket, thread
// or file. A grant is accepted once however often it arrives, after its lease has ended, too; a newer epoch replaces an older one; an answer is kept and repeated until the
// scheduler acknowledges it; a lease whose deadline passed is stopped and answered as infrastructure. Owned by the agent's socket thread.
#pragma once

#include "protocol/message.hpp"

#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace kevolve {

struct start_work {
  std::string lease;
  std::uint64_t epoch = 0;
  work what;
  blob_reference fetch = {}; // named: the encoded work is to be fetched first
};
struct stop_work {
  std::string lease;
  std::uint64_t epoch = 0;
};
using agent_effect = std::variant<start_work, stop_work, message>;

class agent_leases {
public:
  using time = std::chrono::steady_clock::time_point;
  explicit agent_leases(std::size_t bound) : bound_(bound) {}

  std::vector<agent_effect> granted(lease_granted what, time now);
  /// The same of work that is to be fetched: accepted at once, so that its deadline holds for the fetching, too.
  std::vector<agent_effect> offered(lease_offered what, time now);
  std::vector<agent_effect> cancelled(const lease_cancelled& what);
  void acknowledged(const result_acknowledged& what);
  /// A worker came to an end. An answer for a lease that was cancelled meanwhile is dropped: the scheduler has given it up.
  std::vector<agent_effect> finished(const std::string& lease, std::uint64_t epoch, lease_answer answer, time now);
  /// Passed deadlines and unacknowledged answers.
  std::vector<agent_effect> tick(time now);

  [[nodiscard]] std::uint32_t held() const { return static_cast<std::uint32_t>(entries_.size()); }
  [[nodiscard]] std::vector<stop_work> running() const;

private:
  enum class phase : std::uint8_t { running, expired, answered };
  struct entry {
    std::uint64_t epoch = 0;
    phase at = phase::running;
    time deadline;
    time repeat_at;
    lease_finished answer;
  };
  std::vector<agent_effect> take(start_work what, double deadline_s, time now);
  agent_effect answer_with(const std::string& lease, entry& e, lease_answer answer, time now);

  void end(std::map<std::string, entry>::iterator held);

  const std::size_t bound_;
  std::map<std::string, entry> entries_;
  std::map<std::string, std::uint64_t> ended_; // lease -> its epoch: the newest of them, so that a grant that is late begins nothing again
  std::deque<std::string> ended_order_;
};

} // namespace kevolve
