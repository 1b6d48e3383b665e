// kevolve bench landscape: records a search space. It grows at random from the plain loop nest and the first schedule, one transformation at a
// time, and has each point compiled, checked and timed against the first schedule by the search's own measurement. `bench replay` searches it.
#include "actors/fitness.hpp"
#include "actors/synthesis/generator.hpp"
#include "scheduler/account.hpp"
#include "scheduler/campaign.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/landscape_file.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <fmt/format.h>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <unordered_map>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;
using clock = std::chrono::steady_clock;

// Of the points that new ones grow from: some are drawn from the fastest tenth and some from the oldest, so that the surroundings of both are
// known well; the others from all.
constexpr double among_the_best = 0.35, among_the_oldest = 0.35;
constexpr std::size_t oldest = 24;
constexpr double fresh_starts = 0.02;    // longer walks
constexpr unsigned at_once = 3;         // one is measured while others compile
constexpr std::uint64_t same_inputs = 1;

/// What is compiled, without the comment that says which schedule it is: schedules that come to the same program share a measurement.
std::string code_of(const candidate& c) {
  std::string code = c.build.compiler;
  for (const auto& flag : c.build.flags)
    code += "\n" + flag;
  const std::string& source = c.sources.front().content;
  return code + "\n" + source.substr(std::min(source.find("#include"), source.size()));
}

class recorder {
public:
  recorder(const problem& subject, const target& on, const synthesis::generator& writer, agent::host_evaluator& evaluator, campaign& record, rng draw)
      : subject_(subject), on_(on), writer_(writer), evaluator_(evaluator), record_(record), draw_(draw), land_(subject.op.name, names_of(subject)) {}

  [[nodiscard]] const search::landscape& land() const { return land_; }
  [[nodiscard]] std::size_t measured() const { return measured_; }

  /// What an earlier run recorded.
  result<void> take_up() {
    for (const object& line : record_.trials()) {
      KEVOLVE_TRY(p, point_of_line(line, subject_.workloads.size()));
      KEVOLVE_TRY(printed, writer_.print(p.how, {}));
      by_code_.emplace(code_of(printed.what), p);
      if (land_.points().size() == 1)
        anchor_ = printed.what, anchor_s_ = p.latency_s;
      land_.add(std::move(p));
    }
    return {};
  }

  /// The root and the first schedule, which all others are timed against.
  result<void> begin(const std::atomic<bool>& cancelled) {
    if (land_.points().size() >= 2)
      return {};
    KEVOLVE_TRY(root, writer_.root());
    synthesis::context at_root;
    at_root.parent = synthesis::attempt{};
    at_root.parent->printed_from = *root.what.printed_from;
    at_root.parent->edge = root.edge;
    KEVOLVE_TRY(first, writer_.propose(at_root, draw_));
    for (const candidate* each : {&root.what, &first.what}) {
      KEVOLVE_TRY(found, measure(*each, false, cancelled));
      if (found.result != outcome::passed)
        return error{errc::specification, fmt::format("{}: {}: {}", subject_.op.name, each == &root.what ? "the plain loop nest" : "the first schedule", to_string(found.result))};
      anchor_s_ = found.latency_s;
      KEVOLVE_TRY_VOID(keep(*each, std::move(found)));
    }
    anchor_ = first.what;
    return {};
  }

  result<void> grow(std::size_t points, clock::time_point until, const std::atomic<bool>& cancelled, const std::function<void(std::size_t)>& told) {
    std::vector<std::thread> workers;
    std::optional<error> failure;
    for (unsigned i = 0; i < at_once; ++i)
      workers.emplace_back([&] {
        for (;;) {
          std::unique_lock lock(mutex_);
          if (failure || cancelled || land_.points().size() >= points || clock::now() >= until)
            return;
          auto next = draw_point();
          if (!next)
            return;
          lock.unlock();
          auto found = measure(*next, true, cancelled);
          lock.lock();
          if (!found) {
            if (found.error().code != errc::interrupted)
              failure = found.error();
            return;
          }
          if (auto kept = keep(*next, std::move(*found)); !kept)
            failure = kept.error();
          told(land_.points().size());
        }
      });
    for (auto& w : workers)
      w.join();
    return failure ? result<void>(*failure) : result<void>();
  }

private:
  static std::vector<std::string> names_of(const problem& subject) {
    std::vector<std::string> names;
    for (const workload& w : subject.workloads)
      names.push_back(label_of(w));
    return names;
  }

  /// Without the lock.
  result<search::landscape_point> measure(const candidate& what, bool against_first, const std::atomic<bool>& cancelled) {
    evaluate_work work;
    work.subject = subject_;
    work.on = on_;
    work.what = what;
    work.seed = same_inputs;
    if (against_first)
      work.anchors = {*anchor_};
    KEVOLVE_TRY(e, evaluator_.evaluate(work, cancelled));
    search::landscape_point p;
    p.how = *what.printed_from;
    p.result = e.result;
    p.limited_by = e.diagnosed.limited_by;
    p.roofline_fraction = e.diagnosed.roofline_fraction;
    if (e.result != outcome::passed)
      return p;
    ++measured_;
    for (std::size_t w = 0; w < e.timings.size(); ++w) {
      const auto& t = e.timings[w];
      // By the ratio to the anchor in the same seconds: what else the host does cancels out.
      const double ratio = against_first && !t.comparisons.empty() ? t.comparisons.front().ratio : 0;
      p.latency_s.push_back(ratio > 0 ? anchor_s_[w] / ratio : t.latency_s);
    }
    return p;
  }

