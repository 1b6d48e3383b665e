#include "scheduler/compounding.hpp"

#include "actors/session_state.hpp"
#include "protocol/rng.hpp"
#include "scheduler/account.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <limits>
#include <set>

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;

constexpr double near = 0.95;
constexpr int resamplings = 2000;
constexpr double few_evaluations = 5; // reach: a fifth of the cold run's, or this many

/// What one pair of runs came to.
struct pair_of_runs {
  double cold_needed = 0, warm_needed = 0;
  bool never = false;                      // the warm one did not get there
  double best_ratio = 1, strategy_ratio = 1;
};

pair_of_runs compare(const course& cold, const course& warm) {
  pair_of_runs out;
  if (cold.best.empty() || warm.best.empty())
    return out;
  const double goal = near * cold.best.back();
  out.cold_needed = cold.needed(goal);
  out.warm_needed = warm.needed(goal);
  out.never = !std::isfinite(out.warm_needed);
  if (out.never)
    out.warm_needed = static_cast<double>(std::max(warm.best.size(), cold.best.size())); // a short run that failed is no quick one
  out.best_ratio = warm.best.back() / cold.best.back();
  const std::size_t equal = std::min(cold.strategies.size(), warm.strategies.size());
  out.strategy_ratio = std::max(1.0, static_cast<double>(warm.strategies[equal - 1])) / std::max(1.0, static_cast<double>(cold.strategies[equal - 1]));
  return out;
}

using measure = std::function<double(const pair_of_runs&)>; // a logarithm

/// exp of the mean over operators of the mean over their seeds.
double geometric(const std::vector<std::vector<pair_of_runs>>& all, const measure& log_of) {
  double sum = 0;
  for (const auto& pairs : all) {
    double inner = 0;
    for (const auto& p : pairs)
      inner += log_of(p);
    sum += inner / static_cast<double>(pairs.size());
  }
  return std::exp(sum / static_cast<double>(all.size()));
}

object with_interval(const std::vector<std::vector<pair_of_runs>>& all, const measure& log_of) {
  rng draw(1, 0, "resampling");
  std::vector<double> drawn;
  for (int i = 0; i < resamplings; ++i) {
    std::vector<std::vector<pair_of_runs>> again;
    for (std::size_t o = 0; o < all.size(); ++o) {
      const auto& pairs = all[draw.below(all.size())];
      auto& to = again.emplace_back();
      for (std::size_t s = 0; s < pairs.size(); ++s)
        to.push_back(pairs[draw.below(pairs.size())]);
    }
    drawn.push_back(geometric(again, log_of));
  }
  std::sort(drawn.begin(), drawn.end());
  return {{"value", geometric(all, log_of)}, {"ci95", {drawn[resamplings / 40], drawn[resamplings - 1 - resamplings / 40]}}};
}

object summary_of(const std::vector<std::vector<pair_of_runs>>& all) {
  std::size_t never = 0, runs = 0, reached = 0;
  for (const auto& pairs : all)
    for (const auto& p : pairs) {
      ++runs;
      never += p.never;
      reached += !p.never && p.warm_needed <= std::max(few_evaluations, p.cold_needed / 5);
    }
  return {{"runs", runs},
          {"never", never},
          {"a_fifth_or_five", reached},
          {"cold_evaluations", geometric(all, [](const auto& p) { return std::log(std::max(1.0, p.cold_needed)); })},
          {"warm_evaluations", geometric(all, [](const auto& p) { return std::log(std::max(1.0, p.warm_needed)); })},
          {"evaluations_ratio", with_interval(all, [](const auto& p) { return std::log(std::max(1.0, p.warm_needed) / std::max(1.0, p.cold_needed)); })},
          {"best_ratio", with_interval(all, [](const auto& p) { return std::log(p.best_ratio); })},
          {"strategies_ratio", with_interval(all, [](const auto& p) { return std::log(p.strategy_ratio); })}};
}

} // namespace

double course::needed(double speed) const {
  const auto at = std::find_if(best.begin(), best.end(), [&](double b) { return b >= speed; });
  return at == best.end() ? std::numeric_limits<double>::infinity() : static_cast<double>(at - best.begin() + 1);
}

