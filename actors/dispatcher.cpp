#include "actors/dispatcher.hpp"

#include "actors/failure.hpp"
#include "actors/suspension.hpp"
#include "protocol/codec.hpp"
#include "protocol/failpoint.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <string_view>
#include <tuple>

namespace kevolve::actors {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t settled_bound = 1 << 16; // tasks whose results wait for the disk, or whose late ones are still told to their session: far above what a thousand agents have in flight
constexpr auto tick_period = 200ms; // finer than any deadline that the logic keeps
constexpr std::size_t frame_margin = 4096; // names and numbers beside a lease's work
constexpr double stood_still = 1;   // seconds between two ticks: this process was stopped, or starved; what agents said meanwhile is still to be read

bool fits(const device_description& device, const target& on, const std::string& hardware) {
  return device.on.platform == on.platform && device.on.language == on.language &&
         (on.architecture.empty() || device.on.architecture == on.architecture) && (hardware.empty() || device.hardware == hardware);
}

/// What the agent answered, as the session sees it: another kind of answer than an evaluation is the agent's fault.
result<evaluation> evaluation_in(decltype(lease_finished::answer)& answer) {
  if (auto* got = std::get_if<evaluation>(&answer))
    return std::move(*got);
  if (auto* why = std::get_if<std::string>(&answer))
    return error{errc::infrastructure, *why};
  return error{errc::infrastructure, "the agent answered an evaluation with something else"};
}

/// What an evaluation took of its host, without the time that it waited there.
std::optional<double> work_in(const decltype(lease_finished::answer)& answer) {
  const auto* got = std::get_if<evaluation>(&answer);
  if (!got)
    return std::nullopt;
  const stage_times& t = got->stages;
  return t.compile_s + t.check_s + t.measure_s + t.profile_s;
}

} // namespace

dispatch_shell::dispatch_shell(dispatcher_actor::pointer self, dispatcher_parts parts)
    : self_(self), parts_(std::move(parts)), identity_("kevolve/" + std::to_string(std::random_device{}())), logic_(parts_.limits), settled_(settled_bound), compilations_(identity_) {}

double dispatch_shell::now_s() const {
  return std::chrono::duration<double>(self_->clock().now().time_since_epoch()).count();
}

void dispatch_shell::submit(submit_task& what) {
  dispatch::submit asked = what.what;
  asked.in_pieces = what.state->size() + frame_margin > limits::frame_bytes;
  kept& k = tasks_[asked.task] = kept{std::move(what)};
  k.print = k.what.print;
  if (!holders_.empty())
    if (auto holder = holders_.find(print_of(k)); holder != holders_.end())
      asked.holder = holder->second;
  step(std::move(asked));
}

void dispatch_shell::permit(permit_task& what) {
  auto found = tasks_.find(what.task);
  if (found == tasks_.end())
    return;
  found->second.what.state = std::move(what.state);
  step(dispatch::permit{what.task});
}

void dispatch_shell::withdraw(const std::string& task, bool keeps) {
  auto found = tasks_.find(task);
  if (found == tasks_.end()) {
    if (auto to = settled_.withdrawn(task)) // delivered, and nobody counts it: unless it is told its agent says it again for ever
      say(to->agent, result_acknowledged{task, to->epoch, false});
    return;
  }
  if (keeps && !found->second.print.empty()) // it will be asked for again
    if (const std::string agent = logic_.holder_of(task); !agent.empty())
      holders_[found->second.print] = agent;
  settled_.settle(task, {"", 0, {found->second.what.owner, found->second.what.number, found->second.what.attempt}});
  tasks_.erase(found);
  step(dispatch::withdraw{task, keeps});
}

void dispatch_shell::withdraw_all(const withdraw_owner& whose) {
  std::vector<std::string> theirs;
  for (const auto& [task, k] : tasks_)
    if (k.what.what.owner == whose.owner && (k.what.proxy || !whose.writings))
      theirs.push_back(task);
  for (const auto& task : theirs)
    withdraw(task, tasks_.at(task).what.what.paid);
  settled_.forget(whose.owner + (whose.writings ? "/write-" : "/"));
}

