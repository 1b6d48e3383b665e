// kevolve bench kill --cluster: `kevolve serve` and two kevolve-agent as real processes, sessions submitted one after the other, and at random
// moments SIGKILL to any of the three (started again at once), or SIGSTOP for up to eight seconds (a lease's heartbeats run out after five). A
// round is a cluster of its own and some faults; then its sessions must come to their end. Checked: what was durable at each death of the scheduler
// is still there, unchanged; each session has exactly the evaluations that were asked for, none twice; views equal the log; no process is left.
#include "actors/client_port.hpp"
#include "actors/engine_bench.hpp"
#include "protocol/rng.hpp"
#include "scheduler/campaign.hpp"
#include "scheduler/child.hpp"
#include "scheduler/cluster_keys.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <netinet/in.h>
#include <set>
#include <sstream>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;
using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint32_t kills_of_a_round = 10;
constexpr auto start_limit = std::chrono::seconds(60);
constexpr auto session_limit = std::chrono::minutes(5);
constexpr auto orphan_patience = std::chrono::seconds(10); // of a dead agent's judges and candidates, to follow it
constexpr const char* members[] = {"scheduler", "one", "two"};

double seconds_since(clock::time_point t) { return std::chrono::duration<double>(clock::now() - t).count(); }

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The first of two neighbouring loopback ports that nobody listens on: agents, people.
int free_ports(rng& draw) {
  for (;;) {
    const int port = 20'000 + static_cast<int>(draw.below(20'000)) * 2;
    bool free = true;
    for (const int each : {port, port + 1}) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_port = htons(static_cast<std::uint16_t>(each));
      at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      free &= ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
      ::close(fd);
    }
    if (free)
      return port;
  }
}

class cluster_round {
public:
  cluster_round(const kill_options& options, fs::path folder, fs::path cache, std::uint32_t number)
      : options_(options), folder_(std::move(folder)), cache_(std::move(cache)), draw_(options.seed, number, "cluster"), told_{{"round", number}, {"faults", object::array()}} {}

  result<object> run(const interruption& signals) {
    KEVOLVE_TRY_VOID(set_up());
    for (const char* each : members)
      KEVOLVE_TRY_VOID(start(each));
    KEVOLVE_TRY_VOID(await("both agents", [this] { return agents_there() == 2; }));
    rejoined_at_.clear(); // the first time is no coming back
    while (kills_ < kills_of_a_round && !signals.received()) {
      KEVOLVE_TRY_VOID(keep_busy());
      look_about(draw_.uniform() * 3);
      KEVOLVE_TRY_VOID(strike());
    }
    KEVOLVE_TRY_VOID(await("the end of " + session_, [this] { return session_.empty() || ended(session_); }));
    stop_all();
    check_orphans("the end");
    KEVOLVE_TRY_VOID(check_store());
    told_["kills"] = kills_;
    told_["pauses"] = pauses_;
    told_["sessions"] = sessions_.size();
    told_["dispatch_s"] = dispatch_s_;
    told_["rejoin_s"] = rejoin_s_;
    return told_;
  }

