// Whole sessions through real actors, link, agent service and store, with a made-up generator and host.
#include "engine_world.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::test;

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
