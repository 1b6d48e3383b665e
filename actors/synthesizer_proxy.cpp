#include "actors/synthesizer_proxy.hpp"

#include "actors/failure.hpp"
#include "actors/model_record.hpp"
#include "protocol/codec.hpp"

#include <algorithm>
#include <caf/send.hpp>

namespace kevolve::actors {
namespace {

constexpr std::size_t failures_kept = 64; // proposals; far more than are open at once
constexpr std::size_t repair_bytes = 60'000 + 8'000; // of an answer that a model is shown again, and of what was wrong with it (prompts/writing.cpp)

llm::model_settings model_of(const writer_description& of) {
  llm::model_settings model;
  model.name = of.model;
  model.provider = of.provider;
  model.max_output_tokens = of.max_output_tokens;
  if (of.priced)
    model.price = llm::token_price{of.input_usd, of.cached_input_usd, of.cache_write_usd, of.output_usd};
  return model;
}

/// The most that the request of `step` may cost, whoever of them it is sent to.
model_spending most_of(const std::vector<writer_description>& who, const synthesis::prompt& told, std::uint32_t step) {
  model_spending most;
  for (const writer_description& each : who) {
    llm::request asked;
    asked.model = model_of(each);
    asked.billable_attempts = each.billable_attempts;
    asked.system = told.instructions;
    asked.messages = {{llm::speaker::user, told.text + std::string(step * repair_bytes, ' ')}};
    const model_spending one = most_spent(asked);
    most.tokens = std::max(most.tokens, one.tokens);
    most.usd = std::max(most.usd, one.usd);
  }
  return most;
}

/// What suits all who may be given it.
telling told_to(const std::vector<writer_description>& who) {
  telling how{who.front().prompt_tokens, who.front().repairs, who.front().blank_feedback};
  for (const writer_description& each : who) {
    how.prompt_tokens = std::min<std::size_t>(how.prompt_tokens, each.prompt_tokens);
    how.repairs = std::min(how.repairs, each.repairs);
  }
  return how;
}

checkpoint frozen_bytes(const write_work& what) { return std::make_shared<const std::string>(encode(work(what))); }

} // namespace

synthesizer_proxy_shell::synthesizer_proxy_shell(synthesizer_proxy_actor::pointer self, synthesizer_proxy_parts parts)
    : self_(self), parts_(std::move(parts)), maker_(parts_.home.common, parts_.home.name, parts_.home.hardware, parts_.home.desk) {}

synthesizer_proxy_shell::~synthesizer_proxy_shell() {
  if (home_)
    caf::anon_send_exit(home_, caf::exit_reason::user_shutdown);
}

bool synthesizer_proxy_shell::can_stay() const { return !is_model() || (parts_.home.desk && parts_.home.desk->has(parts_.home.name)); }

// ---- leaving

void synthesizer_proxy_shell::begin(const synthesize& request) {
  at_home_.erase(request.number);
  requests_[request.number] = request;
  waiting_.insert(request.number);
  look_for_writers();
}

void synthesizer_proxy_shell::look_for_writers() {
  if (!std::exchange(looking_, true))
    self_->send(parts_.dispatcher, find_writers{parts_.home.name, parts_.label, nobody_ ? 0 : can_stay() ? parts_.home_wait_s : parts_.agent_wait_s, self_});
}

void synthesizer_proxy_shell::found(const writers_found& what) {
  looking_ = false;
  nobody_ = what.who.empty();
  for (node_number number : std::exchange(waiting_, {}))
    decide(synthesize(requests_.at(number)), what);
}

/// To whoever writes as it and has not failed at this proposal, else home, else nowhere.
void synthesizer_proxy_shell::decide(const synthesize& request, const writers_found& found) {
  const auto before = failed_on_.find(request.number);
  const std::vector<failure> failed = before == failed_on_.end() ? std::vector<failure>() : before->second;
  std::vector<writer_description> who;
  for (const found_writer& each : found.who)
    if (std::none_of(failed.begin(), failed.end(), [&](const failure& f) { return f.agent == each.agent; }))
      who.push_back(each.what);
  if (!who.empty())
    return leave(request, who);
  if (can_stay()) {
    migration::stay_home stays{request.number};
    return on(stays);
  }
  if (!failed.empty())
    return answer(request.number, {errc::synthesizer, "on agent " + failed.back().agent + ": " + failed.back().why});
  std::string why = "no agent writes as '" + parts_.home.name + "'" + (parts_.label.empty() || parts_.label == "any" ? "" : " on '" + parts_.label + "'");
  if (parts_.home.desk)
    if (const auto seat = parts_.home.desk->find(parts_.home.name); !seat)
      why += "; here: " + seat.error().message;
  answer(request.number, {errc::no_agent, std::move(why)});
}

void synthesizer_proxy_shell::leave(const synthesize& request, const std::vector<writer_description>& who) {
  auto leaves = frozen(request, who);
  if (!leaves)
    return answer(request.number, leaves.error());
  step(std::move(*leaves));
}

result<migration::set_out> synthesizer_proxy_shell::frozen(const synthesize& request, const std::vector<writer_description>& who) {
  const synthesizer_parts& common = parts_.home.common;
  synthesis::frozen_synthesizer me;
  me.synthesizer = parts_.home.name;
  me.session = parts_.home.session;
  me.number = request.number;
  me.seed = request.seed;
  me.subject = *common.subject;
  me.on = common.on;
  me.compiler = common.compiler;
  if (request.given)
    me.given = synthesis::freeze(*request.given);
  const auto known = common.known->first(request.known);
  me.known_ids = synthesis::pack_ids(known.ids);
  if (request.said)
    me.said = *request.said;
  migration::set_out leaves;
  if (is_model()) {
    KEVOLVE_TRY(task, maker_.task(request, told_to(who)));
    const synthesis::prompt told = synthesis::write_prompt(task.facts, task.prompt_tokens);
    me.known_likenesses = synthesis::pack_likenesses(known.likenesses);
    me.told = {told.instructions, told.text, {}, *task.facts.in, task.repairs, task.facts.may_schedule};
    if (const auto& parent = task.facts.given.parent; parent && parent->written)
      me.told->parent = parent->written->sources;
    if (parts_.settings.model_usd > 0 && !std::all_of(who.begin(), who.end(), [](const writer_description& d) { return d.priced; }))
      return error{errc::configuration, "synthesizer '" + parts_.home.name + "': an agent that offers it does not say what it costs (price in its settings), and the session limits USD"};
    model_asked asked;
    asked.number = request.number;
    asked.step = request.step;
    asked.synthesizer = parts_.home.name;
    asked.model = who.front().model;
    asked.provider = who.front().provider;
    asked.role = request.step == 0 ? "propose" : "repair";
    asked.instructions = told.instructions;
    asked.turns = {told.text};
    leaves.least = most_of(who, told, request.step);
    for (std::uint32_t step = request.step; step <= std::max(request.step, task.repairs); ++step) {
      const model_spending one = most_of(who, told, step);
      asked.reserved_tokens += one.tokens;
      asked.reserved_usd += one.usd;
    }
    leaves.request = std::move(asked);
  } else {
    if (!request.unprimed)
      me.skills = *common.skills;
    me.policy_model = common.policy_model;
  }
  leaves.number = request.number;
  leaves.asked = request.asked;
  leaves.task = parts_.home.session + "/write-" + std::to_string(request.number) + "/" + std::to_string(request.attempt);
  leaves.under_way = request.reserved;
  leaves.what.synthesizer = parts_.home.name;
  leaves.what.print = synthesis::print_of(me);
  leaves.what.state = encode(me);
  leaves.what.limit_s = 0;
  for (const writer_description& each : who)
    leaves.what.limit_s = std::max(leaves.what.limit_s, each.limit_s);
  return leaves;
}

// ---- what the session, the dispatcher and the agents say

void synthesizer_proxy_shell::permitted(const asking_permitted& what) {
  if (at_home_.contains(what.number))
    self_->send(home_, what);
  else
    step(migration::permitted{what.number, what.reserved});
}

void synthesizer_proxy_shell::refused(const asking_refused& what) {
  if (at_home_.contains(what.number))
    self_->send(home_, what);
  else
    step(migration::refused{what.number, what.why});
}

void synthesizer_proxy_shell::forget(const forget_proposal& what) {
  waiting_.erase(what.number);
  failed_on_.erase(what.number);
  requests_.erase(what.number);
  reserved_.erase(what.number); // counts for the day
  if (at_home_.erase(what.number) > 0)
    self_->send(home_, what);
  step(migration::forgotten{what.number, what.comes_back});
}

void synthesizer_proxy_shell::delivered(const writing_delivered& what) { step(migration::arrived{what.task, what.agent, what.epoch, *what.what}); }

void synthesizer_proxy_shell::given_up(const writing_given_up& what) {
  step(migration::lost{what.task, what.why, what.why.code == errc::no_agent && can_stay()});
}

void synthesizer_proxy_shell::unpermitted(const writing_unpermitted& what) { step(migration::unpermitted{what.task}); }

void synthesizer_proxy_shell::durable(node_number number) {
  requests_.erase(number);
  step(migration::counted{number});
}

// ---- effects

void synthesizer_proxy_shell::step(migration::event e) {
  for (auto& effect : away_.step(std::move(e)))
    std::visit([this](auto& what) { on(what); }, effect);
}

void synthesizer_proxy_shell::on(migration::ask& what) {
  const node_number number = what.request.number;
  if (parts_.home.desk) {
    model_spending day{what.request.reserved_tokens, what.request.reserved_usd};
    if (!parts_.home.desk->reserve(day.tokens, day.usd)) {
      day = what.least;
      if (!parts_.home.desk->reserve(day.tokens, day.usd))
        return step(migration::refused{number, {errc::budget, "the limit for models of this day leaves no room for another request"}});
      what.request.reserved_tokens = day.tokens;
      what.request.reserved_usd = day.usd;
    }
    reserved_[number] = day;
  }
  self_->send(requests_.at(number).answer_to, model_asking{std::make_shared<const model_asked>(std::move(what.request)), what.least});
}

void synthesizer_proxy_shell::on(migration::submit& what) {
  const synthesizer_parts& common = parts_.home.common;
  dispatch::submit asks;
  asks.task = what.task;
  asks.owner = parts_.home.session;
  asks.priority = 2 * parts_.settings.priority;
  asks.on = common.on;
  asks.limit_s = what.what.limit_s;
  asks.needs_device = asks.needs_compiler = false;
  asks.user = parts_.settings.user;
  asks.writer = parts_.home.name;
  asks.label = parts_.label;
  if (const auto failed = failed_on_.find(what.number); failed != failed_on_.end())
    for (const failure& each : failed->second)
      asks.avoid.push_back(each.agent);
  asks.paid = what.paid;
  asks.under_way = what.under_way;
  const synthesize& request = requests_.at(what.number);
  self_->send(parts_.dispatcher, submit_task{std::move(asks), frozen_bytes(what.what), {}, request.answer_to, what.number, no_attempt, self_, what.what.print,
                                             can_stay() ? parts_.home_wait_s : parts_.agent_wait_s});
}

void synthesizer_proxy_shell::on(migration::permit& what) { self_->send(parts_.dispatcher, permit_task{what.task, frozen_bytes(what.what)}); }

void synthesizer_proxy_shell::on(migration::call_back& what) { self_->send(parts_.dispatcher, withdraw_task{what.task, what.keeps}); }

void synthesizer_proxy_shell::on(migration::deliver& what) {
  if (const auto day = reserved_.find(what.number); day != reserved_.end()) {
    model_spending cost;
    for (const model_exchange& each : what.what.said) {
      cost.tokens += each.said.used.input + each.said.used.output;
      cost.usd += each.said.cost_usd;
    }
    parts_.home.desk->settle(day->second.tokens, day->second.usd, cost.tokens, cost.usd);
    reserved_.erase(day);
  }
  if (!what.what.what)
    failed_on_[what.number].push_back({what.agent, what.what.failure}); // should it be asked for again
  if (failed_on_.size() > failures_kept)
    failed_on_.erase(failed_on_.begin());
  self_->send(requests_.at(what.number).answer_to, writing_answer{what.number, what.asked, std::make_shared<written>(std::move(what.what)), std::move(what.agent), what.moves});
}

void synthesizer_proxy_shell::on(migration::fail& what) { answer(what.number, std::move(what.why)); }

void synthesizer_proxy_shell::on(migration::stay_home& what) {
  if (!home_) {
    home_ = is_model() ? synthesizer_actor(self_->spawn<caf::monitored + caf::detached>(model_synthesizer, parts_.home))
                       : self_->spawn<caf::monitored + caf::detached>(synthesizer, parts_.home.common);
  }
  at_home_.insert(what.number);
  self_->send(home_, std::move(requests_.at(what.number)));
  requests_.erase(what.number);
}

void synthesizer_proxy_shell::on(migration::tell_counted& what) { self_->send(parts_.dispatcher, task_durable{what.task}); }

void synthesizer_proxy_shell::answer(node_number number, error why) {
  const auto found = requests_.find(number);
  if (found == requests_.end())
    return;
  const synthesize request = std::move(found->second);
  requests_.erase(found);
  self_->send(request.answer_to, synthesis_answer{number, request.asked, std::make_shared<const result<synthesis::proposal>>(std::move(why))});
}

synthesizer_proxy_actor::behavior_type synthesizer_proxy(synthesizer_proxy_actor::stateful_pointer<synthesizer_proxy_state> self, synthesizer_proxy_parts parts) {
  name_failures(self);
  self->state.shell.emplace(self, std::move(parts));
  auto& shell = *self->state.shell;
  self->set_down_handler([self](caf::down_msg& down) { self->quit(std::move(down.reason)); }); // whoever stayed at home ended: all of it is begun again
  return {
    [&shell](const synthesize& request) { shell.begin(request); },
    [&shell](const asking_permitted& what) { shell.permitted(what); },
    [&shell](const asking_refused& what) { shell.refused(what); },
    [&shell](const forget_proposal& what) { shell.forget(what); },
    [&shell](const writers_found& what) { shell.found(what); },
    [&shell](const writing_delivered& what) { shell.delivered(what); },
    [&shell](const writing_given_up& what) { shell.given_up(what); },
    [&shell](const writing_unpermitted& what) { shell.unpermitted(what); },
    [&shell](const writing_durable& what) { shell.durable(what.number); },
  };
}

} // namespace kevolve::actors
