// kevolve bench compounding: leave-one-family-out over operators. Each is searched cold (an empty store) and warm (a store with the sessions of all
// other families, and the policy learnt from them), with the same seed; then the leaders of both are timed beside one another. Resumable: a line for each search. --replay: the same over recorded
// landscapes, for several ways to inject what the others learnt.
#include "scheduler/campaign.hpp"
#include "scheduler/child.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/compounding.hpp"
#include "scheduler/held_out.hpp"
#include "scheduler/optimize_child.hpp"
#include "scheduler/policy_file.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;
namespace fs = std::filesystem;

// ---- real sessions

class compounding_campaign {
public:
  compounding_campaign(context& in, const compounding_options& options, std::vector<std::string> operators, campaign record)
      : in_(in), options_(options), operators_(std::move(operators)), record_(std::move(record)), folder_(in.configured.data / "compounding") {}

  /// False: interrupted.
  result<bool> run() {
    for (std::uint32_t s = 0; s < options_.seeds; ++s) {
      for (const bool warm : {false, true}) // every cold session of a seed first: the warm ones know them
        for (const std::string& name : operators_) {
          if (find(name, s, warm))
            continue;
          in_.out.progress(fmt::format("{}: {}, seed {}", name, warm ? "warm" : "cold", seed(s)), true);
          KEVOLVE_TRY(done, search(name, s, warm));
          if (!done)
            return false;
        }
      for (const std::string& name : operators_)
        if (find(name, s, false) && find(name, s, true) && !speeds_of(name, s)) {
          in_.out.progress(fmt::format("{}: leaders again, seed {}", name, seed(s)), true);
          KEVOLVE_TRY(done, measure_again(name, s));
          if (!done)
            return false;
        }
    }
    return true;
  }

  [[nodiscard]] std::vector<compounding_runs> runs() const {
    std::vector<compounding_runs> all;
    for (const std::string& name : operators_) {
      auto& mine = all.emplace_back(compounding_runs{name, {}, {}});
      for (std::uint32_t s = 0; s < options_.seeds; ++s)
        if (const auto *cold = find(name, s, false), *warm = find(name, s, true); cold != nullptr && warm != nullptr)
          if (const auto speeds = speeds_of(name, s)) {
            mine.cold.push_back(measured_again(course_of_json((*cold)["course"]), *speeds));
            mine.warm.push_back(measured_again(course_of_json((*warm)["course"]), *speeds));
          }
    }
    return all;
  }

private:
  [[nodiscard]] std::uint64_t seed(std::uint32_t s) const { return in_.configured.seed.value_or(1) + s; }
  [[nodiscard]] fs::path store_of(const std::string& name, std::uint32_t s, bool warm) const { return folder_ / fmt::format("{}-{}-{}", name, seed(s), warm ? "warm" : "cold"); }

  [[nodiscard]] const object* find(const std::string& name, std::uint32_t s, bool warm) const {
    for (const object& each : record_.trials())
      if (each.contains("warm") && each.value("operator", "") == name && each.value("seed", std::uint64_t{0}) == seed(s) && each.value("warm", false) == warm)
        return &each;
    return nullptr;
  }

  /// Of both searches' leaders against the cold one's last; empty: not measured yet.
  [[nodiscard]] std::optional<std::map<candidate_id, double>> speeds_of(const std::string& name, std::uint32_t s) const {
    for (const object& each : record_.trials())
      if (each.value("operator", "") == name && each.value("seed", std::uint64_t{0}) == seed(s) && each.contains("speeds"))
        return each["speeds"].get<std::map<candidate_id, double>>();
    return std::nullopt;
  }

  /// Each leader of both searches is timed beside the cold search's last one, in one process: no drift of the host between searches, and no luck of the best of many, decides.
  result<bool> measure_again(const std::string& name, std::uint32_t s) {
    const object &cold = *find(name, s, false), &warm = *find(name, s, true);
    std::map<candidate_id, double> speeds;
    const auto of_cold = course_of_json(cold.value("course", object())), of_warm = course_of_json(warm.value("course", object()));
    const candidate_id last = of_cold.leaders.empty() ? candidate_id() : of_cold.leaders.back();
    std::set<candidate_id> all(of_cold.leaders.begin(), of_cold.leaders.end());
    all.insert(of_warm.leaders.begin(), of_warm.leaders.end());
    all.erase("");
    if (!last.empty()) {
      KEVOLVE_TRY_VOID(bring_together(name, s, cold, warm));
      for (const candidate_id& each : all) {
        std::vector<std::string> arguments{options_.executable, "verify", each, "--against", last, "--baselines", "none", "--json", "--data", (folder_ / "leaders").string()};
        pass_settings(options_.flags, {"data", "seed", "time", "evaluations", "injection", "policy_model", "baselines"}, arguments);
        KEVOLVE_TRY(ended, run_optimize(in_, arguments, folder_, 60));
        if (!ended)
          return false;
        if (each == last)
          speeds[each] = 1;
        else if (const auto& said = ended->answer; said.contains("baselines") && said["baselines"].contains(last))
          speeds[each] = said["baselines"][last].value("speedup", 0.0);
      }
    }
    KEVOLVE_TRY_VOID(record_.add({{"operator", name}, {"seed", seed(s)}, {"speeds", speeds}}));
    return true;
  }

