// kevolve bench aa: a candidate against itself (the same code under two names, so that no cache answers), by the search's own measurement and
// test; the plain loop nest and the generator's first schedule (vectors, threads) in turn. How often is it called better: the false-gain rate,
// promised below 0.5% a test, accepted up to 1% of 300 trials.
#include "actors/fitness.hpp"
#include "actors/synthesis/generator.hpp"
#include "scheduler/account.hpp"
#include "scheduler/campaign.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/noise.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <random>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

/// The same program with another id: a comment does not change what is compiled.
candidate renamed(candidate what, const std::string& remark) {
  what.sources.front().content += "// " + remark + "\n";
  what.id = candidate_hash(what);
  return what;
}

int summarise(context& in, const campaign& record) {
  std::uint32_t better = 0, worse = 0, failed = 0, covered = 0;
  std::vector<double> ratios;
  for (const object& trial : record.trials()) {
    if (trial["outcome"] != "passed") {
      ++failed;
      continue;
    }
    better += trial["better"].get<bool>();
    const double ratio = trial["ratio"], low = trial["low"], high = trial["high"];
    worse += high < 1;
    covered += low <= 1 && 1 <= high;
    ratios.push_back(std::fabs(std::log(ratio)));
  }
  const auto measured = static_cast<double>(ratios.size());
  std::sort(ratios.begin(), ratios.end());
  const double median = ratios.empty() ? 0 : std::exp(ratios[ratios.size() / 2]) - 1;
  const double rate = ratios.empty() ? 0 : better / measured;
  in.out.answer(object{{"trials", record.trials().size()}, {"measured", ratios.size()}, {"failed", failed}, {"called_better", better}, {"rate", rate},
                       {"interval_below_one", worse}, {"interval_covers_one", ratios.empty() ? object(nullptr) : object(covered / measured)},
                       {"median_deviation", median}}
                    .dump(2));
  in.out.say(fmt::format("{} trials of a candidate against itself: called better {} times ({:.2f}%); the interval covers 1 in {}; median deviation {:.2f}%{}\n",
                         ratios.size(), better, rate * 100, show_percent(measured ? covered / measured : 0), median * 100,
                         failed ? fmt::format("; {} trials did not pass", failed) : ""));
  return rate <= 0.01 && !ratios.empty() ? 0 : 1;
}

} // namespace

result<int> bench_aa(context& in, const aa_options& options) {
  KEVOLVE_TRY(subject, read_specification(options.spec, in.configured));
  KEVOLVE_TRY_VOID(check_problem(subject));
  KEVOLVE_TRY_VOID(restrict_workloads(subject, options.workloads));
  if (options.workloads.empty())
    subject.workloads.resize(1); // the smallest: the noisiest, and soonest done
  KEVOLVE_TRY_VOID(prepare_data(in));
  KEVOLVE_TRY(record, campaign::open(in.configured.data / "bench" / "aa" / (subject.op.name + (options.verify ? "-verify" : "") + (options.neighbour ? "-neighbour.jsonl" : ".jsonl")),
                                     object{{"campaign", "aa"}, {"operator", subject.op.name}, {"workload", label_of(subject.workloads.front())}, {"neighbour", options.neighbour}, {"verify", options.verify}}));
  KEVOLVE_TRY(host, single_host::start(in));
  KEVOLVE_TRY(on, choose_target(in.configured.target, host->evaluator().devices()));
  KEVOLVE_TRY(writer, synthesis::generator::make(subject, on, in.configured.compiler));
  KEVOLVE_TRY(plain, writer->root());
  KEVOLVE_TRY(scheduled, writer->propose({}, rng(1)));
  const candidate* const programs[] = {&plain.what, &scheduled.what};
  std::optional<busy_neighbour> beside;
  if (options.neighbour)
    beside.emplace();
  std::atomic<bool> cancelled{false};
  in.signals.on_signal([&](int) { cancelled = true; });
  std::random_device fresh;
  const std::string campaign_name = fmt::format("{:08x}", fresh());
  while (record.trials().size() < options.trials) {
    const std::size_t number = record.trials().size();
    evaluate_work work;
    work.subject = subject;
    work.on = on;
    const candidate& program = *programs[number % 2];
    work.what = renamed(program, fmt::format("A/A {} trial {}", campaign_name, number));
    work.anchors = {renamed(program, fmt::format("A/A {} anchor {}", campaign_name, number))};
    work.seed = fresh();
    work.how = options.verify ? effort::verify : effort::search;
    auto measured = host->evaluator().evaluate(work, cancelled);
    if (in.signals.received())
      return in.signals.exit_code();
    if (!measured)
      return measured.error();
    object trial{{"trial", number}, {"program", number % 2 ? "scheduled" : "plain"}, {"outcome", std::string(to_string(measured->result))}};
    if (const auto a = search::against(*measured, work.anchors.front().id)) {
      trial["better"] = search::is_better(*a);
      trial["ratio"] = std::exp(a->log_ratio);
      trial["low"] = a->error < 0 ? 0.0 : std::exp(a->low());
      trial["high"] = a->error < 0 ? 1e9 : std::exp(a->high());
      trial["e_value"] = a->e_value;
    } else if (measured->result == outcome::passed) {
      return error{errc::infrastructure, "a measured candidate was not compared with its anchor"};
    }
    KEVOLVE_TRY_VOID(record.add(trial));
    in.out.progress(fmt::format("{}/{} trials", number + 1, options.trials), number % 10 == 9);
  }
  return summarise(in, record);
}

} // namespace kevolve::scheduler
