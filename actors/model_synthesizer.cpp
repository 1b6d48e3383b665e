#include "actors/model_synthesizer.hpp"

#include "actors/failure.hpp"
#include "actors/model_record.hpp"

#include <algorithm>
#include <caf/send.hpp>

namespace kevolve::actors {
namespace {

using synthesis::writing;

} // namespace

model_synthesizer_shell::~model_synthesizer_shell() {
  while (!open_.empty())
    forget(open_.begin()->first);
}

result<synthesis::writing_task> model_synthesizer_shell::task_for(const synthesize& request) {
  if (!parts_.desk)
    return error{errc::configuration, "synthesizer '" + parts_.name + "': no models are configured here"};
  if (!seat_)
    seat_ = parts_.desk->find(parts_.name);
  if (!*seat_)
    return seat_->error();
  const model_seat& seat = **seat_;
  return maker_.task(request, {seat.prompt_tokens, seat.repairs, seat.blank_feedback});
}

void model_synthesizer_shell::begin(const synthesize& request) {
  forget(request.number);
  auto task = task_for(request);
  auto& open = open_[request.number];
  open.asked = request.asked;
  open.answer_to = request.answer_to;
  if (!task)
    return answer(request.number, task.error());
  if (request.said)
    open.recorded = *request.said;
  open.how.emplace(std::move(*task));
  go_on(request.number, open.how->begin());
}

void model_synthesizer_shell::go_on(node_number number, writing::next what) {
  std::visit([&](auto& next) { on(number, next); }, what);
}

void model_synthesizer_shell::on(node_number number, writing::ask& what) {
  auto& open = open_.at(number);
  const auto before = std::find_if(open.recorded.begin(), open.recorded.end(), [&](const model_answered& a) { return a.step == what.step && a.failure.empty(); });
  if (before != open.recorded.end()) {
    const model_answered recorded = *before;
    return go_on(number, open.how->said(recorded.text, recorded.stop == "length"));
  }
  const model_seat& seat = **seat_;
  open.request = request_of(seat.model, parts_.session, number, what);
  open.reserved = most_spent(open.request);
  if (!parts_.desk->reserve(open.reserved.tokens, open.reserved.usd)) {
    open.reserved = {};
    return answer(number, error{errc::budget, "the limit for models of this day leaves no room for another request"});
  }
  auto asked = std::make_shared<model_asked>(record_of(open.request, parts_.name, number, what));
  self_->send(open.answer_to, model_asking{std::move(asked)});
}

void model_synthesizer_shell::permitted(const asking_permitted& what) {
  auto open = open_.find(what.number);
  if (open == open_.end() || open->second.under_way)
    return;
  auto me = caf::actor_cast<model_synthesizer_actor>(self_);
  const auto asked = open->second.asked;
  open->second.under_way = (*seat_)->provider->ask(open->second.request, [me, number = what.number, step = what.step, asked](llm::reply got) {
    caf::anon_send(me, model_said{number, asked, step, std::make_shared<const llm::reply>(std::move(got))});
  });
}

void model_synthesizer_shell::refused(const asking_refused& what) {
  if (open_.contains(what.number))
    answer(what.number, what.why);
}

void model_synthesizer_shell::said(const model_said& what) {
  auto found = open_.find(what.number);
  if (found == open_.end() || found->second.asked != what.asked)
    return; // withdrawn: its reservation counts
  auto& open = found->second;
  open.under_way.reset();
  auto record = std::make_shared<model_answered>(record_of(what.number, what.step, *what.what, open.request));
  parts_.desk->settle(open.reserved.tokens, open.reserved.usd, record->used.input + record->used.output, record->cost_usd);
  open.reserved = {};
  self_->send(open.answer_to, model_replied{record});
  if (!*what.what) {
    const auto& why = what.what->failure();
    return answer(what.number, error{errc::synthesizer, why.message});
  }
  go_on(what.number, open.how->said(record->text, record->stop == "length"));
}

void model_synthesizer_shell::on(node_number number, writing::check_compile& what) {
  auto me = caf::actor_cast<model_synthesizer_actor>(self_);
  parts_.desk->compile(what.what, parts_.common.on, [me, number, asked = open_.at(number).asked](std::string messages) {
    caf::anon_send(me, compile_said{number, asked, std::move(messages)});
  });
}

void model_synthesizer_shell::compiled(const compile_said& what) {
  auto found = open_.find(what.number);
  if (found != open_.end() && found->second.asked == what.asked)
    go_on(what.number, found->second.how->compiled(what.messages));
}

void model_synthesizer_shell::on(node_number number, writing::print& what) {
  go_on(number, open_.at(number).how->printed(maker_.printer()->print(what.what, what.edge)));
}

void model_synthesizer_shell::on(node_number number, writing::done& what) { answer(number, std::move(what.what)); }

void model_synthesizer_shell::on(node_number number, writing::failed& what) { answer(number, std::move(what.why)); }

void model_synthesizer_shell::answer(node_number number, result<synthesis::proposal> what) {
  auto& open = open_.at(number);
  self_->send(open.answer_to, synthesis_answer{number, open.asked, std::make_shared<const result<synthesis::proposal>>(std::move(what))});
  open_.erase(number);
}

// A request that left may be paid for: its reservation stays as it is.
void model_synthesizer_shell::forget(node_number number) {
  auto open = open_.find(number);
  if (open == open_.end())
    return;
  if (open->second.under_way)
    (*seat_)->provider->cancel(*open->second.under_way);
  else if (open->second.reserved.tokens > 0)
    parts_.desk->settle(open->second.reserved.tokens, open->second.reserved.usd, 0, 0);
  open_.erase(open);
}

model_synthesizer_actor::behavior_type model_synthesizer(model_synthesizer_actor::stateful_pointer<model_synthesizer_state> self, model_synthesizer_parts parts) {
  name_failures(self);
  self->state.shell.emplace(self, std::move(parts));
  auto& shell = *self->state.shell;
  return {
    [&shell](const synthesize& request) { shell.begin(request); },
    [&shell](const asking_permitted& what) { shell.permitted(what); },
    [&shell](const asking_refused& what) { shell.refused(what); },
    [&shell](const forget_proposal& what) { shell.forget(what.number); },
    [&shell](const model_said& what) { shell.said(what); },
    [&shell](const compile_said& what) { shell.compiled(what); },
  };
}

} // namespace kevolve::actors
