#include "scheduler/killed_cluster.hpp"

#include "scheduler/live_cluster.hpp"

#include <csignal>
#include <fmt/format.h>
#include <set>
#include <thread>

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;
using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

double seconds_since(clock::time_point t) { return std::chrono::duration<double>(clock::now() - t).count(); }

class cluster_round {
public:
  cluster_round(const kill_options& options, std::filesystem::path folder, std::filesystem::path cache, std::uint32_t number)
      : draw_(options.seed, number, "cluster"), cluster_(options, std::move(folder), std::move(cache)), told_{{"round", number}} {}

  result<object> run(const interruption& signals) {
    KEVOLVE_TRY_VOID(cluster_.set_up(draw_));
    for (const char* each : live_cluster::members)
      KEVOLVE_TRY_VOID(cluster_.start(each));
    KEVOLVE_TRY_VOID(cluster_.await("both agents", [this] { return agents_there() == 2; }));
    rejoined_at_.clear(); // the first time is no coming back
    while (kills_ < kills_of_a_cluster && !signals.received()) {
      KEVOLVE_TRY_VOID(keep_busy());
      look_about(draw_.uniform() * 3);
      KEVOLVE_TRY_VOID(strike());
    }
    KEVOLVE_TRY_VOID(cluster_.await("the end of " + session_, [this] { return (void)agents_there(), session_.empty() || cluster_.ended(session_); }));
    cluster_.stop_all();
    cluster_.check_orphans("the end");
    KEVOLVE_TRY(evaluations, cluster_.check_store());
    told_["faults"] = cluster_.faults();
    told_["evaluations"] = evaluations;
    told_["kills"] = kills_;
    told_["pauses"] = pauses_;
    told_["sessions"] = cluster_.sessions().size();
    told_["dispatch_s"] = dispatch_s_;
    told_["rejoin_s"] = rejoin_s_;
    return told_;
  }

  [[nodiscard]] std::string logs() const { return cluster_.logs(); }

private:
  std::size_t agents_there() {
    const object all = cluster_.agents();
    note_events(all);
    return all.size();
  }

  /// Whether somebody who was started again is back, and works.
  void note_events(const object& agents) {
    bool leased = false;
    for (const object& a : agents) {
      const std::string name = a["agent"].get<std::string>(), short_name = name.substr(name.find('.') + 1), life = a["incarnation"];
      leased |= a["leases"].get<int>() > 0 && a["silent_s"].get<double>() < 2;
      const bool is_new = lives_.insert(life).second;
      if (const auto due = rejoined_at_.find(short_name); due != rejoined_at_.end() && is_new) {
        rejoin_s_.push_back(seconds_since(due->second));
        rejoined_at_.erase(due);
      }
    }
    if (leased && dispatch_due_) {
      dispatch_s_.push_back(seconds_since(*dispatch_due_));
      dispatch_due_.reset();
    }
  }

  /// There is always a session that runs.
  result<void> keep_busy() {
    if (!session_.empty() && !cluster_.ended(session_))
      return {};
    KEVOLVE_TRY(session, cluster_.submit());
    session_ = session;
    return {};
  }

  void look_about(double seconds) {
    for (const auto since = clock::now(); seconds_since(since) < seconds;) {
      (void)agents_there();
      std::this_thread::sleep_for(milliseconds(20));
    }
  }

  result<void> strike() {
    (void)agents_there(); // whoever is on the list now is no newcomer, should it be killed
    const std::string who = live_cluster::members[draw_.below(std::size(live_cluster::members))];
    const pid_t pid = cluster_.process(who).pid();
    if (draw_.chance(0.25)) {
      ++pauses_;
      ::kill(pid, SIGSTOP);
      std::this_thread::sleep_for(milliseconds(100 + draw_.below(8'000)));
      ::kill(pid, SIGCONT);
      return {};
    }
    ++kills_;
    ::kill(pid, SIGKILL);
    if (cluster_.process(who).wait_for(live_cluster::start_limit) != 128 + SIGKILL)
      cluster_.fault(fmt::format("died: {} had ended by itself before it was killed", who));
    if (who == "scheduler") {
      KEVOLVE_TRY_VOID(cluster_.compare_with_before());
    } else {
      cluster_.check_orphans(who);
    }
    KEVOLVE_TRY_VOID(cluster_.start(who));
    if (who == "scheduler")
      dispatch_due_ = clock::now();
    else
      rejoined_at_[who] = clock::now();
    return {};
  }

  rng draw_;
  live_cluster cluster_;
  object told_;
  std::string session_;
  std::map<std::string, clock::time_point> rejoined_at_; // agents that were started again and are not heard of yet: since when
  std::set<std::string> lives_;         // of agents, seen so far
  std::optional<clock::time_point> dispatch_due_; // the scheduler was started again, nobody has a lease yet
  std::vector<double> dispatch_s_, rejoin_s_;
  std::uint32_t kills_ = 0, pauses_ = 0;
};

} // namespace

result<nlohmann::ordered_json> kill_a_cluster(const kill_options& options, const std::filesystem::path& folder, const std::filesystem::path& cache, std::uint32_t number, const interruption& signals) {
  cluster_round round(options, folder, cache, number);
  auto told = round.run(signals);
  if (!told)
    return error{told.error().code, told.error().message + '\n' + round.logs()};
  return told;
}

} // namespace kevolve::scheduler
