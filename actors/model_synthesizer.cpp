#include "actors/model_synthesizer.hpp"

#include "actors/failure.hpp"
#include "protocol/likeness.hpp"

#include <algorithm>
#include <caf/send.hpp>

namespace kevolve::actors {
namespace {

using synthesis::writing;

llm::request request_of(const model_seat& seat, const session_id& session, node_number number, const writing::ask& what) {
  llm::request r;
  r.system = what.instructions;
  for (std::size_t i = 0; i < what.turns.size(); ++i)
    r.messages.push_back({i % 2 == 0 ? llm::speaker::user : llm::speaker::assistant, what.turns[i]});
  r.model = seat.model;
  r.idempotency_key = session + "/" + std::to_string(number) + "/" + std::to_string(what.step);
  return r;
}

double price_of(const llm::token_usage& used, const llm::model_settings& model) { return model.price ? llm::cost_usd(used, *model.price) : 0; }

token_counts counted(const llm::token_usage& used) { return {used.input, used.cached_input, used.output, used.reasoning}; }

model_answered record_of(node_number number, std::uint32_t step, const llm::reply& got, const llm::request& asked) {
  model_answered a;
  a.number = number;
  a.step = step;
  llm::token_usage used;
  std::uint32_t unseen = 0;
  if (got) {
    a.text = got->text;
    a.reasoning = got->reasoning;
    a.stop = llm::to_string(got->stopped);
    a.seconds = got->seconds;
    a.attempts = got->attempts;
    a.request = got->request_id;
    used = got->counted ? got->used : llm::most_usage(asked); // who tells no usage may have used as much
    unseen = got->unseen_attempts;
    a.cost_usd = got->recorded ? 0 : got->cost_usd.value_or(price_of(used, asked.model));
  } else {
    a.stop = llm::to_string(got.failure().kind);
    a.failure = got.failure().message;
    a.attempts = got.failure().attempts;
    unseen = got.failure().unseen_attempts;
  }
  const auto most = llm::most_usage(asked); // of an attempt whose answer was lost: it may have been billed
  a.used = counted(used);
  a.used.input += unseen * most.input;
  a.used.output += unseen * most.output;
  a.cost_usd += unseen * price_of(most, asked.model);
  return a;
}

} // namespace

model_synthesizer_shell::~model_synthesizer_shell() {
  while (!open_.empty())
    forget(open_.begin()->first);
}

const synthesis::generator* model_synthesizer_shell::printer() {
  if (!std::exchange(printer_made_, true))
    if (auto made = parts_.common.make(*parts_.common.subject, parts_.common.on, parts_.common.compiler))
      printer_ = std::move(*made);
  return printer_.get();
}

result<synthesis::writing_task> model_synthesizer_shell::task_for(const synthesize& request) {
  if (!parts_.desk)
    return error{errc::configuration, "synthesizer '" + parts_.name + "': no models are configured here"};
  if (!seat_)
    seat_ = parts_.desk->find(parts_.name);
  if (!*seat_)
    return seat_->error();
  const model_seat& seat = **seat_;
  synthesis::writing_task task;
  if (!language_)
    language_ = parts_.desk->language(parts_.common.on);
  task.facts.in = language_.get();
  if (!task.facts.in)
    return error{errc::synthesizer, "no language '" + parts_.common.on.language + "' on " + parts_.common.on.platform + "; expected " +
                                      synthesis::language_names(parts_.common.on.platform)};
  task.facts.subject = parts_.common.subject;
  task.facts.on = parts_.common.on;
  task.facts.hardware = parts_.hardware;
  task.facts.number = request.number;
  task.facts.given = request.given ? *request.given : synthesis::context{};
  task.facts.given.skills = request.unprimed ? nullptr : parts_.common.skills;
  task.facts.first = request.first;
  if (request.root_by_model)
    task.facts.given.root = "the first implementation that passed";
  task.facts.may_schedule = task.facts.in->runs && printer() != nullptr;
  task.facts.blank_feedback = seat.blank_feedback;
  if (!seat.blank_feedback) {
    auto seen = synthesis::evidence_of(*parts_.common.subject, task.facts.given);
    task.facts.readings = parts_.desk->read({parts_.common.on, std::move(seen.signals), std::move(seen.words)});
  }
  task.author = parts_.name;
  task.compiler = parts_.common.compiler;
  task.prompt_tokens = seat.prompt_tokens;
  task.repairs = seat.repairs;
  task.is_known = [known = parts_.common.known, count = request.known](const candidate& c) {
    return known->among_first(c.id, count) || known->like_among_first(likeness_of(c), count);
  };
  return task;
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
  open.request = request_of(seat, parts_.session, number, what);
  const auto most = llm::most_usage(open.request);
  const std::uint64_t times = std::max(1u, open.request.billable_attempts);
  open.reserved = {times * (most.input + most.output), static_cast<double>(times) * price_of(most, seat.model)};
  if (!parts_.desk->reserve(open.reserved.tokens, open.reserved.usd)) {
    open.reserved = {};
    return answer(number, error{errc::budget, "the limit for models of this day leaves no room for another request"});
  }
  auto asked = std::make_shared<model_asked>();
  asked->number = number;
  asked->step = what.step;
  asked->synthesizer = parts_.name;
  asked->model = seat.model.name;
  asked->provider = seat.model.provider;
  asked->role = what.step == 0 ? "propose" : "repair";
  asked->instructions = what.instructions;
  asked->turns = what.turns;
  asked->reserved_tokens = open.reserved.tokens;
  asked->reserved_usd = open.reserved.usd;
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
  go_on(number, open_.at(number).how->printed(printer()->print(what.what, what.edge)));
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
