// The dispatcher's rules for tasks that have candidates written: slots of their own, labels, and permissions for what is paid for.
#include "actors/dispatch_logic.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::dispatch;

namespace {

submit writing(std::string name, bool paid = true, std::string writer = "small", std::string label = "any") {
  submit s;
  s.task = std::move(name);
  s.owner = "s";
  s.limit_s = 10;
  s.needs_device = s.needs_compiler = false;
  s.writer = std::move(writer);
  s.label = std::move(label);
  s.paid = paid;
  return s;
}

hello writer_of(std::string name, std::uint32_t writing_slots = 1, std::vector<std::string> labels = {}, std::string incarnation = "1") {
  agent_hello h;
  h.agent = name;
  h.incarnation = std::move(incarnation);
  h.compile_slots = 1;
  h.devices = {{"cpu0", "cpu-x86_64", {"cpu", "", "cpp"}, 1}};
  h.writers.resize(1);
  h.writers[0].name = "small";
  h.writing_slots = writing_slots;
  h.labels = std::move(labels);
  return {name, h};
}

template <class Effect>
std::vector<Effect> only(const std::vector<effect>& effects) {
  std::vector<Effect> found;
  for (const auto& e : effects)
    if (const auto* x = std::get_if<Effect>(&e))
      found.push_back(*x);
  return found;
}

void balanced(const dispatcher& d) {
  const counts& t = d.totals();
  CHECK(t.submitted == t.queued + t.leased + t.delivered + t.failed + t.cancelled);
}

} // namespace

TEST_CASE("writing takes slots of its own: evaluations and writings do not wait for each other") {
  dispatcher d;
  (void)d.step(writer_of("x", 2), 0);
  std::size_t writes = 0, evaluates = 0;
  for (int i = 0; i < 5; ++i) {
    writes += only<grant>(d.step(writing("w" + std::to_string(i), false), 0)).size();
    evaluates += only<grant>(d.step(submit{"t" + std::to_string(i), "s", 0, {"cpu", "", "cpp"}, "", 10, true}, 0)).size();
  }
  CHECK(writes == 2);
  CHECK(evaluates == 2);
  CHECK(d.standing_of("x")->writes == 2);
  CHECK(d.standing_of("x")->leases == 2);
  CHECK(only<grant>(d.step(finished{"x", "w0", 1, false, ""}, 1)).at(0).lease == "w2");
  balanced(d);
}

TEST_CASE("a writing goes where its synthesizer is and its label allows") {
  dispatcher d;
  (void)d.step(writer_of("fleet.x", 4), 0);
  CHECK(only<grant>(d.step(writing("a", false, "large"), 0)).empty());
  CHECK(only<grant>(d.step(writing("b", false, "small", "gpu"), 0)).empty());
  CHECK(only<grant>(d.step(writing("c", false, "small", "fleet.x"), 0)).size() == 1);
  const auto came = only<grant>(d.step(writer_of("fleet.y", 4, {"gpu"}), 1));
  REQUIRE(came.size() == 1);
  CHECK(came[0].lease == "b");
  CHECK(came[0].agent == "fleet.y");
  CHECK(d.serves(writing("", false, "small", "gpu")));
  CHECK_FALSE(d.serves(writing("", false, "large")));
}

TEST_CASE("what is paid for goes to another agent only with a permission of its own") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  (void)d.step(writer_of("y"), 0);
  const auto first = only<grant>(d.step(writing("w"), 0));
  REQUIRE(first.size() == 1);
  CHECK_FALSE(first[0].kept);
  (void)d.step(accepted{first[0].agent, "w", 1}, 0);
  const auto died = d.step(lost{first[0].agent, "cut"}, 1);
  CHECK(only<grant>(died).empty());
  REQUIRE(only<ask_permit>(died).size() == 1);
  CHECK(only<requeued>(died).size() == 1);
  balanced(d);
  CHECK(only<grant>(d.step(tick{}, 2)).empty());
  const auto again = only<grant>(d.step(permit{"w"}, 3));
  REQUIRE(again.size() == 1);
  CHECK(again[0].epoch == 2);
  CHECK(again[0].agent != first[0].agent);
  CHECK(only<grant>(d.step(permit{"w"}, 3)).empty());
  balanced(d);
}

