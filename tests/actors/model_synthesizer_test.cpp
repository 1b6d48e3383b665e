// Sessions whose candidates a (made-up) model writes, through real actors, link and store.
#include "engine_world.hpp"

#include <algorithm>
#include <condition_variable>
#include <doctest/doctest.h>
#include <future>
#include <map>

using namespace kevolve;
using namespace kevolve::test;

namespace {

/// Answers on a thread of its own, at once or when `answers` lets it.
class made_up_model final : public llm::provider {
public:
  std::function<llm::reply(const llm::request&, unsigned number)> answers;

  ~made_up_model() override {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  llm::handle ask(llm::request asked, llm::reply_handler then) override {
    std::lock_guard lock(mutex_);
    seen.push_back(asked);
    waiting_.emplace(++last_, std::pair{std::move(asked), std::move(then)});
    changed_.notify_all();
    return last_;
  }
  void cancel(llm::handle) override {}
  std::size_t asked() {
    std::lock_guard lock(mutex_);
    return seen.size();
  }
  std::vector<llm::request> seen;

private:
  void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return over_ || !waiting_.empty(); });
      if (over_)
        return;
      auto next = std::move(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
      const unsigned number = ++answered_;
      lock.unlock();
      next.second(answers(next.first, number));
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<llm::handle, std::pair<llm::request, llm::reply_handler>> waiting_;
  llm::handle last_ = 0;
  unsigned answered_ = 0;
  bool over_ = false;
  std::thread thread_{[this] { run(); }};
};

std::string kernel(unsigned number) {
  return "IDEA: version " + std::to_string(number) + "\n```cpp\n#include \"kevolve.h\"\nextern \"C\" int kevolve_run(const kevolve_tensor*, kevolve_tensor*, const kevolve_int64*, void*, void*) { return 0 * " +
         std::to_string(number) + "; }\n```\n";
}

llm::answer saying(std::string text) {
  llm::answer a;
  a.text = std::move(text);
  a.used.input = 1000;
  a.used.output = 200;
  return a;
}

class made_up_desk final : public model_desk {
public:
  std::shared_ptr<made_up_model> model = std::make_shared<made_up_model>();
  std::function<std::string(const candidate&)> compiler = [](const candidate&) { return ""; };
  std::atomic<std::int64_t> day_tokens = 0;
  std::int64_t day_limit = 0; // 0: none

  made_up_desk() {
    model->answers = [](const llm::request&, unsigned number) { return llm::reply(saying(kernel(number))); };
  }
  result<model_seat> find(const std::string& name) override {
    if (name != "small")
      return error{errc::configuration, "no synthesizer " + name};
    model_seat seat;
    seat.model.name = "made-up";
    seat.model.provider = "vendor";
    seat.model.max_output_tokens = 1000;
    seat.model.price = llm::token_price{1, 0.1, 1, 10};
    seat.provider = model;
    return seat;
  }
  std::vector<synthesis::reading> read(const lookup& what) override {
    return {{"guidance/made-up", "a passage for " + what.signals.at(0), "made up"}};
  }
  void compile(const candidate& what, const target&, std::function<void(std::string)> then) override { then(compiler(what)); }
  bool reserve(std::uint64_t tokens, double) override {
    if (day_limit > 0 && day_tokens + static_cast<std::int64_t>(tokens) > day_limit)
      return false;
    day_tokens += static_cast<std::int64_t>(tokens);
    return true;
  }
  void settle(std::uint64_t reserved, double, std::uint64_t tokens, double) override { day_tokens += static_cast<std::int64_t>(tokens) - static_cast<std::int64_t>(reserved); }
};

struct model_world : engine_world {
  std::shared_ptr<made_up_desk> desk = std::make_shared<made_up_desk>();
  model_world() {
    parts.models = desk;
    start_engine();
    start_agent();
  }
  std::vector<event> log(const session_id& session) {
    auto events = memory->events(session);
    REQUIRE(events);
    return std::move(*events);
  }
  session_outcome search(session_settings how, session_id* which = nullptr) {
    auto session = engine->submit(made_up::subject(), {"cpu", "", "cpp"}, std::move(how));
    REQUIRE_MESSAGE(session, session.error().message);
    if (which)
      *which = *session;
    return engine->wait(*session, {});
  }
};

session_settings by_model(std::uint32_t evaluations, std::vector<std::string> who = {"small"}) {
  auto how = short_search(evaluations);
  how.synthesizers = std::move(who);
  return how;
}

} // namespace

