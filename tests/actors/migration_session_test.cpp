// Sessions whose synthesizers migrate, through real actors, link, agents and store; the host and the model are made up.
#include "actors/answer_spool.hpp"
#include "actors/writer.hpp"
#include "engine_world.hpp"

#include <condition_variable>
#include <doctest/doctest.h>
#include <future>
#include <map>

using namespace kevolve;
using namespace kevolve::test;

namespace {

std::string kernel(const std::string& name) {
  return "IDEA: version " + name + "\n```cpp\n#include \"kevolve.h\"\nextern \"C\" int kevolve_run(const kevolve_tensor*, kevolve_tensor*, const kevolve_int64*, void*, void*) { return 0 * " + name +
         "; }\n```\n";
}

/// Says what its request's proposal is called, at once or once it may.
class telling_model final : public llm::provider {
public:
  ~telling_model() override {
    let_go();
    for (auto& each : threads_)
      each.join();
  }
  llm::handle ask(llm::request asked, llm::reply_handler then) override {
    std::lock_guard lock(mutex_);
    keys.push_back(asked.idempotency_key);
    changed_.notify_all();
    threads_.emplace_back([this, key = asked.idempotency_key, handle = keys.size(), then = std::move(then)] {
      {
        std::unique_lock waits(mutex_);
        changed_.wait(waits, [&] { return !holds_ || cancelled_.contains(handle); });
        if (cancelled_.contains(handle)) {
          waits.unlock();
          return then(llm::failure{llm::failure_kind::cancelled, "cancelled", 1, 1});
        }
      }
      if (fails)
        return then(llm::failure{llm::failure_kind::server, "overloaded", 1, 0});
      llm::answer a;
      const auto from = key.find('/') + 1;
      a.text = kernel("1" + key.substr(from, key.rfind('/') - from));
      a.used.input = 1000;
      a.used.output = 200;
      then(a);
    });
    return keys.size();
  }
  void cancel(llm::handle which) override {
    std::lock_guard lock(mutex_);
    cancelled_.insert(which);
    changed_.notify_all();
  }
  void hold() {
    std::lock_guard lock(mutex_);
    holds_ = true;
  }
  void let_go() {
    std::lock_guard lock(mutex_);
    holds_ = false;
    changed_.notify_all();
  }
  void await_asked(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return keys.size() >= count; });
  }
  std::size_t asked() {
    std::lock_guard lock(mutex_);
    return keys.size();
  }
  std::vector<std::string> keys;
  std::atomic<bool> fails = false;

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool holds_ = false;
  std::set<llm::handle> cancelled_;
  std::vector<std::thread> threads_;
};

class small_desk final : public model_desk {
public:
  explicit small_desk(std::string name = "small") : name_(std::move(name)) {}
  std::shared_ptr<telling_model> model = std::make_shared<telling_model>();
  std::atomic<std::int64_t> day_tokens = 0;
  result<model_seat> find(const std::string& name) override {
    if (name != name_)
      return error{errc::configuration, "no synthesizer " + name};
    model_seat seat;
    seat.model.name = "made-up";
    seat.model.provider = "vendor";
    seat.model.max_output_tokens = 1000;
    seat.model.price = llm::token_price{1, 0.1, 1, 10};
    seat.provider = model;
    return seat;
  }
  std::vector<synthesis::reading> read(const lookup&) override { return {{"guidance/made-up", "a passage", "made up"}}; }
  void compile(const candidate&, const target&, std::function<void(std::string)> then) override { then(""); }
  bool reserve(std::uint64_t tokens, double) override { return day_tokens += static_cast<std::int64_t>(tokens), true; }
  void settle(std::uint64_t reserved, double, std::uint64_t tokens, double) override { day_tokens += static_cast<std::int64_t>(tokens) - static_cast<std::int64_t>(reserved); }

private:
  const std::string name_;
};

struct migrating_world : engine_world {
  std::shared_ptr<small_desk> home = std::make_shared<small_desk>("another");
  std::map<std::string, std::shared_ptr<small_desk>> desks; // of agents
  std::map<std::string, std::unique_ptr<agent_service>> agents;
  std::string endpoint = "ipc://" + (directory.path / "socket").string(); // unlike inproc, whoever comes back is connected again

