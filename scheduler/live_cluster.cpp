#include "scheduler/live_cluster.hpp"

#include "kb/store.hpp"
#include "scheduler/cluster_keys.hpp"

#include <algorithm>
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

constexpr auto orphan_patience = std::chrono::seconds(10); // of a dead agent's judges and candidates, to follow it

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

} // namespace

result<void> live_cluster::set_up(rng& draw) {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
  fs::create_directories(folder_ / "data");
  if (options_.stored > 0)
    for (const char* each : {"data.mdb", "writer.lock"})
      fs::copy_file(folder_.parent_path() / "stored" / each, folder_ / "data" / each);
  const int port = free_ports(draw);
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

result<void> live_cluster::start(const std::string& who, const std::string& failpoint) {
  std::vector<std::string> line;
  if (!failpoint.empty())
    line = {"env", "KEVOLVE_FAILPOINT=" + failpoint};
  if (who == "scheduler") {
    line.insert(line.end(), {options_.executable, "serve", "--listen", endpoint_, "--data", data().string(), "--cache", cache_.string()});
  } else {
    const fs::path cache = folder_ / ("cache-" + who); // each has a spool of its own
    std::error_code ignored;
    fs::create_directories(cache, ignored);
    fs::copy(folder_.parent_path() / "roofs", cache / "roofs", fs::copy_options::recursive | fs::copy_options::skip_existing, ignored); // measured once for all rounds
    line.insert(line.end(), {(fs::path(options_.executable).parent_path() / "kevolve-agent").string(), "--scheduler", endpoint_, "--key", (folder_ / "fleet.key").string(), "--name", who, "--cache", cache.string(),
                             "--compile-slots", "1"});
    if (who == bare_)
      line.insert(line.end(), {"--compile-elsewhere", "--piece-kib", "1"});
  }
  KEVOLVE_TRY(child, background_child::start(line, (folder_ / (who + ".out")).string(), (folder_ / (who + ".err")).string()));
  running_[who] = std::make_unique<background_child>(std::move(child));
  return {};
}

result<object> live_cluster::ask(const std::string& what, const std::string& about) const {
  KEVOLVE_TRY(text, ask_scheduler(people_, person_, {client_protocol_version, what, about, std::nullopt}, 1));
  return object::parse(text, nullptr, false);
}

object live_cluster::agents() const {
  const auto all = ask("agents");
  return all && all->is_array() ? *all : object::array();
}

bool live_cluster::ended(const std::string& session) const {
  const auto shown = ask("show", session);
  return shown && shown->is_object() && shown->contains("stopped_by") && !(*shown)["stopped_by"].is_null() && (*shown)["stopped_by"] != "" && (*shown)["stopped_by"] != "paused" &&
         (*shown)["stopped_by"] != "the scheduler stops";
}

result<void> live_cluster::await(const std::string& what, const std::function<bool()>& is_true) const {
  for (const auto since = clock::now(); clock::now() - since < session_limit;) {
    if (is_true())
      return {};
    std::this_thread::sleep_for(milliseconds(50));
  }
  return error{errc::timeout, fmt::format("{} did not come within {} minutes", what, session_limit.count())};
}

result<std::string> live_cluster::submit(const std::function<result<void>()>& meanwhile) {
  std::vector<std::string> line{options_.executable, "submit", options_.spec, "--evaluations", std::to_string(options_.evaluations), "--baselines", "none", "--seed", std::to_string(options_.seed + sessions_.size()), "--scheduler", endpoint_, "--key", (folder_ / "person.key").string(), "--json"};
  if (!options_.workloads.empty()) {
    line.emplace_back("--workload");
    line.insert(line.end(), options_.workloads.begin(), options_.workloads.end());
  }
  for (const auto since = clock::now(); clock::now() - since < start_limit;) {
    KEVOLVE_TRY(child, background_child::start(line, (folder_ / "submit.out").string(), (folder_ / "submit.err").string()));
    std::optional<int> status;
    for (const auto asked = clock::now(); !status && clock::now() - asked < start_limit;) {
      status = child.wait_for(milliseconds(100));
      if (meanwhile)
        KEVOLVE_TRY_VOID(meanwhile());
    }
    const auto answer = object::parse(text_of(folder_ / "submit.out"), nullptr, false);
    if (status && *status == 0 && answer.is_array() && !answer.empty()) {
      sessions_.push_back(answer[0]["session"]);
      return sessions_.back();
    }
    if (status && (*status == 2 || *status == 4))
      break; // what we ask for is wrong
    std::this_thread::sleep_for(milliseconds(200)); // the scheduler is on its way back
  }
  return error{errc::infrastructure, "a session could not be submitted: " + text_of(folder_ / "submit.err")};
}

result<void> live_cluster::take_all_sessions() {
  KEVOLVE_TRY(all, ask("sessions"));
  sessions_.clear();
  for (const object& each : all)
    sessions_.push_back(each["session"]);
  return {};
}

result<int> live_cluster::command(std::vector<std::string> words, const std::string& failpoint) {
  std::vector<std::string> line;
  if (!failpoint.empty())
    line = {"env", "KEVOLVE_FAILPOINT=" + failpoint};
  line.push_back(options_.executable);
  line.insert(line.end(), words.begin(), words.end());
  KEVOLVE_TRY(child, background_child::start(line, (folder_ / "command.out").string(), (folder_ / "command.err").string()));
  if (const auto status = child.wait_for(start_limit))
    return *status;
  return error{errc::timeout, fmt::format("kevolve {} did not end within {} seconds", words.front(), start_limit.count())};
}

void live_cluster::check_orphans(const std::string& when) {
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
    fault(fmt::format("orphans: process {} (state{}) is left ten seconds after {}: {}", each, state, when, line.substr(0, 100)));
    ::kill(each, SIGKILL); // counted once
  }
}

