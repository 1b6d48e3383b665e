// Whole sessions through real actors, link, agent service and store, with a made-up generator and host.
#include "actors/replay.hpp"
#include "engine_world.hpp"

#include <doctest/doctest.h>
#include <future>

using namespace kevolve;
using namespace kevolve::test;

namespace {

/// The tree of an uninterrupted search through one slot.
std::string undisturbed_tree(std::uint32_t evaluations) {
  engine_world world;
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, through_one_slot(evaluations));
  REQUIRE(session);
  REQUIRE_FALSE(world.engine->wait(*session, {}).failure);
  auto digest = tree_digest(*world.memory->events(*session));
  REQUIRE(digest);
  return *digest;
}

} // namespace

TEST_CASE("a session runs from submit to a verified leader, and its log tells all of it") {
  engine_world world;
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, short_search(40));
  REQUIRE_MESSAGE(session, session.error().message);
  std::vector<session_progress> shown;
  auto end = world.engine->wait(*session, [&](const session_progress& p) { shown.push_back(p); });
  CHECK_FALSE(end.failure);
  CHECK(end.finished.stopped_by == "evaluations");
  REQUIRE(end.verified);
  CHECK(end.verified->holds);
  CHECK(end.verified->speedup > 1);
  CHECK(end.verified->best_baseline == "eager");
  CHECK_FALSE(shown.empty());
  CHECK(shown.back().phase == "done");
  CHECK(world.events<evaluation_recorded>(*session).size() == 40);
  CHECK(world.events<session_finished>(*session).size() == 1);
  auto opened = world.events<session_opened>(*session);
  REQUIRE(opened.size() == 1);
  CHECK(opened[0].hardware == "cpu-made-up");
  CHECK(opened[0].on.architecture == "made-up");
}

TEST_CASE("the agent works on several candidates of one session at once") {
  std::atomic<unsigned> inside = 0;
  engine_world world;
  world.host.before = [&](const evaluate_work& what, const std::atomic<bool>& cancelled) -> std::optional<error> {
    if (what.anchors.empty())
      return std::nullopt; // the root comes alone
    ++inside;
    while (inside < 2 && !cancelled) // one waits for the other: alone it would never end
      std::this_thread::yield();
    return std::nullopt;
  };
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, short_search(12));
  REQUIRE(session);
  CHECK_FALSE(world.engine->wait(*session, {}).failure);
  CHECK(world.host.most_at_once >= 2);
}

TEST_CASE("a session that was paused and resumed has the tree that it would have had") {
  std::promise<void> reached;
  std::once_flag once;
  engine_world world;
  world.host.before = [&](const evaluate_work&, const std::atomic<bool>&) -> std::optional<error> {
    if (world.host.asked >= 15)
      std::call_once(once, [&] { reached.set_value(); });
    return std::nullopt;
  };
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, through_one_slot(50));
  REQUIRE(session);
  reached.get_future().wait();
  REQUIRE(world.engine->pause(*session));
  auto first = world.engine->wait(*session, {});
  CHECK(first.finished.stopped_by == "paused");
  auto counted = world.events<evaluation_recorded>(*session).size();
  CHECK(counted >= 10);
  CHECK(counted < 50);
  auto resumed = world.engine->resume(*session);
  REQUIRE_MESSAGE(resumed, resumed.error().message);
  auto end = world.engine->wait(*session, {});
  CHECK_FALSE(end.failure);
  CHECK(end.finished.stopped_by == "evaluations");
  CHECK(world.events<evaluation_recorded>(*session).size() == 50);
  CHECK(*tree_digest(*world.memory->events(*session)) == undisturbed_tree(50));
}

TEST_CASE("recorded evaluations through one slot give the tree again") {
  engine_world world;
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, through_one_slot(40));
  REQUIRE(session);
  REQUIRE_FALSE(world.engine->wait(*session, {}).failure);
  auto again = replay_session(*world.memory, *session, world.directory.path / "replay", made_up::generator());
  REQUIRE_MESSAGE(again, again.error().message);
  CHECK(*again == *tree_digest(*world.memory->events(*session)));
}

TEST_CASE("an engine that goes away pauses its sessions and leaves logs that another continues") {
  engine_world world;
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, through_one_slot(400));
  REQUIRE(session);
  world.engine.reset();
  auto paused = world.events<session_paused>(*session);
  CHECK(paused.size() == 1);
  CHECK(world.events<session_finished>(*session).empty());
  world.agent.reset();
  world.start_engine();
  world.start_agent("another");
  REQUIRE(world.engine->resume(*session));
  CHECK(world.engine->wait(*session, {}).finished.stopped_by == "evaluations");
  CHECK(world.events<evaluation_recorded>(*session).size() == 400);
}

TEST_CASE("a cancelled session ends for good") {
  engine_world world;
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), {}, short_search(100'000));
  REQUIRE(session);
  REQUIRE(world.engine->cancel(*session));
  CHECK(world.engine->wait(*session, {}).finished.stopped_by == "cancelled");
  auto again = world.engine->resume(*session);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == errc::refused);
}

TEST_CASE("what the store knows of a candidate travels with its work, a verification's excepted") {
  std::atomic<unsigned> told = 0, told_verifying = 0;
  engine_world world;
  world.host.before = [&](const evaluate_work& what, const std::atomic<bool>&) -> std::optional<error> {
    (what.how == effort::verify ? told_verifying : told) += what.known.empty() ? 0 : 1;
    for (const auto& each : what.known)
      if (each.candidate != what.what.id)
        return error{errc::infrastructure, "it knows another candidate"};
    return std::nullopt;
  };
  world.start_engine();
  world.start_agent();
  auto same = through_one_slot(20);
  same.injection = 0; // the second search knows no more than the first
  for (const unsigned expected : {0u, 20u}) { // the same search again meets the same candidates
    auto session = world.engine->submit(made_up::subject(), {}, same);
    REQUIRE(session);
    auto end = world.engine->wait(*session, {});
    CHECK(!end.failure);
    CHECK(told == expected);
  }
  CHECK(told_verifying == 0);
}

TEST_CASE("a target that nobody serves is refused by name, with what is served") {
  engine_world world;
  world.parts.agent_wait_s = 0.3;
  world.start_engine();
  world.start_agent();
  auto session = world.engine->submit(made_up::subject(), target{"cuda", "", "triton"}, short_search(10));
  REQUIRE_FALSE(session);
  CHECK(session.error().code == errc::no_agent);
  CHECK(session.error().message.find("cuda") != std::string::npos);
}

TEST_CASE("an agent works on as many candidates at once as its host has slots for, whatever the machine's cores") {
  for (const unsigned slots : {1u, 5u}) {
    engine_world world;
    world.host.slots_to_compile = slots;
    world.start_engine();
    world.start_agent();
    REQUIRE(world.engine->submit(made_up::subject(), {}, through_one_slot(1))); // it is there
    const auto there = world.engine->agents();
    REQUIRE(there);
    REQUIRE(there->size() == 1);
    CHECK((*there)[0].credit == slots + made_up::device().slots);
  }
}
