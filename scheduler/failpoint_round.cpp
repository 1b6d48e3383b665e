#include "scheduler/failpoint_round.hpp"

#include "scheduler/live_cluster.hpp"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;
using clock = std::chrono::steady_clock;

constexpr auto grace = std::chrono::seconds(20); // behind the session's end: an answer is repeated after five seconds, a drained agent waits for its last acknowledgement

/// How often a short session surely comes by.
std::uint64_t passages(failpoint at) {
  switch (at) {
    case failpoint::log_before_commit:
    case failpoint::log_after_commit:
    case failpoint::piece_before_relay:
    case failpoint::piece_before_send:
    case failpoint::piece_came: return 8;
    case failpoint::grant_before_send:
    case failpoint::answer_came:
    case failpoint::acknowledgement_before_send: return 6;
    default: return 1;
  }
}

class failpoint_round {
public:
  failpoint_round(const kill_options& options, const failpoint_description& where, fs::path folder, fs::path cache)
      : where_(where), draw_(options.seed, static_cast<std::uint64_t>(where.at), "failpoint"), cluster_(options, folder, std::move(cache)), folder_(std::move(folder)) {
    if (where.process == failpoint_process::scheduler)
      who_ = "scheduler";
    else if (where.process == failpoint_process::agent)
      who_ = where.at == failpoint::piece_came                                                      ? "two"
             : where.at == failpoint::program_made || where.at == failpoint::piece_before_send ? "one"
                                                                                                    : live_cluster::members[1 + draw_.below(2)];
    times_ = 1 + draw_.below(passages(where.at));
    armed_ = fmt::format("{}:{}", where.name, times_);
  }

  result<object> run() {
    const bool dies_in_its_second_life = where_.at == failpoint::resume_before_start;
    KEVOLVE_TRY_VOID(cluster_.set_up(draw_));
    cluster_.compiles_elsewhere("two");
    for (const std::string each : live_cluster::members)
      KEVOLVE_TRY_VOID(cluster_.start(each, each == who_ && !dies_in_its_second_life ? armed_ : ""));
    KEVOLVE_TRY_VOID(await("both agents", [this] { return both_work(); }));
    KEVOLVE_TRY(session, cluster_.submit([this] { return revive(); }));
    if (dies_in_its_second_life || where_.at == failpoint::drain_told || where_.at == failpoint::goodbye_before_send) {
      KEVOLVE_TRY_VOID(await("an evaluation", [&] { return evaluations(session) > 0; }));
      KEVOLVE_TRY_VOID(dies_in_its_second_life ? kill_and_arm() : drain());
    }
    std::optional<clock::time_point> over;
    KEVOLVE_TRY_VOID(await("the end", [&] {
      if (!over && all_ended())
        over = clock::now();
      return over && (is_done() || clock::now() - *over > grace);
    }));
    if (!is_done())
      cluster_.fault(fmt::format("unreached: {} did not die at {}", who_, armed_));
    KEVOLVE_TRY_VOID(await("both agents, at the end", [this] { return cluster_.agents().size() == 2; }));
    KEVOLVE_TRY_VOID(cluster_.take_all_sessions());
    check_leaders();
    if (where_.at == failpoint::snapshot_before_rename)
      KEVOLVE_TRY_VOID(snapshot());
    cluster_.stop_all();
    cluster_.check_orphans("the end");
    if (where_.at == failpoint::seal_before_commit || where_.at == failpoint::seal_after_commit)
      KEVOLVE_TRY_VOID(seal());
    KEVOLVE_TRY(counted, cluster_.check_store());
    return object{{"failpoint", where_.name}, {"who", who_.empty() ? "kevolve kb" : who_}, {"times", times_}, {"sessions", cluster_.sessions().size()}, {"evaluations", counted}, {"faults", cluster_.faults()}};
  }

  [[nodiscard]] std::string logs() const { return cluster_.logs(); }

private:
  [[nodiscard]] bool is_done() const { return died_ || where_.process == failpoint_process::command; }

  /// Whoever is to die is started again when it has.
  result<void> revive() {
    if (who_.empty() || died_)
      return {};
    const auto status = cluster_.process(who_).wait_for(std::chrono::milliseconds(0));
    if (!status)
      return {};
    died_ = true;
    if (*status != 128 + SIGKILL)
      cluster_.fault(fmt::format("died: {} ended with {} in place of dying at {}", who_, *status, armed_));
    if (who_ == "scheduler") {
      KEVOLVE_TRY_VOID(cluster_.compare_with_before());
    } else {
      cluster_.check_orphans(who_);
    }
    return cluster_.start(who_);
  }

