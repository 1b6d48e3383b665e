// The origin's end of a migration: what leaves, when, and what is done with what comes back.
#include "actors/migration.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::migration;

namespace {

set_out leaving(node_number number, bool paid, bool under_way = false) {
  set_out s;
  s.number = number;
  s.asked = 1;
  s.task = "s/write-" + std::to_string(number) + "/1";
  s.what.print = "print";
  if (paid) {
    s.request.emplace();
    s.request->number = number;
    s.request->reserved_tokens = 3000;
  }
  s.least = {1000, 0};
  s.under_way = under_way;
  return s;
}

written some_answer() {
  written w;
  w.print = "print";
  w.what.emplace();
  return w;
}

template <class Effect>
const Effect* sole(const std::vector<effect>& effects) {
  return effects.size() == 1 ? std::get_if<Effect>(&effects[0]) : nullptr;
}

} // namespace

TEST_CASE("what is paid for is reserved when its turn has come, not while it waits in a line, with that as its limit") {
  origin o;
  const auto leaves = o.step(leaving(3, true));
  REQUIRE(sole<submit>(leaves));
  CHECK(sole<submit>(leaves)->paid);
  CHECK(sole<submit>(leaves)->what.reserved_tokens == 0);
  CHECK(o.step(permitted{3, {2500, 0.5}}).empty()); // nobody asked
  const auto asks = o.step(unpermitted{"s/write-3/1"});
  REQUIRE(sole<ask>(asks));
  CHECK(sole<ask>(asks)->request.reserved_tokens == 3000);
  const auto goes = o.step(permitted{3, {2500, 0.5}});
  REQUIRE(sole<permit>(goes));
  CHECK(sole<permit>(goes)->what.reserved_tokens == 2500);
  CHECK(sole<permit>(goes)->what.reserved_usd == 0.5);
  CHECK(o.step(permitted{3, {2500, 0.5}}).empty());
  CHECK(o.size() == 1);
}

TEST_CASE("the checkpoint is kept until what came of it is durable") {
  origin o;
  REQUIRE(sole<submit>(o.step(leaving(3, false))));
  const auto back = o.step(arrived{"s/write-3/1", "fleet.y", 2, some_answer()});
  REQUIRE(sole<deliver>(back));
  CHECK(sole<deliver>(back)->agent == "fleet.y");
  CHECK(sole<deliver>(back)->moves == 1);
  CHECK(o.step(arrived{"s/write-3/1", "fleet.y", 2, some_answer()}).empty()); // once
  CHECK(o.size() == 1);
  const auto told = o.step(counted{3});
  REQUIRE(sole<tell_counted>(told));
  CHECK(o.size() == 0);
}

TEST_CASE("whoever dies gives it back: it is reserved again before it goes elsewhere") {
  origin o;
  (void)o.step(leaving(3, true));
  (void)o.step(unpermitted{"s/write-3/1"});
  (void)o.step(permitted{3, {3000, 0}});
  REQUIRE(sole<ask>(o.step(unpermitted{"s/write-3/1"})));
  CHECK(o.step(unpermitted{"s/write-3/1"}).empty());
  const auto again = o.step(permitted{3, {1000, 0}});
  REQUIRE(sole<permit>(again));
  CHECK(sole<permit>(again)->what.reserved_tokens == 1000);
}

TEST_CASE("where nothing is left for another try it is called back and fails") {
  origin o;
  (void)o.step(leaving(3, true));
  (void)o.step(unpermitted{"s/write-3/1"});
  const auto over = o.step(refused{3, {errc::budget, "no room"}});
  REQUIRE(over.size() == 2);
  CHECK_FALSE(std::get<call_back>(over[0]).keeps);
  CHECK(std::get<fail>(over[1]).why.code == errc::budget);
  CHECK(o.size() == 0);
  (void)o.step(leaving(4, true));
  CHECK(o.step(refused{4, {errc::budget, "no room"}}).empty()); // nobody asked
}

TEST_CASE("what was under way in an earlier life is asked for again without being reserved again") {
  origin o;
  const auto leaves = o.step(leaving(3, true, true));
  REQUIRE(sole<submit>(leaves));
  CHECK(sole<submit>(leaves)->under_way);
  CHECK(sole<submit>(leaves)->what.reserved_tokens == 0);
  REQUIRE(sole<deliver>(o.step(arrived{"s/write-3/1", "fleet.x", 1, some_answer()})));
}

TEST_CASE("an answer that comes while another permission is waited for is taken, and the permission is left") {
  origin o;
  (void)o.step(leaving(3, true, true));
  REQUIRE(sole<ask>(o.step(unpermitted{"s/write-3/1"})));
  REQUIRE(sole<deliver>(o.step(arrived{"s/write-3/1", "fleet.x", 1, some_answer()})));
  CHECK(o.step(permitted{3, {3000, 0}}).empty());
  CHECK(o.step(refused{3, {errc::budget, "no room"}}).empty());
}

TEST_CASE("a paused session leaves it where it is; one that wants it no more calls it back") {
  origin o;
  (void)o.step(leaving(3, true));
  const auto paused = o.step(forgotten{3, true});
  REQUIRE(sole<call_back>(paused));
  CHECK(sole<call_back>(paused)->keeps);
  (void)o.step(leaving(4, true));
  (void)o.step(unpermitted{"s/write-4/1"});
  (void)o.step(permitted{4, {3000, 0}});
  const auto over = o.step(forgotten{4, false});
  REQUIRE(sole<call_back>(over));
  CHECK_FALSE(sole<call_back>(over)->keeps);
  (void)o.step(leaving(5, true));
  CHECK_FALSE(sole<call_back>(o.step(forgotten{5, false}))->keeps); // it waits in a line
  (void)o.step(leaving(6, false));
  (void)o.step(arrived{"s/write-6/1", "x", 1, some_answer()});
  CHECK(sole<call_back>(o.step(forgotten{6, true}))->keeps); // it came back and does not count: the agent keeps it, and need not say it again
  (void)o.step(leaving(7, false));
  (void)o.step(arrived{"s/write-7/1", "x", 1, some_answer()});
  CHECK(sole<tell_counted>(o.step(forgotten{7, false})));
  CHECK(o.size() == 0);
}

TEST_CASE("where nobody takes it, it stays at home or fails") {
  origin o;
  (void)o.step(leaving(3, false));
  REQUIRE(sole<stay_home>(o.step(lost{"s/write-3/1", {errc::no_agent, "nobody"}, true})));
  (void)o.step(leaving(4, false));
  REQUIRE(sole<fail>(o.step(lost{"s/write-4/1", {errc::infrastructure, "quarantined"}, false})));
  CHECK(o.size() == 0);
}
