// Parts that fail under a session: it goes on, and its log says what happened.
#include "actors/replay.hpp"
#include "engine_world.hpp"

#include <doctest/doctest.h>
#include <future>

using namespace kevolve;
using namespace kevolve::test;

namespace {

class flaky_generator final : public synthesis::generator {
public:
  flaky_generator(std::unique_ptr<synthesis::generator> inner, std::shared_ptr<std::atomic<int>> until_throw)
      : inner_(std::move(inner)), until_throw_(std::move(until_throw)) {}
  result<synthesis::proposal> root() const override { return inner_->root(); }
  result<synthesis::proposal> print(const schedule& s, const transformation& edge) const override { return inner_->print(s, edge); }
  result<synthesis::proposal> propose(const synthesis::context& given, rng draw) const override {
    if (--*until_throw_ == 0)
      throw std::runtime_error("the generator lost its mind");
    return inner_->propose(given, draw);
  }

private:
  std::unique_ptr<synthesis::generator> inner_;
  std::shared_ptr<std::atomic<int>> until_throw_;
};

/// Throws once, at the `at`-th input of `actor`.
std::function<void(const char*)> throw_once(std::string actor, int at) {
  auto left = std::make_shared<std::atomic<int>>(at);
  return [=](const char* who) {
    if (actor == who && --*left == 0)
      throw std::runtime_error("thrown into the " + actor);
  };
}

std::string tree_after(engine_world& world, std::uint32_t evaluations, std::string& restarted, std::string& reason) {
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, through_one_slot(evaluations));
  REQUIRE_MESSAGE(session, session.error().message);
  auto end = world.engine->wait(*session, {});
  REQUIRE_FALSE(end.failure);
  CHECK(world.events<evaluation_recorded>(*session).size() == evaluations);
  for (const auto& each : world.events<actor_restarted>(*session)) {
    restarted += each.actor + ";";
    reason += each.reason + ";";
  }
  return *tree_digest(*world.memory->events(*session));
}

} // namespace

TEST_CASE("a synthesizer, tree node, dispatcher or session that throws is restarted, and the tree is what it would have been") {
  std::string none, reason;
  engine_world calm;
  std::string expected = tree_after(calm, 30, none, reason);
  CHECK(none.empty());
  for (std::string actor : {"synthesizer", "tree_node", "dispatcher", "session"}) {
    CAPTURE(actor);
    engine_world world;
    if (actor == "synthesizer") {
      auto until = std::make_shared<std::atomic<int>>(9);
      world.parts.make_generator = [until](const problem& p, const target& t, const std::string& c) -> result<std::unique_ptr<synthesis::generator>> {
        KEVOLVE_TRY(inner, made_up::generator()(p, t, c));
        return std::unique_ptr<synthesis::generator>(std::make_unique<flaky_generator>(std::move(inner), until));
      };
    } else {
      world.parts.probe = throw_once(actor, 25);
    }
    std::string restarted;
    reason.clear();
    CHECK(tree_after(world, 30, restarted, reason) == expected);
    CHECK(restarted.find(actor == "dispatcher" ? "session" : actor) != std::string::npos);
    CHECK(reason.find(actor == "synthesizer" ? "lost its mind" : "thrown into the " + actor) != std::string::npos);
  }
}

TEST_CASE("a generator that always throws ends the session with its reason instead of going round for ever") {
  engine_world world;
  world.parts.make_generator = [](const problem& p, const target& t, const std::string& c) -> result<std::unique_ptr<synthesis::generator>> {
    KEVOLVE_TRY(inner, made_up::generator()(p, t, c));
    struct hopeless final : synthesis::generator {
      std::unique_ptr<synthesis::generator> inner;
      result<synthesis::proposal> root() const override { return inner->root(); }
      result<synthesis::proposal> print(const schedule& s, const transformation& e) const override { return inner->print(s, e); }
      result<synthesis::proposal> propose(const synthesis::context&, rng) const override { throw std::runtime_error("never"); }
    };
    auto made = std::make_unique<hopeless>();
    made->inner = std::move(inner);
    return std::unique_ptr<synthesis::generator>(std::move(made));
  };
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, short_search(30));
  REQUIRE(session);
  auto end = world.engine->wait(*session, {});
  REQUIRE(end.failure);
  CHECK(end.failure->message.find("never") != std::string::npos);
}

