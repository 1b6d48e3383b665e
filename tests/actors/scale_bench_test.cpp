// A scheduler and fifty agents on loopback, evaluations simulated: the short form of `kevolve bench scale`. Counts alone; nothing asks how long.
#include "actors/frozen_lease.hpp"
#include "actors/scale_bench.hpp"
#include "engine_world.hpp"
#include "protocol/codec.hpp"

#include <doctest/doctest.h>
#include <future>

using namespace kevolve;
using namespace kevolve::test;

namespace {

/// In this process, on a thread.
class fleet_thread final : public running_fleet {
public:
  explicit fleet_thread(simulated_fleet_settings what)
      : settings_(std::move(what)), report_(std::async(std::launch::async, [this] { return run_simulated_fleet(settings_, stop_); })) {}
  ~fleet_thread() override { stop_ = true; }
  result<simulated_fleet_report> end() override {
    stop_ = true;
    return report_.get();
  }

private:
  const simulated_fleet_settings settings_;
  std::atomic<bool> stop_ = false;
  std::future<result<simulated_fleet_report>> report_; // last: its thread uses the others, and its destructor waits for it
};

scale_bench_settings fifty(const scratch_directory& where) {
  scale_bench_settings s;
  s.directory = where.path;
  s.agents = 50;
  s.evaluations = 600;
  s.sessions = 3;
  s.in_flight = 300;
  return s;
}

fleet_starter in_this_process() {
  return [](const simulated_fleet_settings& what) -> result<std::unique_ptr<running_fleet>> { return std::unique_ptr<running_fleet>(std::make_unique<fleet_thread>(what)); };
}

} // namespace

TEST_CASE("fifty agents at one scheduler: no evaluation is lost, none counted twice, every agent works") {
  for (const double rate : {0.0, 400.0}) {
    CAPTURE(rate);
    const scratch_directory where;
    auto settings = fifty(where);
    settings.rate = rate;
    const auto seen = run_scale_bench(settings, in_this_process());
    REQUIRE_MESSAGE(seen, seen.error().message);
    CHECK(seen->agents == 50);
    CHECK(seen->evaluations == 600);
    CHECK(seen->lost == 0);
    CHECK(seen->twice == 0);
    CHECK(seen->fleet.answers == 600);
    CHECK(seen->fleet.idle_agents == 0);
    CHECK(seen->fleet.fewest >= 2);          // both of its places were used
    CHECK(seen->dispatch.leases == 500);     // all but the first in each of a hundred places
    CHECK(seen->dispatch.p99_s >= seen->dispatch.median_s);
    CHECK(seen->descriptors > 50);
  }
}

TEST_CASE("a benchmark without agents says so instead of waiting") {
  const scratch_directory where;
  auto settings = fifty(where);
  settings.agents = 0;
  const auto seen = run_scale_bench(settings, in_this_process());
  REQUIRE_FALSE(seen);
  CHECK(seen.error().code == errc::usage);
}

TEST_CASE("a frozen lease is the envelope of a granted one, byte for byte") {
  for (const std::size_t bytes : {0, 31, 300, 70'000}) { // strings of every length that MessagePack writes differently
    evaluate_work w;
    w.subject = made_up::subject();
    w.what.sources = {{"kernel.cpp", std::string(bytes, 'x')}};
    w.seed = bytes;
    const work thawed = w;
    const frozen_lease frozen{std::string(bytes % 100, 'l'), 70'000 * bytes, 12.5, std::make_shared<const std::string>(encode(thawed))};
    const std::string receiver(bytes % 250, 'r');
    CHECK(encode_frozen("kevolve", receiver, bytes + 1, frozen) ==
          encode(envelope{protocol_version, "kevolve", receiver, bytes + 1, lease_granted{frozen.lease, frozen.epoch, frozen.deadline_s, thawed}}));
  }
}
