#include "actors/synthesizer.hpp"

#include "actors/failure.hpp"

namespace kevolve::actors {
namespace {

result<synthesis::proposal> answer(synthesizer_state& state, const synthesize& request) {
  if (!state.writes && !state.cannot) {
    auto made = state.parts.make(*state.parts.subject, state.parts.on, state.parts.compiler);
    if (made)
      state.writes = std::move(*made);
    else
      state.cannot = made.error();
  }
  if (state.cannot)
    return *state.cannot;
  if (!request.given)
    return state.writes->root();
  synthesis::context given = *request.given;
  given.skills = state.parts.skills;
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
