#include "actors/engine_bench.hpp"

#include "actors/engine.hpp"
#include "actors/made_up.hpp"
#include "actors/own_usage.hpp"
#include "kb/store.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace kevolve {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

/// When the how-manieth evaluation was asked for, and the memory at the last one, while all tree nodes live.
class stopwatch {
public:
  static constexpr std::uint32_t stride = 100;
  explicit stopwatch(std::uint32_t candidates) : candidates_(candidates) {}
  void evaluation() {
    std::lock_guard lock(mutex_);
    if (count_++ % stride == 0)
      at_.push_back(steady::now());
    if (count_ == candidates_)
      last_ = own_resident();
  }
  std::uint32_t count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }
  double rate(std::uint32_t from, std::uint32_t to) const {
    std::size_t a = from / stride, b = std::min<std::size_t>(to / stride, at_.size() - 1);
    double took = std::chrono::duration<double>(at_[b] - at_[a]).count();
    return took > 0 ? static_cast<double>((b - a) * stride) / took : 0;
  }
  resident last() const { return last_; }

private:
  mutable std::mutex mutex_;
  const std::uint32_t candidates_;
  std::uint32_t count_ = 0;
  std::vector<steady::time_point> at_;
  resident last_;
};

/// A link whose one agent answers every lease at once, on the caller's thread.
class instant_link final : public link {
public:
  instant_link(link_callbacks callbacks, std::uint32_t slots, std::shared_ptr<stopwatch> watch)
      : callbacks_(std::move(callbacks)), slots_(slots), watch_(std::move(watch)), alive_([this] { keep_alive(); }) {}
  ~instant_link() override {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    closed_.notify_all();
    alive_.join();
  }
  result<void> send(std::string agent, message what) override {
    if (auto* lease = std::get_if<lease_granted>(&what)) {
      watch_->evaluation();
      callbacks_.received(agent, lease_accepted{lease->lease, lease->epoch});
      callbacks_.received(agent, lease_finished{lease->lease, lease->epoch, made_up::measure(std::get<evaluate_work>(lease->what))});
    }
    return {};
  }
  link_counts counts() const override { return {}; }

private:
  void keep_alive() {
    std::unique_lock lock(mutex_);
    do {
      callbacks_.received("instant", agent_hello{"instant", "instant", protocol_version, {made_up::device()}, slots_});
    } while (!closed_.wait_for(lock, 500ms, [this] { return closing_; }));
  }
  link_callbacks callbacks_;
  std::uint32_t slots_;
  std::shared_ptr<stopwatch> watch_;
  std::mutex mutex_;
  std::condition_variable closed_;
  bool closing_ = false;
  std::thread alive_; // last: uses the others
};

std::vector<engine_bench_checkpoint> checkpoints(const stopwatch& watch, std::uint32_t candidates) {
  std::vector<engine_bench_checkpoint> found;
  for (std::uint32_t at = 1000; at <= candidates; at *= 10) {
    std::uint32_t window = std::min(at, std::max(1000u, at / 5));
    found.push_back({at, watch.rate(at - window, at)});
  }
  return found;
}

} // namespace

result<engine_bench_report> run_engine_bench(const engine_bench_settings& settings, const std::function<void(std::uint32_t)>& progress) {
  KEVOLVE_TRY(memory, kb::store::open(settings.directory, kb::access::read_write));
  auto watch = std::make_shared<stopwatch>(settings.candidates);
  engine_parts parts;
  parts.make_generator = made_up::generator();
  parts.open_link = [&](link_callbacks callbacks) -> result<std::unique_ptr<link>> {
    return std::unique_ptr<link>(std::make_unique<instant_link>(std::move(callbacks), settings.in_flight, watch));
  };
  parts.synthesizers = 1;
  parts.detach_synthesizers = false;
  parts.verify = false;
  KEVOLVE_TRY(engine, start_engine(*memory, settings.threads, std::move(parts)));

  session_settings search;
  search.policy = settings.policy;
  search.seed = settings.seed;
  search.evaluations = settings.candidates;
  search.time_s = 0;
  search.in_flight = settings.in_flight;
  search.plateau = settings.candidates + 1;
  search.baselines.clear();
  auto before = own_resident();
  double cpu_before = own_cpu_s();
  auto began = steady::now();
  KEVOLVE_TRY(session, engine->submit(made_up::subject(), {}, search));
  auto end = engine->wait(session, [&](const session_progress& p) {
    if (progress)
      progress(p.evaluations);
  });
  engine_bench_report report;
  report.wall_s = std::chrono::duration<double>(steady::now() - began).count();
  report.cpu_s = own_cpu_s() - cpu_before;
  if (end.failure)
    return end.failure->in("the benchmark's session");
  KEVOLVE_TRY(summaries, memory->sessions());
  for (const auto& each : summaries)
    if (each.session == session)
      report.candidates = each.evaluations;
  report.iterations_per_s = report.candidates / report.wall_s;
  report.bytes_per_tree_node = (watch->last().anonymous - before.anonymous) / settings.candidates;
  report.mapped_bytes_per_tree_node = (watch->last().mapped - before.mapped) / settings.candidates;
  report.checkpoints = checkpoints(*watch, watch->count());
  return report;
}

} // namespace kevolve
