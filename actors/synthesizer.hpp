// The synthesizer actor: makes its generator on first use and answers requests one by one. May take long and block, so it is spawned detached
// (or on the scheduler where it is instant). A failure is an answer; an exception ends the actor and its watcher restarts it.
#pragma once

#include "actors/engine.hpp"
#include "actors/known_candidates.hpp"
#include "actors/messages.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <optional>

namespace kevolve::actors {

struct synthesizer_parts {
  generator_factory make;
  std::shared_ptr<const problem> subject;
  target on;
  std::string compiler;
  std::shared_ptr<const known_candidates> known;
  std::shared_ptr<const std::vector<skill>> skills; // what the session began with
  std::string policy_model;                         // likewise: read on first use
};

struct synthesizer_state {
  synthesizer_state() = default;
  static constexpr const char* name = "synthesizer";
  synthesizer_parts parts;
  std::unique_ptr<synthesis::generator> writes;
  std::shared_ptr<const synthesis::learned_policy> learned;
  std::optional<error> cannot;
};

synthesizer_actor::behavior_type synthesizer(synthesizer_actor::stateful_pointer<synthesizer_state> self, synthesizer_parts parts);

} // namespace kevolve::actors