course course_of(const std::vector<event>& log) {
  course out;
  search::session_state state;
  std::set<std::uint32_t> strategies;
  for (const event& e : log) {
    state.apply(e);
    const auto* counted = std::get_if<evaluation_recorded>(&e);
    if (!counted)
      continue;
    const auto& node = state.nodes()[counted->number];
    const bool passed = node.status == search::node_status::passed;
    if (passed && node.fitness >= 0)
      strategies.insert(node.strategy);
    out.best.push_back(std::max(out.best.empty() ? 1.0 : out.best.back(), passed ? std::exp(static_cast<double>(node.fitness)) : 1.0));
    out.strategies.push_back(static_cast<std::uint32_t>(strategies.size()));
    const auto& leads = state.leader();
    out.leaders.push_back(leads && leads->number != state.root_number() && leads->what ? leads->what->id : candidate_id());
  }
  return out;
}

course measured_again(course c, const std::map<candidate_id, double>& speeds) {
  for (std::size_t i = 0; i < c.best.size(); ++i) {
    const auto found = i < c.leaders.size() ? speeds.find(c.leaders[i]) : speeds.end();
    c.best[i] = found == speeds.end() ? 0 : found->second;
  }
  return c;
}

object to_json(const course& c) { return {{"best", c.best}, {"strategies", c.strategies}, {"leaders", c.leaders}}; }

course course_of_json(const object& text) {
  course out;
  if (const auto best = text.find("best"); best != text.end() && best->is_array())
    out.best = best->get<std::vector<double>>();
  if (const auto strategies = text.find("strategies"); strategies != text.end() && strategies->is_array())
    out.strategies = strategies->get<std::vector<std::uint32_t>>();
  if (const auto leaders = text.find("leaders"); leaders != text.end() && leaders->is_array())
    out.leaders = leaders->get<std::vector<candidate_id>>();
  return out;
}

object compounding_summary(const std::vector<compounding_runs>& all) {
  object rows = object::array();
  std::vector<std::vector<pair_of_runs>> pairs;
  for (const auto& each : all) {
    std::vector<pair_of_runs> mine;
    for (std::size_t s = 0; s < std::min(each.cold.size(), each.warm.size()); ++s)
      if (!each.cold[s].best.empty() && !each.warm[s].best.empty())
        mine.push_back(compare(each.cold[s], each.warm[s]));
    if (mine.empty())
      continue;
    object row{{"operator", each.name}};
    row.update(summary_of({mine}));
    rows.push_back(std::move(row));
    pairs.push_back(std::move(mine));
  }
  return {{"operators", rows}, {"all", pairs.empty() ? object(nullptr) : summary_of(pairs)}};
}

std::string compounding_table(const object& summary, const style& look) {
  table t({{"operator"}, {"cold", align::right}, {"warm", align::right}, {"warm/cold", align::right}, {"never", align::right}, {"best, warm/cold", align::right}, {"strategies, warm/cold", align::right}});
  const auto interval_of = [](const object& x) { return fmt::format("{:.2f} ({:.2f} to {:.2f})", x["value"].get<double>(), x["ci95"][0].get<double>(), x["ci95"][1].get<double>()); };
  const auto add = [&](const std::string& name, const object& row) {
    t.add({name, fmt::format("{:.1f}", row["cold_evaluations"].get<double>()), fmt::format("{:.1f}", row["warm_evaluations"].get<double>()), interval_of(row["evaluations_ratio"]),
           fmt::format("{} of {}", row["never"].get<int>(), row["runs"].get<int>()), interval_of(row["best_ratio"]), interval_of(row["strategies_ratio"])});
  };
  for (const auto& row : summary["operators"])
    add(row["operator"].get<std::string>(), row);
  if (summary["all"].is_null())
    return "no pair of runs yet\n";
  add("all (geometric mean)", summary["all"]);
  t.add({"published: p = 0.5, steps to 1.2x", "51", "5", "0.10", "-", "0.91", "0.40"});
  return t.render(look) + fmt::format("cold, warm: evaluations to 95 % of the cold run's best; a run that never got there counts at the longer of both. {} of {} warm runs took a fifth of them, or {:.0f}\n",
                                      summary["all"]["a_fifth_or_five"].get<int>(), summary["all"]["runs"].get<int>(), few_evaluations);
}

} // namespace kevolve::scheduler
