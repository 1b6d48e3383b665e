// A device that its agent has suspended, through the real scheduler, link and agents in one process; hosts are made up.
#include "actors/suspension.hpp"
#include "engine_world.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::test;
using namespace std::chrono_literals;

namespace {

template <class Condition>
bool comes_true(Condition condition) { // or the test fails after a minute
  for (int i = 0; i < 6000 && !condition(); ++i)
    std::this_thread::sleep_for(10ms);
  return condition();
}

/// Evaluates nothing until it is told to; an evaluation that is cancelled ends.
struct stuck_host {
  std::atomic<bool> stuck = true;
  std::atomic<unsigned> interrupted = 0;
  made_up_host host;
  stuck_host() {
    host.before = [this](const evaluate_work&, const std::atomic<bool>& cancelled) -> std::optional<error> {
      while (stuck && !cancelled)
        std::this_thread::sleep_for(1ms);
      if (!cancelled)
        return std::nullopt;
      ++interrupted;
      return error{errc::interrupted, "cancelled"};
    };
  }
};

std::unique_ptr<agent_service> serve(engine_world& world, agent::host_evaluator& host, const std::string& name) {
  auto started = agent_service::start(host, "inproc://kevolve-test", world.context.handle(), name);
  REQUIRE(started);
  return std::move(*started);
}

std::string waits_for(engine_world& world, const session_id& session) {
  const auto why = world.engine->waits_for(session);
  return why ? *why : why.error().message;
}

std::optional<agent_status> status_of(engine_world& world, const std::string& name) {
  const auto all = world.engine->agents();
  REQUIRE(all);
  for (const agent_status& each : *all)
    if (each.name == name)
      return each;
  return std::nullopt;
}

} // namespace

TEST_CASE("what a suspended device holds is given back, and another agent finishes the session") {
  engine_world world;
  stuck_host ill;
  made_up_host well;
  world.start_engine();
  const auto first = serve(world, ill.host, "first");
  auto session = world.engine->submit(made_up::subject(), {}, short_search(12));
  REQUIRE_MESSAGE(session, session.error().message);
  REQUIRE(comes_true([&] { return ill.host.asked > 0; }));
  const auto second = serve(world, well, "second");
  first->suspend("cpu0", "it drifts: a test says so");
  const auto end = world.engine->wait(*session, {});
  CHECK_FALSE(end.failure);
  CHECK(world.events<evaluation_recorded>(*session).size() == 12);
  CHECK(comes_true([&] { return ill.interrupted > 0; }));
  const auto shown = status_of(world, "first");
  REQUIRE(shown);
  CHECK(is_suspended(*shown));
  REQUIRE(shown->found.size() == 1);
  CHECK(shown->found[0].name == "cpu0");
  CHECK(shown->found[0].trouble == "suspended: it drifts: a test says so");
  CHECK(shown->leases == 0);
  CHECK_FALSE(is_suspended(*status_of(world, "second")));
}

TEST_CASE("a session that only a suspended device could serve waits, says for what, and ends once it serves again") {
  engine_world world;
  stuck_host one;
  world.parts.unserved_limit_s = 3600;
  world.start_engine();
  const auto agent = serve(world, one.host, "only");
  auto session = world.engine->submit(made_up::subject(), {}, through_one_slot(5));
  REQUIRE_MESSAGE(session, session.error().message);
  REQUIRE(comes_true([&] { return one.host.asked > 0; }));
  CHECK(waits_for(world, *session) == "");
  agent->suspend("cpu0", "it hangs: a test says so");
  REQUIRE(comes_true([&] { return waits_for(world, *session).find("cpu0 of only/") != std::string::npos; }));
  CHECK(waits_for(world, *session).find("is suspended: it hangs: a test says so") != std::string::npos);
  CHECK(comes_true([&] { return status_of(world, "only")->leases == 0; }));
  const unsigned asked = one.host.asked;
  one.stuck = false;
  agent->suspend("cpu0", "");
  const auto end = world.engine->wait(*session, {});
  CHECK_FALSE(end.failure);
  CHECK(one.host.asked > asked);
  CHECK(world.events<evaluation_recorded>(*session).size() == 5);
  for (const auto& each : world.events<evaluation_recorded>(*session))
    CHECK(each.what.result != outcome::infrastructure);
  CHECK_FALSE(is_suspended(*status_of(world, "only")));
}
