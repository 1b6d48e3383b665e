#include "actors/engine_bench.hpp"
#include "engine_world.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::test;

TEST_CASE("the engine's benchmark records every candidate durably, under each policy, and reports what it saw") {
  for (auto policy : {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve, policy_kind::random}) {
    CAPTURE(to_string(policy));
    scratch_directory directory;
    engine_bench_settings settings;
    settings.directory = directory.path / "kb";
    settings.candidates = 1500;
    settings.policy = policy;
    auto report = run_engine_bench(settings);
    REQUIRE_MESSAGE(report, report.error().message);
    CHECK(report->candidates == 1500);
    REQUIRE(report->checkpoints.size() == 1);
    CHECK(report->checkpoints[0].candidates == 1000);
    CHECK(report->checkpoints[0].iterations_per_s > 0);
    CHECK(report->bytes_per_tree_node > 0);
    auto memory = kb::store::open(settings.directory, kb::access::read_only);
    REQUIRE(memory);
    auto sessions = (*memory)->sessions();
    REQUIRE(sessions);
    REQUIRE(sessions->size() == 1);
    CHECK((*sessions)[0].evaluations == 1500);
    CHECK((*sessions)[0].state == "finished");
  }
}
