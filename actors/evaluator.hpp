// The evaluator actor: one attempt at evaluating one candidate. It asks the store what is known of it, then freezes itself: its whole state is one MessagePack value (the
// lease's `work`), which the dispatcher sends to an agent. What stays is the checkpoint and this proxy, until the result is durable; a lost
// agent gives the work back, and the dispatcher sends the same checkpoint elsewhere.
#pragma once

#include "actors/messages.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace kevolve::actors {

struct evaluator_parts {
  dispatch::submit task;
  node_number number = 0;
  std::uint32_t attempt = 0;
  evaluation_purpose purpose = evaluation_purpose::search;
  std::shared_ptr<const work> what;
  dispatcher_actor dispatcher;
  session_actor session;
  store_actor log; // asked what is known already; none: nobody is asked
  std::function<void(const std::string& task)> frozen; // benchmarks only
};

struct evaluator_state {
  evaluator_state() = default;
  static constexpr const char* name = "evaluator";
  evaluator_parts parts;
  bool submitted = false;
};

evaluator_actor::behavior_type evaluator(evaluator_actor::stateful_pointer<evaluator_state> self, evaluator_parts parts);

} // namespace kevolve::actors
