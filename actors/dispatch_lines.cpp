// Of the dispatcher: whose turn it is. Tasks wait in lines, one for each kind of agent that they ask for, and owners share what a line gets.
#include "actors/dispatch_logic.hpp"

#include "protocol/check.hpp"
#include "protocol/target_description.hpp"

#include <algorithm>
#include <utility>

namespace kevolve::dispatch {
namespace {

constexpr double share_of_newest = 0.2; // in the mean of what an owner's leases take
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
  return s.label + (s.is_compiled_by_us() ? "\ncompiler\n" : "\n\n") + std::string(s.in_pieces ? "pieces\n" : "\n") + (s.needs_device ? to_string(s.on) + '\n' + s.hardware : std::string());
}

} // namespace

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

/// Of an owner who waits there.
dispatcher::turn dispatcher::turn_in(const line& l, const std::string& owner) const {
  const int less_priority = l.waiting.at(owner).begin()->first.first;
  const share& had = owners_.at(owner).at({needed_by(l.asks), -less_priority});
  return {less_priority, had.used_s, had.turn, owner};
}

void dispatcher::list_turn(line& l, const std::string& owner) {
  if (l.waiting.contains(owner))
    l.turns.insert(turn_in(l, owner));
}

void dispatcher::unlist_turn(line& l, const std::string& owner) {
  if (l.waiting.contains(owner))
    l.turns.erase(turn_in(l, owner));
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

template <class Change>
void dispatcher::change_share(const submit& of, Change how) {
  const std::string& owner = of.payer();
  for (auto& [kind, l] : lines_)
    unlist_turn(l, owner);
  how(owners_.at(owner).at(level_of(of)));
  for (auto& [kind, l] : lines_)
    list_turn(l, owner);
}

/// Neither what it did not ask for while it was away is owed to it, nor what it had while it was alone held against it for long.
void dispatcher::begin_sharing(const std::string& owner, level at) {
  std::optional<double> least, most;
  for (const auto& [name, shares] : owners_)
    if (const auto its = shares.find(at); its != shares.end() && its->second.tasks > 0 && name != owner) {
      least = std::min(least.value_or(its->second.used_s), its->second.used_s);
      most = std::max(most.value_or(its->second.used_s), its->second.used_s);
    }
  double& mine = owners_.at(owner).at(at).used_s;
  mine = least ? std::clamp(mine, *least, *most) : mine;
}

void dispatcher::charge(task_state& t) {
  if (t.charged_s > 0)
    return; // when a slot was kept free for it
  change_share(t.what, [&](share& s) {
    t.charged_s = s.mean_s;
    s.used_s += s.mean_s;
    s.turn = ++turns_;
  });
}

void dispatcher::settle(task_state& t, std::optional<double> took_s) {
  if (t.charged_s <= 0)
    return; // whoever had the answer gave it
  change_share(t.what, [&](share& s) {
    s.used_s += took_s.value_or(0) - t.charged_s;
    if (took_s)
      s.mean_s += share_of_newest * (*took_s - s.mean_s);
  });
  t.charged_s = 0;
}

} // namespace kevolve::dispatch
