// kevolve bench engine: iterations a second and bytes per tree node with an instant synthesizer and evaluator, everything else real. The
// measurement is actors/engine_bench.hpp's; this runs it in a folder of its own and tells what it found.
#include "actors/engine_bench.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

result<int> bench_engine(context& in, const engine_options& options) {
  KEVOLVE_TRY_VOID(prepare_data(in));
  auto policy = policy_from_string(in.configured.policy);
  if (!policy)
    return policy.error().in("policy (from " + in.configured.origin.find("policy")->second + ")");
  engine_bench_settings chosen;
  chosen.directory = in.configured.data / "bench" / "engine";
  chosen.candidates = options.candidates;
  chosen.in_flight = options.in_flight;
  chosen.policy = *policy;
  chosen.seed = in.configured.seed.value_or(1);
  std::error_code ignored;
  std::filesystem::remove_all(chosen.directory, ignored); // a figure is of one run from the beginning
  KEVOLVE_TRY(found, run_engine_bench(chosen, [&](std::uint32_t candidates) {
    in.out.progress(fmt::format("{}/{} candidates", candidates, options.candidates), candidates % 10'000 == 0);
  }));
  std::filesystem::remove_all(chosen.directory, ignored);

  nlohmann::ordered_json answer{{"candidates", found.candidates}, {"iterations_per_s", found.iterations_per_s}, {"bytes_per_tree_node", found.bytes_per_tree_node},
                                {"mapped_bytes_per_tree_node", found.mapped_bytes_per_tree_node}, {"wall_s", found.wall_s}, {"cpu_s", found.cpu_s},
                                {"in_flight", chosen.in_flight}, {"policy", std::string(to_string(*policy))}, {"seed", chosen.seed}, {"checkpoints", nlohmann::ordered_json::array()}};
  table rows({{"candidates in the tree", align::right}, {"iterations/s", align::right}});
  for (const engine_bench_checkpoint& c : found.checkpoints) {
    answer["checkpoints"].push_back({{"candidates", c.candidates}, {"iterations_per_s", c.iterations_per_s}});
    rows.add({std::to_string(c.candidates), fmt::format("{:.0f}", c.iterations_per_s)});
  }
  in.out.answer(answer.dump(2));
  in.out.say(fmt::format("{} candidates in {}, policy {}: {:.0f} iterations/s, {:.0f} bytes per tree node\n", found.candidates, show_duration(found.wall_s),
                         to_string(*policy), found.iterations_per_s, found.bytes_per_tree_node) +
             rows.render(in.look()));
  return 0;
}

} // namespace kevolve::scheduler
