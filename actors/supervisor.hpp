// The supervisor actor: starts the store's bridge, the dispatcher and the sessions, and watches them. A session that throws is started again
// from its log; when the bridge or the dispatcher throws, it is started again and so are all sessions, because messages to it were lost.
#pragma once

#include "actors/dispatcher.hpp"
#include "actors/engine.hpp"
#include "actors/messages.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <map>
#include <mutex>
#include <optional>

namespace kevolve::actors {

/// Where the link's thread and the runtime find the current dispatcher. Thread-safe.
class dispatcher_address {
public:
  void set(dispatcher_actor current) {
    std::lock_guard lock(mutex_);
    current_ = std::move(current);
  }
  [[nodiscard]] dispatcher_actor get() const {
    std::lock_guard lock(mutex_);
    return current_;
  }

private:
  mutable std::mutex mutex_;
  dispatcher_actor current_;
};

struct supervisor_parts {
  kb::store* memory = nullptr;
  engine_parts engine;
  dispatcher_parts dispatching;
  std::shared_ptr<dispatcher_address> address;
};

class supervisor_shell {
public:
  supervisor_shell(supervisor_actor::pointer self, supervisor_parts parts);
  void open(std::shared_ptr<session_record> record);
  void pause(const pause_by_id& what);
  void cancel(const cancel_by_id& what);
  void lost(const caf::down_msg& down);
  void shut_down();

private:
  struct kept {
    std::shared_ptr<session_record> record;
    session_actor actor;
    std::uint32_t restarts = 0;
  };
  void start_store();
  void start_dispatcher();
  void start_session(kept& what, std::string because);
  void restart_sessions(const std::string& because);

  supervisor_actor::pointer self_;
  supervisor_parts parts_;
  store_actor store_;
  dispatcher_actor dispatcher_;
  std::map<session_id, kept> sessions_;
  bool closing_ = false;
};

struct supervisor_state {
  supervisor_state() = default;
  static constexpr const char* name = "supervisor";
  std::optional<supervisor_shell> shell;
};

supervisor_actor::behavior_type supervisor(supervisor_actor::stateful_pointer<supervisor_state> self, supervisor_parts parts);

} // namespace kevolve::actors
