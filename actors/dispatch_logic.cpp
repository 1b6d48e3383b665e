#include "actors/dispatch_logic.hpp"

#include "protocol/check.hpp"
#include "protocol/host_selection.hpp"
#include "protocol/target_description.hpp"

#include <algorithm>
#include <utility>

namespace kevolve::dispatch {
namespace {

bool fits(const device_description& d, const submit& what) {
  return d.on.platform == what.on.platform && (what.on.language.empty() || d.on.language.empty() || d.on.language == what.on.language) &&
         (what.on.architecture.empty() || d.on.architecture.empty() || d.on.architecture == what.on.architecture) &&
         (what.hardware.empty() || d.hardware == what.hardware);
}

/// By g++ or clang++. What a described device runs is compiled by its description's command, there or elsewhere.
bool is_compiled_by_us(const submit& what) { return what.needs_compiler && (what.on.platform.empty() || what.on.platform == "cpu"); }

/// Not a described device's: "loom/9/loomasm 0123…".
bool is_ours(const std::string& toolchain) { return toolchain.find('/') == std::string::npos; }

/// "g++" asks for any version of it, "g++ 12.2.0" for that one.
bool is_toolchain(const std::string& has, const std::string& asked) { return has == asked || (has.starts_with(asked) && has[asked.size()] == ' '); }

constexpr double least_work_s = 0.01; // of a lease: a flood of what costs nothing is none
constexpr double share_of_newest = 0.2; // in the mean of what an owner's leases take
constexpr std::size_t owners_kept = 256; // with nothing here; beyond it what they had is forgotten
constexpr std::size_t lines_kept = 64; // empty ones beyond it go; an agent enters every line it can run

/// What a task asks of an agent, as one string: tasks that ask for the same are kept in one line.
std::string kind_of(const submit& s) {
  if (!s.toolchain.empty())
    return "for others\n" + s.toolchain + '\n' + s.machine + '\n' + std::to_string(s.libc);
  if (!s.writer.empty()) {
    std::string kind = "writer\n" + s.writer + '\n' + s.label + (s.in_pieces ? "\npieces" : "");
    for (const std::string& agent : s.avoid)
      kind += "\nnot " + agent;
    return kind;
  }
  return s.label + (is_compiled_by_us(s) ? "\ncompiler\n" : "\n\n") + std::string(s.in_pieces ? "pieces\n" : "\n") + (s.needs_device ? to_string(s.on) + '\n' + s.hardware : std::string());
}

/// How many leases an agent may hold for its devices: their slots, and one for each candidate that it compiles meanwhile.
std::uint32_t credit_for(const std::vector<device_description>& devices, std::uint32_t compile_slots) {
  std::uint32_t credit = compile_slots;
  for (const auto& d : devices)
    credit += d.slots;
  return std::max(credit, 1u);
}

/// What orders owners who wait in a line; `share` has what its owner had, and when it was served last.
template <class Share>
std::tuple<int, double, std::uint64_t, std::string> turn_of(int less_priority, const Share& had, const std::string& owner) {
  return {less_priority, had.used_s, had.turn, owner};
}

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
  if (owners_[t.what.payer()][needed_by(t.what)].tasks++ == 0)
    begin_sharing(t.what.payer(), needed_by(t.what));
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
  --owners_.at(found->second.what.payer())[needed_by(found->second.what)].tasks;
  if (owners_.size() > owners_kept)
    std::erase_if(owners_, [](const auto& each) { return std::all_of(each.second.begin(), each.second.end(), [](const share& s) { return s.tasks == 0; }); });
  tasks_.erase(found);
}

dispatcher::line& dispatcher::line_of(const submit& what) {
  auto [found, is_new] = lines_.try_emplace(kind_of(what));
  auto& l = found->second;
  if (is_new) {
    l.asks = what;
    for (const auto& [name, a] : agents_)
      if (const slots& mine = a.has[needed_by(what)]; !a.draining && mine.has_room() && can_run(a, what))
        l.idle.emplace(mine.taken(), name);
  }
  return l;
}

void dispatcher::list_turn(line& l, const std::string& owner) {
  if (auto w = l.waiting.find(owner); w != l.waiting.end())
    l.turns.insert(turn_of(w->second.begin()->first.first, owners_.at(owner)[needed_by(l.asks)], owner));
}

void dispatcher::unlist_turn(line& l, const std::string& owner) {
  if (auto w = l.waiting.find(owner); w != l.waiting.end())
    l.turns.erase(turn_of(w->second.begin()->first.first, owners_.at(owner)[needed_by(l.asks)], owner));
}

void dispatcher::enqueue(task_state& t) { // one that comes back keeps its place
  auto& l = line_of(t.what);
  unlist_turn(l, t.what.payer());
  l.waiting[t.what.payer()].emplace(std::pair{-t.what.priority, t.arrived}, t.what.task);
  list_turn(l, t.what.payer());
  ++totals_.queued;
}

void dispatcher::leave_queue(const task_state& t) {
  auto found = lines_.find(kind_of(t.what));
  KEVOLVE_CHECK(found != lines_.end());
  auto& l = found->second;
  unlist_turn(l, t.what.payer());
  auto waiting = l.waiting.find(t.what.payer());
  KEVOLVE_CHECK(waiting != l.waiting.end() && waiting->second.erase({-t.what.priority, t.arrived}) == 1);
  if (waiting->second.empty())
    l.waiting.erase(waiting);
  list_turn(l, t.what.payer());
  --totals_.queued;
  if (l.waiting.empty() && lines_.size() > lines_kept)
    lines_.erase(found);
}

// ---- agents ----

void dispatcher::on(hello&& in) {
  if (auto known = agents_.find(in.agent); known != agents_.end()) {
    if (known->second.incarnation == in.what.incarnation) { // said twice: nothing was lost
      known->second.heard_s = now_s_;
      change_devices(in.agent, std::move(in.what.devices), in.what.compile_slots);
      return emit(welcome{in.agent});
    }
    remove_agent(in.agent, "it started again", true);
  }
  agent_state a;
  a.name = std::move(in.what.agent);
  a.incarnation = in.what.incarnation;
  a.has[compilers_of].credit = in.what.toolchains.empty() ? 0 : std::max(in.what.compile_slots, 1u);
  a.has[devices_of].credit = credit_for(in.what.devices, in.what.compile_slots);
  a.has[pens_of].credit = in.what.writers.empty() ? 0 : std::max(in.what.writing_slots, 1u);
  a.has[answers_of].credit = ~std::uint32_t{0};
  for (const writer_description& w : in.what.writers)
    a.writers.push_back(w.name);
  a.labels = std::move(in.what.labels);
  a.devices = std::move(in.what.devices);
  a.compiles = in.what.compiles;
  a.pieces = in.what.pieces;
  a.toolchains = std::move(in.what.toolchains);
  a.machine = std::move(in.what.machine);
  a.libc = in.what.libc;
  a.heard_s = now_s_;
  agents_.emplace(in.agent, std::move(a));
  list_idle(in.agent);
  note_compilers();
  emit(welcome{in.agent});
  for (const std::string& task : in.holds)
    if (auto t = tasks_.find(task); t != tasks_.end()) {
      t->second.what.holder = in.agent;
      grant_to_holder(t->second);
    }
}

/// A device is suspended, or serves again. What the agent holds for it, the agent gives back.
void dispatcher::change_devices(const std::string& agent, std::vector<device_description>&& devices, std::uint32_t compile_slots) {
  auto& a = agents_.at(agent);
  const auto alike = [](const device_description& x, const device_description& y) { return x.hardware == y.hardware && x.on == y.on && x.slots == y.slots; };
  if (std::equal(a.devices.begin(), a.devices.end(), devices.begin(), devices.end(), alike))
    return;
  unlist_idle(agent);
  a.has[devices_of].credit = credit_for(devices, compile_slots);
  a.devices = std::move(devices);
  list_idle(agent);
}

void dispatcher::on(heartbeat&& in) {
  if (auto a = agents_.find(in.agent); a != agents_.end())
    a->second.heard_s = now_s_;
}

void dispatcher::on(goodbye&& in) { remove_agent(in.agent, in.reason.empty() ? "it said goodbye" : in.reason, false); }

void dispatcher::on(lost&& in) { remove_agent(in.agent, in.reason, true); }

void dispatcher::on(drain&& in) {
  auto a = agents_.find(in.agent);
  if (a == agents_.end() || a->second.draining)
    return;
  unlist_idle(in.agent);
  a->second.draining = true;
  break_promises(in.agent);
  note_compilers();
  emit(ask_drain{in.agent, in.deadline_s});
}

void dispatcher::remove_agent(const std::string& agent, const std::string& reason, bool died) {
  auto a = agents_.find(agent);
  if (a == agents_.end())
    return;
  unlist_idle(agent);
  a->second.draining = true; // so that what comes back does not go to it again
  break_promises(agent);
  for (const slots& each : a->second.has) {
    const auto leases = each.leases; // take_back changes the set
    for (const auto& name : leases)
      take_back(name, "agent " + agent + " is gone: " + reason, died);
  }
  agents_.erase(agent);
  note_compilers();
  emit(agent_gone{agent, reason});
}

bool dispatcher::has_compiler(const agent_state& a) const {
  if (a.compiles || !a.pieces)
    return a.compiles;
  const auto helper = compilers_.find({a.machine, ""});
  return helper != compilers_.end() && helper->second <= a.libc;
}

/// By the agent itself, or by one that has the same description. An agent of before there were toolchains compiles for itself.
bool dispatcher::is_compiled_for(const agent_state& a, const device_description& described) const {
  const auto does = [&](const std::string& toolchain) { return compiles_for(toolchain, described.on, described.hardware); };
  return !a.pieces || std::any_of(a.toolchains.begin(), a.toolchains.end(), does) ||
         std::any_of(compilers_.begin(), compilers_.end(), [&](const auto& each) { return each.first.first == a.machine && each.second <= a.libc && does(each.first.second); });
}

bool dispatcher::can_run(const agent_state& a, const submit& what) const {
  const auto has = [](const std::vector<std::string>& all, const std::string& one) { return std::find(all.begin(), all.end(), one) != all.end(); };
  if (!what.writer.empty())
    return has(a.writers, what.writer) && selects(what.label, a.name, a.labels) && !has(what.avoid, a.name) && (!what.in_pieces || a.pieces);
  if (!what.toolchain.empty())
    return a.machine == what.machine && a.libc <= what.libc && std::any_of(a.toolchains.begin(), a.toolchains.end(), [&](const std::string& has) { return is_toolchain(has, what.toolchain); });
  if ((is_compiled_by_us(what) && !has_compiler(a)) || (what.in_pieces && !a.pieces) || !selects(what.label, a.name, a.labels))
    return false;
  return !what.needs_device || std::any_of(a.devices.begin(), a.devices.end(), [&](const device_description& d) {
    return fits(d, what) && (!what.needs_compiler || !is_described(d.hardware) || is_compiled_for(a, d));
  });
}

/// Agents without a compiler can run what has to be compiled as long as somebody compiles for them.
void dispatcher::note_compilers() {
  decltype(compilers_) now;
  for (const auto& [name, a] : agents_)
    if (!a.draining)
      for (const std::string& toolchain : a.toolchains) {
        auto& oldest = now.try_emplace({a.machine, is_ours(toolchain) ? std::string() : toolchain}, a.libc).first->second;
        oldest = std::min(oldest, a.libc);
      }
  if (now == compilers_)
    return;
  const auto depends = [](const agent_state& a) { return !a.compiles || std::any_of(a.devices.begin(), a.devices.end(), [](const auto& d) { return is_described(d.hardware); }); };
  for (const auto& [name, a] : agents_)
    if (depends(a))
      unlist_idle(name);
  compilers_ = std::move(now);
  for (const auto& [name, a] : agents_)
    if (depends(a))
      list_idle(name);
}

void dispatcher::list_idle(const std::string& agent) {
  const auto& a = agents_.at(agent);
  if (a.draining)
    return;
  for (auto& [kind, l] : lines_)
    if (const slots& mine = a.has[needed_by(l.asks)]; mine.has_room() && can_run(a, l.asks))
      l.idle.emplace(mine.taken(), agent);
}

void dispatcher::unlist_idle(const std::string& agent) {
  const auto& a = agents_.at(agent);
  for (auto& [kind, l] : lines_)
    l.idle.erase({a.has[needed_by(l.asks)].taken(), agent});
}

// ---- fairness ----

template <class Change>
void dispatcher::change_share(const std::string& owner, resource at, Change how) {
  for (auto& [kind, l] : lines_)
    unlist_turn(l, owner);
  how(owners_.at(owner)[at]);
  for (auto& [kind, l] : lines_)
    list_turn(l, owner);
}

/// Neither what it did not ask for while it was away is owed to it, nor what it had then by priority held against it for long.
void dispatcher::begin_sharing(const std::string& owner, resource at) {
  std::optional<double> least, most;
  for (const auto& [name, each] : owners_)
    if (each[at].tasks > 0 && name != owner) {
      least = std::min(least.value_or(each[at].used_s), each[at].used_s);
      most = std::max(most.value_or(each[at].used_s), each[at].used_s);
    }
  double& mine = owners_.at(owner)[at].used_s;
  mine = least ? std::clamp(mine, *least, *most) : mine;
}

void dispatcher::charge(task_state& t) {
  if (t.charged_s > 0)
    return; // when a slot was kept free for it
  change_share(t.what.payer(), needed_by(t.what), [&](share& s) {
    t.charged_s = s.mean_s;
    s.used_s += s.mean_s;
    s.turn = ++turns_;
  });
}

void dispatcher::settle(task_state& t, std::optional<double> took_s) {
  if (t.charged_s <= 0)
    return; // whoever had the answer gave it
  change_share(t.what.payer(), needed_by(t.what), [&](share& s) {
    s.used_s += took_s.value_or(0) - t.charged_s;
    if (took_s)
      s.mean_s += share_of_newest * (*took_s - s.mean_s);
  });
  t.charged_s = 0;
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

bool dispatcher::serves(const target& on, const std::string& hardware) const {
  submit asked;
  asked.on = on;
  asked.hardware = hardware;
  return serves(asked);
}

bool dispatcher::serves(const submit& like) const {
  return std::any_of(agents_.begin(), agents_.end(), [&](const auto& a) { return !a.second.draining && can_run(a.second, like); });
}

bool dispatcher::serves(const std::string& agent, const submit& like) const {
  const auto a = agents_.find(agent);
  return a != agents_.end() && can_run(a->second, like);
}

bool dispatcher::has_compiler(const std::string& agent) const {
  const auto a = agents_.find(agent);
  return a != agents_.end() && has_compiler(a->second);
}

bool dispatcher::can_be_given(const std::string& agent, const submit& what) const {
  const auto a = agents_.find(agent);
  return a != agents_.end() && !a->second.draining && can_run(a->second, what);
}

std::string dispatcher::holder_of(const std::string& task) const {
  const auto t = tasks_.find(task);
  return t == tasks_.end() ? "" : t->second.agent.empty() ? t->second.what.holder : t->second.agent;
}

std::optional<dispatcher::standing> dispatcher::standing_of(const std::string& agent) const {
  const auto a = agents_.find(agent);
  if (a == agents_.end())
    return std::nullopt;
  const auto& [devices, compilers, pens, answers] = a->second.has;
  const auto count = [](const slots& s) { return static_cast<std::uint32_t>(s.leases.size()); };
  return standing{count(devices), devices.credit, a->second.draining, a->second.heard_s, count(compilers), compilers.credit, count(pens), pens.credit, count(answers),
                  static_cast<std::uint32_t>(pens.promised.size())};
}

} // namespace kevolve::dispatch
