// kevolve bench kill --cluster: clusters of real processes (killed_cluster.hpp), ten kills each; nothing durable may be lost, nothing counted twice, no
// process left. Also: how soon a scheduler that was started again has an agent at work, and how soon an agent is back. Resumable by cluster.
#include "actors/engine_bench.hpp"
#include "scheduler/campaign.hpp"
#include "scheduler/child.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/killed_cluster.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;

/// A store that holds so many results already, once for all rounds.
result<void> prepare_stored(context& in, const kill_options& options, const fs::path& folder) {
  if (options.stored == 0 || fs::exists(folder / "stored"))
    return {};
  const fs::path partial = folder / "stored.part";
  std::error_code ignored;
  fs::remove_all(partial, ignored);
  engine_bench_settings filling;
  filling.directory = partial;
  filling.candidates = options.stored;
  KEVOLVE_TRY_VOID(run_engine_bench(filling, [&](std::uint32_t done) { in.out.progress(fmt::format("{}/{} results stored", done, options.stored), false); }));
  fs::rename(partial, folder / "stored");
  return {};
}

object quantiles(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  if (all.empty())
    return {{"count", 0}};
  return {{"count", all.size()}, {"median_s", all[all.size() / 2]}, {"p99_s", all[std::min(all.size() - 1, all.size() * 99 / 100)]}, {"longest_s", all.back()}};
}

int summarise(context& in, const campaign& record) {
  object total{{"rounds", record.trials().size()}}, faults = object::array();
  std::map<std::string, std::uint64_t> sums;
  std::vector<double> dispatch, rejoin;
  for (const object& trial : record.trials()) {
    for (const char* each : {"kills", "pauses", "sessions", "evaluations"})
      sums[each] += trial[each].get<std::uint64_t>();
    for (const double s : trial["dispatch_s"])
      dispatch.push_back(s);
    for (const double s : trial["rejoin_s"])
      rejoin.push_back(s);
    for (const object& fault : trial["faults"])
      faults.push_back({{"round", trial["round"]}, {"fault", fault}});
  }
  const auto count = [&](const std::string& kind) {
    return std::count_if(faults.begin(), faults.end(), [&](const object& f) { return f["fault"].get<std::string>().starts_with(kind + ":"); });
  };
  for (const char* each : {"kills", "pauses", "sessions", "evaluations"})
    total[each] = sums[each];
  for (const char* each : {"lost", "twice", "count", "orphans", "damage", "died", "end"})
    total[each] = count(each);
  total["scheduler_to_first_lease"] = quantiles(dispatch);
  total["agent_to_rejoined"] = quantiles(rejoin);
  total["faults"] = faults;
  in.out.answer(total.dump(2));
  const auto shown = [](const object& q) {
    return q["count"] == 0 ? std::string("none seen") : fmt::format("{} times, median {}, p99 {}", q["count"].get<int>(), show_latency(q["median_s"]), show_latency(q["p99_s"]));
  };
  std::string text = fmt::format("{} kills and {} pauses over {} sessions ({} evaluations): {} lost, {} counted twice, {} sessions with another count, {} with orphans, {} damaged\n"
                                 "scheduler started again to the first lease at an agent: {}\nagent started again to the scheduler's list: {}\n",
                                 sums["kills"], sums["pauses"], sums["sessions"], sums["evaluations"], count("lost"), count("twice"), count("count"), count("orphans"), count("damage"),
                                 shown(total["scheduler_to_first_lease"]), shown(total["agent_to_rejoined"]));
  for (const object& f : faults)
    text += fmt::format("  round {}: {}\n", f["round"].get<std::uint32_t>(), f["fault"].get<std::string>());
  in.out.say(text);
  return faults.empty() ? 0 : 1;
}

} // namespace

result<int> bench_kill_cluster(context& in, const kill_options& options) {
  KEVOLVE_TRY_VOID(prepare_data(in));
  const fs::path folder = in.configured.data / "bench" / "kill-cluster";
  KEVOLVE_TRY(record, campaign::open(folder / "rounds.jsonl", object{{"campaign", "kill-cluster"}, {"spec", options.spec}, {"workloads", options.workloads},
                                                                     {"evaluations", options.evaluations}, {"seed", options.seed}, {"stored", options.stored}}));
  adopt_orphans();
  KEVOLVE_TRY_VOID(prepare_stored(in, options, folder));
  const std::uint32_t rounds = (options.rounds + kills_of_a_cluster - 1) / kills_of_a_cluster;
  for (auto number = static_cast<std::uint32_t>(record.trials().size()); number < rounds; ++number) {
    const fs::path at = folder / fmt::format("round-{:04}", number);
    auto told = kill_a_cluster(options, at, in.configured.cache, number, in.signals);
    if (in.signals.received())
      return in.signals.exit_code();
    if (!told)
      return told.error().in(fmt::format("round {}", number));
    if ((*told)["faults"].empty())
      fs::remove_all(at);
    KEVOLVE_TRY_VOID(record.add(*told));
    in.out.progress(fmt::format("{}/{} clusters of {} kills{}", number + 1, rounds, kills_of_a_cluster, (*told)["faults"].empty() ? "" : "  bad: " + (*told)["faults"][0].get<std::string>()), true);
  }
  return summarise(in, record);
}

} // namespace kevolve::scheduler