TEST_CASE("an infrastructure fault is tried again and never held against the candidate") {
  std::mutex mutex;
  std::set<candidate_id> seen;
  engine_world world;
  world.host.before = [&](const evaluate_work& what, const std::atomic<bool>&) -> std::optional<error> {
    std::lock_guard lock(mutex);
    if (seen.insert(what.what.id).second && what.what.id[0] < '4')
      return error{errc::infrastructure, "the judge died"};
    if (what.what.id[0] == '5')
      throw std::runtime_error("the evaluator threw"); // every time: given up in the end, at no evaluation's cost
    return std::nullopt;
  };
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, short_search(40));
  REQUIRE(session);
  auto end = world.engine->wait(*session, {});
  auto counted = world.events<evaluation_recorded>(*session);
  CHECK(counted.size() == 40);
  for (const auto& each : counted) {
    CHECK(each.what.result != outcome::infrastructure);
    CHECK(each.what.candidate[0] != '5');
  }
}

TEST_CASE("an agent that leaves gives its work back, and another one does it") {
  std::atomic<bool> hold = true;
  std::promise<void> held;
  std::once_flag once;
  engine_world world;
  world.host.before = [&](const evaluate_work& what, const std::atomic<bool>& cancelled) -> std::optional<error> {
    if (!what.anchors.empty() && hold) {
      std::call_once(once, [&] { held.set_value(); });
      while (hold && !cancelled)
        std::this_thread::yield();
      return error{errc::interrupted, "cancelled"};
    }
    return std::nullopt;
  };
  world.start_engine();
  world.start_agent("first");
  auto session = world.engine->submit(made_up::subject(), {}, short_search(30));
  REQUIRE(session);
  held.get_future().wait();
  world.agent.reset();
  hold = false;
  world.start_agent("second");
  auto end = world.engine->wait(*session, {});
  CHECK_FALSE(end.failure);
  CHECK(world.events<evaluation_recorded>(*session).size() == 30);
}

namespace {

/// An agent of ill manners: answers every lease under an old epoch, then rightly, then twice more.
class stammering_link final : public kevolve::link {
public:
  explicit stammering_link(link_callbacks callbacks) : callbacks_(std::move(callbacks)), alive_([this] {
    while (!closing_) {
      callbacks_.received("stammerer", agent_hello{"stammerer", "stammerer", protocol_version, {made_up::device()}, 4});
      for (int i = 0; i < 50 && !closing_; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }) {}
  ~stammering_link() override {
    closing_ = true;
    alive_.join();
  }
  result<void> send(std::string agent, message what) override {
    if (auto* lease = std::get_if<lease_granted>(&what)) {
      lease_finished answer{lease->lease, lease->epoch, made_up::measure(std::get<evaluate_work>(lease->what))};
      lease_finished old = answer;
      old.epoch = lease->epoch + 7;
      for (const auto& each : {old, answer, answer, answer})
        callbacks_.received(agent, each);
    }
    return {};
  }
  link_counts counts() const override { return {}; }

private:
  link_callbacks callbacks_;
  std::atomic<bool> closing_ = false;
  std::thread alive_;
};

} // namespace

TEST_CASE("results without the current epoch are logged and never counted") {
  engine_world world;
  world.parts.open_link = [](link_callbacks callbacks) -> result<std::unique_ptr<kevolve::link>> {
    return std::unique_ptr<kevolve::link>(std::make_unique<stammering_link>(std::move(callbacks)));
  };
  world.start_engine();
  auto session = world.engine->submit(made_up::subject(), {}, short_search(25));
  REQUIRE_MESSAGE(session, session.error().message);
  auto end = world.engine->wait(*session, {});
  CHECK_FALSE(end.failure);
  auto counted = world.events<evaluation_recorded>(*session);
  CHECK(counted.size() == 25);
  std::set<node_number> once;
  for (const auto& each : counted)
    CHECK(once.insert(each.number).second);
  CHECK(world.events<evaluation_discarded>(*session).size() >= 24);
}
