// kevolve bench replay: does search pay? Policies and their parts on recorded landscapes (`bench landscape`, or kernel_tuner's cache files), over
// many seeds: how near the best known point each comes within the same number of evaluations, and how many it needs to come within 5% of it.
#include "node-agent/statistics.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/landscape_file.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/replays.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

const std::string skilled = "evolve, skills of the others";

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

object summary_of(const replayed_runs& r) {
  const auto three = [](const std::vector<double>& v) {
    const interval i = agent::median_interval(v);
    const auto number = [](double x) { return std::isfinite(x) ? object(x) : object(nullptr); };
    return object{{"median", number(agent::median(v))}, {"low", number(i.low)}, {"high", number(i.high)}};
  };
  return {{"reached", three(r.reached)}, {"mean", three(r.mean)}, {"evaluations_to_95", three(r.needed)}, {"strategies", three(r.strategies)}};
}

std::string cell(const object& o, bool percent) {
  const auto text = [&](const object& x) { return x.is_null() ? std::string("never") : percent ? fmt::format("{:.1f}", 100 * x.get<double>()) : fmt::format("{:.0f}", x.get<double>()); };
  return fmt::format("{} ({} to {})", text(o["median"]), text(o["low"]), text(o["high"]));
}

/// In how many landscapes the default's median course is better than another's: surely where their intervals do not touch.
std::string verdict(const object& rows, const std::string& mine, const std::string& other) {
  int better = 0, surely = 0, surely_worse = 0, total = 0;
  for (const auto& row : rows) {
    if (!row["variants"].contains(other))
      continue;
    const auto &a = row["variants"][mine]["mean"], &b = row["variants"][other]["mean"];
    const auto apart = [](const object& low, const object& high) { return !low.is_null() && !high.is_null() && low.get<double>() > high.get<double>(); };
    ++total;
    better += a["median"] > b["median"];
    surely += apart(a["low"], b["high"]);
    surely_worse += apart(b["low"], a["high"]);
  }
  return fmt::format("{} is better than {} on {} of {}: surely on {}, surely worse on {}\n", mine, other, better, total, surely, surely_worse);
}

/// What was learnt on the other landscapes whose operators are made of the same; null where there is none.
std::shared_ptr<const std::vector<skill>> skills_of_others(const std::vector<std::unique_ptr<landscape_file>>& files, const std::vector<std::vector<skill>>& learnt, std::size_t mine) {
  std::vector<skill> all;
  for (std::size_t f = 0; f < files.size(); ++f)
    if (f != mine && !files[f]->features.empty() && files[f]->features == files[mine]->features)
      for (const skill& each : learnt[f])
        add_evidence(all, each);
  return all.empty() ? nullptr : std::make_shared<const std::vector<skill>>(std::move(all));
}

} // namespace

result<int> bench_replay(context& in, const replay_options& options) {
  auto all = variants();
  for (variant& v : all) {
    v.how.evaluations = options.evaluations;
    v.how.without_first_guess = options.without_first_guess;
  }
  std::vector<std::unique_ptr<landscape_file>> files;
  for (const std::string& path : options.files) {
    KEVOLVE_TRY(file, read_landscape(path, in.configured));
    files.push_back(std::move(file));
  }
  const auto first_seed = in.configured.seed.value_or(1);
  std::vector<std::vector<skill>> learnt;
  std::vector<object> defaults; // of the default, which is run first: the others' skills come of it
  for (const auto& file : files) {
    in.out.progress(fmt::format("{}: {}", file->land.name(), all[0].name), true);
    auto found = replay_runs(*file, file->proposals(), all[0].how, options.seeds, first_seed);
    defaults.push_back(summary_of(found));
    learnt.push_back(std::move(found.learnt));
  }
  object rows = object::array();
  std::string text;
  for (std::size_t f = 0; f < files.size(); ++f) {
    const auto& file = *files[f];
    object row{{"landscape", file.land.name()}, {"origin", file.origin}, {"features", file.features}, {"points", file.land.points().size()}, {"best_over_root", std::exp(file.land.best_log_speed())}};
    table t({{"search"}, {"mean % of the best", align::right}, {"% at the end", align::right}, {"evaluations to 95 %", align::right}});
    auto here = all;
    if (auto skills = skills_of_others(files, learnt, f)) {
      here.push_back({skilled, all[0].how});
      here.back().how.skills = std::move(skills);
    }
    for (std::size_t v = 0; v < here.size(); ++v) {
      if (in.signals.received())
        return in.signals.exit_code();
      const object found = v == 0 ? defaults[f] : summary_of(replay_runs(file, file.proposals(), here[v].how, options.seeds, first_seed));
      row["variants"][here[v].name] = found;
      t.add({here[v].name, cell(found["mean"], true), cell(found["reached"], true), cell(found["evaluations_to_95"], false)});
      in.out.progress(fmt::format("{}: {}", file.land.name(), here[v].name), true);
    }
    text += fmt::format("{} ({}): {} points, the best {} over the root\n{}\n", in.look().strong(file.land.name()), file.origin, file.land.points().size(),
                        show_factor(std::exp(file.land.best_log_speed())), t.render(in.look()));
    rows.push_back(std::move(row));
  }
  all.push_back({skilled, {}});
  for (std::size_t other = 1; other < all.size(); ++other)
    text += verdict(rows, all[0].name, all[other].name);
  in.out.answer(object{{"seeds", options.seeds}, {"evaluations", options.evaluations}, {"first_guess", !options.without_first_guess}, {"landscapes", rows}}.dump(2));
  in.out.say(text);
  return 0;
}

} // namespace kevolve::scheduler
