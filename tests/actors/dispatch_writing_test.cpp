// The dispatcher's rules for tasks that have candidates written: slots of their own, labels, and permissions for what is paid for.
#include "actors/dispatch_logic.hpp"

#include <doctest/doctest.h>
#include <map>

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

/// What is granted once each permission that is asked for is given.
std::vector<grant> permitted(dispatcher& d, std::vector<effect> effects, double now_s) {
  std::vector<grant> granted = only<grant>(effects);
  for (const ask_permit& each : only<ask_permit>(effects))
    for (const grant& also : permitted(d, d.step(permit{each.task}, now_s), now_s))
      granted.push_back(also);
  return granted;
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
  const auto first = permitted(d, d.step(writing("w"), 0), 0);
  REQUIRE(first.size() == 1);
  CHECK_FALSE(first[0].kept);
  (void)d.step(accepted{first[0].agent, "w", 1}, 0);
  const auto died = d.step(lost{first[0].agent, "cut"}, 1);
  CHECK(only<grant>(died).empty());
  REQUIRE(only<ask_permit>(died).size() == 1);
  CHECK(only<ask_permit>(died)[0].agent != first[0].agent);
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

TEST_CASE("a permission is asked for when its turn has come and a slot is kept free for it, not while it waits in a line") {
  dispatcher d;
  CHECK(d.step(writing("u"), 0).empty()); // nobody is there
  const auto asked = only<ask_permit>(d.step(writer_of("x", 2), 0));
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].task == "u");
  CHECK(asked[0].agent == "x");
  CHECK(d.standing_of("x")->promised == 1);
  CHECK(d.standing_of("x")->writes == 0);
  CHECK(only<ask_permit>(d.step(writing("v"), 1)).size() == 1);
  const auto waits = d.step(writing("w"), 1);
  CHECK(only<ask_permit>(waits).empty()); // both slots are kept free
  CHECK(only<grant>(waits).empty());
  CHECK(only<grant>(d.step(writing("free", false), 1)).empty()); // what costs nothing does not take them
  const auto goes = d.step(permit{"u"}, 2);
  CHECK(only<grant>(goes).at(0).lease == "u");
  CHECK(only<ask_permit>(goes).empty());
  const auto done = d.step(finished{"x", "u", 1, false, ""}, 3);
  REQUIRE(only<ask_permit>(done).size() == 1);
  CHECK(only<ask_permit>(done)[0].task == "w");
  balanced(d);
}

TEST_CASE("a slot is kept free for a permission so long and no longer; one that comes later takes the next slot") {
  options soon;
  soon.permit_wait_s = 2;
  dispatcher d(soon);
  (void)d.step(writer_of("x"), 0);
  REQUIRE(only<ask_permit>(d.step(writing("v"), 0)).size() == 1);
  (void)d.step(writing("free", false), 1);
  CHECK(d.next_deadline_s() == 2);
  CHECK(only<grant>(d.step(tick{}, 1.9)).empty());
  const auto lapsed = only<grant>(d.step(tick{}, 2));
  REQUIRE(lapsed.size() == 1);
  CHECK(lapsed[0].lease == "free");
  CHECK(d.standing_of("x")->promised == 0);
  const auto late = d.step(permit{"v"}, 3);
  CHECK(only<grant>(late).empty());
  CHECK(only<ask_permit>(late).empty());
  const auto next = d.step(finished{"x", "free", 1, false, ""}, 4);
  CHECK(only<ask_permit>(next).empty()); // it has one
  CHECK(only<grant>(next).at(0).lease == "v");
  balanced(d);
}

TEST_CASE("a slot that was kept free goes with its agent, and is free again where the task is withdrawn") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  (void)d.step(writing("v"), 0);
  (void)d.step(lost{"x", "cut"}, 1);
  balanced(d);
  CHECK(only<grant>(d.step(permit{"v"}, 1)).empty());
  CHECK(only<grant>(d.step(writer_of("y"), 2)).at(0).lease == "v"); // its permission is its own, whoever kept the slot
  (void)d.step(writer_of("z"), 2);
  CHECK(only<ask_permit>(d.step(writing("w"), 3)).at(0).agent == "z");
  (void)d.step(drain{"z", 1}, 3);
  CHECK(d.standing_of("z")->promised == 0);
  CHECK(only<grant>(d.step(permit{"w"}, 3)).empty()); // nobody goes to whoever is drained
  (void)d.step(withdraw{"w"}, 4);
  (void)d.step(writer_of("a"), 4);
  REQUIRE(only<ask_permit>(d.step(writing("b"), 5)).size() == 1);
  const auto other = only<ask_permit>(d.step(withdraw{"b"}, 5));
  CHECK(other.empty());
  CHECK(d.standing_of("a")->promised == 0);
  CHECK(only<ask_permit>(d.step(writing("c"), 6)).at(0).agent == "a");
  balanced(d);
}

