#include "actors/scale_bench.hpp"

#include "actors/engine.hpp"
#include "actors/made_up.hpp"
#include "actors/own_usage.hpp"
#include "kb/store.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <mutex>
#include <netinet/in.h>
#include <set>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <zmq.hpp>

namespace kevolve {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto connect_limit = 60s;
constexpr std::uint32_t leases_per_agent = 2; // simulated_fleet's slots

double seconds_since(steady::time_point t) { return std::chrono::duration<double>(steady::now() - t).count(); }

/// A loopback port that was free a moment ago.
std::string free_endpoint() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  const bool good = ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 && ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0;
  ::close(fd);
  return "tcp://127.0.0.1:" + std::to_string(good ? ntohs(at.sin_port) : 7400);
}

/// When each task's work was there.
class work_times {
public:
  void note(const std::string& task) {
    const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(steady::now().time_since_epoch()).count();
    std::lock_guard lock(mutex_);
    times_.emplace_back(task, now);
  }
  dispatch_latency latency(const std::vector<simulated_lease>& leases) const {
    std::unordered_map<std::string_view, std::int64_t> since(times_.begin(), times_.end());
    std::vector<double> all;
    for (const auto& each : leases)
      if (const auto work = since.find(each.lease); work != since.end() && !each.first)
        all.push_back(static_cast<double>(each.received_ns - std::max(each.credit_ns, work->second)) * 1e-9);
    if (all.empty())
      return {};
    std::sort(all.begin(), all.end());
    return {all.size(), all[all.size() / 2], all[std::min(all.size() - 1, all.size() * 99 / 100)], all.back()};
  }

private:
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::int64_t>> times_;
};

double steady_rate(const std::vector<simulated_lease>& leases) {
  std::vector<std::int64_t> at;
  for (const auto& each : leases)
    at.push_back(each.received_ns);
  std::sort(at.begin(), at.end());
  const std::size_t tenth = at.size() / 10;
  if (tenth == 0)
    return 0;
  const double took_s = static_cast<double>(at[at.size() - 1 - tenth] - at[tenth]) * 1e-9;
  return static_cast<double>(at.size() - 1 - 2 * tenth) / took_s;
}

result<std::vector<key_file>> make_keys(std::uint32_t agents, const key_file& own, allow_list& allowed) {
  std::vector<key_file> keys;
  std::vector<allowed_key> listed;
  for (std::uint32_t i = 0; i < agents; ++i) {
    KEVOLVE_TRY(key, make_key("simulated-" + std::to_string(i), key_role::agent));
    key.scheduler = own.public_key;
    listed.push_back({key.public_key, key.role, key.name});
    keys.push_back(std::move(key));
  }
  KEVOLVE_TRY_VOID(allowed.add(listed));
  return keys;
}

result<void> await_agents(runtime& engine, std::uint32_t agents, const std::function<void(const std::string&, std::uint64_t)>& progress) {
  const auto since = steady::now();
  for (;;) {
    KEVOLVE_TRY(there, engine.agents());
    if (progress)
      progress("connected", there.size());
    if (there.size() == agents)
      return {};
    if (steady::now() - since > connect_limit)
      return error{errc::no_agent, std::to_string(there.size()) + " of " + std::to_string(agents) + " simulated agents connected within a minute"};
    std::this_thread::sleep_for(20ms);
  }
}

session_settings search_of(const scale_bench_settings& settings, std::uint32_t number) {
  session_settings search;
  search.seed = settings.seed + number;
  search.evaluations = settings.evaluations / settings.sessions;
  search.time_s = 0;
  search.in_flight = std::max(1u, settings.in_flight / settings.sessions);
  search.plateau = search.evaluations + 1;
  search.baselines.clear();
  return search;
}