  migrating_world() {
    parts.models = home;
    parts.home_wait_s = 0.5;
    parts.open_link = [this](link_callbacks callbacks) { return link::open(endpoint, context.handle(), "kevolve", std::move(callbacks)); };
    start_engine();
  }
  ~migrating_world() {
    engine.reset();
    for (auto& [name, each] : desks)
      each->model->let_go();
    agents.clear();
  }
  void join(const std::string& name, std::vector<std::string> labels = {}) {
    auto& desk = desks[name] = std::make_shared<small_desk>();
    writer_description generator;
    generator.name = "generator";
    std::string remark;
    auto spool = open_spool(directory.path / ("spool-" + name), remark);
    REQUIRE_MESSAGE(spool, spool.error().message);
    std::shared_ptr<host_writer> writes = make_writer({description_of("small", *desk->find("small"), 60), generator}, 2, desk, made_up::generator());
    auto started = agent_service::start(host, endpoint, context.handle(), name, std::nullopt, std::shared_ptr<answer_spool>(std::move(*spool)), {}, {}, {writes, std::move(labels)});
    REQUIRE_MESSAGE(started, started.error().message);
    agents[name] = std::move(*started);
  }
  session_id submit(session_settings how) {
    auto session = engine->submit(made_up::subject(), {"cpu", "", "cpp"}, std::move(how));
    REQUIRE_MESSAGE(session, session.error().message);
    return *session;
  }
  std::vector<candidate_id> tree(const session_id& session) {
    std::vector<candidate_id> ids;
    for (const auto& each : events<candidate_added>(session))
      ids.push_back(each.what.id);
    return ids;
  }
  /// What models took by the log: of answers, and of requests without one.
  std::pair<std::uint64_t, std::uint64_t> tokens(const session_id& session) {
    std::uint64_t answered = 0;
    std::uint64_t reserved = 0;
    std::map<std::pair<node_number, std::uint32_t>, std::uint64_t> open;
    auto log = memory->events(session);
    for (const event& e : *log)
      if (const auto* asked = std::get_if<model_asked>(&e))
        reserved += open[{asked->number, asked->step}] = asked->reserved_tokens;
      else if (const auto* said = std::get_if<model_answered>(&e)) {
        reserved -= open[{said->number, said->step}];
        answered += said->used.input + said->used.output;
      }
    return {answered, reserved};
  }
};

session_settings written_by(std::vector<std::string> who, std::vector<std::string> where, std::uint32_t evaluations) {
  auto how = through_one_slot(evaluations);
  how.synthesizers = std::move(who);
  how.written_on = std::move(where);
  how.injection = 0; // a later session knows no more than an earlier one
  return how;
}

} // namespace

TEST_CASE("the generator grows the same tree on agents as at home") {
  migrating_world world;
  world.join("one");
  world.join("two");
  const auto home = world.submit(written_by({"generator"}, {}, 25));
  CHECK_FALSE(world.engine->wait(home, {}).failure);
  const auto away = world.submit(written_by({"generator"}, {"any"}, 25));
  CHECK_FALSE(world.engine->wait(away, {}).failure);
  CHECK(world.tree(away) == world.tree(home));
  for (const auto& each : world.events<candidate_added>(home))
    CHECK(each.agent.empty());
  std::set<std::string> agents;
  for (const auto& each : world.events<candidate_added>(away))
    agents.insert(each.agent);
  CHECK_FALSE(agents.contains(""));
  CHECK((agents.contains("one") || agents.contains("two")));
}

