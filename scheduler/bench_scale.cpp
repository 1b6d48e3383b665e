// kevolve bench scale: one scheduler in this process, its agents in a child, over loopback TCP with CURVE. EVALUATIONS ARE SIMULATED, the rest is
// real (actors/scale_bench.hpp). Each number of agents is run twice: agents that answer at once, for rate and cost; agents that together can do
// `--rate` evaluations a second, for how long dispatching takes.
#include "actors/scale_bench.hpp"
#include "protocol/codec.hpp"
#include "scheduler/child.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;

constexpr auto report_limit = std::chrono::seconds(60);
constexpr auto longest_run = std::chrono::hours(1);
constexpr double default_rate = 3'300; // a tenth more than the 3,000 that a scheduler has to carry

/// Readable by us alone: it holds keys.
result<void> write_private(const fs::path& file, const std::string& bytes) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool good = fd >= 0 && ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  const int why = errno;
  if (fd >= 0)
    ::close(fd);
  if (!good)
    return error{errc::io, fmt::format("cannot write '{}': {}", file.string(), std::strerror(why))};
  return {};
}

template <class T>
result<T> read_encoded(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return error{errc::io, fmt::format("cannot read '{}': {}", file.string(), std::strerror(errno))};
  std::ostringstream bytes;
  bytes << in.rdbuf();
  auto decoded = decode<T>(bytes.str());
  if (!decoded)
    return decoded.error().in(file.string());
  return decoded;
}

/// A fleet as a child of ours: told what to be by one file, tells what it saw by another.
class fleet_process final : public running_fleet {
public:
  static result<std::unique_ptr<running_fleet>> start(const std::string& executable, const fs::path& folder, const simulated_fleet_settings& what) {
    const fs::path file = folder / "fleet";
    KEVOLVE_TRY_VOID(write_private(file, encode(what)));
    KEVOLVE_TRY(child, background_child::start({executable, "bench", "scale", "--fleet", file.string()}, (folder / "fleet.out").string(), (folder / "fleet.err").string()));
    return std::unique_ptr<running_fleet>(std::make_unique<fleet_process>(std::move(child), file));
  }
  fleet_process(background_child child, fs::path file) : child_(std::move(child)), file_(std::move(file)) {}
  result<simulated_fleet_report> end() override {
    ::kill(child_.pid(), SIGTERM);
    const auto status = child_.wait_for(report_limit);
    if (!status || *status != 0)
      return error{errc::io, fmt::format("the simulated agents' process ended with {}; see '{}.err'", status ? std::to_string(*status) : "no report", file_.string())};
    return read_encoded<simulated_fleet_report>(file_.string() + ".report");
  }

private:
  background_child child_;
  const fs::path file_;
};

/// The child's side, until SIGTERM.
result<int> be_fleet(context& in, const std::string& file) {
  KEVOLVE_TRY(settings, read_encoded<simulated_fleet_settings>(file));
  std::atomic<bool> stop{false};
  in.signals.on_signal([&](int) { stop = true; });
  KEVOLVE_TRY(report, run_simulated_fleet(settings, stop));
  in.signals.ignore_from_now();
  KEVOLVE_TRY_VOID(write_private(file + ".report", encode(report)));
  return 0;
}

object object_of(const scale_bench_report& r, double rate) {
  return {{"agents", r.agents}, {"agents_can_do_per_s", rate > 0 ? object(rate) : object(nullptr)}, {"evaluations", r.evaluations},
          {"evaluations_per_s", r.evaluations_per_s()}, {"steady_per_s", r.steady_per_s}, {"lost", r.lost}, {"twice", r.twice},
          {"idle_agents", r.fleet.idle_agents}, {"fewest_of_an_agent", r.fleet.fewest}, {"most_of_an_agent", r.fleet.most}, {"wall_s", r.wall_s}, {"connect_s", r.connect_s},
          {"dispatch", {{"leases", r.dispatch.leases}, {"median_s", r.dispatch.median_s}, {"p99_s", r.dispatch.p99_s}, {"longest_s", r.dispatch.longest_s}}},
          {"scheduler", {{"cpu_s_per_evaluation", r.cpu_s_per_evaluation()}, {"resident_bytes", r.at_end.anonymous}, {"mapped_bytes", r.at_end.mapped},
                         {"resident_before_agents_bytes", r.before.anonymous}, {"open_descriptors", r.descriptors}}},
          {"simulated_agents", {{"cpu_s_per_evaluation", r.fleet.cpu_s / static_cast<double>(r.evaluations)}}}};
}