TEST_CASE("what a user has written takes none of the turns at devices") {
  dispatcher d;
  auto h = writer_of("x", 2);
  h.what.compile_slots = 0; // one evaluation at a time
  (void)d.step(h, 0);
  std::map<char, int> evaluated;
  std::string under_way;
  const auto note = [&](const std::vector<effect>& effects) {
    for (const grant& g : only<grant>(effects))
      if (g.lease[0] != 'w')
        under_way = g.lease;
  };
  for (int n = 0; n < 20; ++n)
    for (const char* user : {"a", "b"}) {
      submit s{user + std::to_string(n), "s", 0, {"cpu", "", "cpp"}, "", 10, true};
      s.user = user;
      note(d.step(s, 0));
    }
  for (int n = 0; n < 20; ++n) {
    auto w = writing("w" + std::to_string(n), false); // one of a's between any two evaluations
    w.user = "a";
    note(d.step(w, 1));
    note(d.step(finished{"x", w.task, 1, false, ""}, 1));
    ++evaluated[under_way[0]];
    note(d.step(finished{"x", std::string(under_way), 1, false, ""}, 1));
  }
  CHECK(evaluated['a'] == 10);
  CHECK(evaluated['b'] == 10);
}

TEST_CASE("a permission that is on its way is not asked for again, whatever happens meanwhile") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  REQUIRE(only<ask_permit>(d.step(writing("w"), 0)).size() == 1);
  auto holder = writer_of("y");
  holder.holds = {"w"};
  REQUIRE(only<grant>(d.step(holder, 1)).at(0).kept);
  CHECK(only<ask_permit>(d.step(lost{"y", "cut"}, 2)).empty());
  CHECK(d.standing_of("x")->promised == 1);
  const auto goes = only<grant>(d.step(permit{"w"}, 3));
  REQUIRE(goes.size() == 1);
  CHECK(goes[0].agent == "x");
  CHECK(only<ask_permit>(d.step(lost{"x", "cut"}, 4)).empty()); // nobody is there
  CHECK(only<ask_permit>(d.step(writer_of("z"), 5)).size() == 1); // for the next lease
  balanced(d);
}

TEST_CASE("kept slots are shared between users like leases") {
  dispatcher d;
  for (const char* name : {"a1", "a2", "a3", "b1"}) {
    auto w = writing(name);
    w.user = name[0];
    (void)d.step(w, 0);
  }
  const auto asked = only<ask_permit>(d.step(writer_of("x", 2), 1));
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].task == "a1");
  CHECK(asked[1].task == "b1");
}

TEST_CASE("a writing does not go to the agents that it is kept from") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  auto w = writing("w", false);
  w.avoid = {"x"};
  CHECK_FALSE(d.serves(w));
  CHECK(only<grant>(d.step(w, 0)).empty());
  CHECK(only<grant>(d.step(writing("v", false), 0)).at(0).agent == "x");
  CHECK(only<grant>(d.step(writer_of("y"), 1)).at(0).lease == "w");
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
  (void)permitted(d, d.step(writing("busy"), 0), 0); // takes the only slot
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
  CHECK(only<ask_permit>(d.step(tick{}, 25)).size() == 1); // its turn came with it
  CHECK(only<ask_permit>(d.step(tick{}, 26)).empty()); // once
  balanced(d);
}

TEST_CASE("a writing under which three agents die is quarantined, permissions or not") {
  dispatcher d;
  std::size_t given_up = 0;
  (void)d.step(writing("w"), 0);
  for (int i = 0; i < 3; ++i) {
    const std::string name = "a" + std::to_string(i);
    REQUIRE(permitted(d, d.step(writer_of(name), i), i).size() == 1);
    const auto died = d.step(lost{name, "died"}, i);
    given_up += only<give_up>(died).size();
  }
  CHECK(given_up == 1);
  CHECK(d.totals().failed == 1);
  balanced(d);
}

TEST_CASE("what is withdrawn and will be asked for again is not cancelled where it is being written") {
  dispatcher d;
  (void)d.step(writer_of("x"), 0);
  (void)permitted(d, d.step(writing("w"), 0), 0);
  CHECK(d.holder_of("w") == "x");
  const auto kept = d.step(withdraw{"w", true}, 1);
  CHECK(only<revoke>(kept).empty());
  CHECK(d.totals().cancelled == 1);
  (void)permitted(d, d.step(writing("v"), 2), 2);
  CHECK(only<revoke>(d.step(withdraw{"v"}, 3)).size() == 1);
  auto held = writing("u");
  held.under_way = true;
  (void)d.step(held, 4);
  (void)d.step(withdraw{"u"}, 5);
  CHECK(only<ask_permit>(d.step(tick{}, 100)).empty());
  balanced(d);
}