  /// One store that knows both.
  result<void> bring_together(const std::string& name, std::uint32_t s, const object& cold, const object& warm) {
    const fs::path store = folder_ / "leaders";
    std::error_code failure;
    fs::remove_all(store, failure);
    fs::create_directories(store, failure);
    if (failure)
      return error{errc::io, fmt::format("{}: cannot be made: {}", store.string(), failure.message())};
    KEVOLVE_TRY(to, kb::store::open(store, kb::access::read_write));
    for (const auto& [run, is_warm] : {std::pair{&cold, false}, {&warm, true}}) {
      const auto session = run->value("session", "");
      if (session.empty())
        continue;
      KEVOLVE_TRY(from, kb::store::open(store_of(name, s, is_warm), kb::access::read_only));
      KEVOLVE_TRY(log, from->events(session));
      for (event& e : log)
        to->append(session, std::move(e), [](const auto&) {});
    }
    return to->flush();
  }

  result<bool> search(const std::string& name, std::uint32_t s, bool warm) {
    const auto store = store_of(name, s, warm);
    std::error_code failure;
    fs::remove_all(store, failure); // of a search that was stopped
    fs::create_directories(store, failure);
    if (failure)
      return error{errc::io, fmt::format("{}: cannot be made: {}", store.string(), failure.message())};
    if (warm)
      KEVOLVE_TRY_VOID(fill(store, name, s));
    std::vector<std::string> arguments{options_.executable, "optimize", name, "--json", "--data", store.string(), "--seed", std::to_string(seed(s))};
    pass_settings(options_.flags, {"data", "seed"}, arguments);
    KEVOLVE_TRY(ended, run_optimize(in_, arguments, folder_, in_.configured.time_s));
    if (!ended)
      return false;
    if (ended->exit == exit_code(errc::busy))
      return error{errc::busy, fmt::format("{}, seed {}: {}; what was measured is kept, the same command goes on", name, seed(s), ended->last_words)};
    const std::string session = ended->answer.value("session", "");
    object line{{"operator", name}, {"seed", seed(s)}, {"warm", warm}, {"exit", ended->exit}};
    if (session.empty()) {
      line["failure"] = ended->last_words;
    } else {
      KEVOLVE_TRY(memory, kb::store::open(store, kb::access::read_only));
      KEVOLVE_TRY(log, memory->events(session));
      line["session"] = session;
      line["course"] = to_json(course_of(log));
      line["verified"] = ended->answer.contains("best") && ended->answer["best"].is_object() ? ended->answer["best"].value("speedup", object(nullptr)) : object(nullptr);
    }
    KEVOLVE_TRY_VOID(record_.add(line));
    return true;
  }

  /// The sessions of all other families with the same seed, and a policy learnt from them.
  result<void> fill(const fs::path& store, const std::string& name, std::uint32_t s) {
    {
      KEVOLVE_TRY(to, kb::store::open(store, kb::access::read_write));
      for (const std::string& other : operators_) {
        const auto* cold = find(other, s, false);
        if (are_related(other, name) || cold == nullptr || !cold->contains("session"))
          continue;
        KEVOLVE_TRY(from, kb::store::open(store_of(other, s, false), kb::access::read_only));
        KEVOLVE_TRY(log, from->events((*cold)["session"].get<std::string>()));
        for (event& e : log)
          to->append((*cold)["session"].get<std::string>(), std::move(e), [](const auto&) {});
      }
      KEVOLVE_TRY_VOID(to->flush());
    }
    KEVOLVE_TRY(memory, kb::store::open(store, kb::access::read_only));
    KEVOLVE_TRY(edges, edges_of(*memory, in_.configured.compiler));
    if (edges.empty())
      return {};
    std::vector<const measured_edges*> all;
    kept_policy kept;
    for (const auto& each : edges) {
      all.push_back(&each);
      if (std::find(kept.hardware.begin(), kept.hardware.end(), each.hardware) == kept.hardware.end())
        kept.hardware.push_back(each.hardware);
    }
    kept.policy.value = synthesis::boost(together(all));
    kept.id = policy_id(kept.policy);
    KEVOLVE_TRY(file, keep_policy(store, kept)); // not evaluated: only --policy-model on uses it
    return {};
  }

  context& in_;
  const compounding_options& options_;
  std::vector<std::string> operators_;
  campaign record_;
  fs::path folder_;
};

// ---- recorded landscapes

struct injected {
  std::string name;
  search::replay_settings how;
};

std::vector<injected> ways() {
  std::vector<injected> all;
  for (const double p : {0.0, 0.5, 1.0}) {
    search::replay_settings how;
    how.injection = p;
    how.skills_by_p = true;
    all.push_back({fmt::format("p = {}", p), how});
  }
  search::replay_settings adaptive;
  adaptive.adaptive_injection = true;
  all.push_back({"p adapts", adaptive});
  return all;
}

