// The agent's end of the wire: serves a host's evaluator to a scheduler, in the same process (inproc://) or another (tcp:// with CURVE). Names no CAF
// type and needs no store. Thread-safe.
#pragma once

#include "actors/keys.hpp"
#include "protocol/limits.hpp"
#include "protocol/message.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::agent {
class host_evaluator;
}

namespace kevolve {

class answer_spool;
class host_writer;

struct agent_writing {
  std::shared_ptr<host_writer> by;
  std::vector<std::string> labels; // what sessions may choose this agent by, besides its name
};

struct agent_terms {
  bool offers_devices = true;                       // false: it compiles for others, and evaluates nothing
  std::uint64_t piece_bytes = limits::piece_bytes;  // of what is fetched, asked for at once
};

/// An agent inside this process: serves `host` over ZeroMQ (inproc:// or tcp://) until destroyed. Owns its threads.
class agent_service {
public:
  /// `key`: for a scheduler in another process; the agent's name is then the key's, or begins with it. `spool`: null where scheduler and agent live
  /// and die together. `found`: accelerators of the host that nothing runs on, for people. `writes`: who writes candidates here; null: nobody.
  static result<std::unique_ptr<agent_service>> start(agent::host_evaluator& host, std::string endpoint, void* zmq_context, std::string name,
                                                      const std::optional<key_file>& key = std::nullopt, std::shared_ptr<answer_spool> spool = nullptr, std::vector<found_device> found = {},
                                                      agent_terms terms = {}, agent_writing writes = {});
  virtual ~agent_service() = default;
  /// Asks the scheduler for no more work; what is under way goes on.
  virtual void drain() = 0;
  /// The device of this name takes no more evaluations, and what it holds is given back so that others do it; compiling and writing go on. `why`: for people; "": it serves again.
  virtual void suspend(const std::string& device, const std::string& why) = 0;
  /// Leases under way, or answered and not yet acknowledged.
  [[nodiscard]] virtual std::uint32_t held() const = 0;
  /// Answers that the spool gave instead of work, and those that it could not keep.
  [[nodiscard]] virtual std::uint32_t answered_from_spool() const = 0;
  [[nodiscard]] virtual std::string spool_trouble() const = 0;
  /// Compilations for other agents that it has done, and blobs that came whole: in so many pieces, of which so many were asked for again, and so many came twice.
  struct exchanged { std::uint64_t compiled_for_others = 0, blobs = 0, pieces = 0, asked_again = 0, came_twice = 0; };
  [[nodiscard]] virtual exchanged exchanges() const = 0;
  /// How often its socket's thread has come round: it stands still where that one hangs.
  [[nodiscard]] virtual std::uint64_t rounds() const = 0;
  /// The scheduler has answered and is heard from.
  [[nodiscard]] virtual bool connected() const = 0;
};

} // namespace kevolve