TEST_CASE("what costs nothing goes to another agent at once") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  (void)d.step(writer_of("y"), 0);
  const auto first = only<grant>(d.step(writing("w", false), 0));
  REQUIRE(first.size() == 1);
  CHECK(only<grant>(d.step(lost{first[0].agent, "cut"}, 1)).size() == 1);
}

TEST_CASE("whoever has the answer is asked without a permission and without a slot, and begins nothing") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  (void)d.step(writing("busy"), 0); // takes the only slot
  auto resumed = writing("w");
  resumed.under_way = true;
  CHECK(only<grant>(d.step(resumed, 1)).empty());
  auto back = writer_of("y");
  back.holds = {"w"};
  const auto asked = only<grant>(d.step(back, 2));
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].kept);
  CHECK(d.standing_of("y")->writes == 0);
  CHECK(d.standing_of("y")->keeps == 1);
  CHECK(only<deliver>(d.step(finished{"y", "w", 1, false, ""}, 3)).size() == 1);
  balanced(d);
}

TEST_CASE("what was under way waits for whoever has it, then asks for a permission; a holder that has it no more is no holder") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  auto resumed = writing("w");
  resumed.under_way = true;
  resumed.holder = "x";
  const auto asked = only<grant>(d.step(resumed, 0));
  REQUIRE(asked.size() == 1);
  const auto gone = d.step(finished{"x", "w", 1, true, "not here any more"}, 1);
  CHECK(only<grant>(gone).empty());
  CHECK(only<ask_permit>(gone).size() == 1);
  const auto anew = only<grant>(d.step(permit{"w"}, 2));
  REQUIRE(anew.size() == 1);
  CHECK_FALSE(anew[0].kept);

  (void)d.step(finished{"x", "w", 2, false, ""}, 3);

  auto other = writing("v");
  other.under_way = true;
  (void)d.step(other, 10);
  (void)d.step(heartbeat{"x"}, 24);
  CHECK(only<ask_permit>(d.step(tick{}, 24)).empty());
  CHECK(d.next_deadline_s() == 25);
  CHECK(only<ask_permit>(d.step(tick{}, 25)).size() == 1);
  CHECK(only<ask_permit>(d.step(tick{}, 26)).empty()); // once
  balanced(d);
}

TEST_CASE("a writing under which three agents die is quarantined, permissions or not") {
  dispatcher d;
  std::size_t given_up = 0;
  (void)d.step(writing("w"), 0);
  for (int i = 0; i < 3; ++i) {
    const std::string name = "a" + std::to_string(i);
    REQUIRE(only<grant>(d.step(writer_of(name), i)).size() == 1);
    const auto died = d.step(lost{name, "died"}, i);
    given_up += only<give_up>(died).size();
    (void)d.step(permit{"w"}, i);
  }
  CHECK(given_up == 1);
  CHECK(d.totals().failed == 1);
  balanced(d);
}

TEST_CASE("what is withdrawn and will be asked for again is not cancelled where it is being written") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  (void)d.step(writing("w"), 0);
  CHECK(d.holder_of("w") == "x");
  const auto kept = d.step(withdraw{"w", true}, 1);
  CHECK(only<revoke>(kept).empty());
  CHECK(d.totals().cancelled == 1);
  (void)d.step(writing("v"), 2);
  CHECK(only<revoke>(d.step(withdraw{"v"}, 3)).size() == 1);
  auto held = writing("u");
  held.under_way = true;
  (void)d.step(held, 4);
  (void)d.step(withdraw{"u"}, 5);
  CHECK(only<ask_permit>(d.step(tick{}, 100)).empty());
  balanced(d);
}