  result<void> await(const std::string& what, const std::function<bool()>& is_true) {
    std::optional<error> trouble;
    KEVOLVE_TRY_VOID(cluster_.await(what, [&] {
      if (auto revived = revive(); !revived)
        trouble = revived.error();
      return trouble || is_true();
    }));
    return trouble ? result<void>(*trouble) : result<void>();
  }

  bool both_work() const {
    const object all = cluster_.agents();
    return all.size() == 2 && std::all_of(all.begin(), all.end(), [](const object& a) { return a["compiles"].get<bool>() || a["compiled_elsewhere"].get<bool>(); });
  }

  std::uint64_t evaluations(const std::string& session) const {
    const auto shown = cluster_.ask("show", session);
    return shown && shown->is_object() && shown->contains("evaluations") ? (*shown)["evaluations"].get<std::uint64_t>() : 0;
  }

  bool all_ended() const {
    const auto all = cluster_.ask("sessions");
    return all && all->is_array() && !all->empty() && std::all_of(all->begin(), all->end(), [this](const object& s) { return cluster_.ended(s["session"]); });
  }

  result<void> kill_and_arm() {
    ::kill(cluster_.process(who_).pid(), SIGKILL);
    (void)cluster_.process(who_).wait_for(live_cluster::start_limit);
    KEVOLVE_TRY_VOID(cluster_.compare_with_before());
    return cluster_.start(who_, armed_);
  }

  result<void> drain() {
    ::kill(cluster_.process(who_).pid(), SIGTERM);
    return {};
  }

  void check_leaders() {
    for (const std::string& session : cluster_.sessions()) {
      const auto shown = cluster_.ask("show", session);
      if (!shown || !shown->is_object() || !(*shown)["best"].is_object() || (*shown)["best"]["verified"] != true)
        cluster_.fault(fmt::format("leader: {} has no verified leader", session));
    }
  }

  /// A command that dies at the failpoint, and once more without it.
  result<void> twice(const std::vector<std::string>& words, const std::function<void()>& between) {
    KEVOLVE_TRY(first, cluster_.command(words, armed_));
    if (first != 128 + SIGKILL)
      cluster_.fault(fmt::format("unreached: kevolve {} {} ended with {} in place of dying at {}", words[0], words[1], first, armed_));
    between();
    KEVOLVE_TRY(second, cluster_.command(words));
    if (second != 0)
      cluster_.fault(fmt::format("end: kevolve {} {} ended with {} after it had died at {}", words[0], words[1], second, armed_));
    return {};
  }

  result<void> check(const fs::path& store) {
    KEVOLVE_TRY(status, cluster_.command({"kb", "check", "--data", store.string()}));
    if (status != 0)
      cluster_.fault(fmt::format("damage: kevolve kb check of {} ended with {}", store.string(), status));
    return {};
  }

  result<void> snapshot() {
    const fs::path copy = folder_ / "copy";
    KEVOLVE_TRY_VOID(twice({"kb", "snapshot", copy.string(), "--data", cluster_.data().string()}, [&] {
      if (fs::exists(copy / "data.mdb"))
        cluster_.fault("damage: a snapshot that was not finished passes for a store");
    }));
    return check(copy);
  }

  result<void> seal() {
    KEVOLVE_TRY_VOID(cluster_.compare_with_before());
    result<void> compared;
    KEVOLVE_TRY_VOID(twice({"kb", "compact", "--data", cluster_.data().string()}, [&] { compared = cluster_.compare_with_before(); }));
    KEVOLVE_TRY_VOID(compared);
    return check(cluster_.data());
  }

  const failpoint_description& where_;
  rng draw_;
  live_cluster cluster_;
  const fs::path folder_;
  std::string who_, armed_;
  std::uint64_t times_ = 1;
  bool died_ = false;
};

} // namespace

result<nlohmann::ordered_json> die_at_failpoint(const kill_options& options, const failpoint_description& where, const fs::path& folder, const fs::path& cache) {
  failpoint_round round(options, where, folder, cache);
  auto told = round.run();
  if (!told)
    return error{told.error().code, told.error().message + '\n' + round.logs()};
  return told;
}

} // namespace kevolve::scheduler
