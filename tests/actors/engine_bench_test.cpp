#include "actors/engine_bench.hpp"
#include "engine_world.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::test;

namespace {

// CAF's own races, suppressed by its library's name, cost ThreadSanitizer a report each: 1,500 candidates did not end in 600 s there.
#if defined(__SANITIZE_THREAD__)
constexpr std::uint32_t candidates = 60;
#else
constexpr std::uint32_t candidates = 1500;
#endif

} // namespace

TEST_CASE("the engine's benchmark records every candidate durably, under each policy, and reports what it saw") {
  for (auto policy : {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve, policy_kind::random}) {
    CAPTURE(to_string(policy));
    scratch_directory directory;
    engine_bench_settings settings;
    settings.directory = directory.path / "kb";
    settings.candidates = candidates;
    settings.policy = policy;
    auto report = run_engine_bench(settings);
    REQUIRE_MESSAGE(report, report.error().message);
    CHECK(report->candidates == candidates);
    REQUIRE(report->checkpoints.size() == (candidates > 1000 ? 1 : 0));
    for (const auto& checkpoint : report->checkpoints) {
      CHECK(checkpoint.candidates == 1000);
      CHECK(checkpoint.iterations_per_s > 0);
    }
    CHECK(report->bytes_per_tree_node > 0);
    auto memory = kb::store::open(settings.directory, kb::access::read_only);
    REQUIRE(memory);
    auto sessions = (*memory)->sessions();
    REQUIRE(sessions);
    REQUIRE(sessions->size() == 1);
    CHECK((*sessions)[0].evaluations == candidates);
    CHECK((*sessions)[0].state == "finished");
  }
}
