// The store's actor: hands events to the store and turns its completions into notices, one under way per session at most, however many
// events a group commit held. Detached, because the store may make an appender wait. Its completions run on the store's writer thread.
#pragma once

#include "actors/messages.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace kevolve::actors {

struct store_bridge_state {
  store_bridge_state() = default;
  static constexpr const char* name = "store";
  kb::store* memory = nullptr;
};

store_actor::behavior_type store_bridge(store_actor::stateful_pointer<store_bridge_state> self, kb::store* memory);

} // namespace kevolve::actors