result<void> run_sessions(runtime& engine, const scale_bench_settings& settings, const std::function<void(const std::string&, std::uint64_t)>& progress) {
  std::vector<session_id> sessions;
  for (std::uint32_t i = 0; i < settings.sessions; ++i) {
    KEVOLVE_TRY(session, engine.submit(made_up::subject(), {}, search_of(settings, i)));
    sessions.push_back(session);
  }
  std::uint64_t ended = 0;
  for (const auto& session : sessions) {
    const auto end = engine.wait(session, [&](const session_progress& p) {
      if (progress)
        progress("evaluations", ended + p.evaluations);
    });
    if (end.failure)
      return end.failure->in("a session of the benchmark");
    ended += settings.evaluations / settings.sessions;
  }
  return {};
}

/// By the log, which is the truth.
result<void> count(const kb::store& memory, std::uint64_t expected, scale_bench_report& into) {
  KEVOLVE_TRY(sessions, memory.sessions());
  std::uint64_t distinct = 0;
  for (const auto& each : sessions) {
    KEVOLVE_TRY(events, memory.events(each.session));
    std::set<node_number> seen;
    for (const auto& e : events)
      if (const auto* recorded = std::get_if<evaluation_recorded>(&e)) {
        ++into.evaluations;
        seen.insert(recorded->number);
      }
    distinct += seen.size();
  }
  into.lost = expected > distinct ? expected - distinct : 0;
  into.twice = into.evaluations - distinct;
  return {};
}

} // namespace

result<scale_bench_report> run_scale_bench(const scale_bench_settings& settings, const fleet_starter& start_fleet,
                                           const std::function<void(const std::string&, std::uint64_t)>& progress) {
  if (settings.agents == 0 || settings.sessions == 0 || settings.evaluations < settings.sessions)
    return error{errc::usage, "bench scale: expected at least one agent and one evaluation for each session"};
  KEVOLVE_TRY(memory, kb::store::open(settings.directory / "store", kb::access::read_write));
  KEVOLVE_TRY(own, make_key("scheduler", key_role::scheduler));
  auto allowed = std::make_shared<allow_list>(settings.directory / "allowed");
  simulated_fleet_settings fleet;
  fleet.endpoint = free_endpoint();
  fleet.seed = settings.seed;
  fleet.mean_evaluation_s = settings.rate > 0 ? settings.agents * leases_per_agent / settings.rate : 0;
  KEVOLVE_TRY(keys, make_keys(settings.agents, own, *allowed));
  fleet.keys = std::move(keys);

  zmq::context_t sockets(1);
  KEVOLVE_TRY(gate, gatekeeper::open(sockets.handle(), allowed));
  auto frozen = std::make_shared<work_times>();
  engine_parts parts;
  parts.make_generator = made_up::generator(settings.source_bytes);
  parts.open_link = [&](link_callbacks callbacks) {
    return link::open(fleet.endpoint, sockets.handle(), "kevolve", std::move(callbacks), link_security{own, allowed});
  };
  parts.synthesizers = 1;
  parts.detach_synthesizers = false;
  parts.verify = false;
  parts.work_frozen = [frozen](const std::string& task) { frozen->note(task); };
  KEVOLVE_TRY(engine, start_engine(*memory, settings.threads, std::move(parts)));

  scale_bench_report report;
  report.before = own_resident();
  auto began = steady::now();
  KEVOLVE_TRY(running, start_fleet(fleet));
  KEVOLVE_TRY_VOID(await_agents(*engine, settings.agents, progress));
  report.agents = settings.agents;
  report.connect_s = seconds_since(began);

  const double cpu_before = own_cpu_s();
  began = steady::now();
  KEVOLVE_TRY_VOID(run_sessions(*engine, settings, progress));
  report.wall_s = seconds_since(began);
  report.cpu_s = own_cpu_s() - cpu_before;
  report.at_end = own_resident();
  report.descriptors = own_descriptors();
  KEVOLVE_TRY(seen, running->end());
  engine.reset();
  report.dispatch = frozen->latency(seen.leases);
  report.steady_per_s = steady_rate(seen.leases);
  seen.leases.clear();
  report.fleet = std::move(seen);
  KEVOLVE_TRY_VOID(count(*memory, std::uint64_t{settings.evaluations / settings.sessions} * settings.sessions, report));
  return report;
}

} // namespace kevolve
