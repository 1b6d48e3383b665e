#include "node-agent/golden.hpp"
#include "node-agent/roofs.hpp"

#include <cmath>
#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::agent;

namespace {

host_roofs calibration() {
  host_roofs r;
  r.memory = {{1e6, 9e9, 9e9, 9e9}, {128e6, 20e9, 20e9, 10e9}};
  r.streams_from_bytes = 64e6;
  r.fma_flops_per_s = 100e9;
  return r;
}

} // namespace

TEST_CASE("a golden run copies the largest working set that was calibrated, past the caches where calibration did, and sums") {
  const auto ask = golden_request(calibration(), 7);
  REQUIRE(ask.steps.size() == 2);
  CHECK(ask.inputs == std::vector<std::int64_t>{16'000'000});
  CHECK(ask.steps[0].copies);
  CHECK(ask.steps[0].axes == std::vector<std::int64_t>{copying_past_caches, 16'000'000, 1});
  CHECK(ask.steps[1].axes == std::vector<std::int64_t>{golden_sums, 1024, golden_rounds});
  auto cached = calibration();
  cached.streams_from_bytes = 1e18;
  CHECK(golden_request(cached, 7).steps[0].axes[0] == copying);
}

TEST_CASE("an accumulator swings between two values and keeps what went wrong in any round") {
  const auto [fused, apart] = golden_sums_of(24, 4);
  double exact = 0;
  for (int k = 0; k < 24; ++k) {
    double a = static_cast<double>(0.731f) * k;
    for (int r = 0; r < 4; ++r)
      a = a * static_cast<double>(-0.99999994f) + static_cast<double>(0.731f);
    exact += a;
  }
  CHECK(fused == doctest::Approx(exact).epsilon(1e-6));
  CHECK(apart == doctest::Approx(exact).epsilon(1e-6));
  const auto far = golden_sums_of(24, golden_rounds);
  CHECK(std::abs(far[0]) > 0.5f * std::abs(fused)); // nothing has died away
}

TEST_CASE("rates come from the best call and from all of them") {
  judge_golden_done done;
  done.began = true;
  done.steps = {{0.01, 0.02}, {0.001, 0.004}};
  const auto run = golden_run_of(done, calibration(), 2);
  REQUIRE(run);
  CHECK(run->how == golden_run::end::good);
  CHECK(run->found.copies == doctest::Approx(12.8e9));
  CHECK(run->found.computes == doctest::Approx(roof_flops(golden_rounds, 2) / 0.001));
  CHECK(run->found.computes_throughout == doctest::Approx(roof_flops(golden_rounds, 2) / 0.004));
  CHECK(calibrated_rates(calibration()).computes == 100e9);
  CHECK(calibrated_rates(calibration()).copies == 10e9);
}

TEST_CASE("what is wrong, hangs or ends early is told apart from what could not be started") {
  judge_golden_done done;
  done.problem = "no room for a process";
  CHECK(!golden_run_of(done, calibration(), 2));
  done.began = true;
  CHECK(golden_run_of(done, calibration(), 2)->how == golden_run::end::failed);
  done.hung = true;
  CHECK(golden_run_of(done, calibration(), 2)->how == golden_run::end::silent);
  done = {};
  done.began = true;
  done.wrong = "a copy differs";
  CHECK(golden_run_of(done, calibration(), 2)->how == golden_run::end::wrong);
  CHECK(golden_run_of(done, calibration(), 2)->detail == "a copy differs");
}
