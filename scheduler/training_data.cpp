#include "scheduler/training_data.hpp"

#include "actors/synthesis/learned.hpp"
#include "scheduler/account.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace kevolve::scheduler {
namespace {

constexpr double steepness = 2; // how fast edges lose weight as their parent is slower than the best: by e where it is 1.6 times as slow

bool is_single_step(const transformation& edge) {
  return edge.kind != "root" && edge.kind != "analytic" && edge.kind != "prior" && edge.kind != "crossover" && edge.kind != "fresh start" && edge.kind != "llm";
}

void add(synthesis::boosting_data& to, std::vector<float> row, double log_gain, double behind_best) {
  to.rows.push_back(std::move(row));
  to.targets.push_back(std::clamp(log_gain, -synthesis::largest_gain, synthesis::largest_gain));
  to.weights.push_back(std::exp(-steepness * behind_best));
}

void add_session(synthesis::boosting_data& to, const session_account& of, const kb::store& memory, const synthesis::generator& writer) {
  double best = 0;
  for (const auto& n : of.nodes)
    best = std::max(best, n.over_root);
  for (const auto& n : of.nodes) {
    if (!n.result || n.parents.size() != 1 || n.memory == memory_operator::clean_slate || !is_single_step(n.edge) || (*n.result == outcome::passed && !(n.gain > 0)))
      continue;
    const auto& parent = of.nodes[n.parents[0]];
    const auto from = memory.find_candidate(parent.candidate), what = memory.find_candidate(n.candidate);
    if (!(parent.over_root > 0) || !from || !*from || !(*from)->printed_from || !what || !*what || !(*what)->printed_from)
      continue;
    synthesis::attempt at{*(*from)->printed_from, parent.edge, outcome::passed, 1, parent.over_root, parent.diagnosed};
    if (auto row = writer.describe(at, *(*what)->printed_from, n.edge); !row.empty())
      add(to, std::move(row), *n.result == outcome::passed ? std::log(n.gain) : -synthesis::largest_gain, std::log(best / parent.over_root));
  }
}

} // namespace

measured_edges edges_of(const landscape_file& from) {
  measured_edges out{from.land.name(), from.hardware, {}};
  if (!from.writer)
    return out;
  const double best = from.land.best_log_speed();
  for (std::size_t i = 0; i < from.land.points().size(); ++i) {
    const auto speed = from.land.log_speed(i);
    if (!speed)
      continue;
    const auto& p = from.land.points()[i];
    synthesis::context given;
    given.parent = synthesis::attempt{p.how, {"grown", "", ""}, outcome::passed, 1, std::exp(*speed), {}};
    given.parent->diagnosed.limited_by = p.limited_by;
    given.parent->diagnosed.roofline_fraction = p.roofline_fraction;
    for (const auto& [to, edge] : from.writer->moves(given, rng(i)))
      if (const auto at = from.land.find(to); at && is_single_step(edge) && *at != i && !from.land.same_program(i, *at))
        add(out.edges, from.writer->describe(*given.parent, to, edge), from.land.log_speed(*at).value_or(*speed - synthesis::largest_gain) - *speed, best - *speed);
  }
  return out;
}

result<std::vector<measured_edges>> edges_of(const kb::store& from, const std::string& compiler) {
  std::map<std::string, measured_edges> found;
  KEVOLVE_TRY(sessions, from.sessions());
  for (auto s = sessions.rbegin(); s != sessions.rend(); ++s) {
    KEVOLVE_TRY(events, from.events(s->session));
    KEVOLVE_TRY(account, account_of(events));
    auto writer = synthesis::generator::make(account.opening.subject, account.opening.on, compiler);
    if (!writer)
      continue;
    auto& to = found[account.opening.subject.op.name];
    to.name = account.opening.subject.op.name;
    to.hardware = account.opening.hardware;
    add_session(to.edges, account, from, **writer);
  }
  std::vector<measured_edges> out;
  for (auto& [name, edges] : found)
    if (!edges.edges.rows.empty())
      out.push_back(std::move(edges));
  return out;
}

synthesis::boosting_data together(const std::vector<const measured_edges*>& all) {
  synthesis::boosting_data out;
  for (const auto* each : all) {
    const double sum = std::accumulate(each->edges.weights.begin(), each->edges.weights.end(), 0.0);
    out.rows.insert(out.rows.end(), each->edges.rows.begin(), each->edges.rows.end());
    out.targets.insert(out.targets.end(), each->edges.targets.begin(), each->edges.targets.end());
    for (const double w : each->edges.weights)
      out.weights.push_back(w / sum);
  }
  return out;
}

} // namespace kevolve::scheduler