TEST_CASE("a model writes candidates under a generated root; each request is logged before its answer, each answer before its candidate") {
  model_world world;
  session_id session;
  auto end = world.search(by_model(12), &session);
  CHECK_FALSE(end.failure);
  std::map<node_number, int> step; // 1: asked, 2: answered, 3: candidate
  unsigned by_the_model = 0;
  for (const event& e : world.log(session)) {
    if (const auto* asked = std::get_if<model_asked>(&e)) {
      CHECK(step[asked->number] == 0);
      step[asked->number] = 1;
      CHECK(asked->turns.size() == 1);
      CHECK(asked->reserved_usd > 0);
    } else if (const auto* said = std::get_if<model_answered>(&e)) {
      CHECK(step[said->number] == 1);
      step[said->number] = 2;
      CHECK(said->used.output == 200);
      CHECK(said->cost_usd == doctest::Approx(1000e-6 + 200 * 10e-6));
    } else if (const auto* added = std::get_if<candidate_added>(&e)) {
      if (added->number == 0) {
        CHECK(added->what.author == "generator");
        continue;
      }
      CHECK(step[added->number] == 2);
      CHECK(added->what.author == "small");
      CHECK(added->edge.kind == "model");
      CHECK(added->edge.summary.starts_with("version "));
      ++by_the_model;
    }
  }
  CHECK(by_the_model >= 11);
  const auto seen = world.desk->model->seen;
  REQUIRE_FALSE(seen.empty());
  CHECK(seen.back().messages.at(0).content.find("a passage for operator:") != std::string::npos);
  CHECK(std::any_of(seen.begin(), seen.end(), [](const llm::request& r) { return r.messages.at(0).content.find("return 0 *") != std::string::npos; })); // a parent's source
}

TEST_CASE("generator and model grow one tree together") {
  model_world world;
  session_id session;
  auto end = world.search(by_model(20, {"generator", "small"}), &session);
  CHECK_FALSE(end.failure);
  std::map<std::string, unsigned> authors;
  for (const auto& added : world.events<candidate_added>(session))
    ++authors[added.what.author];
  CHECK(authors["generator"] >= 5);
  CHECK(authors["small"] >= 5);
}

TEST_CASE("weights decide how often each is asked") {
  model_world world;
  session_id session;
  auto how = by_model(60, {"generator", "small"});
  how.weights = {0.9, 0.1};
  world.search(how, &session);
  unsigned model = 0, all = 0;
  for (const auto& made : world.events<proposal_made>(session)) {
    model += made.synthesizer == "small";
    ++all;
  }
  CHECK(model > 0);
  CHECK(model < all / 3);
}

TEST_CASE("a bandit's session begins with what synthesizers did in others on like operators, and its requests name their provider") {
  model_world world;
  auto how = by_model(20, {"generator", "small"});
  how.ensemble = ensemble_kind::bandit;
  session_id first, second;
  world.search(how, &first);
  how.seed = 2;
  world.search(how, &second);
  CHECK(world.events<session_opened>(first).front().synthesizers.empty());
  const auto known = world.events<session_opened>(second).front().synthesizers;
  std::uint64_t proposals = 0;
  for (const auto& each : known)
    proposals += each.record.proposals;
  CHECK(proposals == world.events<proposal_made>(first).size() - 1);
  CHECK(known.size() == 2);
  for (const auto& asked : world.events<model_asked>(first))
    CHECK(asked.provider == "vendor");
}

TEST_CASE("a session's limit for models is never passed, whatever is under way") {
  for (double limit : {0.05, 0.1, 0.3}) {
    model_world world;
    session_id session;
    auto how = by_model(200);
    how.in_flight = 8;
    how.model_usd = limit;
    auto end = world.search(how, &session);
    CHECK(end.finished.stopped_by == "cost");
    double spent = 0, most = 0;
    std::map<std::pair<node_number, std::uint32_t>, double> reserved;
    for (const event& e : world.log(session)) {
      if (const auto* asked = std::get_if<model_asked>(&e)) {
        spent += reserved[{asked->number, asked->step}] = asked->reserved_usd;
      } else if (const auto* said = std::get_if<model_answered>(&e)) {
        spent += said->cost_usd - reserved[{said->number, said->step}];
      }
      most = std::max(most, spent);
    }
    CHECK(most <= limit + 1e-12);
    CHECK(world.desk->model->asked() > 0);
  }
}

