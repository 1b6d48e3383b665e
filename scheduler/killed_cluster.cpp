#include "scheduler/killed_cluster.hpp"

#include "actors/client_port.hpp"
#include "kb/store.hpp"
#include "protocol/rng.hpp"
#include "scheduler/child.hpp"
#include "scheduler/cluster_keys.hpp"

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
    while (kills_ < kills_of_a_cluster && !signals.received()) {
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
    (void)agents_there(); // whoever is on the list now is no newcomer, should it be killed
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
    for (const pid_t each : left) {
      std::string line = text_of(fs::path("/proc") / std::to_string(each) / "cmdline");
      std::replace(line.begin(), line.end(), '\0', ' ');
      const std::string stat = text_of(fs::path("/proc") / std::to_string(each) / "stat");
      const std::string state = stat.substr(std::min(stat.size(), stat.rfind(')') + 1), 3); // " T " is stopped
      told_["faults"].push_back(fmt::format("orphans: process {} (state{}) is left ten seconds after {}: {}", each, state, when, line.substr(0, 100)));
      ::kill(each, SIGKILL); // counted once
    }
  }

  void stop_all() {
    for (const char* each : {"one", "two", "scheduler"}) {
      auto& child = running_[each];
      ::kill(child->pid(), SIGTERM);
      const auto status = child->wait_for(start_limit);
      if (!status || (*status != 0 && *status != 128 + SIGTERM)) // an agent that has just been started has no handler yet
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

} // namespace

result<nlohmann::ordered_json> kill_a_cluster(const kill_options& options, const fs::path& folder, const fs::path& cache, std::uint32_t number, const interruption& signals) {
  cluster_round round(options, folder, cache, number);
  auto told = round.run(signals);
  if (!told)
    return error{told.error().code, told.error().message + '\n' + round.logs()};
  return told;
}

} // namespace kevolve::scheduler