void dispatch_shell::durable(const std::string& task) {
  if (auto to = settled_.durable(task)) {
    pass(failpoint::acknowledgement_before_send);
    say(to->agent, result_acknowledged{task, to->epoch, true});
  }
}

void dispatch_shell::heard(const std::string& agent, message& what) {
  std::visit([&](auto& body) { heard_from(agent, body); }, what);
}

void dispatch_shell::heard_from(const std::string& agent, agent_hello& what) {
  agents_[agent] = {what.devices, what.found, what.compiles, what.pieces, what.toolchains, what.writers, what.labels};
  auto holds = tasks_held_by(agent, what.kept);
  step(dispatch::hello{agent, std::move(what), std::move(holds)});
  answer_seekers();
}

/// Notes who keeps which answers, and which of the tasks that are here they belong to.
std::vector<std::string> dispatch_shell::tasks_held_by(const std::string& agent, const std::vector<std::string>& prints) {
  std::vector<std::string> held;
  if (prints.empty())
    return held;
  for (const auto& print : prints)
    holders_[print] = agent;
  for (auto& [task, k] : tasks_)
    if (auto holder = holders_.find(print_of(k)); holder != holders_.end() && holder->second == agent)
      held.push_back(task);
  std::sort(held.begin(), held.end());
  return held;
}

const std::string& dispatch_shell::print_of(kept& k) {
  if (k.print.empty())
    if (auto thawed = decode<work>(*k.what.state))
      k.print = work_print(*thawed);
  return k.print;
}

void dispatch_shell::heard_from(const std::string& agent, agent_heartbeat&) {
  if (!agents_.contains(agent))
    return say(agent, agent_welcome{identity_, protocol_version, true}); // it knows an earlier life of ours
  step(dispatch::heartbeat{agent});
}

void dispatch_shell::heard_from(const std::string& agent, lease_accepted& what) {
  step(dispatch::accepted{agent, what.lease, what.epoch});
}

void dispatch_shell::heard_from(const std::string& agent, lease_finished& what) {
  if (settled_.awaits_disk(what.lease, agent, what.epoch))
    return; // repeated: it is on its way to the disk and will be acknowledged then
  if (std::holds_alternative<blob_reference>(what.answer)) {
    if (auto refused = agents_.contains(agent) ? large_answers_.finished(agent, what, steady_now()) : std::nullopt)
      heard_from(agent, *refused);
    return;
  }
  if (compilations_.has(what.lease) && !std::holds_alternative<std::string>(what.answer)) {
    const auto* made = std::get_if<compile_made>(&what.answer);
    if (!made || !compilations_.answers(what.lease, *made))
      what.answer = std::string("the agent answered a compilation with something else");
  }
  if (const auto* late = std::get_if<written>(&what.answer); late && !tasks_.contains(what.lease) && agents_.contains(agent))
    holders_[late->print] = agent; // nobody waits for it now: it is kept there until somebody does
  std::string why = why_no_answer(what.lease, what);
  answer_ = &what;
  step(dispatch::finished{agent, what.lease, what.epoch, !why.empty(), std::move(why), work_in(what.answer)});
  answer_ = nullptr;
}

/// "": it is one. Otherwise an infrastructure's fault.
std::string dispatch_shell::why_no_answer(const std::string& task, const lease_finished& what) const {
  if (const auto* why = std::get_if<std::string>(&what.answer))
    return why->empty() ? "it did not say why" : *why;
  const auto* got = std::get_if<evaluation>(&what.answer);
  if (got && got->result == outcome::infrastructure)
    return got->log.empty() ? "it did not say why" : got->log;
  const auto found = tasks_.find(task);
  if (found == tasks_.end() || !found->second.what.proxy)
    return {};
  const auto* writing = std::get_if<written>(&what.answer);
  if (!writing)
    return "it was to write a candidate and answered something else";
  if (writing->print != found->second.print || (writing->what && writing->what->id != candidate_hash(*writing->what)))
    return "what it wrote is not what was asked for";
  return {};
}

void dispatch_shell::heard_from(const std::string& agent, agent_goodbye& what) { step(dispatch::goodbye{agent, std::move(what.reason)}); }

