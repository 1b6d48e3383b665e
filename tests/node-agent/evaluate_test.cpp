#include "tests/node-agent/rms_norm.hpp"

using namespace kevolve;
using namespace kevolve::agent;

TEST_CASE("an honest candidate passes, is timed against its anchor and diagnosed") {
  const auto e = evaluated(work_on(fast_rms_norm(), {naive_rms_norm()}));
  CAPTURE(e.log);
  REQUIRE(e.result == outcome::passed);
  CHECK(e.correct.cases > 5);
  REQUIRE(e.timings.size() == 1);
  CHECK(e.timings[0].latency_s > 0);
  REQUIRE(e.timings[0].comparisons.size() == 1);
  CHECK(e.timings[0].comparisons[0].ratio > 1);
  CHECK(e.diagnosed.bytes > 64 * 4096 * 8);
  CHECK(e.diagnosed.limited_by != bound::unknown);
  CHECK(e.where.toolchain.starts_with("g++ "));
}