  result<void> keep(const candidate& what, search::landscape_point p) {
    KEVOLVE_TRY_VOID(record_.add(to_line(p)));
    by_code_.emplace(code_of(what), p);
    land_.add(std::move(p));
    return {};
  }

  /// A schedule that is not there yet and comes to a program of its own; those that do not are recorded as they are met.
  std::optional<candidate> draw_point() {
    for (int tries = 0; tries < 400; ++tries) {
      const auto parent = land_.points()[draw_parent()]; // a copy: points are added below
      synthesis::context given;
      given.parent = synthesis::attempt{parent.how, {"grown", "", ""}, outcome::passed, 1, 1, {}};
      given.parent->diagnosed.limited_by = parent.limited_by;
      if (draw_.chance(fresh_starts))
        given.memory = memory_operator::clean_slate;
      const auto moves = writer_.moves(given, rng(draw_()));
      if (moves.empty())
        continue;
      const auto& how = moves[draw_.below(moves.size())].first;
      if (land_.find(how) || under_way_.contains(to_string(how)))
        continue;
      auto printed = writer_.print(how, {"landscape", to_string(how), ""});
      if (!printed)
        continue;
      if (const auto same = by_code_.find(code_of(printed->what)); same != by_code_.end()) {
        auto p = same->second;
        p.how = how;
        if (record_.add(to_line(p)))
          land_.add(std::move(p));
        continue;
      }
      under_way_.insert(to_string(how));
      return std::move(printed->what);
    }
    return std::nullopt;
  }

  std::size_t draw_parent() {
    std::vector<std::pair<double, std::size_t>> passed;
    for (std::size_t i = 0; i < land_.points().size(); ++i)
      if (const auto speed = land_.log_speed(i))
        passed.emplace_back(-*speed, i);
    const double which = draw_.uniform();
    if (which > among_the_best + among_the_oldest)
      return passed[draw_.below(passed.size())].second;
    if (which > among_the_best)
      return passed[draw_.below(std::min(oldest, passed.size()))].second;
    std::sort(passed.begin(), passed.end());
    return passed[draw_.below(std::max<std::size_t>(1, passed.size() / 10))].second;
  }

  const problem& subject_;
  const target on_;
  const synthesis::generator& writer_;
  agent::host_evaluator& evaluator_;
  campaign& record_;
  std::mutex mutex_;
  rng draw_;
  search::landscape land_;
  std::unordered_map<std::string, search::landscape_point> by_code_;
  std::set<std::string> under_way_;
  std::optional<candidate> anchor_; // the first schedule; not changed once points grow
  std::vector<double> anchor_s_;
  std::atomic<std::size_t> measured_ = 0;
};

} // namespace

result<int> bench_landscape(context& in, const landscape_options& options) {
  KEVOLVE_TRY(subject, read_specification(options.spec, in.configured));
  KEVOLVE_TRY_VOID(check_problem(subject));
  KEVOLVE_TRY_VOID(restrict_workloads(subject, options.workloads));
  if (options.workloads.empty())
    subject.workloads.resize(1);
  KEVOLVE_TRY_VOID(prepare_data(in));
  KEVOLVE_TRY(host, single_host::start(in));
  KEVOLVE_TRY(on, choose_target(in.configured.target, host->evaluator().devices()));
  KEVOLVE_TRY(writer, synthesis::generator::make(subject, on, in.configured.compiler));
  object names = object::array();
  for (const workload& w : subject.workloads)
    names.push_back(label_of(w));
  const auto file = in.configured.data / "bench" / "landscapes" / (subject.op.name + ".jsonl");
  KEVOLVE_TRY(record, campaign::open(file, object{{"campaign", "landscape"}, {"operator", subject.op.name}, {"workloads", names}, {"target", to_string(on)},
                                                  {"hardware", host->evaluator().devices().front().hardware}, {"compiler", in.configured.compiler}}));
  recorder grown(subject, on, *writer, host->evaluator(), record, rng(in.configured.seed.value_or(std::random_device{}())));
  std::atomic<bool> cancelled{false};
  in.signals.on_signal([&](int) { cancelled = true; });
  KEVOLVE_TRY_VOID(grown.take_up());
  KEVOLVE_TRY_VOID(grown.begin(cancelled));
  const std::size_t points = in.configured.evaluations ? in.configured.evaluations : ~std::size_t{0};
  const auto until = clock::now() + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(in.configured.time_s > 0 ? in.configured.time_s : 1e9));
  std::size_t shown = 0;
  KEVOLVE_TRY_VOID(grown.grow(points, until, cancelled, [&](std::size_t n) {
    in.out.progress(fmt::format("{}: {} points", subject.op.name, n), n >= shown + 50);
    shown = n >= shown + 50 ? n : shown;
  }));
  std::size_t passed = 0;
  for (std::size_t i = 0; i < grown.land().points().size(); ++i)
    passed += grown.land().log_speed(i).has_value();
  const double best = std::exp(grown.land().best_log_speed()), first = std::exp(grown.land().log_speed(1).value_or(0));
  in.out.answer(object{{"operator", subject.op.name}, {"file", file.string()}, {"points", grown.land().points().size()}, {"passed", passed}, {"best_over_root", best}, {"first_over_root", first}}.dump(2));
  in.out.say(fmt::format("{}: {} points, {} passed; the first schedule is {} as fast as the root, the best {}\n{}\n", subject.op.name, grown.land().points().size(), passed,
                         show_factor(first), show_factor(best), file.string()));
  return in.signals.received() ? in.signals.exit_code() : 0;
}

} // namespace kevolve::scheduler