void dispatch_shell::heard_from(const std::string& agent, agent_drain& what) { step(dispatch::drain{agent, what.deadline_s}); }

void dispatch_shell::list(list_agents& what) const {
  std::vector<agent_status> all;
  for (const auto& [agent, told] : agents_)
    if (const auto now = logic_.standing_of(agent))
      all.push_back({agent.substr(0, agent.find('/')), agent, told.devices, now->leases, now->credit, now->draining, now_s() - now->heard_s, told.found, told.compiles, logic_.has_compiler(agent), told.toolchains,
                     told.writers, told.labels, now->writes, now->writing_slots});
  what.answer->set_value(std::move(all));
}

void dispatch_shell::drain(drain_agents& what) {
  std::vector<std::string> named;
  for (const auto& [agent, told] : agents_)
    if (agent.substr(0, agent.find('/')) == what.name)
      named.push_back(agent);
  for (const std::string& agent : named)
    step(dispatch::drain{agent, 600});
  what.answer->set_value(named.size());
}

void dispatch_shell::unreachable(const std::string& agent, const std::string& reason) {
  if (agents_.contains(agent))
    step(dispatch::lost{agent, reason});
}

void dispatch_shell::find(find_device& what) {
  double until = now_s() + what.within_s;
  seekers_.push_back({std::move(what), until});
  answer_seekers();
}

std::vector<found_writer> dispatch_shell::writers_of(const find_writers& what) const {
  std::vector<found_writer> who;
  dispatch::submit asks;
  asks.writer = what.name;
  asks.label = what.label;
  for (const auto& [agent, told] : agents_)
    if (logic_.can_be_given(agent, asks))
      for (const auto& each : told.writers)
        if (each.name == what.name)
          who.push_back({agent.substr(0, agent.find('/')), each});
  return who;
}

void dispatch_shell::find(find_writers& what) {
  writer_seekers_.push_back({what, now_s() + what.within_s});
  answer_seekers();
}

void dispatch_shell::answer_seekers() {
  std::erase_if(writer_seekers_, [&](const looking_for_writers& each) {
    auto who = writers_of(each.what);
    if (who.empty() && now_s() < each.until_s)
      return false;
    self_->send(each.what.to, writers_found{std::move(who)});
    return true;
  });
  std::erase_if(seekers_, [&](looking& each) {
    dispatch::submit asks;
    asks.on = each.what.on;
    asks.hardware = each.what.hardware;
    asks.label = each.what.hosts;
    for (const auto& [agent, told] : agents_)
      for (const auto& device : told.devices)
        if (fits(device, asks.on, asks.hardware) && logic_.serves(agent, asks)) {
          each.what.answer->set_value(device);
          return true;
        }
    if (now_s() < each.until_s)
      return false;
    each.what.answer->set_value(error{errc::no_agent, why_unserved(asks)});
    return true;
  });
}

std::string dispatch_shell::served() const {
  std::string all;
  for (const auto& [agent, told] : agents_)
    for (const auto& device : told.devices) {
      dispatch::submit like;
      like.on = device.on;
      like.hardware = device.hardware;
      all += (all.empty() ? "" : ", ") + to_string(device.on) + " (" + device.hardware + " on " + agent + (logic_.serves(agent, like) ? ")" : ", which has no compiler, and no agent compiles for it)");
    }
  if (all.empty())
    all = "nothing";
  for (const auto& [agent, told] : agents_)
    for (const found_device& device : told.found)
      if (is_suspended(device))
        all += "; " + device.name + " of " + agent + " is " + device.trouble;
  return all;
}

/// To a person.
std::string dispatch_shell::why_unserved(const dispatch::submit& what) const {
  if (!what.writer.empty())
    return "no agent writes as '" + what.writer + "'" + (what.label.empty() || what.label == "any" ? "" : " on '" + what.label + "'");
  return "no agent" + (what.label.empty() ? "" : " of '" + what.label + "'") + " serves " + to_string(what.on) + (what.hardware.empty() ? "" : " on " + what.hardware) + "; served: " + served();
}

