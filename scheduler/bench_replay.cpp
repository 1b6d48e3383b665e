// kevolve bench replay: does search pay? Policies and their parts on recorded landscapes (`bench landscape`, or kernel_tuner's cache files), over
// many seeds: how near the best known point each comes within the same number of evaluations, and how many it needs to come within 5% of it.
#include "node-agent/statistics.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/landscape_file.hpp"
#include "scheduler/quantity.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

constexpr double near_enough = 0.95;

struct variant {
  std::string name;
  search::replay_settings how;
};

std::vector<variant> variants() {
  const auto with = [](auto change) {
    search::replay_settings s;
    change(s);
    return s;
  };
  using settings = search::replay_settings;
  return {
    {"evolve (default)", {}},
    {"sampling", with([](settings& s) { s.sampling = true; })},
    {"random", with([](settings& s) { s.policy = policy_kind::random; })},
    {"greedy", with([](settings& s) { s.policy = policy_kind::greedy; })},
    {"mcts", with([](settings& s) { s.policy = policy_kind::mcts; })},
    {"evolve, no inherit", with([](settings& s) { s.without = memory_operator::inherit; })},
    {"evolve, no siblings", with([](settings& s) { s.without = memory_operator::siblings; })},
    {"evolve, no combined", with([](settings& s) { s.without = memory_operator::combined; })},
    {"evolve, no clean slate", with([](settings& s) { s.without = memory_operator::clean_slate; })},
    {"evolve, no diagnosis", with([](settings& s) { s.without_diagnosis = true; })},
  };
}

/// What the runs of one variant on one landscape came to, one value a seed.
struct outcome_of_runs {
  std::vector<double> reached;  // best speed at the end / best known speed
  std::vector<double> mean;     // the same, mean over all evaluations: how early it was good
  std::vector<double> needed;   // evaluations to 95% of the best known; infinite: never
};

outcome_of_runs run(const landscape_file& file, const search::proposal_source& propose, search::replay_settings how, std::uint32_t seeds, std::uint64_t first_seed) {
  const double best = file.land.best_log_speed();
  outcome_of_runs out;
  for (std::uint32_t s = 0; s < seeds; ++s) {
    how.seed = first_seed + s;
    auto course = search::replay(file.land, propose, how);
    double needed = std::numeric_limits<double>::infinity(), sum = 0;
    course.resize(how.evaluations, course.empty() ? 0 : course.back()); // the space ended before the budget
    for (std::size_t i = 0; i < course.size(); ++i) {
      const double share = std::exp(course[i] - best);
      sum += share;
      if (share >= near_enough && !std::isfinite(needed))
        needed = static_cast<double>(i + 1);
    }
    out.reached.push_back(std::exp(course.back() - best));
    out.mean.push_back(sum / static_cast<double>(course.size()));
    out.needed.push_back(needed);
  }
  return out;
}

object summary_of(const outcome_of_runs& r) {
  const auto three = [](const std::vector<double>& v) {
    const interval i = agent::median_interval(v);
    const auto number = [](double x) { return std::isfinite(x) ? object(x) : object(nullptr); };
    return object{{"median", number(agent::median(v))}, {"low", number(i.low)}, {"high", number(i.high)}};
  };
  return {{"reached", three(r.reached)}, {"mean", three(r.mean)}, {"evaluations_to_95", three(r.needed)}};
}

std::string cell(const object& o, bool percent) {
  const auto text = [&](const object& x) { return x.is_null() ? std::string("never") : percent ? fmt::format("{:.1f}", 100 * x.get<double>()) : fmt::format("{:.0f}", x.get<double>()); };
  return fmt::format("{} ({} to {})", text(o["median"]), text(o["low"]), text(o["high"]));
}

/// In how many landscapes the first variant's median course is better than another's: surely where their intervals do not touch.
std::string verdict(const object& rows, const std::vector<variant>& all, std::size_t other) {
  int better = 0, surely = 0, total = 0;
  for (const auto& row : rows) {
    const auto &mine = row["variants"][all[0].name]["mean"], &theirs = row["variants"][all[other].name]["mean"];
    ++total;
    better += mine["median"] > theirs["median"];
    surely += !mine["low"].is_null() && !theirs["high"].is_null() && mine["low"] > theirs["high"];
  }
  return fmt::format("{} is better than {} on {} of {}, surely on {}\n", all[0].name, all[other].name, better, total, surely);
}

} // namespace

result<int> bench_replay(context& in, const replay_options& options) {
  const auto all = variants();
  object rows = object::array();
  std::string text;
  for (const std::string& path : options.files) {
    KEVOLVE_TRY(file, read_landscape(path, in.configured));
    const auto propose = file->proposals();
    object row{{"landscape", file->land.name()}, {"origin", file->origin}, {"points", file->land.points().size()}, {"best_over_root", std::exp(file->land.best_log_speed())}};
    table t({{"search"}, {"mean % of the best", align::right}, {"% at the end", align::right}, {"evaluations to 95 %", align::right}});
    for (const variant& v : all) {
      if (in.signals.received())
        return in.signals.exit_code();
      auto how = v.how;
      how.evaluations = options.evaluations;
      how.without_first_guess = options.without_first_guess;
      const object found = summary_of(run(*file, propose, how, options.seeds, in.configured.seed.value_or(1)));
      row["variants"][v.name] = found;
      t.add({v.name, cell(found["mean"], true), cell(found["reached"], true), cell(found["evaluations_to_95"], false)});
      in.out.progress(fmt::format("{}: {}", file->land.name(), v.name), true);
    }
    text += fmt::format("{} ({}): {} points, the best {} over the root\n{}\n", in.look().strong(file->land.name()), file->origin, file->land.points().size(),
                        show_factor(std::exp(file->land.best_log_speed())), t.render(in.look()));
    rows.push_back(std::move(row));
  }
  for (std::size_t other = 1; other < all.size(); ++other)
    text += verdict(rows, all, other);
  in.out.answer(object{{"seeds", options.seeds}, {"evaluations", options.evaluations}, {"first_guess", !options.without_first_guess}, {"landscapes", rows}}.dump(2));
  in.out.say(text);
  return 0;
}

} // namespace kevolve::scheduler
