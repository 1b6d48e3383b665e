#include "scheduler/account.hpp"

#include "actors/fitness.hpp"
#include "actors/session_state.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace kevolve::scheduler {

namespace {

void add(stage_times& sum, const stage_times& more) {
  sum.compile_s += more.compile_s;
  sum.check_s += more.check_s;
  sum.measure_s += more.measure_s;
  sum.profile_s += more.profile_s;
  sum.queued_s += more.queued_s;
  sum.cpu_s += more.cpu_s;
}

/// Puts each event's words into the account; numbers that the search keeps come from its fold.
class writer {
public:
  explicit writer(session_account& into) : into_(into) {}

  void operator()(const session_opened& e) {
    into_.opening = e;
    into_.state = "running";
  }
  void operator()(const proposal_made& e) {
    node_account& n = node(e.number);
    n.parents = e.parents;
    n.memory = e.memory;
    n.prior = e.prior;
    n.synthesizer = e.synthesizer;
  }
  void operator()(const candidate_added& e) {
    node_account& n = node(e.number);
    n.candidate = e.what.id;
    n.edge = e.edge;
    n.agent = e.agent;
    n.moves = e.moves;
    if (!e.agent.empty())
      ++into_.written_on[e.agent];
    into_.moved += e.moves > 0;
    if (e.what.printed_from) {
      n.strategy = strategy_of(*e.what.printed_from);
      n.schedule_text = to_string(*e.what.printed_from);
    }
  }
  void operator()(const proposal_closed& e) { node(e.number).closed = e.reason; }
  void operator()(const evaluation_recorded& e) {
    node_account& n = node(e.number);
    n.result = e.what.result;
    n.log = e.what.log;
    n.known_before = e.what.cached;
    n.diagnosed = e.what.diagnosed;
    if (e.what.result == outcome::passed)
      n.latency_s = search::mean_latency_s(e.what);
    add(into_.spent, e.what.stages);
  }
  void operator()(const evaluation_discarded&) { ++into_.discarded; }
  void operator()(const leader_verified& e) {
    if (e.holds || !into_.verified || !into_.verified->holds)
      into_.verified = e;
    add(into_.spent, e.what.stages);
  }
  void operator()(const session_paused&) { into_.state = "paused"; }
  void operator()(const session_resumed&) {
    into_.state = "running";
    ++into_.resumed;
  }
  void operator()(const budget_changed& e) {
    auto& settings = into_.opening.settings;
    settings.evaluations = e.evaluations > 0 ? e.evaluations : settings.evaluations;
    settings.time_s = e.time_s > 0 ? e.time_s : settings.time_s;
    settings.goal = e.goal > 0 ? e.goal : settings.goal;
  }
  void operator()(const skills_learnt&) {}
  void operator()(const model_asked& e) {
    ++into_.models.asked;
    into_.models.usd += e.reserved_usd;
    into_.models.tokens += e.reserved_tokens;
    reserved_[{e.number, e.step}] = e;
  }
  void operator()(const model_answered& e) {
    const auto& reserved = reserved_[{e.number, e.step}];
    into_.models.failed += !e.failure.empty();
    into_.models.usd += e.cost_usd - reserved.reserved_usd;
    into_.models.tokens += e.used.input + e.used.output - reserved.reserved_tokens;
    reserved_.erase({e.number, e.step});
  }
  void operator()(const actor_restarted&) { ++into_.restarts; }
  void operator()(const session_finished& e) {
    into_.finished = e;
    into_.state = e.stopped_by == "failed" ? "failed" : "finished";
  }

private:
  node_account& node(node_number number) {
    while (into_.nodes.size() <= number)
      into_.nodes.push_back({.number = static_cast<node_number>(into_.nodes.size())});
    return into_.nodes[number];
  }
  session_account& into_;
  std::map<std::pair<node_number, std::uint32_t>, model_asked> reserved_; // asked and not answered
};

void take_fitness(session_account& into, const search::tree& nodes) {
  for (node_account& n : into.nodes) {
    if (n.number >= nodes.size() || nodes[n.number].status != search::node_status::passed)
      continue;
    n.over_root = std::exp(static_cast<double>(nodes[n.number].fitness));
    n.gained = search::is_gain(nodes, n.number);
    if (n.parents.empty())
      n.gain = 1;
    else if (n.parents[0] < nodes.size() && nodes[n.parents[0]].status == search::node_status::passed)
      n.gain = std::exp(static_cast<double>(nodes[n.number].fitness) - static_cast<double>(nodes[n.parents[0]].fitness));
  }
}

} // namespace

result<session_account> account_of(const std::vector<event>& events) {
  if (events.empty() || !std::holds_alternative<session_opened>(events.front()))
    return error{errc::damaged, "this session's log does not begin with its opening"};
  session_account account;
  search::session_state state;
  writer write(account);
  for (const event& e : events) {
    state.apply(e);
    std::visit(write, e);
  }
  account.evaluations = state.results();
  account.outcomes = state.outcomes();
  account.synthesizers = state.synthesizers();
  account.root = state.root_number();
  account.root_by_model = state.root_by_model();
  if (state.leader())
    account.best = state.leader()->number;
  if (account.verified && account.verified->holds)
    account.best = account.verified->number;
  account.wall_s = account.finished ? account.finished->wall_s : state.spent_s();
  account.cpu_s = account.finished ? account.finished->cpu_s : state.cpu_s();
  take_fitness(account, state.nodes());
  return account;
}

std::vector<const node_account*> lineage(const session_account& of, node_number number) {
  std::vector<const node_account*> path;
  while (number < of.nodes.size() && path.size() <= of.nodes.size()) {
    path.push_back(&of.nodes[number]);
    if (of.nodes[number].parents.empty())
      break;
    number = of.nodes[number].parents.front();
  }
  std::reverse(path.begin(), path.end());
  return path;
}

std::string label_of(const workload& w) {
  if (!w.name.empty())
    return w.name;
  std::string text;
  for (const auto& [name, value] : w.axes)
    text += (text.empty() ? "" : " ") + name + "=" + std::to_string(value);
  return text.empty() ? "default" : text;
}

} // namespace kevolve::scheduler