void dispatch_shell::explain(explain_waiting& what) const {
  std::string why;
  for (const auto& [task, k] : tasks_)
    if (why.empty() && k.what.what.owner == what.owner && !logic_.serves(k.what.what))
      why = why_unserved(k.what.what);
  what.answer->set_value(std::move(why));
}

void dispatch_shell::tick() {
  const double gap_s = ticked_s_ > 0 ? now_s() - ticked_s_ : 0;
  ticked_s_ = now_s();
  step(dispatch::tick{gap_s > stood_still ? gap_s : 0});
  answer_seekers();
  give_up_compiling();
  fetch_large_answers();
  std::vector<std::string> hopeless;
  using kind = std::tuple<std::string_view, std::string_view, std::string_view, std::string_view, std::string_view, std::string_view>;
  std::map<kind, bool> known; // asked once for each kind, not for each of many tasks
  const auto served = [&](const dispatch::submit& asks) {
    if (!asks.avoid.empty())
      return logic_.serves(asks);
    const auto [found, is_new] = known.try_emplace({asks.on.platform, asks.on.architecture, asks.on.language, asks.hardware, asks.writer, asks.label});
    if (is_new)
      found->second = logic_.serves(asks);
    return found->second;
  };
  for (auto& [task, k] : tasks_) {
    if (served(k.what.what)) {
      k.unserved_since_s = -1;
    } else if (k.unserved_since_s < 0) {
      k.unserved_since_s = now_s();
    } else if (now_s() - k.unserved_since_s > (k.what.unserved_limit_s < 0 ? parts_.agent_wait_s : k.what.unserved_limit_s)) {
      hopeless.push_back(task);
    }
  }
  for (const auto& task : hopeless) {
    kept& k = tasks_.at(task);
    if (k.what.proxy) {
      self_->send(k.what.proxy, writing_given_up{task, {errc::no_agent, why_unserved(k.what.what)}});
      withdraw(task);
      continue;
    }
    error why{errc::no_agent, why_unserved(k.what.what)};
    self_->send(k.what.origin, task_given_up{std::move(why)});
    withdraw(task);
  }
}

void dispatch_shell::step(dispatch::input in) {
  if (parts_.probe)
    parts_.probe("dispatcher");
  for (auto& effect : logic_.step(std::move(in), now_s()))
    std::visit([this](auto& what) { on(what); }, effect);
  forget_the_gone();
}

void dispatch_shell::on(dispatch::welcome& what) { say(what.agent, agent_welcome{identity_, protocol_version, true}); }

void dispatch_shell::on(dispatch::grant& what) {
  pass(failpoint::grant_before_send);
  if (compilations_.has(what.lease))
    return say(what.agent, lease_granted{what.lease, what.epoch, what.deadline_s, compilations_.work_of(what.lease)});
  auto found = tasks_.find(what.lease);
  KEVOLVE_CHECK(found != tasks_.end());
  const checkpoint state = what.kept ? std::make_shared<const std::string>(encode(work(kept_work{found->second.print}))) : found->second.what.state;
  const auto told = agents_.find(what.agent);
  if (state->size() > limits::inline_bytes && told != agents_.end() && told->second.pieces)
    return say(what.agent, lease_offered{what.lease, what.epoch, what.deadline_s, large_work_.put(state)});
  said(what.agent, parts_.wire->grant(what.agent, {what.lease, what.epoch, what.deadline_s, state}));
}

void dispatch_shell::on(dispatch::revoke& what) { say(what.agent, lease_cancelled{what.lease, what.epoch}); }

void dispatch_shell::on(dispatch::deliver& what) {
  KEVOLVE_CHECK(answer_);
  if (compilations_.has(what.task))
    return say(compilations_.delivered(what.task, what.agent, std::move(std::get<compile_made>(answer_->answer))));
  pass(failpoint::answer_came);
  auto found = tasks_.find(what.task);
  KEVOLVE_CHECK(found != tasks_.end());
  const submit_task& task = found->second.what;
  if (!found->second.print.empty())
    holders_.erase(found->second.print);
  settled_.settle(what.task, {what.agent, what.epoch, {task.owner, task.number, task.attempt}});
  if (task.proxy) {
    self_->send(task.proxy, writing_delivered{what.task, what.agent.substr(0, what.agent.find('/')), what.epoch, std::make_shared<written>(std::get<written>(std::move(answer_->answer)))});
    tasks_.erase(found);
    return;
  }
  self_->send(task.origin, task_delivered{std::make_shared<const result<evaluation>>(evaluation_in(answer_->answer))});
  tasks_.erase(found);
}