void live_cluster::stop_all() {
  for (const char* each : {"one", "two", "scheduler"}) {
    auto& child = running_[each];
    if (!child)
      continue;
    ::kill(child->pid(), SIGTERM);
    const auto status = child->wait_for(start_limit);
    if (!status || (*status != 0 && *status != 128 + SIGTERM)) // an agent that has just been started has no handler yet
      fault(fmt::format("end: {} ended with {}", each, status ? std::to_string(*status) : "nothing, in a minute"));
  }
  running_.clear();
  std::error_code ignored;
  fs::copy(folder_ / "cache-one" / "roofs", folder_.parent_path() / "roofs", fs::copy_options::recursive | fs::copy_options::skip_existing, ignored);
}

result<void> live_cluster::compare_with_before() {
  KEVOLVE_TRY(memory, kb::store::open(data(), kb::access::read_only));
  for (const auto& [session, known] : durable_) {
    const auto now = memory->digest(session, known.first);
    if (!now || *now != known.second)
      fault(fmt::format("lost: of {} the first {} events are not what they were", session, known.first));
  }
  for (const std::string& session : sessions_) {
    KEVOLVE_TRY(events, memory->events(session));
    KEVOLVE_TRY(digest, memory->digest(session, events.size()));
    durable_[session] = {events.size(), digest};
  }
  return {};
}

result<std::uint64_t> live_cluster::check_store() {
  KEVOLVE_TRY_VOID(compare_with_before());
  KEVOLVE_TRY(memory, kb::store::open(data(), kb::access::read_only));
  KEVOLVE_TRY(checked, memory->check(false));
  for (const std::string& each : checked.damage)
    fault("damage: " + each);
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
      fault(fmt::format("twice: {} has {} evaluations of {} proposals", session, recorded, seen.size()));
    if (seen.size() != options_.evaluations || !std::holds_alternative<session_finished>(events.back()))
      fault(fmt::format("count: {} has {} evaluations, expected {}", session, seen.size(), options_.evaluations));
  }
  return evaluations;
}

std::string live_cluster::logs() const {
  std::string all;
  for (const char* each : members) {
    const std::string text = text_of(folder_ / (std::string(each) + ".err"));
    all += fmt::format("--- {}\n{}\n", each, text.size() > 1500 ? text.substr(text.size() - 1500) : text);
  }
  return all;
}

} // namespace kevolve::scheduler
