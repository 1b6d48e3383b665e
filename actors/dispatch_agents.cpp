// Of the dispatcher: who its agents are, and what each of them can run.
#include "actors/dispatch_logic.hpp"

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

/// Not a described device's: "loom/9/loomasm 0123…".
bool is_ours(const std::string& toolchain) { return toolchain.find('/') == std::string::npos; }

/// "g++" asks for any version of it, "g++ 12.2.0" for that one.
bool is_toolchain(const std::string& has, const std::string& asked) { return has == asked || (has.starts_with(asked) && has[asked.size()] == ' '); }

/// How many leases an agent may hold for its devices: their slots, and one for each candidate that it compiles meanwhile.
std::uint32_t credit_for(const std::vector<device_description>& devices, std::uint32_t compile_slots) {
  std::uint32_t credit = compile_slots;
  for (const auto& d : devices)
    credit += d.slots;
  return std::max(credit, 1u);
}

} // namespace

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
  if ((what.is_compiled_by_us() && !has_compiler(a)) || (what.in_pieces && !a.pieces) || !selects(what.label, a.name, a.labels))
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