course course_of_replay(const landscape_file& file, const search::replayed& of) {
  course out;
  std::set<std::string> strategies;
  for (std::size_t i = 0; i < of.best.size(); ++i) {
    if (file.land.log_speed(of.points[i]).value_or(-1) >= 0)
      strategies.insert(strategy_of(file.land.points()[of.points[i]].how));
    out.best.push_back(std::exp(of.best[i]));
    out.strategies.push_back(static_cast<std::uint32_t>(strategies.size()));
  }
  return out;
}

/// What a landscape's searches hand on: skills, and the best schedule as far as it carries over.
struct handed_on {
  std::vector<skill> skills;
  schedule best;
};

result<int> replay_compounding(context& in, const compounding_options& options) {
  std::vector<std::unique_ptr<landscape_file>> files;
  for (const std::string& path : options.landscapes) {
    KEVOLVE_TRY(file, read_landscape(path, in.configured));
    files.push_back(std::move(file));
  }
  const auto first_seed = in.configured.seed.value_or(1);
  const auto runs_of = [&](const landscape_file& file, search::replay_settings how, std::vector<skill>* learnt) {
    std::vector<course> out;
    how.evaluations = in.configured.evaluations ? in.configured.evaluations : 60;
    const auto propose = file.proposals();
    for (std::uint32_t s = 0; s < options.seeds; ++s) {
      how.seed = first_seed + s;
      const auto found = search::replay(file.land, propose, how);
      out.push_back(course_of_replay(file, found));
      for (const skill& each : found.learnt)
        if (learnt)
          add_evidence(*learnt, each);
    }
    return out;
  };
  std::vector<handed_on> known;
  std::vector<std::vector<course>> cold;
  for (const auto& file : files) {
    in.out.progress(file->land.name() + ": cold", true);
    auto& mine = known.emplace_back();
    cold.push_back(runs_of(*file, {}, &mine.skills));
    std::size_t best = 0;
    for (std::size_t i = 0; i < file->land.points().size(); ++i)
      if (file->land.log_speed(i).value_or(-1) > file->land.log_speed(best).value_or(0))
        best = i;
    mine.best = transferable(file->land.points()[best].how);
  }
  object answer = object::object();
  std::string text;
  for (const auto& way : ways()) {
    std::vector<compounding_runs> all;
    for (std::size_t f = 0; f < files.size(); ++f) {
      if (in.signals.received())
        return in.signals.exit_code();
      auto how = way.how;
      std::vector<skill> skills;
      for (std::size_t other = 0; other < files.size(); ++other)
        if (files[other]->features == files[f]->features && !are_related(files[other]->land.name(), files[f]->land.name())) {
          for (const skill& each : known[other].skills)
            add_evidence(skills, each);
          how.priors.push_back(known[other].best);
        }
      if (skills.empty())
        continue; // nobody of its kind
      in.out.progress(fmt::format("{}: {}", files[f]->land.name(), way.name), true);
      how.skills = std::make_shared<const std::vector<skill>>(std::move(skills));
      all.push_back({files[f]->land.name(), cold[f], runs_of(*files[f], how, nullptr)});
    }
    answer[way.name] = compounding_summary(all);
    text += way.name + "\n" + compounding_table(answer[way.name], in.look()) + "\n";
  }
  in.out.answer(object{{"seeds", options.seeds}, {"injection", answer}}.dump(2));
  in.out.say(text);
  return 0;
}

} // namespace

result<int> bench_compounding(context& in, const compounding_options& options) {
  if (!options.landscapes.empty())
    return replay_compounding(in, options);
  auto operators = options.operators.empty() ? shipped_operators(in.configured) : options.operators;
  for (std::string& name : operators) {
    KEVOLVE_TRY(subject, read_specification(name, in.configured));
    name = subject.op.name;
  }
  std::size_t families = 0;
  for (std::size_t i = 0; i < operators.size(); ++i)
    families += std::none_of(operators.begin(), operators.begin() + static_cast<std::ptrdiff_t>(i), [&](const std::string& before) { return are_related(before, operators[i]); });
  if (families < 2)
    return error{errc::usage, fmt::format("--operators: found {} family, expected at least two: a warm session knows the other families'", families)};
  KEVOLVE_TRY_VOID(prepare_data(in));
  object identity{{"campaign", "compounding"}, {"operators", operators}, {"first_seed", in.configured.seed.value_or(1)}};
  for (const auto& [key, value] : options.flags)
    if (key != "data" && key != "cache" && key != "seed")
      identity[key] = value;
  KEVOLVE_TRY(record, campaign::open(in.configured.data / "compounding" / "runs.jsonl", identity));
  adopt_orphans();
  compounding_campaign all(in, options, std::move(operators), std::move(record));
  KEVOLVE_TRY(finished, all.run());
  if (!finished)
    return in.signals.exit_code();
  const auto summary = compounding_summary(all.runs());
  in.out.answer(summary.dump(2));
  in.out.say(compounding_table(summary, in.look()));
  return 0;
}

} // namespace kevolve::scheduler
