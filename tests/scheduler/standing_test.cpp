// The standing list: what is worth another session, and what survives a restart.
#include "scheduler/standing.hpp"

#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <stdlib.h>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

constexpr std::int64_t minute = 60'000;
const std::string facts = "cpu-x; g++ 12.2.0, judge 4, copies 40.1 GB/s, computes 180 GFLOP/s";

standing_item item(std::string name, double weight) {
  standing_item i;
  i.name = i.what.subject.op.name = std::move(name);
  i.weight = weight;
  return i;
}

struct folder {
  std::filesystem::path path;
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-standing-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~folder() { std::filesystem::remove_all(path); }
};

} // namespace

TEST_CASE("weight and headroom decide among those that get on alike") {
  auto far = item("far", 1), near = item("near", 1), heavy = item("heavy", 50);
  for (auto* i : {&far, &near, &heavy})
    add_session(i->so_far, 60, 2, i == &far ? 0.3 : 0.9, facts, 0);
  CHECK(worth_of(far, facts, minute) > worth_of(near, facts, minute));
  CHECK(worth_of(heavy, facts, minute) > worth_of(far, facts, minute));
  CHECK(next_of({far, near, heavy}, minute, [](const submission&) { return facts; }) == "heavy");
  CHECK(next_of({far, near}, minute, [](const submission&) { return facts; }) == "far");
  CHECK(next_of({far, near}, minute, [](const submission&) { return std::string(); }) == ""); // nobody serves them
}

TEST_CASE("what was never tried comes before what has stopped gaining, and rests double") {
  auto tired = item("tired", 1), fresh = item("fresh", 1);
  add_session(tired.so_far, 60, 2, 0.5, facts, 0);
  CHECK(worth_of(tired, facts, minute) > 0);
  add_session(tired.so_far, 60, 2.001, 0.5, facts, minute);
  CHECK(tired.so_far.without_gain == 1);
  CHECK(worth_of(tired, facts, 2 * minute) == 0);
  CHECK(worth_of(tired, facts, 12 * minute) > 0);
  add_session(tired.so_far, 60, 0, 0, facts, 12 * minute); // nothing verified
  CHECK(tired.so_far.without_gain == 2);
  CHECK(tired.so_far.speedup == 2);
  CHECK(worth_of(tired, facts, 25 * minute) == 0);
  CHECK(worth_of(tired, facts, 33 * minute) > 0);
  CHECK(worth_of(fresh, facts, 33 * minute) > worth_of(tired, facts, 33 * minute));
  add_session(tired.so_far, 60, 3, 0.6, facts, 40 * minute);
  CHECK(tired.so_far.without_gain == 0);
}

TEST_CASE("a device that changed makes a leader worth another look; calibration's noise does not") {
  auto done = item("done", 1);
  for (int i = 0; i < 5; ++i)
    add_session(done.so_far, 60, 2, 0.5, facts, i * minute);
  CHECK(worth_of(done, facts, 6 * minute) == 0);
  CHECK(worth_of(done, "cpu-x; g++ 12.2.0, judge 4, copies 44 GB/s, computes 171 GFLOP/s", 6 * minute) == 0);
  const std::string halved = "cpu-x; g++ 12.2.0, judge 4, copies 20 GB/s, computes 90 GFLOP/s";
  CHECK(worth_of(done, halved, 6 * minute) > 0);
  CHECK(worth_of(done, "cpu-x; g++ 13.1.0, judge 4, copies 40.1 GB/s, computes 180 GFLOP/s", 6 * minute) > 0);
  add_session(done.so_far, 60, 1.4, 0.7, halved, 7 * minute); // slower than before, on a slower device: a new yardstick
  CHECK(done.so_far.speedup == doctest::Approx(1.4));
  CHECK(done.so_far.without_gain == 0);
}

TEST_CASE("items and what they came to are there again after a restart; a damaged file is named") {
  folder at;
  {
    auto list = standing_list::open(at.path);
    REQUIRE(list);
    REQUIRE(list->put(item("b", 2)));
    REQUIRE(list->put(item("a/../x", 1)));
    auto* b = list->find("b");
    REQUIRE(b);
    add_session(b->so_far, 60, 2, 0.5, facts, 0);
    REQUIRE(list->save(*b));
    REQUIRE(list->put(item("b", 7))); // another weight keeps what it came to
  }
  auto again = standing_list::open(at.path);
  REQUIRE(again);
  REQUIRE(again->items().size() == 2);
  CHECK(again->items()[0].name == "a/../x");
  CHECK(again->items()[1].weight == 7);
  CHECK(again->items()[1].so_far.sessions == 1);
  REQUIRE(again->remove("b"));
  CHECK(again->remove("b").error().code == errc::not_found);
  CHECK(standing_list::open(at.path)->items().size() == 1);
  std::ofstream(at.path / "standing" / "c.standing") << "not an item";
  auto damaged = standing_list::open(at.path);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code == errc::damaged);
  CHECK(damaged.error().message.find("c.standing") != std::string::npos);
}
