#include "actors/evaluator.hpp"

#include "actors/failure.hpp"
#include "protocol/codec.hpp"

namespace kevolve::actors {

evaluator_actor::behavior_type evaluator(evaluator_actor::stateful_pointer<evaluator_state> self, evaluator_parts parts) {
  name_failures(self);
  self->state.parts = std::move(parts);
  const auto submit = [self](std::vector<evaluation> known) {
    auto& mine = self->state.parts;
    if (auto* search = std::get_if<evaluate_work>(mine.what.get()); search && !known.empty()) {
      evaluate_work knowing = *search;
      knowing.known = std::move(known);
      mine.what = std::make_shared<const work>(std::move(knowing));
    }
    auto frozen = std::make_shared<const std::string>(encode(*mine.what));
    mine.what.reset();
    if (mine.frozen)
      mine.frozen(mine.task.task);
    self->state.submitted = true;
    self->send(mine.dispatcher, submit_task{mine.task, std::move(frozen), self, mine.session, mine.number, mine.attempt});
  };
  const auto* search = std::get_if<evaluate_work>(self->state.parts.what.get());
  if (self->state.parts.log && search && search->how == effort::search)
    self->send(self->state.parts.log, find_known{search->what.id, search->on, self});
  else
    submit({});
  auto answer = [self](std::shared_ptr<const result<evaluation>> what) {
    auto& mine = self->state.parts;
    self->send(mine.session, evaluation_answer{mine.number, mine.attempt, mine.purpose, std::move(what)});
  };
  return {
    [submit](const known_found& found) { submit(*found.what); },
    [answer](task_delivered& got) { answer(std::move(got.what)); },
    [self, answer](task_given_up& got) {
      answer(std::make_shared<const result<evaluation>>(std::move(got.why)));
      self->quit(); // nothing arrived anywhere: nobody waits for an acknowledgement
    },
    [self](withdraw_work) {
      if (self->state.submitted)
        self->send(self->state.parts.dispatcher, withdraw_task{self->state.parts.task.task});
      self->quit();
    },
    [self](evaluation_durable) {
      self->send(self->state.parts.dispatcher, task_durable{self->state.parts.task.task});
      self->quit();
    },
  };
}

} // namespace kevolve::actors
