// A cluster of real processes on loopback: a scheduler, agents, people's commands. Keys decide who comes in; an agent that is killed gives its work
// back; a scheduler that is killed goes on where it was.
#include "actors/client_port.hpp"
#include "kb/lmdb.hpp"
#include "scheduler/child.hpp"
#include "tests/system/ports.hpp"

#include <csignal>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::scheduler;
using nlohmann::json;

namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct cluster {
  std::filesystem::path at;
  int port = free_ports();
  std::string endpoint = "tcp://127.0.0.1:" + std::to_string(port);
  int runs = 0;

  cluster() {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-cluster-XXXXXX").string();
    at = mkdtemp(name.data());
    adopt_orphans();
  }
  ~cluster() {
    std::error_code ignored;
    std::filesystem::remove_all(at, ignored);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return (at / name).string(); }

  struct ended {
    int status = -1;
    std::string out, err;
  };
  ended kevolve(std::vector<std::string> line, std::chrono::seconds limit = std::chrono::seconds(120)) {
    line.insert(line.begin(), KEVOLVE_EXECUTABLE);
    const std::string out = file("out" + std::to_string(++runs)), err = file("err" + std::to_string(runs));
    auto child = background_child::start(line, out, err);
    REQUIRE(child);
    const auto status = child->wait_for(limit);
    REQUIRE_MESSAGE(status, line[1] << " did not end: " << text_of(err));
    return {*status, text_of(out), text_of(err)};
  }
  /// A command of a person with the key `who`.
  ended ask(std::vector<std::string> line, const std::string& who = "person") {
    line.insert(line.end(), {"--scheduler", endpoint, "--key", file(who + ".key"), "--json"});
    return kevolve(std::move(line));
  }
  void new_key(const std::string& name, const std::string& role) {
    const auto made = kevolve({"keys", "new", name, "--role", role, "--out", file(name + ".key"), "--data", file("data")});
    REQUIRE_MESSAGE(made.status == 0, made.err);
  }
  result<background_child> serve() {
    return background_child::start({KEVOLVE_EXECUTABLE, "serve", "--listen", endpoint, "--data", file("data"), "--cache", file("cache")}, file("serve.out"), file("serve.err"));
  }
  result<background_child> agent(const std::string& key, const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> line{KEVOLVE_AGENT, "--scheduler", endpoint, "--key", file(key + ".key"), "--name", name, "--cache",
                                  (std::filesystem::temp_directory_path() / "kevolve-test-agent-cache").string(), "--compile-slots", "1"};
    line.insert(line.end(), more.begin(), more.end());
    return background_child::start(line, file(name + ".out"), file(name + ".err"));
  }
  json agents() {
    const auto shown = ask({"agents", "list"});
    return shown.status == 0 ? json::parse(shown.out) : json::array();
  }
  bool await_agents(std::size_t count) {
    for (int i = 0; i < 300; ++i) {
      if (agents().size() == count)
        return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return false;
  }
  json show(const std::string& session) {
    const auto shown = ask({"sessions", "show", session});
    REQUIRE_MESSAGE(shown.status == 0, shown.err << text_of(at / "serve.err"));
    return json::parse(shown.out);
  }
};

/// Read beside its owner.
std::size_t answers_in(const std::filesystem::path& spool) {
  auto env = kb::lmdb::open_environment(spool, MDB_RDONLY, 256u << 20);
  kb::lmdb::transaction txn;
  MDB_stat found{};
  MDB_dbi table = 0;
  if (!env || kb::lmdb::transaction::begin(env->get(), MDB_RDONLY, txn) || mdb_dbi_open(txn.get(), nullptr, 0, &table) || mdb_stat(txn.get(), table, &found))
    return 0;
  return found.ms_entries;
}

std::vector<std::string> short_session(const std::string& evaluations) {
  return {"submit", "rms_norm_h4096", "--workload", "decode_256", "--evaluations", evaluations, "--baselines", "none", "--seed", "1"};
}

} // namespace