TEST_CASE("a model writes on an agent what it writes at home, and costs the same") {
  migrating_world world;
  world.join("one");
  const auto away = world.submit(written_by({"small"}, {}, 10)); // not configured here: it goes to whoever has it
  CHECK_FALSE(world.engine->wait(away, {}).failure);
  const std::size_t asked_away = world.desks["one"]->model->asked();
  CHECK(asked_away >= 9);
  CHECK(world.home->model->asked() == 0);
  const auto [answered, reserved] = world.tokens(away);
  CHECK(answered == 1200 * asked_away);
  CHECK(world.home->day_tokens == static_cast<std::int64_t>(answered + reserved)); // the day's limit is the scheduler's

  migrating_world other;
  auto desk = std::make_shared<small_desk>();
  other.engine.reset();
  other.parts.models = desk;
  other.start_engine();
  other.join("one");
  const auto home = other.submit(written_by({"small"}, {}, 10));
  CHECK_FALSE(other.engine->wait(home, {}).failure);
  CHECK(other.desks["one"]->model->asked() == 0);
  CHECK(desk->model->asked() == asked_away);
  const auto first = world.events<candidate_added>(away), second = other.events<candidate_added>(home);
  REQUIRE(first.size() == second.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    CHECK(first[i].what == second[i].what);
    CHECK(first[i].edge == second[i].edge);
    if (i > 0)
      CHECK(first[i].agent == "one");
  }
  const auto told = world.events<model_asked>(away), told_at_home = other.events<model_asked>(home);
  REQUIRE(told.size() == told_at_home.size());
  for (std::size_t i = 0; i < told.size(); ++i)
    CHECK(told[i].turns == told_at_home[i].turns);
}

TEST_CASE("a label sends a synthesizer to the agents that have it, whoever else could write") {
  migrating_world world;
  world.join("one");
  world.join("two", {"gpu"});
  const auto session = world.submit(written_by({"small"}, {"gpu"}, 6));
  CHECK_FALSE(world.engine->wait(session, {}).failure);
  for (const auto& each : world.events<candidate_added>(session))
    if (each.number > 0)
      CHECK(each.agent == "two");
  CHECK(world.desks["one"]->model->asked() == 0);
}

TEST_CASE("a synthesizer whose agent goes away writes elsewhere, and what the first may have cost is counted") {
  migrating_world world;
  world.join("one");
  world.desks["one"]->model->hold();
  const auto session = world.submit(written_by({"small"}, {}, 6));
  world.desks["one"]->model->await_asked(1);
  world.join("two");
  world.agents.erase("one"); // in the middle of a request
  CHECK_FALSE(world.engine->wait(session, {}).failure);
  std::set<node_number> numbers;
  for (const auto& each : world.events<candidate_added>(session))
    CHECK(numbers.insert(each.number).second);
  CHECK(world.events<evaluation_recorded>(session).size() == 6);
  const auto first = world.events<candidate_added>(session).at(1);
  CHECK(first.agent == "two");
  CHECK(first.moves == 1);
  const auto [answered, reserved] = world.tokens(session);
  const std::uint64_t took = 1200 * (world.desks["one"]->model->asked() + world.desks["two"]->model->asked());
  CHECK(answered <= took);
  CHECK(took <= answered + reserved);
}

TEST_CASE("where no agent is left that writes as it, a synthesizer that the scheduler has stays at home") {
  migrating_world world;
  world.engine.reset();
  auto desk = std::make_shared<small_desk>();
  world.parts.models = desk;
  world.start_engine();
  auto measuring = agent_service::start(world.host, world.endpoint, world.context.handle(), "measures");
  REQUIRE(measuring);
  world.agents["measures"] = std::move(*measuring);
  const auto session = world.submit(written_by({"generator", "small"}, {"any", "any"}, 8));
  CHECK_FALSE(world.engine->wait(session, {}).failure);
  CHECK(desk->model->asked() >= 3);
  for (const auto& each : world.events<candidate_added>(session))
    CHECK(each.agent.empty());
}

TEST_CASE("what an agent writes while the scheduler is away is not paid for again") {
  migrating_world world;
  world.join("one");
  auto how = written_by({"small"}, {}, 5);
  const auto session = world.submit(how);
  auto& model = *world.desks["one"]->model;
  model.hold();
  model.await_asked(1);
  world.engine.reset(); // the session is paused, what is being written is not cancelled
  CHECK(world.agents["one"]->held() > 0);
  model.let_go();
  world.start_engine();
  REQUIRE(world.engine->resume(session));
  CHECK_FALSE(world.engine->wait(session, {}).failure);
  std::set<std::string> keys;
  for (const auto& key : model.keys)
    CHECK_MESSAGE(keys.insert(key).second, key << " was asked twice");
  CHECK(world.events<evaluation_recorded>(session).size() == 5);
  const auto [answered, reserved] = world.tokens(session);
  CHECK(answered <= 1200 * model.asked());
  CHECK(1200 * model.asked() <= answered + reserved);
}