void dispatch_shell::on(dispatch::give_up& what) {
  if (compilations_.has(what.task))
    return say(compilations_.given_up(what.task, std::move(what.reason)));
  auto found = tasks_.find(what.task);
  if (found == tasks_.end())
    return;
  error why{errc::infrastructure, std::move(what.reason)};
  if (found->second.what.proxy)
    self_->send(found->second.what.proxy, writing_given_up{what.task, std::move(why)});
  else
    self_->send(found->second.what.origin, task_given_up{std::move(why)});
  tasks_.erase(found);
}

void dispatch_shell::on(dispatch::discarded& what) {
  auto tell = [&](const session_actor& owner, node_number number, std::uint32_t attempt) {
    self_->send(owner, evaluation_late{number, attempt, what.reason + " (from " + what.agent + ")"});
  };
  if (auto found = tasks_.find(what.task); found != tasks_.end())
    tell(found->second.what.owner, found->second.what.number, found->second.what.attempt);
  else if (const origin* over = settled_.origin_of(what.task))
    tell(over->owner, over->number, over->attempt);
}

void dispatch_shell::on(dispatch::acknowledge& what) {
  if (settled_.awaits_disk(what.lease, what.agent, what.epoch))
    return; // `durable` does it
  say(what.agent, result_acknowledged{what.lease, what.epoch, false});
}

void dispatch_shell::on(dispatch::requeued&) {}

void dispatch_shell::on(dispatch::ask_permit& what) {
  if (auto found = tasks_.find(what.task); found != tasks_.end())
    self_->send(found->second.what.proxy, writing_unpermitted{what.task});
}

void dispatch_shell::on(dispatch::agent_gone& what) {
  agents_.erase(what.agent);
  gone_.push_back(what.agent);
  std::erase_if(holders_, [&](const auto& each) { return each.second == what.agent; });
}

void dispatch_shell::on(dispatch::ask_drain& what) { say(what.agent, agent_drain{what.deadline_s}); }

void dispatch_shell::say(const std::string& agent, message what) {
  said(agent, parts_.wire->send(agent, std::move(what)));
}

void dispatch_shell::say(std::optional<dispatch::letter> what) {
  if (what)
    say(what->agent, std::move(what->what));
}

void dispatch_shell::said(const std::string& agent, const result<void>& sent) {
  if (!sent)
    self_->send(dispatcher_actor(self_), agent_unreachable{agent, sent.error().message});
}

dispatcher_actor::behavior_type dispatcher(dispatcher_actor::stateful_pointer<dispatcher_state> self, dispatcher_parts parts) {
  name_failures(self);
  self->state.shell.emplace(self, std::move(parts));
  self->delayed_send(self, tick_period, dispatch_tick{});
  auto& shell = *self->state.shell;
  return {
    [&shell](submit_task& what) { shell.submit(what); },
    [&shell](permit_task& what) { shell.permit(what); },
    [&shell](const withdraw_task& what) { shell.withdraw(what.task, what.keeps); },
    [&shell](const withdraw_owner& what) { shell.withdraw_all(what); },
    [&shell](const task_durable& what) { shell.durable(what.task); },
    [&shell](from_agent& what) { shell.heard(what.agent, *what.what); },
    [&shell](const agent_unreachable& what) { shell.unreachable(what.agent, what.reason); },
    [&shell](find_device& what) { shell.find(what); },
    [&shell](find_writers& what) { shell.find(what); },
    [&shell](list_agents& what) { shell.list(what); },
    [&shell](drain_agents& what) { shell.drain(what); },
    [&shell](explain_waiting& what) { shell.explain(what); },
    [self, &shell](dispatch_tick) {
      self->delayed_send(self, tick_period, dispatch_tick{});
      shell.tick();
    },
  };
}

} // namespace kevolve::actors