  /// For whoever reads a bad round.
  [[nodiscard]] std::string logs() const {
    std::string all;
    for (const char* each : members) {
      const std::string text = text_of(folder_ / (std::string(each) + ".err"));
      all += fmt::format("--- {}\n{}\n", each, text.size() > 1500 ? text.substr(text.size() - 1500) : text);
    }
    return all;
  }

private:
  result<void> set_up() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
    fs::create_directories(folder_ / "data");
    if (options_.stored > 0)
      for (const char* each : {"data.mdb", "writer.lock"})
        fs::copy_file(folder_.parent_path() / "stored" / each, folder_ / "data" / each);
    const int port = free_ports(draw_);
    endpoint_ = fmt::format("tcp://127.0.0.1:{}", port);
    people_ = fmt::format("tcp://127.0.0.1:{}", port + 1);
    KEVOLVE_TRY(keys, cluster_keys::open(folder_ / "data"));
    for (const auto& [name, role] : {std::pair("fleet", key_role::agent), std::pair("person", key_role::client)}) {
      KEVOLVE_TRY(key, make_key(name, role));
      key.scheduler = keys.own.public_key;
      KEVOLVE_TRY_VOID(keys.allowed->add({key.public_key, role, key.name}));
      KEVOLVE_TRY_VOID(write_key(folder_ / (key.name + ".key"), key));
      if (role == key_role::client)
        person_ = key;
    }
    return {};
  }

  result<void> start(const std::string& who) {
    std::vector<std::string> line;
    if (who == "scheduler")
      line = {options_.executable, "serve", "--listen", endpoint_, "--data", (folder_ / "data").string(), "--cache", cache_.string()};
    else
      line = {(fs::path(options_.executable).parent_path() / "kevolve-agent").string(), "--scheduler", endpoint_, "--key", (folder_ / "fleet.key").string(), "--name", who, "--cache",
              (folder_ / ("cache-" + who)).string(), "--compile-slots", "1"};
    if (who != "scheduler") { // each agent has a spool of its own; what was calibrated is shared
      std::error_code ignored;
      fs::create_directories(folder_ / ("cache-" + who), ignored);
    }
    KEVOLVE_TRY(child, background_child::start(line, (folder_ / (who + ".out")).string(), (folder_ / (who + ".err")).string()));
    running_[who] = std::make_unique<background_child>(std::move(child));
    return {};
  }

  result<object> ask(const std::string& what, const std::string& about = {}) const {
    KEVOLVE_TRY(text, ask_scheduler(people_, person_, {client_protocol_version, what, about, std::nullopt}, 1));
    return object::parse(text, nullptr, false);
  }

  std::size_t agents_there() {
    const auto all = ask("agents");
    if (!all || !all->is_array())
      return 0;
    note_events(*all);
    return all->size();
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

  bool ended(const std::string& session) const {
    const auto shown = ask("show", session);
    return shown && shown->is_object() && shown->contains("stopped_by") && !(*shown)["stopped_by"].is_null() && (*shown)["stopped_by"] != "" && (*shown)["stopped_by"] != "paused" &&
           (*shown)["stopped_by"] != "the scheduler stops";
  }

  result<void> await(const std::string& what, const std::function<bool()>& is_true) {
    for (const auto since = clock::now(); clock::now() - since < session_limit;) {
      if (is_true())
        return {};
      (void)agents_there();
      std::this_thread::sleep_for(milliseconds(50));
    }
    return error{errc::timeout, fmt::format("{} did not come within {} minutes", what, session_limit.count())};
  }

  /// There is always a session that runs.
  result<void> keep_busy() {
    if (!session_.empty() && !ended(session_))
      return {};
    std::vector<std::string> line{options_.executable, "submit", options_.spec, "--evaluations", std::to_string(options_.evaluations), "--baselines", "none", "--seed", std::to_string(options_.seed + sessions_.size()), "--scheduler", endpoint_, "--key", (folder_ / "person.key").string(), "--json"};
    if (!options_.workloads.empty()) {
      line.emplace_back("--workload");
      line.insert(line.end(), options_.workloads.begin(), options_.workloads.end());
    }
    for (const auto since = clock::now(); clock::now() - since < start_limit;) {
      KEVOLVE_TRY(child, background_child::start(line, (folder_ / "submit.out").string(), (folder_ / "submit.err").string()));
      const auto status = child.wait_for(start_limit);
      const auto answer = object::parse(text_of(folder_ / "submit.out"), nullptr, false);
      if (status && *status == 0 && answer.is_array() && !answer.empty()) {
        session_ = answer[0]["session"];
        sessions_.push_back(session_);
        return {};
      }
      if (status && (*status == 2 || *status == 4))
        break; // what we ask for is wrong
      std::this_thread::sleep_for(milliseconds(200)); // the scheduler is on its way back
    }
    return error{errc::infrastructure, "a session could not be submitted: " + text_of(folder_ / "submit.err")};
  }

  void look_about(double seconds) {
    for (const auto since = clock::now(); seconds_since(since) < seconds;) {
      (void)agents_there();
      std::this_thread::sleep_for(milliseconds(20));
    }
  }

  result<void> strike() {
    const std::string who = members[draw_.below(std::size(members))];
    const pid_t pid = running_[who]->pid();
    if (draw_.chance(0.25)) {
      ++pauses_;
      ::kill(pid, SIGSTOP);
      std::this_thread::sleep_for(milliseconds(100 + draw_.below(8'000)));
      ::kill(pid, SIGCONT);
      return {};
    }
    ++kills_;
    ::kill(pid, SIGKILL);
    if (running_[who]->wait_for(start_limit) != 128 + SIGKILL)
      told_["faults"].push_back(fmt::format("died: {} had ended by itself before it was killed", who));
    if (who == "scheduler") {
      KEVOLVE_TRY_VOID(compare_with_before());
    } else {
      check_orphans(who);
    }
    KEVOLVE_TRY_VOID(start(who));
    if (who == "scheduler")
      dispatch_due_ = clock::now();
    else
      rejoined_at_[who] = clock::now();
    return {};
  }

  /// Processes of ours that belong to nobody who runs.
  void check_orphans(const std::string& when) {
    std::set<pid_t> left;
    for (const auto since = clock::now(); clock::now() - since < orphan_patience; std::this_thread::sleep_for(milliseconds(50))) {
      const auto all = descendants_of(::getpid());
      left = {all.begin(), all.end()};
      for (const auto& [name, child] : running_)
        if (child && child->pid() > 0) {
          left.erase(child->pid());
          for (const pid_t each : descendants_of(child->pid()))
            left.erase(each);
        }
      std::erase_if(left, [](pid_t each) { return ::waitpid(each, nullptr, WNOHANG) == each; }); // ours by adoption, and dead
      if (left.empty())
        return;
    }
    told_["faults"].push_back(fmt::format("orphans: {} processes are left ten seconds after {}", left.size(), when));
  }

  void stop_all() {
    for (const char* each : {"one", "two", "scheduler"}) {
      auto& child = running_[each];
      ::kill(child->pid(), SIGTERM);
      const auto status = child->wait_for(start_limit);
      if (!status || *status != 0)
        told_["faults"].push_back(fmt::format("end: {} ended with {}", each, status ? std::to_string(*status) : "nothing, in a minute"));
    }
    running_.clear();
  }

  /// While nobody writes: everything that was durable before is there, unchanged.
  result<void> compare_with_before() {
    KEVOLVE_TRY(memory, kb::store::open(folder_ / "data", kb::access::read_only));
    for (const auto& [session, known] : durable_) {
      const auto now = memory->digest(session, known.first);
      if (!now || *now != known.second)
        told_["faults"].push_back(fmt::format("lost: of {} the first {} events are not what they were", session, known.first));
    }
    for (const std::string& session : sessions_) {
      KEVOLVE_TRY(events, memory->events(session));
      KEVOLVE_TRY(digest, memory->digest(session, events.size()));
      durable_[session] = {events.size(), digest};
    }
    return {};
  }

  result<void> check_store() {
    KEVOLVE_TRY_VOID(compare_with_before());
    KEVOLVE_TRY(memory, kb::store::open(folder_ / "data", kb::access::read_only));
    KEVOLVE_TRY(checked, memory->check(false));
    for (const std::string& each : checked.damage)
      told_["faults"].push_back("damage: " + each);
    std::uint64_t evaluations = 0;
    for (const std::string& session : sessions_) {
      KEVOLVE_TRY(events, memory->events(session));
      std::uint64_t recorded = 0;
      std::set<node_number> seen;
      for (const event& e : events)
        if (const auto* it = std::get_if<evaluation_recorded>(&e))
          ++recorded, seen.insert(it->number);
      evaluations += recorded;
      if (recorded != seen.size())
        told_["faults"].push_back(fmt::format("twice: {} has {} evaluations of {} proposals", session, recorded, seen.size()));
      if (seen.size() != options_.evaluations || !std::holds_alternative<session_finished>(events.back()))
        told_["faults"].push_back(fmt::format("count: {} has {} evaluations, expected {}", session, seen.size(), options_.evaluations));
    }
    told_["evaluations"] = evaluations;
    return {};
  }

  const kill_options& options_;
  const fs::path folder_, cache_;
  rng draw_;
  object told_;
  std::string endpoint_, people_, session_;
  key_file person_;
  std::vector<std::string> sessions_;
  std::map<std::string, std::unique_ptr<background_child>> running_;
  std::map<std::string, clock::time_point> rejoined_at_; // agents that were started again and are not heard of yet: since when
  std::set<std::string> lives_;         // of agents, seen so far
  std::optional<clock::time_point> dispatch_due_; // the scheduler was started again, nobody has a lease yet
  std::map<session_id, std::pair<std::uint64_t, std::string>> durable_; // events and their digest when nobody wrote
  std::vector<double> dispatch_s_, rejoin_s_;
  std::uint32_t kills_ = 0, pauses_ = 0;
};

/// A store that holds so many results already, once for all rounds.
result<void> prepare_stored(context& in, const kill_options& options, const fs::path& folder) {
  if (options.stored == 0 || fs::exists(folder / "stored"))
    return {};
  const fs::path partial = folder / "stored.part";
  std::error_code ignored;
  fs::remove_all(partial, ignored);
  engine_bench_settings filling;
  filling.directory = partial;
  filling.candidates = options.stored;
  KEVOLVE_TRY_VOID(run_engine_bench(filling, [&](std::uint32_t done) { in.out.progress(fmt::format("{}/{} results stored", done, options.stored), false); }));
  fs::rename(partial, folder / "stored");
  return {};
}

object quantiles(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  if (all.empty())
    return {{"count", 0}};
  return {{"count", all.size()}, {"median_s", all[all.size() / 2]}, {"p99_s", all[std::min(all.size() - 1, all.size() * 99 / 100)]}, {"longest_s", all.back()}};
}

int summarise(context& in, const campaign& record) {
  object total{{"rounds", record.trials().size()}}, faults = object::array();
  std::map<std::string, std::uint64_t> sums;
  std::vector<double> dispatch, rejoin;
  for (const object& trial : record.trials()) {
    for (const char* each : {"kills", "pauses", "sessions", "evaluations"})
      sums[each] += trial[each].get<std::uint64_t>();
    for (const double s : trial["dispatch_s"])
      dispatch.push_back(s);
    for (const double s : trial["rejoin_s"])
      rejoin.push_back(s);
    for (const object& fault : trial["faults"])
      faults.push_back({{"round", trial["round"]}, {"fault", fault}});
  }
  const auto count = [&](const std::string& kind) {
    return std::count_if(faults.begin(), faults.end(), [&](const object& f) { return f["fault"].get<std::string>().starts_with(kind + ":"); });
  };
  for (const char* each : {"kills", "pauses", "sessions", "evaluations"})
    total[each] = sums[each];
  for (const char* each : {"lost", "twice", "count", "orphans", "damage", "died", "end"})
    total[each] = count(each);
  total["scheduler_to_first_lease"] = quantiles(dispatch);
  total["agent_to_rejoined"] = quantiles(rejoin);
  total["faults"] = faults;
  in.out.answer(total.dump(2));
  const auto shown = [](const object& q) {
    return q["count"] == 0 ? std::string("none seen") : fmt::format("{} times, median {}, p99 {}", q["count"].get<int>(), show_latency(q["median_s"]), show_latency(q["p99_s"]));
  };
  std::string text = fmt::format("{} kills and {} pauses over {} sessions ({} evaluations): {} lost, {} counted twice, {} sessions with another count, {} with orphans, {} damaged\n"
                                 "scheduler started again to the first lease at an agent: {}\nagent started again to the scheduler's list: {}\n",
                                 sums["kills"], sums["pauses"], sums["sessions"], sums["evaluations"], count("lost"), count("twice"), count("count"), count("orphans"), count("damage"),
                                 shown(total["scheduler_to_first_lease"]), shown(total["agent_to_rejoined"]));
  for (const object& f : faults)
    text += fmt::format("  round {}: {}\n", f["round"].get<std::uint32_t>(), f["fault"].get<std::string>());
  in.out.say(text);
  return faults.empty() ? 0 : 1;
}

} // namespace

result<int> bench_kill_cluster(context& in, const kill_options& options) {
  KEVOLVE_TRY_VOID(prepare_data(in));
  const fs::path folder = in.configured.data / "bench" / "kill-cluster";
  KEVOLVE_TRY(record, campaign::open(folder / "rounds.jsonl", object{{"campaign", "kill-cluster"}, {"spec", options.spec}, {"workloads", options.workloads},
                                                                     {"evaluations", options.evaluations}, {"seed", options.seed}, {"stored", options.stored}}));
  adopt_orphans();
  KEVOLVE_TRY_VOID(prepare_stored(in, options, folder));
  const std::uint32_t rounds = (options.rounds + kills_of_a_round - 1) / kills_of_a_round;
  for (auto number = static_cast<std::uint32_t>(record.trials().size()); number < rounds; ++number) {
    cluster_round round(options, folder / fmt::format("round-{:04}", number), in.configured.cache, number);
    auto told = round.run(in.signals);
    if (in.signals.received())
      return in.signals.exit_code();
    if (!told)
      return error{told.error().code, fmt::format("round {}: {}\n{}", number, told.error().message, round.logs())};
    if ((*told)["faults"].empty())
      fs::remove_all(folder / fmt::format("round-{:04}", number));
    KEVOLVE_TRY_VOID(record.add(*told));
    in.out.progress(fmt::format("{}/{} clusters of {} kills{}", number + 1, rounds, kills_of_a_round, (*told)["faults"].empty() ? "" : "  bad: " + (*told)["faults"][0].get<std::string>()), true);
  }
  return summarise(in, record);
}

} // namespace kevolve::scheduler