TEST_CASE("a session's limit for models holds on agents, too") {
  migrating_world world;
  world.join("one");
  auto how = written_by({"small"}, {}, 200);
  how.in_flight = 8;
  how.model_usd = 0.1;
  const auto session = world.submit(how);
  const auto end = world.engine->wait(session, {});
  CHECK(end.finished.stopped_by == "cost");
  const auto took = world.desks["one"]->model->asked();
  CHECK(took > 0);
  CHECK(static_cast<double>(took) * (1000e-6 + 200 * 10e-6) <= 0.1 + 1e-9);
}

TEST_CASE("nothing is reserved for proposals that wait for an agent's slots") {
  migrating_world world;
  world.join("one"); // two slots
  auto how = written_by({"small"}, {}, 12);
  how.in_flight = 6;
  auto& model = *world.desks["one"]->model;
  model.hold();
  const auto session = world.submit(how);
  model.await_asked(2);
  for (int i = 0; i < 200 && world.events<proposal_made>(session).size() < 7; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  world.engine.reset(); // as a kill would, it leaves what is in the log
  CHECK(world.events<proposal_made>(session).size() == 7); // the root, and six at once
  CHECK(world.events<model_asked>(session).size() == 2);
  model.let_go();
  world.start_engine();
  REQUIRE(world.engine->resume(session));
  CHECK_FALSE(world.engine->wait(session, {}).failure);
  const auto [answered, reserved] = world.tokens(session);
  CHECK(answered == 1200 * model.asked());
  CHECK(reserved == 0);
}

TEST_CASE("a proposal that a model's provider fails at on one agent is written on another") {
  migrating_world world;
  world.join("one");
  world.join("two");
  world.desks["one"]->model->fails = true;
  const auto session = world.submit(written_by({"small"}, {}, 8));
  CHECK_FALSE(world.engine->wait(session, {}).failure);
  CHECK(world.events<evaluation_recorded>(session).size() == 8);
  CHECK(world.events<proposal_closed>(session).empty());
  CHECK(world.desks["one"]->model->asked() >= 1);
  for (const auto& each : world.events<candidate_added>(session))
    if (each.number > 0)
      CHECK(each.agent == "two");
  const auto [answered, reserved] = world.tokens(session);
  CHECK(answered == 1200 * world.desks["two"]->model->asked());
  CHECK(reserved == 0); // what failed cost nothing
}

TEST_CASE("where every agent's provider fails, a scheduler that has the model writes at home") {
  migrating_world world;
  world.engine.reset();
  auto desk = std::make_shared<small_desk>();
  world.parts.models = desk;
  world.start_engine();
  world.join("one");
  world.desks["one"]->model->fails = true;
  const auto session = world.submit(written_by({"small"}, {"any"}, 6));
  CHECK_FALSE(world.engine->wait(session, {}).failure);
  CHECK(world.events<evaluation_recorded>(session).size() == 6);
  CHECK(world.desks["one"]->model->asked() >= 5);
  CHECK(desk->model->asked() >= 5);
  for (const auto& each : world.events<candidate_added>(session))
    CHECK(each.agent.empty());
}

TEST_CASE("a proposal that every provider fails at is closed, and says where and why") {
  migrating_world world;
  for (const char* name : {"one", "two"}) {
    world.join(name);
    world.desks[name]->model->fails = true;
  }
  const auto session = world.submit(written_by({"generator", "small"}, {}, 8));
  CHECK_FALSE(world.engine->wait(session, {}).failure);
  const auto closed = world.events<proposal_closed>(session);
  REQUIRE_FALSE(closed.empty());
  CHECK_MESSAGE(closed[0].reason.find("on agent ") != std::string::npos, closed[0].reason);
  CHECK_MESSAGE(closed[0].reason.find("overloaded") != std::string::npos, closed[0].reason);
  CHECK(world.desks["one"]->model->asked() == world.desks["two"]->model->asked()); // each once for each proposal
}
