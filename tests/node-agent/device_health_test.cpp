#include "node-agent/device_health.hpp"

#include <doctest/doctest.h>

using namespace kevolve::agent;
using verdict = device_health::verdict;

namespace {

const golden_rates calibrated{480e9, 0, 100e9};

golden_run good(double computes, double throughout, double copies) { return {golden_run::end::good, {computes * 1e9, throughout * 1e9, copies * 1e9}, {}}; }
const golden_run usual = good(470, 450, 90), throttled = good(400, 24, 60);
golden_run of(golden_run::end how) { return {how, {}, "what happened"}; }

struct world {
  device_health health{{}, 0};
  double now_s = 5;
  verdict hear(const golden_run& run, const golden_rates& known = calibrated) {
    while (!health.is_due(now_s))
      now_s += 1;
    return health.heard(run, known, now_s);
  }
  double next_in_s() {
    const double from = now_s;
    while (!health.is_due(now_s))
      now_s += 1;
    return now_s - from;
  }
};

} // namespace

TEST_CASE("a device is checked a moment after the start, then every ten minutes") {
  world w;
  CHECK(!w.health.is_due(4.9));
  CHECK(w.health.is_due(5));
  CHECK(w.hear(usual) == verdict::goes_on);
  CHECK(w.next_in_s() == 600);
  w.health.put_off(w.now_s); // somebody else measured
  CHECK(w.next_in_s() == 30);
}

TEST_CASE("nothing is later than the interval that a person asks for") {
  device_health::settings how;
  how.every_s = 2;
  device_health health(how, 0);
  CHECK(health.is_due(2));
  for (int run = 1; run <= 3; ++run) {
    (void)health.heard(throttled, calibrated, 10 * run);
    CHECK(health.is_due(10 * run + 2));
  }
  CHECK(!health.why_suspended().empty());
}

TEST_CASE("three slow runs in a row suspend, with numbers, half a minute apart") {
  world w;
  CHECK(w.hear(throttled) == verdict::doubted);
  CHECK(w.next_in_s() == 30);
  CHECK(w.hear(throttled) == verdict::doubted);
  CHECK(w.health.why_suspended().empty());
  CHECK(w.hear(throttled) == verdict::suspended);
  CHECK(w.health.why_suspended() == "it drifts: computes 400 of 480 GFLOP/s at its best and 24 throughout, copies 60 of 100 GB/s (3 golden runs in a row)");
  CHECK(w.next_in_s() == 60);
}

TEST_CASE("each rate alone is reason enough, and each share has its bound") {
  for (const auto& slow : {good(159, 159, 90), good(470, 47, 90), good(470, 450, 12.4)}) {
    world w;
    CHECK(w.hear(slow) == verdict::doubted);
  }
  for (const auto& busy : {good(161, 161, 90), good(470, 49, 90), good(470, 450, 12.6)}) {
    world w;
    CHECK(w.hear(busy) == verdict::goes_on);
  }
}

TEST_CASE("a host that is busy now and then suspends nothing") {
  world w;
  for (int i = 0; i < 50; ++i) {
    CHECK(w.hear(throttled) == verdict::doubted);
    CHECK(w.hear(throttled) == verdict::doubted);
    CHECK(w.hear(usual) == verdict::goes_on);
  }
}

TEST_CASE("a suspended device serves again after two good runs in a row") {
  world w;
  for (int i = 0; i < 3; ++i)
    (void)w.hear(throttled);
  CHECK(w.hear(usual) == verdict::goes_on);
  CHECK(w.hear(throttled) == verdict::goes_on); // not in a row
  CHECK(w.hear(usual) == verdict::goes_on);
  CHECK(!w.health.why_suspended().empty());
  CHECK(w.next_in_s() == 60);
  CHECK(w.hear(usual) == verdict::serves_again);
  CHECK(w.health.why_suspended().empty());
  CHECK(w.next_in_s() == 600);
  CHECK(w.hear(throttled) == verdict::doubted); // counted anew
}

TEST_CASE("silence suspends at once, and is forgiven after good runs") {
  world w;
  CHECK(w.hear(of(golden_run::end::silent)) == verdict::suspended);
  CHECK(w.health.why_suspended() == "it hangs: what happened");
  CHECK(w.hear(of(golden_run::end::silent)) == verdict::goes_on); // said once
  CHECK(w.hear(usual) == verdict::goes_on);
  CHECK(w.hear(usual) == verdict::serves_again);
}

TEST_CASE("a wrong result suspends at once and for good") {
  world w;
  CHECK(w.hear(of(golden_run::end::wrong)) == verdict::suspended);
  CHECK(w.health.why_suspended() == "it errs: what happened; until the agent is started again");
  CHECK(!w.health.is_due(1e12));
}

TEST_CASE("a wrong result outweighs the reason of before") {
  world w;
  for (int i = 0; i < 3; ++i)
    (void)w.hear(throttled);
  CHECK(w.hear(of(golden_run::end::wrong)) == verdict::suspended);
  CHECK(w.health.why_suspended().starts_with("it errs: "));
}

TEST_CASE("a kernel that is killed is no proof: it takes three in a row, whatever kinds they are") {
  world w;
  CHECK(w.hear(of(golden_run::end::failed)) == verdict::doubted);
  CHECK(w.hear(throttled) == verdict::doubted);
  CHECK(w.hear(of(golden_run::end::failed)) == verdict::suspended);
  CHECK(w.health.why_suspended() == "it errs: what happened (3 golden runs in a row)");
}

TEST_CASE("a device that is much faster than its calibration is calibrated again, once an hour at most") {
  world w;
  CHECK(w.hear(good(470, 450, 140)) == verdict::goes_on);
  CHECK(w.hear(good(470, 450, 160)) == verdict::to_be_calibrated);
  CHECK(w.next_in_s() == 600);
  for (int i = 0; i < 5; ++i)
    CHECK(w.hear(good(730, 450, 90)) == verdict::goes_on);
  CHECK(w.hear(good(730, 450, 90)) == verdict::to_be_calibrated);
  CHECK(w.health.why_suspended().empty());
}
