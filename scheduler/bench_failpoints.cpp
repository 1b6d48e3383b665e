// kevolve bench kill --cluster --failpoints: at every failpoint (or at so many, by the seed) the process whose it is dies, with kill -9, and is started again;
// the session must have exactly its evaluations and a verified leader, and a failpoint that nobody came to is a failure, too. Resumable by failpoint.
#include "scheduler/campaign.hpp"
#include "scheduler/child.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/failpoint_round.hpp"
#include "scheduler/single_host.hpp"

#include "protocol/rng.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;

/// In an order by the seed; never one of them twice.
std::vector<failpoint_description> chosen(const kill_options& options) {
  std::vector<failpoint_description> all(failpoints().begin(), failpoints().end());
  rng draw(options.seed, 0, "order of failpoints");
  for (std::size_t i = all.size(); i > 1; --i)
    std::swap(all[i - 1], all[draw.below(i)]);
  all.resize(std::min<std::size_t>(all.size(), options.rounds));
  return all;
}

int summarise(context& in, const campaign& record) {
  object rows = object::array(), faults = object::array();
  std::uint64_t evaluations = 0;
  std::string text;
  for (const object& trial : record.trials()) {
    rows.push_back(trial);
    evaluations += trial["evaluations"].get<std::uint64_t>();
    text += fmt::format("  {:28} {:10} passage {}  {} evaluations{}\n", trial["failpoint"].get<std::string>(), trial["who"].get<std::string>(), trial["times"].get<std::uint64_t>(),
                        trial["evaluations"].get<std::uint64_t>(), trial["faults"].empty() ? "" : "  BAD");
    for (const object& each : trial["faults"]) {
      faults.push_back({{"failpoint", trial["failpoint"]}, {"fault", each}});
      text += "    " + each.get<std::string>() + '\n';
    }
  }
  in.out.answer(object{{"failpoints", rows.size()}, {"evaluations", evaluations}, {"rounds", rows}, {"faults", faults}}.dump(2));
  in.out.say(fmt::format("{} of {} failpoints, {} evaluations: {} faults\n", rows.size(), failpoints().size(), evaluations, faults.size()) + text);
  return faults.empty() ? 0 : 1;
}

const char* name_of(failpoint_process whose) {
  switch (whose) {
    case failpoint_process::scheduler: return "scheduler";
    case failpoint_process::agent: return "agent";
    case failpoint_process::command: return "command";
  }
  return "";
}

} // namespace

result<int> list_failpoints(context& in) {
  object all = object::array();
  std::string text;
  for (const auto& each : failpoints()) {
    all.push_back({{"failpoint", each.name}, {"process", name_of(each.process)}, {"where", each.where}});
    text += fmt::format("{:28} {:10} {}\n", each.name, name_of(each.process), each.where);
  }
  in.out.answer(all.dump(2));
  in.out.say(text);
  return 0;
}

result<int> bench_failpoints(context& in, const kill_options& options) {
  KEVOLVE_TRY_VOID(prepare_data(in));
  const fs::path folder = in.configured.data / "bench" / "failpoints";
  KEVOLVE_TRY(record, campaign::open(folder / "rounds.jsonl", object{{"campaign", "failpoints"}, {"spec", options.spec}, {"workloads", options.workloads}, {"evaluations", options.evaluations}, {"seed", options.seed}}));
  adopt_orphans();
  const auto all = chosen(options);
  for (std::size_t number = record.trials().size(); number < all.size(); ++number) {
    const fs::path at = folder / std::string(all[number].name);
    auto told = die_at_failpoint(options, all[number], at, in.configured.cache);
    if (in.signals.received())
      return in.signals.exit_code();
    if (!told)
      return told.error().in(std::string(all[number].name));
    if ((*told)["faults"].empty())
      fs::remove_all(at);
    KEVOLVE_TRY_VOID(record.add(*told));
    in.out.progress(fmt::format("{}/{} failpoints{}", number + 1, all.size(), (*told)["faults"].empty() ? "" : "  bad: " + (*told)["faults"][0].get<std::string>()), true);
  }
  return summarise(in, record);
}

} // namespace kevolve::scheduler