TEST_CASE("a session survives the death of an agent and of the scheduler, and ends with a verified leader") {
  cluster c;
  for (const auto& [name, role] : {std::pair("fleet", "agent"), std::pair("person", "client")})
    c.new_key(name, role);
  auto scheduler = c.serve();
  REQUIRE(scheduler);
  auto one = c.agent("fleet", "one"), two = c.agent("fleet", "two");
  REQUIRE(one);
  REQUIRE(two);
  INFO(text_of(c.file("serve.err")) << text_of(c.file("one.err")));
  REQUIRE(c.await_agents(2));

  const auto submitted = c.ask(short_session("30"));
  INFO(submitted.err);
  REQUIRE(submitted.status == 0);
  const std::string session = json::parse(submitted.out)[0]["session"];
  const auto evaluated = [&] { return c.show(session)["evaluations"].get<int>(); };
  for (int i = 0; i < 600 && evaluated() < 4; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  REQUIRE(evaluated() >= 4);

  const auto kill_now = [](background_child& c) {
    ::kill(c.pid(), SIGKILL);
    CHECK(c.wait_for(std::chrono::seconds(10)) == 128 + SIGKILL);
  };
  kill_now(*one); // in the middle of whatever it does
  const int before = evaluated();
  kill_now(*scheduler);
  auto again = c.serve();
  REQUIRE(again);
  REQUIRE(c.await_agents(1));
  CHECK(evaluated() >= before); // what was shown was durable

  const auto watched = c.ask({"sessions", "watch", session});
  INFO(watched.err << text_of(c.file("serve.err")));
  REQUIRE(watched.status == 0);
  const json end = c.show(session);
  CHECK(end["stopped_by"] == "evaluations");
  CHECK(end["evaluations"] == 30);
  CHECK(end["best"]["verified"] == true);
  CHECK(end["outcomes"]["infrastructure"] == 0);

  const auto drained = c.ask({"agents", "drain", "fleet.two"});
  INFO(drained.err);
  CHECK(drained.status == 0);
  CHECK(c.agents()[0]["state"] == "draining");
  kill_now(*again); // the next scheduler hears of it from the agent
  auto third = c.serve();
  REQUIRE(third);
  REQUIRE(c.await_agents(1));
  for (int i = 0; i < 100 && c.agents()[0]["state"] != "draining"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(c.agents()[0]["state"] == "draining");
  ::kill(two->pid(), SIGTERM);
  CHECK(two->wait_for(std::chrono::seconds(30)) == 0);
  ::kill(third->pid(), SIGTERM);
  CHECK(third->wait_for(std::chrono::seconds(30)) == 0);
}

TEST_CASE("what an agent finished while nobody listened is kept through its own death, and counted when both are back") {
  cluster c;
  for (const auto& [name, role] : {std::pair("fleet", "agent"), std::pair("person", "client")})
    c.new_key(name, role);
  auto scheduler = c.serve();
  REQUIRE(scheduler);
  const std::string name = "keeper" + std::to_string(c.port);
  const auto spool = std::filesystem::temp_directory_path() / "kevolve-test-agent-cache" / "spool" / ("fleet." + name);
  auto agent = c.agent("fleet", name);
  REQUIRE(agent);
  REQUIRE(c.await_agents(1));
  auto by_nobody = short_session("20");
  by_nobody.insert(by_nobody.end(), {"--synthesizer", "generator,nobody", "--ensemble", "bandit"});
  const auto refused = c.ask(by_nobody); // models are the scheduler's, and it has none
  CHECK(refused.status == 4);
  CHECK((refused.out + refused.err).find("found 'nobody', expected generator") != std::string::npos);
  const auto submitted = c.ask(short_session("20"));
  INFO(submitted.err);
  REQUIRE(submitted.status == 0);
  const std::string session = json::parse(submitted.out)[0]["session"];
  const auto evaluated = [&] { return c.show(session)["evaluations"].get<int>(); };
  for (int i = 0; i < 600 && evaluated() < 3; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  REQUIRE(evaluated() >= 3);
  ::kill(scheduler->pid(), SIGKILL);
  CHECK(scheduler->wait_for(std::chrono::seconds(10)) == 128 + SIGKILL);

  std::size_t kept = 0, before = 0;
  for (int i = 0, still = 0; i < 600 && still < 40; ++i) { // until it has finished what it held: nothing new for four seconds
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    kept = answers_in(spool);
    still = kept > 0 && kept == before ? still + 1 : 0;
    before = kept;
  }
  REQUIRE(kept > 0);
  ::kill(agent->pid(), SIGKILL);
  CHECK(agent->wait_for(std::chrono::seconds(10)) == 128 + SIGKILL);

  auto again = c.serve();
  REQUIRE(again);
  CHECK(json::parse(c.ask({"sessions", "list"}).out)[0]["session"] == session); // it is there, and nobody serves it yet
  auto watching = background_child::start({KEVOLVE_EXECUTABLE, "sessions", "watch", session, "--scheduler", c.endpoint, "--key", c.file("person.key")}, c.file("watch.out"), c.file("watch.err"));
  REQUIRE(watching);
  CHECK_FALSE(watching->wait_for(std::chrono::milliseconds(1500))); // whoever watches waits with it
  auto back = c.agent("fleet", name);
  REQUIRE(back);
  CHECK(watching->wait_for(std::chrono::seconds(120)) == 0);
  const auto watched = c.ask({"sessions", "watch", session});
  const std::string told = text_of(c.file(name + ".err"));
  INFO(watched.err << text_of(c.file("serve.err")) << told);
  REQUIRE(watched.status == 0);
  const json end = c.show(session);
  CHECK(end["evaluations"] == 20);
  CHECK(end["outcomes"]["infrastructure"] == 0);
  CHECK(told.find("that no scheduler has counted") != std::string::npos);
  CHECK(told.find("answers given without work") != std::string::npos);
  for (auto* each : {&*back, &*again}) {
    ::kill(each->pid(), SIGTERM);
    CHECK(each->wait_for(std::chrono::seconds(30)) == 0);
  }
  CHECK(answers_in(spool) <= 3); // all were counted, but for what was on its way when the session had enough
  std::filesystem::remove_all(spool);
}

TEST_CASE("a session may choose its agents by labels and names") {
  cluster c;
  for (const auto& [name, role] : {std::pair("fleet", "agent"), std::pair("person", "client")})
    c.new_key(name, role);
  auto scheduler = c.serve();
  REQUIRE(scheduler);
  auto one = c.agent("fleet", "one", {"--label", "blue"}), two = c.agent("fleet", "two", {"--label", "red"});
  REQUIRE(one);
  REQUIRE(two);
  REQUIRE(c.await_agents(2));
  const auto asked = [&](const std::string& target) {
    auto line = short_session("8");
    line.insert(line.end(), {"--target", target});
    return c.ask(line);
  };
  const auto wrong = asked("cpu@blue,");
  CHECK(wrong.status == 2);
  CHECK(wrong.err.find("hosts 'blue,': found ''") != std::string::npos);
  const auto nobody = asked("cpu@blue,red");
  CHECK(nobody.err.find("no agent of 'blue,red' serves cpu") != std::string::npos);
  const auto submitted = asked("cpu@red,!blue|fleet.three");
  INFO(submitted.err);
  REQUIRE(submitted.status == 0);
  ::kill(two->pid(), SIGTERM); // whatever it holds is finished; nobody else may
  CHECK(two->wait_for(std::chrono::seconds(30)) == 0);
  const std::string session = json::parse(submitted.out)[0]["session"];
  const auto waiting = [&] { return c.show(session).value("waits_for", ""); };
  for (int i = 0; i < 200 && waiting().empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(waiting().find("no agent of 'red,!blue|fleet.three' serves cpu") != std::string::npos);
  auto three = c.agent("fleet", "three", {"--label", "red", "--label", "blue"});
  REQUIRE(three);
  REQUIRE(c.ask({"sessions", "watch", session}).status == 0);
  CHECK(c.show(session)["evaluations"] == 8);
  CHECK(c.show(session)["hosts"] == "red,!blue|fleet.three");
  for (auto* each : {&*one, &*three, &*scheduler}) {
    ::kill(each->pid(), SIGTERM);
    CHECK(each->wait_for(std::chrono::seconds(30)) == 0);
  }
}

TEST_CASE("nobody comes in without a key on the list, with another role's, or with a revoked one") {
  cluster c;
  for (const auto& [name, role] : {std::pair("fleet", "agent"), std::pair("person", "client"), std::pair("gone", "client")})
    c.new_key(name, role);
  auto scheduler = c.serve();
  REQUIRE(scheduler);
  REQUIRE(c.ask({"sessions", "list"}).status == 0);
  const auto people = client_endpoint(c.endpoint);
  REQUIRE(people);
  const auto scheduler_key = read_key(c.file("person.key"));
  REQUIRE(scheduler_key);
  const auto tried = [&](key_file key) { return ask_scheduler(*people, key, {client_protocol_version, "sessions", "", std::nullopt}, 0.5); };
  CHECK(tried(*scheduler_key));

  key_file stranger = *make_key("stranger", key_role::client);
  stranger.scheduler = scheduler_key->scheduler;
  for (int i = 0; i < 5; ++i)
    CHECK_FALSE(tried(stranger));
  CHECK_FALSE(tried(*read_key(c.file("fleet.key")))); // an agent's key on the people's port
  key_file wrong = *scheduler_key;
  wrong.scheduler = stranger.public_key; // somebody else at that address
  CHECK_FALSE(tried(wrong));

  CHECK(tried(*read_key(c.file("gone.key"))));
  REQUIRE(c.kevolve({"keys", "revoke", "gone", "--data", c.file("data")}).status == 0);
  CHECK_FALSE(tried(*read_key(c.file("gone.key"))));

  auto intruder = background_child::start({KEVOLVE_AGENT, "--scheduler", c.endpoint, "--key", c.file("person.key"), "--cache", c.file("agent-cache")}, c.file("i.out"), c.file("i.err"));
  REQUIRE(intruder);
  CHECK(intruder->wait_for(std::chrono::seconds(30)) == 4); // a client's key file
  CHECK(c.agents().empty());
  std::filesystem::permissions(c.file("person.key"), std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  CHECK(c.ask({"sessions", "list"}).status == 4); // others may read it
  ::kill(scheduler->pid(), SIGTERM);
  CHECK(scheduler->wait_for(std::chrono::seconds(30)) == 0);
}

TEST_CASE("monitoring is told that the scheduler lives, is ready, and what it does") {
  cluster c;
  c.new_key("fleet", "agent");
  c.new_key("person", "client");
  const int port = c.port + 2;
  const std::string http = "127.0.0.1:" + std::to_string(port);
  auto scheduler = background_child::start({KEVOLVE_EXECUTABLE, "serve", "--listen", c.endpoint, "--http", http, "--data", c.file("data")}, c.file("serve.out"), c.file("serve.err"));
  REQUIRE(scheduler);
  REQUIRE(c.ask({"sessions", "list"}).status == 0);
  const auto page = [&](const std::string& path) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string text;
    if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0) {
      const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
      (void)!::write(fd, request.data(), request.size());
      char buffer[4096];
      for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(n));
    }
    ::close(fd);
    return text;
  };
  CHECK(page("/healthz").find("200 OK") != std::string::npos);
  CHECK(page("/readyz").find("ready") != std::string::npos);
  const std::string metrics = page("/metrics");
  CHECK(metrics.find("# TYPE kevolve_agents gauge\nkevolve_agents 0\n") != std::string::npos);
  CHECK(metrics.find("kevolve_evaluations_total 0\n") != std::string::npos);
  CHECK(metrics.find("process_open_fds ") != std::string::npos);
  CHECK(page("/else").find("404") != std::string::npos);
  ::kill(scheduler->pid(), SIGTERM);
  CHECK(scheduler->wait_for(std::chrono::seconds(30)) == 0);
  CHECK(c.kevolve({"serve", "--http", "nowhere", "--data", c.file("data")}).status == 2);
}

TEST_CASE("a command without a scheduler to speak to says what is missing") {
  cluster c;
  CHECK(c.kevolve({"submit", "rms_norm_h4096", "--json"}).status == 2);
  CHECK(c.kevolve({"submit", "rms_norm_h4096", "--scheduler", "nowhere", "--key", c.file("no.key")}).status == 2);
  const auto missing = c.kevolve({"sessions", "list", "--scheduler", c.endpoint, "--key", c.file("no.key")});
  CHECK(missing.status == 4);
  CHECK(missing.err.find("no.key") != std::string::npos);
}
