#include "actors/evaluator.hpp"

#include "actors/failure.hpp"
#include "protocol/codec.hpp"

namespace kevolve::actors {

evaluator_actor::behavior_type evaluator(evaluator_actor::stateful_pointer<evaluator_state> self, evaluator_parts parts) {
  name_failures(self);
  auto frozen = std::make_shared<const std::string>(encode(*parts.what));
  parts.what.reset();
  self->state.parts = std::move(parts);
  auto& mine = self->state.parts;
  self->send(mine.dispatcher, submit_task{mine.task, std::move(frozen), self, mine.session, mine.number, mine.attempt});
  auto answer = [self](std::shared_ptr<const result<evaluation>> what) {
    auto& mine = self->state.parts;
    self->send(mine.session, evaluation_answer{mine.number, mine.attempt, mine.purpose, std::move(what)});
  };
  return {
    [answer](task_delivered& got) { answer(std::move(got.what)); },
    [self, answer](task_given_up& got) {
      answer(std::make_shared<const result<evaluation>>(std::move(got.why)));
      self->quit(); // nothing arrived anywhere: nobody waits for an acknowledgement
    },
    [self](withdraw_work) {
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
