#include "actors/store_bridge.hpp"

#include "actors/failure.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

namespace kevolve::actors {
namespace {

constexpr std::size_t most_known = 4; // evaluations of one candidate: against several anchors

struct appended {
  std::uint64_t position;
  std::shared_ptr<durable_mark> mark;
  caf::weak_actor_ptr notice; // weak: a completion must not keep a dead session's actor

  void operator()(const result<std::uint64_t>& done) const {
    auto to = caf::actor_cast<session_actor>(notice);
    if (!done) {
      if (to)
        caf::anon_send(to, log_failed{done.error()});
      return;
    }
    if (*done != position) {
      if (to)
        caf::anon_send(to, log_failed{{errc::damaged, "the store put an event of the session at " + std::to_string(*done) + " instead of " +
                                                        std::to_string(position) + ": something else writes to it"}});
      return;
    }
    mark->events.store(position + 1, std::memory_order_release);
    if (to && !mark->noticed.exchange(true))
      caf::anon_send(to, log_durable{});
  }
};

} // namespace

store_actor::behavior_type store_bridge(store_actor::stateful_pointer<store_bridge_state> self, kb::store* memory) {
  name_failures(self);
  self->state.memory = memory;
  return {
    [self](append_events& what) {
      std::uint64_t position = what.first;
      for (auto& each : *what.events)
        self->state.memory->append(what.session, std::move(each), appended{position++, what.mark, caf::actor_cast<caf::weak_actor_ptr>(what.notice)});
    },
    [self](const read_log& what) {
      auto read = [&]() -> result<std::vector<event>> {
        KEVOLVE_TRY_VOID(self->state.memory->flush());
        return self->state.memory->events(what.session);
      };
      self->send(what.to, log_read{std::make_shared<const result<std::vector<event>>>(read())});
    },
    [self](const find_known& what) {
      auto found = self->state.memory->known_evaluations(what.candidate, what.on, most_known);
      self->send(what.to, known_found{std::make_shared<const std::vector<evaluation>>(found ? std::move(*found) : std::vector<evaluation>())});
    },
  };
}

} // namespace kevolve::actors
