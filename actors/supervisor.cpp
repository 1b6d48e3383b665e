#include "actors/supervisor.hpp"

#include "actors/failure.hpp"
#include "actors/session.hpp"
#include "actors/store_bridge.hpp"

namespace kevolve::actors {
namespace {

constexpr std::uint32_t restart_bound = 8; // of one session in this process: the same log that fails so often will go on failing

} // namespace

supervisor_shell::supervisor_shell(supervisor_actor::pointer self, supervisor_parts parts) : self_(self), parts_(std::move(parts)) {
  start_store();
  start_dispatcher();
}

void supervisor_shell::start_store() { store_ = self_->spawn<caf::monitored + caf::detached>(store_bridge, parts_.memory); }

void supervisor_shell::start_dispatcher() {
  dispatcher_ = self_->spawn<caf::monitored + caf::detached>(dispatcher, parts_.dispatching);
  parts_.address->set(dispatcher_);
}

void supervisor_shell::start_session(kept& what, std::string because) {
  what.actor = self_->spawn<caf::monitored>(session, session_parts{what.record, parts_.engine, store_, dispatcher_, std::move(because)});
}

void supervisor_shell::open(std::shared_ptr<session_record> record) {
  auto& entry = sessions_[record->session];
  entry = {record, {}, 0};
  start_session(entry, "");
}

void supervisor_shell::pause(const pause_by_id& what) {
  if (auto found = sessions_.find(what.session); found != sessions_.end())
    self_->send(found->second.actor, pause_session{what.reason});
}

void supervisor_shell::cancel(const cancel_by_id& what) {
  if (auto found = sessions_.find(what.session); found != sessions_.end())
    self_->send(found->second.actor, cancel_session{});
}

void supervisor_shell::lost(const caf::down_msg& down) {
  if (closing_)
    return;
  std::string reason = self_->system().render(down.reason);
  if (store_.address() == down.source) {
    start_store();
    return restart_sessions("the store's bridge was restarted: " + reason);
  }
  if (dispatcher_.address() == down.source) {
    start_dispatcher();
    return restart_sessions("the dispatcher was restarted: " + reason);
  }
  for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
    auto& entry = it->second;
    if (entry.actor.address() != down.source)
      continue;
    self_->send(dispatcher_, withdraw_owner{it->first});
    if (entry.record->ended()) {
      sessions_.erase(it);
    } else if (++entry.restarts > restart_bound) {
      session_outcome end;
      end.finished.stopped_by = "failed";
      end.finished.error = reason;
      end.failure = error{errc::infrastructure, "the session was restarted " + std::to_string(restart_bound) + " times: " + reason};
      entry.record->end(std::move(end));
      sessions_.erase(it);
    } else {
      start_session(entry, reason);
    }
    return;
  }
}

void supervisor_shell::restart_sessions(const std::string& because) {
  for (auto& [id, entry] : sessions_)
    self_->send_exit(entry.actor, caf::make_error(caf::sec::runtime_error, because)); // their ends bring them back from the log
}

void supervisor_shell::shut_down() {
  closing_ = true;
  for (auto& [id, entry] : sessions_)
    self_->send_exit(entry.actor, caf::exit_reason::kill);
  self_->send_exit(dispatcher_, caf::exit_reason::user_shutdown);
  self_->send_exit(store_, caf::exit_reason::user_shutdown);
  parts_.address->set({});
  sessions_.clear();
  self_->quit();
}

supervisor_actor::behavior_type supervisor(supervisor_actor::stateful_pointer<supervisor_state> self, supervisor_parts parts) {
  name_failures(self);
  self->state.shell.emplace(self, std::move(parts));
  auto& shell = *self->state.shell;
  self->set_down_handler([&shell](caf::down_msg& down) { shell.lost(down); });
  return {
    [&shell](open_session& what) { shell.open(std::move(what.record)); },
    [&shell](const pause_by_id& what) { shell.pause(what); },
    [&shell](const cancel_by_id& what) { shell.cancel(what); },
    [&shell](kevolve::actors::shut_down) { shell.shut_down(); },
  };
}

} // namespace kevolve::actors
