#include "actors/synthesizer.hpp"

#include "actors/failure.hpp"
#include "actors/synthesis/learned.hpp"

namespace kevolve::actors {
namespace {

result<synthesis::proposal> answer(synthesizer_state& state, const synthesize& request) {
  if (!state.writes && !state.cannot) {
    auto made = state.parts.make(*state.parts.subject, state.parts.on, state.parts.compiler);
    if (made)
      state.writes = std::move(*made);
    else
      state.cannot = made.error();
    if (!state.parts.policy_model.empty()) {
      auto learned = synthesis::policy_from_bytes(state.parts.policy_model);
      if (!learned)
        state.cannot = learned.error(); // another version's: the rules would not propose what it did
      else
        state.learned = std::make_shared<const synthesis::learned_policy>(std::move(*learned));
    }
  }
  if (state.cannot)
    return *state.cannot;
  if (!request.given)
    return state.writes->root();
  synthesis::context given = *request.given;
  given.skills = request.unprimed ? nullptr : state.parts.skills;
  given.learned = state.learned;
  given.is_known = [&](const candidate_id& id) { return state.parts.known->among_first(id, request.known); };
  return state.writes->propose(given, rng(request.seed, request.number, "synthesis"));
}

} // namespace

synthesizer_actor::behavior_type synthesizer(synthesizer_actor::stateful_pointer<synthesizer_state> self, synthesizer_parts parts) {
  name_failures(self);
  self->state.parts = std::move(parts);
  return {
    [](const asking_permitted&) {}, // only who asks models
    [](const asking_refused&) {},
    [](const forget_proposal&) {},
    [self](const synthesize& request) {
      auto made = std::make_shared<const result<synthesis::proposal>>(answer(self->state, request));
      self->send(request.answer_to, synthesis_answer{request.number, request.asked, std::move(made)});
    },
  };
}

} // namespace kevolve::actors
