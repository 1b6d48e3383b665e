// The short form of `kevolve bench simulate`, its repeatability, and the controls: bugs planted on purpose that it must find.
#include "tests/simulation/cluster.hpp"

#include <algorithm>
#include <doctest/doctest.h>

using namespace kevolve::simulation;

TEST_CASE("500 seeds of faults violate no invariant, each with at least 200 leases and 20 faults") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    const auto got = simulate(seed);
    CHECK_MESSAGE(got.violation.empty(), "seed " << seed << ": " << got.violation << "; replay: kevolve bench simulate --replay " << seed);
    CHECK(got.leases >= 200);
    CHECK(got.faults >= 20);
    CHECK(got.writings >= 50);
    CHECK(got.writings >= 50);
  }
}

TEST_CASE("an equal seed gives an equal trace, another seed another") {
  simulation_options told;
  told.keeps_trace = true;
  const auto one = simulate(7, told), again = simulate(7, told), other = simulate(8);
  CHECK(one.trace_hash == again.trace_hash);
  CHECK(one.trace == again.trace);
  CHECK(one.trace_hash == simulate(7).trace_hash); // looking changes nothing
  CHECK(one.trace_hash != other.trace_hash);
}

TEST_CASE("bugs planted on purpose are found, each by the invariant that forbids it") {
  struct expectation { planted bug; const char* invariant; };
  for (const auto& [bug, invariant] : {expectation{planted::acknowledges_early, "I1"}, expectation{planted::counts_late, "I4"},
                                       expectation{planted::reuses_incarnation, "I4"}, expectation{planted::ignores_deadlines, "I10"},
                                       expectation{planted::shows_early, "I1"}, expectation{planted::loses_durable, "I2"},
                                       expectation{planted::pays_unreserved, "I9"}, expectation{planted::forgets_written, "I1"}}) {
    simulation_options broken;
    broken.bug = bug;
    std::string found;
    for (std::uint64_t seed = 1; seed <= 50 && found.empty(); ++seed)
      found = simulate(seed, broken).violation;
    CHECK_MESSAGE(found.starts_with(invariant), to_string(bug) << " was answered by: " << found);
  }
}