std::vector<std::string> row_of(const object& run) {
  const auto number = [](const object& value) { return fmt::format("{:.0f}", value.get<double>()); };
  return {number(run["agents"]), run["agents_can_do_per_s"].is_null() ? "at once" : number(run["agents_can_do_per_s"]), number(run["evaluations_per_s"]), number(run["steady_per_s"]),
          number(run["lost"]), number(run["twice"]), number(run["idle_agents"]), fmt::format("{:.0f} us", run["scheduler"]["cpu_s_per_evaluation"].get<double>() * 1e6),
          show_latency(run["dispatch"]["median_s"]), show_latency(run["dispatch"]["p99_s"]), show_bytes(run["scheduler"]["resident_bytes"]), number(run["scheduler"]["open_descriptors"])};
}

/// One run, here: this process is the scheduler.
result<object> run_here(context& in, const scale_options& options, std::uint32_t agents, double rate) {
  scale_bench_settings chosen;
  chosen.directory = in.configured.data / "bench" / "scale";
  chosen.agents = agents;
  chosen.evaluations = options.evaluations;
  chosen.sessions = options.sessions;
  chosen.in_flight = options.in_flight;
  chosen.source_bytes = options.source_bytes;
  chosen.rate = rate;
  chosen.seed = in.configured.seed.value_or(1);
  std::error_code ignored;
  fs::remove_all(chosen.directory, ignored); // a figure is of one run from the beginning
  KEVOLVE_TRY(found, run_scale_bench(chosen, [&](const simulated_fleet_settings& what) { return fleet_process::start(options.executable, chosen.directory, what); },
                                     [&](const std::string& phase, std::uint64_t done) { in.out.progress(fmt::format("{} agents, {} {}", agents, done, phase), false); }));
  fs::remove_all(chosen.directory, ignored);
  return object_of(found, rate);
}

/// One run in a process of its own, so that memory is one run's.
result<object> run_apart(context& in, const scale_options& options, std::uint32_t agents, double rate) {
  const fs::path out = in.configured.data / "bench" / "scale.out", errors = in.configured.data / "bench" / "scale.err";
  std::error_code ignored;
  fs::create_directories(out.parent_path(), ignored);
  in.out.progress(rate > 0 ? fmt::format("{} agents, {:.0f} simulated evaluations a second", agents, rate) : fmt::format("{} agents that answer at once", agents), true);
  KEVOLVE_TRY(child, background_child::start({options.executable, "bench", "scale", "--agents", std::to_string(agents), "--rate", fmt::format("{}", rate), "--evaluations",
                                              std::to_string(options.evaluations), "--sessions", std::to_string(options.sessions), "--in-flight", std::to_string(options.in_flight),
                                              "--source-bytes", std::to_string(options.source_bytes), "--seed", std::to_string(in.configured.seed.value_or(1)), "--data",
                                              in.configured.data.string(), "--json"},
                                             out.string(), errors.string()));
  const auto status = child.wait_for(longest_run);
  if (!status || (*status != 0 && *status != 1))
    return error{errc::io, fmt::format("a run of {} agents ended with {}; see '{}'", agents, status ? std::to_string(*status) : "no end in an hour", errors.string())};
  const auto told = object::parse(std::ifstream(out), nullptr, false);
  if (told.is_discarded() || !told.contains("runs"))
    return error{errc::io, fmt::format("a run of {} agents failed; see '{}'", agents, errors.string())};
  return told["runs"].front();
}

} // namespace

result<int> bench_scale(context& in, const scale_options& options) {
  allow_many_descriptors();
  if (!options.fleet.empty())
    return be_fleet(in, options.fleet);
  KEVOLVE_TRY_VOID(prepare_data(in));
  object runs = object::array();
  table rows({{"agents", align::right}, {"they can do/s", align::right}, {"evaluations/s", align::right}, {"steady/s", align::right}, {"lost", align::right}, {"twice", align::right},
              {"idle agents", align::right}, {"CPU each", align::right}, {"dispatch, median", align::right}, {"p99", align::right}, {"resident", align::right}, {"descriptors", align::right}});
  bool good = true;
  const std::vector<double> rates = options.rate ? std::vector{*options.rate} : std::vector{0.0, default_rate};
  const bool one = rates.size() == 1 && options.agents.size() == 1;
  for (const double rate : rates)
    for (const std::uint32_t agents : options.agents) {
      KEVOLVE_TRY(run, one ? run_here(in, options, agents, rate) : run_apart(in, options, agents, rate));
      good &= run["lost"] == 0 && run["twice"] == 0;
      rows.add(row_of(run));
      runs.push_back(std::move(run));
      if (in.signals.received())
        return in.signals.exit_code();
    }
  in.out.answer(object{{"evaluations_are", "simulated"}, {"sessions", options.sessions}, {"in_flight", options.in_flight}, {"source_bytes", options.source_bytes}, {"runs", runs}}.dump(2));
  in.out.say("evaluations are simulated; scheduler, store, connections (CURVE over loopback) and leases are real\n" + rows.render(in.look()));
  return good ? 0 : 1;
}

} // namespace kevolve::scheduler
