// kevolve train: a policy and value for the generator from measured edges: the store's sessions and recorded landscapes. What it is worth is
// found on operators that it has not seen (--evaluate); it is kept in the knowledge base with that result, and used by default only if it won.
#include "scheduler/commands.hpp"
#include "scheduler/held_out.hpp"
#include "scheduler/policy_file.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/trajectory.hpp"

#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <set>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

std::shared_ptr<const synthesis::learned_policy> learn(const std::vector<const measured_edges*>& from, const train_options& options) {
  auto out = std::make_shared<synthesis::learned_policy>();
  out->temperature = options.temperature;
  out->value = synthesis::boost(together(from), {.trees = options.trees, .depth = options.depth});
  return out;
}

/// Sessions of all stores, an operator each, and landscapes.
result<std::vector<measured_edges>> gather(const context& in, const train_options& options, const std::vector<std::unique_ptr<landscape_file>>& files) {
  std::vector<measured_edges> all;
  std::vector<std::filesystem::path> stores(options.stores.begin(), options.stores.end());
  std::error_code none;
  if (stores.empty() && std::filesystem::exists(in.configured.data / "data.mdb", none))
    stores.push_back(in.configured.data);
  for (const auto& store : stores) {
    auto memory = kb::store::open(store, kb::access::read_only);
    if (!memory)
      return memory.error().in("--store " + store.string());
    KEVOLVE_TRY(edges, edges_of(**memory, in.configured.compiler));
    all.insert(all.end(), std::make_move_iterator(edges.begin()), std::make_move_iterator(edges.end()));
  }
  for (const auto& file : files) {
    in.out.progress(fmt::format("{}: edges", file->land.name()), true);
    if (auto edges = edges_of(*file); !edges.edges.rows.empty())
      all.push_back(std::move(edges));
  }
  return all;
}

object row_of(const held_out_row& row, std::uint32_t evaluations) {
  const auto side = [&](const std::vector<double>& needed) {
    double sum = 0;
    int never = 0;
    for (const double n : needed) {
      sum += std::min(n, static_cast<double>(evaluations));
      never += !std::isfinite(n);
    }
    return object{{"mean_evaluations", sum / static_cast<double>(needed.size())}, {"never", never}};
  };
  return {{"operator", row.name}, {"edges", row.edges}, {"rules", side(row.rules)}, {"learned", side(row.learned)}};
}

object answer_of(const held_out_result& found, const train_options& options) {
  object rows = object::array();
  for (const auto& row : found.rows)
    rows.push_back(row_of(row, options.evaluations));
  return {{"seeds", options.seeds}, {"evaluations", options.evaluations}, {"ratio", found.ratio}, {"ratio_ci95", {found.ratio_ci95.low, found.ratio_ci95.high}},
          {"needed_ratio", good_enough}, {"beats_rules", found.beats_rules()}, {"operators", rows}};
}

std::string table_of(const object& held_out, const style& look) {
  table t({{"held out"}, {"edges learnt from", align::right}, {"rules", align::right}, {"never", align::right}, {"learned", align::right}, {"never", align::right}, {"ratio", align::right}});
  for (const auto& row : held_out["operators"]) {
    const double rules = row["rules"]["mean_evaluations"], learned = row["learned"]["mean_evaluations"];
    t.add({row["operator"].get<std::string>(), std::to_string(row["edges"].get<std::size_t>()), fmt::format("{:.1f}", rules), std::to_string(row["rules"]["never"].get<int>()), fmt::format("{:.1f}", learned),
           std::to_string(row["learned"]["never"].get<int>()), fmt::format("{:.2f}", learned / rules)});
  }
  return t.render(look) +
         fmt::format("evaluations to 95 % of the best recorded, mean of {} seeds, {} at most; learned over rules: {:.2f} (95 % interval {:.2f} to {:.2f}), needed: at most {:.2f}\n", held_out["seeds"].get<int>(),
                     held_out["evaluations"].get<int>(), held_out["ratio"].get<double>(), held_out["ratio_ci95"][0].get<double>(), held_out["ratio_ci95"][1].get<double>(), good_enough);
}

} // namespace

result<int> train(context& in, const train_options& options) {
  std::vector<std::unique_ptr<landscape_file>> files;
  for (const std::string& path : options.landscapes) {
    KEVOLVE_TRY(file, read_landscape(path, in.configured));
    if (!file->writer)
      return error{errc::usage, fmt::format("--landscape {}: found a kernel_tuner cache, expected a file of `bench landscape`: the policy reads the generator's schedules", path)};
    files.push_back(std::move(file));
  }
  KEVOLVE_TRY(edges, gather(in, options, files));
  std::vector<const measured_edges*> all;
  std::set<std::string> hardware, families;
  object operators = object::array();
  std::size_t rows = 0;
  for (const auto& each : edges) {
    all.push_back(&each);
    hardware.insert(each.hardware);
    families.insert(operator_family(each.name));
    rows += each.edges.rows.size();
    operators.push_back({{"operator", each.name}, {"edges", each.edges.rows.size()}});
  }
  if (rows < fewest_edges)
    return error{errc::not_found, fmt::format("found {} measured edges, expected at least {}: sessions in the store (--store DIR) or landscapes (--landscape FILE, of `bench landscape`)", rows, fewest_edges)};
  kept_policy kept;
  if (options.evaluate) {
    if (files.size() < 2)
      return error{errc::usage, fmt::format("--evaluate: found {} landscapes, expected at least two (--landscape FILE): the policy is judged on operators it was not trained on", files.size())};
    const auto found = hold_out(files, edges, [&](const auto& from) { return learn(from, options); }, options.seeds, options.evaluations, in.configured.seed.value_or(1), [&](const std::string& name) {
      in.out.progress(name + ": held out", true);
      return !in.signals.received();
    });
    if (in.signals.received())
      return in.signals.exit_code();
    kept.held_out = answer_of(found, options);
    kept.beats_rules = found.beats_rules();
  }
  kept.policy = *learn(all, options);
  kept.id = policy_id(kept.policy);
  kept.at_ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  kept.hardware.assign(hardware.begin(), hardware.end());
  kept.trained_on = {{"edges", rows}, {"families", families.size()}, {"operators", operators}};
  KEVOLVE_TRY_VOID(prepare_data(in));
  KEVOLVE_TRY(file, keep_policy(in.configured.data, kept));
  object answer{{"policy", kept.id}, {"file", file.string()}, {"hardware", kept.hardware}, {"trained_on", kept.trained_on}, {"held_out", kept.held_out}, {"used_by_default", kept.beats_rules}};
  in.out.answer(answer.dump(2));
  std::string text = fmt::format("policy {}: {} edges of {} operators in {} families, {} trees\n", kept.id, rows, edges.size(), families.size(), kept.policy.value.trees.size());
  if (options.evaluate)
    text += table_of(kept.held_out, in.look());
  text += kept.beats_rules ? "sessions on this hardware use it from now on (--policy-model off: the rules)\n"
                           : fmt::format("it stays off: {}; --policy-model on uses it all the same\n", options.evaluate ? "it did not beat the rules by enough on operators that it had not seen" : "it was not evaluated (--evaluate)");
  in.out.say(text + file.string() + "\n");
  return 0;
}

} // namespace kevolve::scheduler