TEST_CASE("where models cost too much the generator goes on alone") {
  model_world world;
  session_id session;
  auto how = by_model(40, {"generator", "small"});
  how.model_tokens = 100'000;
  auto end = world.search(how, &session);
  CHECK(end.finished.stopped_by == "evaluations");
  std::uint64_t tokens = 0;
  for (const auto& said : world.events<model_answered>(session))
    tokens += said.used.input + said.used.output;
  CHECK(tokens <= 100'000);
}

TEST_CASE("the day's limit holds for all sessions together") {
  model_world world;
  world.desk->day_limit = 60'000;
  auto end = world.search(by_model(200));
  CHECK(end.finished.stopped_by == "cost");
  CHECK(world.desk->day_tokens <= world.desk->day_limit);
}

TEST_CASE("an answer that arrived is used after a restart, not asked for again") {
  std::promise<void> compiling;
  std::once_flag once;
  engine_world world;
  auto desk = std::make_shared<made_up_desk>();
  struct stuck_desk final : model_desk { // compiles nothing, as if the process died meanwhile
    std::shared_ptr<made_up_desk> of;
    std::promise<void>* compiling = nullptr;
    std::once_flag* once = nullptr;
    result<model_seat> find(const std::string& name) override { return of->find(name); }
    std::vector<synthesis::reading> read(const lookup& what) override { return of->read(what); }
    void compile(const candidate&, const target&, std::function<void(std::string)>) override { std::call_once(*once, [&] { compiling->set_value(); }); }
    bool reserve(std::uint64_t, double) override { return true; }
    void settle(std::uint64_t, double, std::uint64_t, double) override {}
  };
  auto stuck = std::make_shared<stuck_desk>();
  stuck->of = desk;
  stuck->compiling = &compiling;
  stuck->once = &once;
  world.parts.models = stuck;
  world.start_engine();
  world.start_agent();
  auto how = by_model(6);
  how.in_flight = 1;
  auto session = world.engine->submit(made_up::subject(), {"cpu", "", "cpp"}, how);
  REQUIRE(session);
  compiling.get_future().wait();
  REQUIRE(world.engine->pause(*session));
  world.engine->wait(*session, {});
  CHECK(desk->model->asked() == 1);
  world.engine.reset();
  world.agent.reset();

  world.parts.models = desk;
  world.start_engine();
  world.start_agent();
  auto resumed = world.engine->resume(*session);
  REQUIRE_MESSAGE(resumed, resumed.error().message);
  auto end = world.engine->wait(*session, {});
  CHECK_FALSE(end.failure);
  const auto added = world.events<candidate_added>(*session);
  CHECK(added.size() >= 6);
  CHECK(desk->model->asked() == added.size() - 1); // one request for each candidate but the root
}

TEST_CASE("what does not compile goes back to the model with the compiler's words") {
  model_world world;
  world.desk->compiler = [](const candidate& c) { return c.sources[0].content.find("0 * 1;") != std::string::npos ? "kernel.cpp:2: error: made up" : ""; };
  session_id session;
  auto how = by_model(3);
  how.in_flight = 1;
  world.search(how, &session);
  const auto asked = world.events<model_asked>(session);
  REQUIRE(asked.size() >= 2);
  CHECK(asked[1].number == asked[0].number);
  CHECK(asked[1].role == "repair");
  REQUIRE(asked[1].turns.size() == 3);
  CHECK(asked[1].turns[2].find("kernel.cpp:2: error: made up") != std::string::npos);
}

TEST_CASE("a model that repeats itself costs no evaluations, and the session ends") {
  model_world world;
  world.desk->model->answers = [](const llm::request&, unsigned) { return llm::reply(saying(kernel(1))); };
  session_id session;
  auto how = by_model(100);
  how.in_flight = 1;
  auto end = world.search(how, &session);
  CHECK(end.finished.stopped_by == "space exhausted");
  CHECK(world.events<evaluation_recorded>(session).size() == 2); // the root and the one
}

TEST_CASE("a provider that is not there pauses the session with its reason, resumable") {
  model_world world;
  world.desk->model->answers = [](const llm::request&, unsigned) { return llm::reply(llm::failure{llm::failure_kind::authentication, "local: no key", 1, 0}); };
  session_id session;
  auto end = world.search(by_model(100), &session);
  REQUIRE(end.failure);
  CHECK(end.failure->code == errc::synthesizer);
  CHECK(end.failure->message.find("local: no key") != std::string::npos);
  CHECK(end.finished.stopped_by == "paused");
  world.desk->model->answers = [](const llm::request&, unsigned number) { return llm::reply(saying(kernel(number))); };
  REQUIRE(world.engine->resume(session));
  auto later = world.engine->wait(session, {});
  CHECK_FALSE(later.failure);
  CHECK(later.finished.stopped_by == "evaluations");
}

TEST_CASE("a synthesizer that is not configured is named") {
  model_world world;
  world.engine.reset();
  world.agent.reset();
  world.parts.unserved_limit_s = 0.1;
  world.start_engine();
  world.start_agent();
  auto end = world.search(by_model(10, {"large"}));
  REQUIRE(end.failure);
  CHECK(end.failure->message.find("no synthesizer large") != std::string::npos);
}
