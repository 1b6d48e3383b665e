#include "actors/dispatch_logic.hpp"

#include "protocol/check.hpp"

#include <algorithm>
#include <utility>

namespace kevolve::dispatch {
namespace {

constexpr double least_work_s = 0.01; // of a lease: a flood of what costs nothing is none
constexpr std::size_t owners_kept = 256; // with nothing here; beyond it what they had is forgotten
constexpr std::size_t levels_kept = 16; // of one of them

} // namespace

dispatcher::dispatcher(options limits) : limits_(limits) {}

std::vector<effect> dispatcher::step(input in, double now_s) {
  now_s_ = std::max(now_s_, now_s); // a clock that steps back must not revive a deadline
  out_.clear();
  std::visit([this](auto&& what) { on(std::move(what)); }, std::move(in));
  assign();
  return std::move(out_);
}

// ---- tasks ----

void dispatcher::on(submit&& in) {
  if (tasks_.contains(in.task))
    return emit(give_up{in.task, "refused: a task of this name is already here"});
  ++totals_.submitted;
  if (totals_.queued >= limits_.queue_bound) {
    ++totals_.failed;
    return emit(give_up{in.task, "refused: " + std::to_string(limits_.queue_bound) + " tasks are queued already"});
  }
  auto name = in.task;
  auto& t = tasks_[name];
  t.what = std::move(in);
  t.arrived = ++arrivals_;
  if (owners_[t.what.payer()][level_of(t.what)].tasks++ == 0)
    begin_sharing(t.what.payer(), level_of(t.what));
  if (t.what.paid && t.what.under_way)
    hold(t, waits::for_holder, now_s_ + limits_.holder_wait_s);
  else
    enqueue(t);
  grant_to_holder(t);
}

void dispatcher::on(permit&& in) {
  auto found = tasks_.find(in.task);
  if (found == tasks_.end() || !found->second.what.paid)
    return;
  auto& t = found->second;
  t.asked = false;
  if (std::exchange(t.permitted, true))
    return;
  if (t.waiting == waits::in_line)
    return; // whoever has it was found meanwhile
  if (!t.promised_by.empty())
    return grant_to(t, std::string(t.promised_by));
  release(t);
  enqueue(t);
  grant_to_holder(t);
}

// ---- paid tasks ----

void dispatcher::hold(task_state& t, waits what, double until_s) {
  t.waiting = what;
  t.waits_until_s = until_s;
  holds_.emplace(until_s, t.what.task);
  ++totals_.queued;
}

void dispatcher::release(task_state& t) {
  if (t.waiting == waits::in_line)
    return leave_queue(t);
  break_promise(t);
  holds_.erase({t.waits_until_s, t.what.task});
  t.waiting = waits::in_line;
  --totals_.queued;
}

void dispatcher::promise(task_state& t, const std::string& agent) {
  release(t);
  hold(t, waits::for_permit, now_s_ + limits_.permit_wait_s);
  t.promised_by = agent;
  unlist_idle(agent);
  agents_.at(agent).has[needed_by(t.what)].promised.insert(t.what.task);
  list_idle(agent);
  if (!std::exchange(t.asked, true)) // the slot kept for it before went to others, or its agent went
    emit(ask_permit{t.what.task, agent});
}

/// Its permission is still to come: then it takes the next slot that is free.
void dispatcher::break_promise(task_state& t) {
  if (t.promised_by.empty())
    return;
  unlist_idle(t.promised_by);
  agents_.at(t.promised_by).has[needed_by(t.what)].promised.erase(t.what.task);
  list_idle(t.promised_by);
  t.promised_by.clear();
}

void dispatcher::break_promises(const std::string& agent) {
  for (const slots& each : agents_.at(agent).has) {
    const auto promised = each.promised; // break_promise changes the set
    for (const auto& task : promised)
      break_promise(tasks_.at(task));
  }
}

void dispatcher::on(withdraw&& in) {
  auto found = tasks_.find(in.task);
  if (found == tasks_.end())
    return;
  auto& t = found->second;
  if (t.agent.empty()) {
    release(t);
  } else {
    if (!in.keeps)
      emit(revoke{t.agent, in.task, t.epoch});
    end_lease(t);
  }
  ++totals_.cancelled;
  forget(in.task);
}

void dispatcher::forget(const std::string& task) {
  auto found = tasks_.find(task);
  settle(found->second, std::nullopt); // its turn had come, and it was not leased
  const auto has_nothing_here = [](const auto& level_and_share) { return level_and_share.second.tasks == 0; };
  auto& shares = owners_.at(found->second.what.payer());
  --shares.at(level_of(found->second.what)).tasks;
  if (shares.size() > levels_kept)
    std::erase_if(shares, has_nothing_here);
  if (owners_.size() > owners_kept)
    std::erase_if(owners_, [&](const auto& each) { return std::all_of(each.second.begin(), each.second.end(), has_nothing_here); });
  tasks_.erase(found);
}

// ---- leases ----

void dispatcher::assign() {
  while (grant_one()) {
  }
}

bool dispatcher::grant_one() {
  line* best = nullptr;
  for (auto& [kind, l] : lines_)
    if (!l.idle.empty() && !l.turns.empty() && (best == nullptr || *l.turns.begin() < *best->turns.begin()))
      best = &l;
  if (best == nullptr)
    return false;
  auto owner = std::get<3>(*best->turns.begin());
  auto& t = tasks_.at(best->waiting.at(owner).begin()->second);
  auto idle = best->idle.begin(); // the one with the fewest leases, but not the one it just came back from
  if (idle->second == t.last_agent && best->idle.size() > 1)
    ++idle;
  const std::string agent = idle->second;
  charge(t);
  if (t.what.paid && !t.permitted)
    promise(t, agent);
  else
    grant_to(t, agent);
  return true;
}

/// Costs the agent no work: whoever has the answer is asked first, as far as its credit goes.
void dispatcher::grant_to_holder(task_state& t) {
  auto a = t.what.holder.empty() || !t.agent.empty() ? agents_.end() : agents_.find(t.what.holder);
  if (a != agents_.end() && !a->second.draining && (t.what.paid || a->second.has[needed_by(t.what)].has_room()) && can_run(a->second, t.what))
    grant_to(t, a->first, t.what.paid); // what is kept, or under way, takes no further slot
}

void dispatcher::grant_to(task_state& t, const std::string& agent, bool kept) {
  KEVOLVE_CHECK(kept || !t.what.paid || t.permitted);
  release(t);
  unlist_idle(agent);
  t.kept = kept;
  agents_.at(agent).has[needed_by(t)].leases.insert(t.what.task);
  list_idle(agent);
  t.agent = agent;
  t.granted_s = now_s_;
  t.was_accepted = false;
  t.deadline_s = now_s_ + limits_.accept_timeout_s;
  deadlines_.emplace(t.deadline_s, t.what.task);
  ++totals_.leased;
  t.permitted = t.permitted && (kept || !t.what.paid);
  emit(grant{agent, t.what.task, ++t.epoch, lease_duration_s(t), kept});
}

// What an agent queues before its turn on the device is not the work's fault: every lease it holds adds its share.
double dispatcher::lease_duration_s(const task_state& t) const {
  auto a = agents_.find(t.agent);
  auto share = a == agents_.end() ? 1 : std::max<std::size_t>(1, a->second.has[needed_by(t)].leases.size());
  return t.what.limit_s * static_cast<double>(share) + limits_.grace_s;
}

void dispatcher::on(accepted&& in) {
  auto t = tasks_.find(in.lease);
  if (t == tasks_.end() || t->second.agent != in.agent || t->second.epoch != in.epoch || t->second.was_accepted)
    return;
  on(heartbeat{in.agent});
  t->second.was_accepted = true;
  deadlines_.erase({t->second.deadline_s, in.lease});
  t->second.deadline_s = now_s_ + lease_duration_s(t->second);
  deadlines_.emplace(t->second.deadline_s, in.lease);
}

void dispatcher::on(finished&& in) {
  on(heartbeat{in.agent});
  const acknowledge heard{in.agent, in.lease, in.epoch};
  auto found = tasks_.find(in.lease);
  if (found == tasks_.end() || found->second.agent != in.agent || found->second.epoch != in.epoch) {
    ++totals_.discarded;
    emit(heard);
    bool known = found != tasks_.end();
    return emit(discarded{in.lease, in.agent, in.epoch,
                          known ? "epoch " + std::to_string(found->second.epoch) + " is the current one" : "its task has ended"});
  }
  if (in.infrastructure) {
    emit(heard);
    return take_back(in.lease, "agent " + in.agent + ": " + in.reason, false);
  }
  end_lease(found->second, in.work_s);
  ++totals_.delivered;
  emit(deliver{in.lease, in.agent, in.epoch});
  emit(heard); // behind it: whoever carries the effects out knows then that this one waits for the disk
  forget(in.lease);
}

void dispatcher::end_lease(task_state& t, std::optional<double> work_s) {
  const double lasted_s = now_s_ - t.granted_s;
  settle(t, std::max(least_work_s, work_s && *work_s >= 0 ? std::min(*work_s, lasted_s) : lasted_s)); // agents may say anything
  deadlines_.erase({t.deadline_s, t.what.task});
  unlist_idle(t.agent);
  agents_.at(t.agent).has[needed_by(t)].leases.erase(t.what.task);
  list_idle(t.agent);
  t.last_agent = std::move(t.agent);
  t.agent.clear();
  --totals_.leased;
}

// A lease ended without a result: the task waits for its next epoch, or is given up.
void dispatcher::take_back(const std::string& task, const std::string& reason, bool died) {
  auto& t = tasks_.at(task);
  if (died)
    t.killed.insert(t.agent + '/' + agents_.at(t.agent).incarnation);
  end_lease(t);
  ++t.attempts;
  std::string why;
  if (t.killed.size() >= limits_.poison_agents)
    why = "quarantined: " + std::to_string(t.killed.size()) + " agents died under it; the last: " + reason;
  else if (t.attempts >= limits_.attempts)
    why = "given up after " + std::to_string(t.attempts) + " attempts; the last: " + reason;
  if (!why.empty()) {
    ++totals_.failed;
    emit(give_up{task, why});
    return forget(task);
  }
  ++totals_.requeued;
  emit(requeued{task, t.epoch + 1, reason});
  t.what.holder.clear();
  enqueue(t);
}

// ---- time ----

void dispatcher::on(tick&& in) {
  std::vector<std::string> dead;
  for (auto& [name, a] : agents_) // while we stood still, nobody could be heard
    a.heard_s = std::min(now_s_, a.heard_s + in.stood_still_s);
  for (const auto& [name, a] : agents_)
    if (now_s_ - a.heard_s > limits_.heartbeat_timeout_s)
      dead.push_back(name);
  for (const auto& name : dead)
    remove_agent(name, "no heartbeat for " + std::to_string(static_cast<int>(limits_.heartbeat_timeout_s)) + " s", true);
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_s_) {
    auto name = deadlines_.begin()->second;
    const auto& t = tasks_.at(name);
    emit(revoke{t.agent, name, t.epoch});
    take_back(name, t.was_accepted ? "its deadline passed on agent " + t.agent : "agent " + t.agent + " did not accept it", false);
  }
  while (!holds_.empty() && holds_.begin()->first <= now_s_) {
    auto& t = tasks_.at(holds_.begin()->second);
    if (t.waiting == waits::for_holder) { // nobody has said that they have it
      release(t);
      enqueue(t);
    } else {
      break_promise(t);
      holds_.erase(holds_.begin());
    }
  }
}

std::optional<double> dispatcher::next_deadline_s() const {
  std::optional<double> next;
  if (!deadlines_.empty())
    next = deadlines_.begin()->first;
  if (!holds_.empty())
    next = std::min(next.value_or(holds_.begin()->first), holds_.begin()->first);
  for (const auto& [name, a] : agents_)
    next = std::min(next.value_or(a.heard_s + limits_.heartbeat_timeout_s), a.heard_s + limits_.heartbeat_timeout_s);
  return next;
}

} // namespace kevolve::dispatch
