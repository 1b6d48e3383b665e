#include "actors/dispatch_logic.hpp"
#include "actors/settlements.hpp"
#include "protocol/rng.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

using namespace kevolve;
using namespace kevolve::dispatch;

namespace {

const target cpu{"cpu", "", "cpp"};

submit task_of(std::string name, std::string owner = "s", int priority = 0, target on = cpu) {
  return {std::move(name), std::move(owner), priority, std::move(on), "", 10, true};
}

hello agent_of(std::string name, std::uint32_t slots = 1, std::uint32_t compile_slots = 0, std::string incarnation = "1", target on = cpu) {
  agent_hello h;
  h.agent = name;
  h.incarnation = std::move(incarnation);
  h.compile_slots = compile_slots;
  h.devices = {{"cpu0", "cpu-x86_64", on, slots}};
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

/// An agent with one slot, and whose task it is about.
struct one_agent {
  one_agent() { (void)d.step(agent_of("x"), 0); }
  void ask(const std::string& user, int priority = 0) {
    auto t = task_of(user + "/" + std::to_string(++made), "s" + user, priority);
    t.user = user;
    note(d.step(t, now_s));
  }
  std::string user() const { return under_way.substr(0, under_way.find('/')); }
  /// Whose it was. `work_s`: what the agent says that it took; empty: it does not say.
  std::string finish(std::optional<double> work_s = {}) {
    const std::string whose = user();
    note(d.step(finished{"x", under_way, 1, false, "", work_s}, now_s));
    return whose;
  }

  /// A second for each task, and whoever had it asks for another at its priority. What each had, added to `had_s`.
  void run_until(double end_s, const std::map<std::string, int>& priorities, std::map<std::string, double>& had_s) {
    while (now_s < end_s) {
      const std::string whose = user();
      now_s += 1;
      had_s[whose] += 1;
      ask(whose, priorities.at(whose));
      finish(1.0);
    }
  }

  double now_s = 0;

private:
  void note(const std::vector<effect>& effects) {
    for (const grant& g : only<grant>(effects))
      under_way = g.lease;
  }

  dispatcher d;
  std::string under_way;
  int made = 0;
};

} // namespace

TEST_CASE("work waits for an agent, is granted, accepted, finished and delivered once") {
  dispatcher d;
  CHECK(only<grant>(d.step(task_of("a"), 0)).empty());
  auto granted = only<grant>(d.step(agent_of("x"), 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].lease == "a");
  CHECK(granted[0].epoch == 1);
  (void)d.step(accepted{"x", "a", 1}, 1);
  auto done = d.step(finished{"x", "a", 1, false, ""}, 2);
  CHECK(only<deliver>(done).size() == 1);
  REQUIRE(done.size() >= 2); // first delivered: an acknowledgement that comes earlier would not wait for the disk
  CHECK(std::holds_alternative<deliver>(done[0]));
  CHECK(std::holds_alternative<acknowledge>(done[1]));
  auto again = d.step(finished{"x", "a", 1, false, ""}, 3);
  CHECK(only<deliver>(again).empty());
  CHECK(only<discarded>(again).size() == 1);
  CHECK(only<acknowledge>(again).size() == 1);
}

TEST_CASE("an agent never holds more than its slots and compile slots") {
  dispatcher d;
  (void)d.step(agent_of("x", 1, 2), 0);
  std::size_t granted = 0;
  for (int i = 0; i < 10; ++i)
    granted += only<grant>(d.step(task_of("t" + std::to_string(i)), 0)).size();
  CHECK(granted == 3);
  CHECK(only<grant>(d.step(finished{"x", "t0", 1, false, ""}, 1)).size() == 1);
}

TEST_CASE("a dead agent's work goes to another with the next epoch, and its late result does not count") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  (void)d.step(task_of("a"), 0);
  (void)d.step(accepted{"x", "a", 1}, 0);
  (void)d.step(agent_of("y"), 4);
  auto effects = d.step(kevolve::dispatch::tick{}, 6);
  CHECK(only<agent_gone>(effects).size() == 1);
  auto granted = only<grant>(effects);
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "y");
  CHECK(granted[0].epoch == 2);
  auto late = d.step(finished{"x", "a", 1, false, ""}, 7);
  CHECK(only<deliver>(late).empty());
  CHECK(only<discarded>(late).size() == 1);
  CHECK(only<deliver>(d.step(finished{"y", "a", 2, false, ""}, 8)).size() == 1);
}

TEST_CASE("a heartbeat keeps an agent, a passed deadline takes its lease") {
  dispatcher d({.heartbeat_timeout_s = 5, .accept_timeout_s = 3, .grace_s = 2});
  (void)d.step(agent_of("x"), 0);
  (void)d.step(task_of("a"), 0);
  SUBCASE("never accepted") {
    (void)d.step(heartbeat{"x"}, 2);
    CHECK(only<revoke>(d.step(kevolve::dispatch::tick{}, 2.9)).empty());
    auto effects = d.step(kevolve::dispatch::tick{}, 3);
    CHECK(only<revoke>(effects).size() == 1);
    REQUIRE(only<grant>(effects).size() == 1); // nobody else: the same agent, the next epoch
    CHECK(only<grant>(effects)[0].epoch == 2);
  }
  SUBCASE("accepted and hung") {
    (void)d.step(accepted{"x", "a", 1}, 1);
    for (double t = 2; t < 13; t += 1) {
      (void)d.step(heartbeat{"x"}, t);
      CHECK(only<revoke>(d.step(kevolve::dispatch::tick{}, t)).empty());
    }
    CHECK(only<requeued>(d.step(kevolve::dispatch::tick{}, 13)).size() == 1);
  }
}

TEST_CASE("work under which three agents died is quarantined") {
  dispatcher d;
  (void)d.step(task_of("poison"), 0);
  std::vector<effect> effects;
  for (int i = 0; i < 3; ++i) {
    effects = d.step(agent_of("x", 1, 0, std::to_string(i)), i);
    REQUIRE(only<grant>(effects).size() == 1);
    effects = d.step(lost{"x", "connection reset"}, i + 0.5);
  }
  REQUIRE(only<give_up>(effects).size() == 1);
  CHECK(only<give_up>(effects)[0].reason.find("quarantined") != std::string::npos);
  CHECK(only<grant>(d.step(agent_of("y"), 9)).empty());
}

TEST_CASE("an agent that leaves on purpose kills nobody's work") {
  dispatcher d;
  (void)d.step(task_of("a"), 0);
  for (int i = 0; i < 4; ++i) {
    (void)d.step(agent_of("x", 1, 0, std::to_string(i)), i);
    CHECK(only<give_up>(d.step(goodbye{"x", "drained"}, i + 0.5)).empty());
  }
}

TEST_CASE("infrastructure faults are tried again a bounded number of times") {
  dispatcher d({.attempts = 3});
  (void)d.step(agent_of("x"), 0);
  (void)d.step(task_of("a"), 0);
  std::vector<effect> effects;
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch)
    effects = d.step(finished{"x", "a", epoch, true, "no space left"}, 1);
  REQUIRE(only<give_up>(effects).size() == 1);
  CHECK(only<give_up>(effects)[0].reason.find("no space left") != std::string::npos);
}

TEST_CASE("another agent is preferred for work that just came back") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  (void)d.step(task_of("a"), 0);
  (void)d.step(agent_of("y"), 0);
  auto effects = d.step(finished{"x", "a", 1, true, "judge died"}, 1);
  REQUIRE(only<grant>(effects).size() == 1);
  CHECK(only<grant>(effects)[0].agent == "y");
}

TEST_CASE("sessions take turns, and priority comes first") {
  dispatcher d;
  for (int i = 0; i < 30; ++i)
    (void)d.step(task_of("big" + std::to_string(i), "big"), 0);
  for (int i = 0; i < 5; ++i)
    (void)d.step(task_of("small" + std::to_string(i), "small"), 0);
  (void)d.step(task_of("urgent", "third", 5), 0);
  auto granted = only<grant>(d.step(agent_of("x"), 0));
  std::vector<std::string> order;
  while (order.size() < 11) {
    REQUIRE(granted.size() == 1);
    order.push_back(granted[0].lease);
    granted = only<grant>(d.step(finished{"x", order.back(), 1, false, ""}, 1));
  }
  CHECK(order[0] == "urgent");
  CHECK(std::count_if(order.begin() + 1, order.end(), [](const auto& t) { return t.starts_with("small"); }) == 5);
  CHECK(std::find(order.begin(), order.end(), "big4") != order.end());
}

TEST_CASE("work goes to agents that can run it, and waits for one otherwise") {
  dispatcher d;
  target gpu{"cuda", "sm_90", "triton"};
  (void)d.step(agent_of("x"), 0);
  CHECK(only<grant>(d.step(task_of("g", "s", 0, gpu), 0)).empty());
  CHECK_FALSE(d.serves(gpu));
  CHECK(d.serves(cpu));
  CHECK(only<grant>(d.step(task_of("c"), 0)).size() == 1); // not blocked by what waits in front of it
  auto granted = only<grant>(d.step(agent_of("h", 1, 0, "1", gpu), 0));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].lease == "g");
  auto tracing = task_of("trace", "t");
  tracing.needs_device = false;
  (void)d.step(finished{"h", "g", 1, false, ""}, 1);
  CHECK(only<grant>(d.step(tracing, 1)).size() == 1);
}

TEST_CASE("an agent is asked to drain once, and nobody who is not there") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  CHECK(d.step(drain{"nobody"}, 0).empty());
  CHECK(only<ask_drain>(d.step(drain{"x"}, 0)).size() == 1);
  CHECK(d.step(drain{"x"}, 0).empty());
  CHECK_FALSE(d.serves(cpu));
}

TEST_CASE("work goes to agents whose names and labels its session asks for") {
  dispatcher d;
  auto labelled = [](std::string name, std::vector<std::string> labels) {
    auto h = agent_of(std::move(name), 4);
    h.what.labels = std::move(labels);
    return h;
  };
  auto asking = [](std::string task, std::string hosts) {
    auto t = task_of(std::move(task));
    t.label = std::move(hosts);
    return t;
  };
  (void)d.step(labelled("x", {"rack1", "spot"}), 0);
  CHECK(only<grant>(d.step(asking("a", "rack1,!spot"), 0)).empty());
  CHECK_FALSE(d.serves(asking("", "rack1,!spot")));
  CHECK(only<grant>(d.step(asking("b", "!rack1|spot"), 0)).size() == 1);
  CHECK(only<grant>(d.step(asking("c", "x"), 0)).size() == 1);
  CHECK(only<grant>(d.step(task_of("d"), 0)).size() == 1); // not blocked by what waits in front of it
  const auto granted = only<grant>(d.step(labelled("y", {"rack1"}), 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "y");
  CHECK(granted[0].lease == "a");
}

TEST_CASE("an agent without a compiler gets nothing that has to be compiled, whoever has waited how long") {
  dispatcher d;
  auto bare = agent_of("bare", 4);
  bare.what.compiles = false;
  (void)d.step(bare, 0);
  CHECK_FALSE(d.serves(cpu));
  CHECK(only<grant>(d.step(task_of("a"), 0)).empty());
  auto tracing = task_of("trace", "t");
  tracing.needs_device = tracing.needs_compiler = false;
  const auto traced = only<grant>(d.step(tracing, 0));
  REQUIRE(traced.size() == 1);
  CHECK(traced[0].agent == "bare");
  const auto granted = only<grant>(d.step(agent_of("whole", 1), 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "whole");
  CHECK(granted[0].lease == "a");
  CHECK(d.serves(cpu));
}

namespace {

hello bare_agent(std::string name, std::uint32_t libc = 2036) {
  auto h = agent_of(std::move(name), 4);
  h.what.compiles = false, h.what.pieces = true;
  h.what.machine = "x86_64", h.what.libc = libc;
  return h;
}

hello compiling_agent(std::string name, std::uint32_t slots = 2, std::uint32_t libc = 2036) {
  auto h = agent_of(std::move(name), 1, slots, "1", {"mtia", "2i", "mtia-cpp"});
  h.what.pieces = true;
  h.what.toolchains = {"g++ 12.2.0", "clang++ 14.0.6"};
  h.what.machine = "x86_64", h.what.libc = libc;
  return h;
}

submit compilation(std::string name, std::string toolchain = "g++", std::uint32_t libc = 2036) {
  submit s;
  s.task = std::move(name), s.owner = "compiling for bare", s.limit_s = 10, s.needs_device = false;
  s.toolchain = std::move(toolchain), s.machine = "x86_64", s.libc = libc;
  return s;
}

} // namespace

TEST_CASE("an agent without a compiler is given candidates as long as somebody compiles for it") {
  dispatcher d;
  (void)d.step(bare_agent("bare"), 0);
  (void)d.step(task_of("a"), 0);
  CHECK_FALSE(d.serves(cpu));
  CHECK_FALSE(d.has_compiler("bare"));
  auto granted = only<grant>(d.step(compiling_agent("whole"), 1)); // whose own device is another
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "bare");
  CHECK(d.serves(cpu));
  CHECK(d.has_compiler("bare"));
  (void)d.step(drain{"whole", 30}, 2);
  CHECK(only<grant>(d.step(task_of("b"), 2)).empty()); // it is about to go
  CHECK(only<grant>(d.step(compiling_agent("next"), 3)).size() == 1);
  (void)d.step(lost{"next", "gone"}, 4);
  CHECK(only<grant>(d.step(task_of("c"), 4)).empty());
}

TEST_CASE("what a described device runs is compiled by its own command: a C++ compiler is neither needed for it nor any use") {
  dispatcher d;
  const target loom{"loom", "9", "loomasm"};
  auto bare = bare_agent("bare");
  bare.what.devices[0] = {"loom0", "emulated-loom-9-01234567", loom, 4};
  bare.what.toolchains = {"loom/9/loomasm 0123456789abcdef"};
  (void)d.step(bare, 0);
  CHECK(d.serves(loom));
  CHECK(d.serves("bare", task_of("", "s", 0, loom)));
  CHECK(only<grant>(d.step(task_of("a", "s", 0, loom), 0)).size() == 1);
  dispatcher other;
  auto assembler = compiling_agent("whole");
  assembler.what.toolchains = {"loom/9/loomasm 0123"};
  (void)other.step(bare_agent("bare"), 0);
  (void)other.step(assembler, 0);
  CHECK_FALSE(other.has_compiler("bare"));
  CHECK(only<grant>(other.step(task_of("a"), 0)).empty());
  CHECK(only<grant>(other.step(compilation("b", "loom/9/loomasm 0123"), 0)).size() == 1);
  CHECK(only<grant>(other.step(compilation("c", "loom/9/loomasm 4567"), 0)).empty());
}

TEST_CASE("work for a described device waits for somebody who has its toolchain, and is not given to whoever cannot have it compiled") {
  const target loom{"loom", "9", "loomasm"};
  dispatcher d;
  auto bare = bare_agent("bare");
  bare.what.compiles = true; // with g++, which is of no use for it
  bare.what.devices[0] = {"loom0", "described-loom-9-01234567", loom, 4};
  bare.what.toolchains = {"g++ 12.2.0", "loom/9/loomasm 89abcdef"}; // of another description
  (void)d.step(bare, 0);
  CHECK_FALSE(d.serves(loom));
  CHECK(only<grant>(d.step(task_of("a", "s", 0, loom), 0)).empty());
  CHECK(d.totals().queued == 1);
  auto newer = compiling_agent("newer", 2, 2041); // what it makes does not run there
  newer.what.toolchains = {"loom/9/loomasm 0123456789abcdef"};
  CHECK(only<grant>(d.step(newer, 1)).empty());
  auto assembler = compiling_agent("assembler");
  assembler.what.toolchains = {"loom/9/loomasm 0123456789abcdef"};
  const auto granted = only<grant>(d.step(assembler, 2));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "bare");
  auto on_this_loom = task_of("", "s", 0, loom);
  on_this_loom.hardware = "described-loom-9-01234567";
  CHECK(d.serves("bare", on_this_loom));
  (void)d.step(goodbye{"assembler", ""}, 3);
  CHECK(only<grant>(d.step(task_of("b", "s", 0, loom), 3)).empty());
  auto own = bare_agent("own");
  own.what.devices[0] = bare.what.devices[0];
  own.what.toolchains = assembler.what.toolchains;
  CHECK(only<grant>(d.step(own, 4)).at(0).agent == "own");
  auto old = bare_agent("old"); // of before there were toolchains
  old.what.devices[0] = {"loom0", "emulated-other-89abcdef", {"other", "1", "asm"}, 1};
  old.what.pieces = false;
  (void)d.step(old, 5);
  CHECK(d.serves({"other", "1", "asm"}));
}

TEST_CASE("an older agent without a compiler cannot ask for one") {
  dispatcher d;
  auto old = bare_agent("old");
  old.what.pieces = false;
  (void)d.step(old, 0);
  (void)d.step(compiling_agent("whole"), 0);
  CHECK(only<grant>(d.step(task_of("a"), 0)).empty());
}

TEST_CASE("programs are made where the machine is the same and glibc is not newer") {
  dispatcher d;
  (void)d.step(compiling_agent("newer", 4, 2041), 0);
  CHECK(only<grant>(d.step(compilation("a", "g++", 2036), 0)).empty());
  CHECK_FALSE(d.serves(compilation("x", "g++", 2036)));
  CHECK(only<grant>(d.step(compilation("b", "g++", 2041), 0)).size() == 1);
  auto other = compilation("c");
  other.machine = "aarch64";
  CHECK(only<grant>(d.step(other, 0)).empty());
  (void)d.step(bare_agent("bare", 2036), 0);
  CHECK_FALSE(d.has_compiler("bare"));
  const auto granted = only<grant>(d.step(compiling_agent("same"), 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].lease == "a");
  CHECK(d.has_compiler("bare"));
}

TEST_CASE("a toolchain is asked for by its name or by its version, too") {
  dispatcher d;
  (void)d.step(compiling_agent("whole", 8), 0);
  CHECK(only<grant>(d.step(compilation("a", "g++"), 0)).size() == 1);
  CHECK(only<grant>(d.step(compilation("b", "clang++ 14.0.6"), 0)).size() == 1);
  CHECK(only<grant>(d.step(compilation("c", "g++ 13.1.0"), 0)).empty());
  CHECK(only<grant>(d.step(compilation("d", "g"), 0)).empty());
  CHECK(only<grant>(d.step(compilation("e", "g++-12"), 0)).empty());
}

TEST_CASE("compiling for others and devices are resources of their own: neither waits for the other") {
  dispatcher d;
  auto both = compiling_agent("both", 2);
  both.what.devices[0].on = cpu;
  (void)d.step(both, 0);
  for (const char* name : {"a", "b", "c", "d"})
    (void)d.step(task_of(name), 0);
  for (const char* name : {"x", "y", "z"})
    (void)d.step(compilation(name), 0);
  const auto now = d.standing_of("both");
  REQUIRE(now);
  CHECK(now->leases == 3);
  CHECK(now->credit == 3);
  CHECK(now->compiling == 2);
  CHECK(now->compile_credit == 2);
  const auto next = only<grant>(d.step(finished{"both", "x", 1, false, ""}, 1));
  REQUIRE(next.size() == 1);
  CHECK(next[0].lease == "z");
}

TEST_CASE("a compilation is taken back from a host that died and given to another; one that kills three is quarantined") {
  dispatcher d;
  for (const char* name : {"x", "y", "z"})
    (void)d.step(compiling_agent(name, 1), 0);
  (void)d.step(compilation("a"), 0);
  std::set<std::string> tried;
  for (int i = 1; i <= 3; ++i) {
    std::string holder;
    for (const char* name : {"x", "y", "z"})
      if (const auto now = d.standing_of(name); now && now->compiling == 1)
        holder = name;
    REQUIRE(tried.insert(holder).second);
    const auto effects = d.step(lost{holder, "killed"}, i);
    if (i < 3) {
      REQUIRE(only<grant>(effects).size() == 1);
      CHECK(only<grant>(effects)[0].epoch == static_cast<std::uint64_t>(i + 1));
    } else {
      REQUIRE(only<give_up>(effects).size() == 1);
      CHECK(only<give_up>(effects)[0].reason.starts_with("quarantined"));
    }
  }
}

TEST_CASE("work that is larger than a frame waits for an agent that takes it in pieces") {
  dispatcher d;
  (void)d.step(agent_of("old"), 0);
  auto large = task_of("a");
  large.in_pieces = true;
  CHECK(only<grant>(d.step(large, 0)).empty());
  CHECK(only<grant>(d.step(task_of("b"), 0)).size() == 1);
  auto newer = agent_of("new");
  newer.what.pieces = true;
  const auto granted = only<grant>(d.step(newer, 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "new");
}

TEST_CASE("a draining agent finishes what it has and gets nothing new") {
  dispatcher d;
  (void)d.step(agent_of("x", 2), 0);
  (void)d.step(task_of("a"), 0);
  CHECK(only<ask_drain>(d.step(drain{"x", 30}, 1)).size() == 1);
  CHECK(only<grant>(d.step(task_of("b"), 1)).empty());
  CHECK_FALSE(d.serves(cpu));
  CHECK(only<deliver>(d.step(finished{"x", "a", 1, false, ""}, 2)).size() == 1);
}

TEST_CASE("withdrawn work is revoked, and its result does not count") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  (void)d.step(task_of("a"), 0);
  (void)d.step(task_of("b"), 0);
  CHECK(only<revoke>(d.step(withdraw{"b"}, 1)).empty());
  auto effects = d.step(withdraw{"a"}, 1);
  CHECK(only<revoke>(effects).size() == 1);
  CHECK(only<discarded>(d.step(finished{"x", "a", 1, false, ""}, 2)).size() == 1);
  CHECK(d.totals().cancelled == 2);
}

TEST_CASE("the queue is bounded") {
  dispatcher d({.queue_bound = 3});
  for (int i = 0; i < 3; ++i)
    CHECK(only<give_up>(d.step(task_of(std::to_string(i)), 0)).empty());
  CHECK(only<give_up>(d.step(task_of("3"), 0)).size() == 1);
}

TEST_CASE("whatever happens, no task is lost, none is delivered twice, and healed it all ends") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    rng draw(seed);
    dispatcher d;
    struct lease { std::string agent, task; std::uint64_t epoch; };
    std::vector<lease> working;               // what agents believe, the dead and the revoked included
    std::map<std::string, int> incarnations;
    std::map<std::string, std::uint64_t> current; // task -> epoch granted last
    std::set<std::string> submitted, ended;
    double now = 0;
    auto absorb = [&](const std::vector<effect>& effects, const finished* answer) {
      for (const auto& e : effects) {
        if (const auto* g = std::get_if<grant>(&e)) {
          REQUIRE(incarnations.contains(g->agent));
          CHECK(g->epoch == ++current[g->lease]);
          CHECK_FALSE(ended.contains(g->lease));
          working.push_back({g->agent, g->lease, g->epoch});
        } else if (const auto* x = std::get_if<deliver>(&e)) {
          REQUIRE(answer != nullptr);
          CHECK(answer->epoch == current[x->task]);
          CHECK(ended.insert(x->task).second);
        } else if (const auto* x = std::get_if<give_up>(&e)) {
          CHECK(ended.insert(x->task).second);
        }
      }
      const auto& t = d.totals();
      CHECK(t.submitted == t.queued + t.leased + t.delivered + t.failed + t.cancelled);
    };
    auto answer_one = [&](bool infrastructure) {
      if (working.empty())
        return;
      auto i = draw.below(working.size());
      finished f{working[i].agent, working[i].task, working[i].epoch, infrastructure, "fault"};
      if (!draw.chance(0.1)) // now and then it is sent again
        working.erase(working.begin() + static_cast<std::ptrdiff_t>(i));
      absorb(d.step(f, now), &f);
    };
    for (int step = 0; step < 400; ++step) {
      now += draw.uniform();
      auto agent = std::to_string(draw.below(4));
      switch (draw.below(10)) {
      case 0: case 1: {
        auto name = std::to_string(step);
        submitted.insert(name);
        absorb(d.step(task_of(name, std::to_string(draw.below(3)), static_cast<int>(draw.below(2))), now), nullptr);
        break;
      }
      case 2: absorb(d.step(agent_of(agent, 1, 2, std::to_string(++incarnations[agent])), now), nullptr); break;
      case 3: if (draw.chance(0.3)) absorb(d.step(lost{agent, "cut"}, now), nullptr); break;
      case 4: absorb(d.step(kevolve::dispatch::tick{}, now), nullptr); break;
      case 5: if (!submitted.empty() && draw.chance(0.2)) {
          auto name = *submitted.begin();
          auto before = d.totals().cancelled;
          absorb(d.step(withdraw{name}, now), nullptr);
          if (d.totals().cancelled > before)
            CHECK(ended.insert(name).second);
        }
        break;
      case 6: absorb(d.step(heartbeat{agent}, now), nullptr); break;
      case 7: if (!working.empty()) {
          auto& w = working[draw.below(working.size())];
          absorb(d.step(accepted{w.agent, w.task, w.epoch}, now), nullptr);
        }
        break;
      default: answer_one(draw.chance(0.15));
      }
    }
    incarnations["healthy"] = 1;
    absorb(d.step(agent_of("healthy", 4), now), nullptr);
    for (int step = 0; step < 20000 && ended.size() < submitted.size(); ++step) {
      now += 0.2;
      absorb(d.step(heartbeat{"healthy"}, now), nullptr);
      absorb(d.step(kevolve::dispatch::tick{}, now), nullptr);
      for (std::size_t i = 0; i < working.size(); ++i)
        if (working[i].agent == "healthy") {
          finished f{"healthy", working[i].task, working[i].epoch, false, ""};
          working.erase(working.begin() + static_cast<std::ptrdiff_t>(i));
          absorb(d.step(f, now), &f);
          break;
        }
    }
    CHECK(ended == submitted);
    CHECK(d.totals().queued + d.totals().leased == 0);
  }
}

TEST_CASE("an agent that keeps a task's answer is asked first, ahead of older tasks") {
  dispatcher d;
  (void)d.step(task_of("old"), 0);
  (void)d.step(task_of("answered"), 0);
  hello h = agent_of("x");
  h.holds = {"answered", "of another life"};
  auto granted = only<grant>(d.step(h, 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].lease == "answered");
  auto next = only<grant>(d.step(finished{"x", "answered", 1, false, ""}, 1.1));
  REQUIRE(next.size() == 1);
  CHECK(next[0].lease == "old");
}

TEST_CASE("work that is submitted goes to the agent that keeps its answer, if that has credit left") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  (void)d.step(agent_of("y"), 0);
  auto asked = task_of("a");
  asked.holder = "y";
  auto granted = only<grant>(d.step(asked, 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "y");
  asked = task_of("b");
  asked.holder = "y"; // busy: nobody waits for it
  granted = only<grant>(d.step(asked, 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "x");
  asked = task_of("c");
  asked.holder = "gone";
  CHECK(only<grant>(d.step(asked, 1)).empty());
  CHECK(d.totals().queued == 1);
}

TEST_CASE("a holder that cannot run the task, or is being drained, is not asked") {
  dispatcher d;
  (void)d.step(agent_of("x", 1, 0, "1", target{"cuda", "", "cuda"}), 0);
  auto asked = task_of("a");
  asked.holder = "x";
  CHECK(only<grant>(d.step(asked, 1)).empty());
  (void)d.step(drain{"x", 30}, 1);
  auto other = task_of("b", "s", 0, target{"cuda", "", "cuda"});
  other.holder = "x";
  CHECK(only<grant>(d.step(other, 1)).empty());
}

TEST_CASE("agents are not dead because the scheduler itself stood still") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  (void)d.step(task_of("a"), 0);
  CHECK(only<agent_gone>(d.step(tick{60}, 60)).empty());
  (void)d.step(heartbeat{"x"}, 60.1);
  CHECK(only<agent_gone>(d.step(tick{}, 64)).empty());
  CHECK(only<agent_gone>(d.step(tick{}, 66)).size() == 1);
}

TEST_CASE("an agent that started again has lost what it held, and is the same agent no more") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  (void)d.step(task_of("a"), 0);
  CHECK(only<agent_gone>(d.step(agent_of("x"), 1)).empty()); // said twice
  auto effects = d.step(agent_of("x", 1, 0, "2"), 1);
  CHECK(only<agent_gone>(effects).size() == 1);
  REQUIRE(only<requeued>(effects).size() == 1);
  CHECK(only<requeued>(effects)[0].next_epoch == 2);
  REQUIRE(only<grant>(effects).size() == 1);
  CHECK(only<grant>(effects)[0].epoch == 2);
  CHECK(only<deliver>(d.step(finished{"x", "a", 1, false, ""}, 2)).empty());
  CHECK(only<deliver>(d.step(finished{"x", "a", 2, false, ""}, 2)).size() == 1);
}

TEST_CASE("a host without any slot still takes one task at a time") {
  dispatcher d;
  (void)d.step(agent_of("x", 0), 0);
  auto tracing = task_of("a");
  tracing.needs_device = false;
  CHECK(only<grant>(d.step(tracing, 0)).size() == 1);
  tracing.task = "b";
  CHECK(only<grant>(d.step(tracing, 0)).empty());
}

TEST_CASE("passed deadlines are no deaths: they do not make work poison") {
  dispatcher d({.heartbeat_timeout_s = 1000, .accept_timeout_s = 3, .poison_agents = 2, .attempts = 5});
  for (const char* name : {"x", "y"}) // in turn, since work does not go back to where it just came from
    (void)d.step(agent_of(name), 0);
  (void)d.step(task_of("a"), 0);
  for (int i = 1; i <= 4; ++i) {
    auto effects = d.step(kevolve::dispatch::tick{}, 3.0 * i);
    CHECK(only<give_up>(effects).empty());
    CHECK(only<requeued>(effects).size() == 1);
  }
  CHECK(only<give_up>(d.step(kevolve::dispatch::tick{}, 15)).size() == 1);
}

TEST_CASE("whoever reports its own failure may forget what it reported") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  (void)d.step(task_of("a"), 0);
  auto effects = d.step(finished{"x", "a", 1, true, "no space"}, 1);
  REQUIRE(only<acknowledge>(effects).size() == 1);
  CHECK(only<acknowledge>(effects)[0].epoch == 1);
}

TEST_CASE("a device serves what names its platform, and nothing that names another language, architecture or hardware") {
  const auto asks = [](const target& device, const target& wanted, const std::string& hardware = "") {
    dispatcher d;
    (void)d.step(agent_of("x", 1, 0, "1", device), 0);
    auto task = task_of("a", "s", 0, wanted);
    task.hardware = hardware;
    return only<grant>(d.step(task, 0)).size() == 1;
  };
  const target whole{"cpu", "x86-64-v4", "cpp"}, any{"cpu", "", ""};
  for (const target& device : {whole, any})
    for (const target& wanted : {whole, any})
      CHECK(asks(device, wanted));
  for (const target& other : {target{"cuda", "x86-64-v4", "cpp"}, target{"cpu", "x86-64-v4", "hip"}, target{"cpu", "x86-64-v3", "cpp"}}) {
    CHECK(!asks(whole, other));
    CHECK(!asks(other, whole));
    CHECK(asks(other, other));
  }
  CHECK(asks(whole, whole, "cpu-x86_64"));
  CHECK(!asks(whole, whole, "cpu-x86_64-avx512"));
}

TEST_CASE("beside many kinds of work that nobody serves, taking one task out of a queue loses no other") {
  dispatcher d;
  const auto kind = [](int i) { return target{"cpu", "a" + std::to_string(i), "cpp"}; };
  constexpr int kinds = 80;
  for (int i = 0; i < kinds; ++i)
    for (const char* which : {"first", "second"})
      (void)d.step(task_of(which + std::to_string(i), which, 0, kind(i)), 0);
  for (int i = 0; i < kinds; ++i)
    (void)d.step(withdraw{"first" + std::to_string(i)}, 1);
  for (int i = 0; i < kinds; ++i) {
    auto granted = only<grant>(d.step(agent_of("x" + std::to_string(i), 1, 0, "1", kind(i)), 2));
    REQUIRE(granted.size() == 1);
    CHECK(granted[0].lease == "second" + std::to_string(i));
  }
}

TEST_CASE("users who ask for one thing at a time leave a third who has a queue its share") {
  one_agent x;
  std::map<std::string, int> served;
  for (const char* user : {"one", "two", "queue", "queue"})
    x.ask(user);
  for (int i = 0; i < 60; ++i) {
    const std::string user = x.finish();
    ++served[user];
    x.ask(user); // once it is done
  }
  CHECK(served["one"] == 20);
  CHECK(served["two"] == 20);
  CHECK(served["queue"] == 20);
}

TEST_CASE("users share an agent by the seconds that their work takes, not by pieces of it, and nobody is owed what it did not ask for") {
  one_agent x;
  const std::map<std::string, double> takes_s{{"slow", 10}, {"quick", 1}, {"late", 2}};
  std::map<std::string, double> had_s;
  const auto run_until = [&](double end_s, bool waits) {
    while (x.now_s < end_s) {
      const std::string user = x.user();
      x.now_s += takes_s.at(user);
      had_s[user] += takes_s.at(user);
      x.ask(user);
      x.finish(waits ? std::nullopt : std::optional(takes_s.at(user)));
    }
  };
  for (const char* user : {"slow", "slow", "quick", "quick"})
    x.ask(user);
  run_until(400, false);
  CHECK(std::abs(had_s["slow"] - had_s["quick"]) <= 20);
  for (const char* user : {"late", "late"})
    x.ask(user);
  had_s.clear();
  run_until(1000, true); // an agent that does not say: as long as the lease lasted
  CHECK(std::abs(had_s["slow"] - had_s["quick"]) <= 20);
  CHECK(std::abs(had_s["late"] - had_s["quick"]) <= 20);
  CHECK(std::abs(had_s["late"] - 200) <= 20);
}

TEST_CASE("what waits for idle agents is neither owed what others had before it, nor is what they had then owed to whoever comes later") {
  one_agent x;
  std::map<std::string, double> had_s;
  for (int i = 0; i < 2; ++i)
    x.ask("standing", -10);
  x.run_until(300, {{"standing", -10}}, had_s);
  for (int i = 0; i < 2; ++i)
    x.ask("person");
  x.run_until(400, {{"standing", -10}, {"person", 0}}, had_s);
  CHECK(had_s["person"] >= 98);
  had_s.clear();
  for (int i = 0; i < 2; ++i)
    x.ask("friend");
  x.run_until(500, {{"person", 0}, {"friend", 0}}, had_s); // though "standing" waits all the time, too, and has had nothing for as long as "person" worked
  CHECK(std::abs(had_s["person"] - had_s["friend"]) <= 4);
}

TEST_CASE("what somebody had while nobody else wanted it is not held against what they ask for at another priority") {
  one_agent x;
  std::map<std::string, double> had_s;
  std::map<std::string, int> at{{"a", -10}, {"b", 0}};
  for (int i = 0; i < 2; ++i)
    x.ask("a", -10);
  x.run_until(500, at, had_s); // alone
  for (int i = 0; i < 2; ++i)
    x.ask("b");
  x.run_until(600, at, had_s);
  had_s.clear();
  at["a"] = 0;
  for (int i = 0; i < 2; ++i)
    x.ask("a");
  x.run_until(700, at, had_s);
  CHECK(std::abs(had_s["a"] - had_s["b"]) <= 4);
}

TEST_CASE("what was withdrawn before it was permitted is not held against anybody") {
  dispatcher d;
  (void)d.step(agent_of("x", 2), 0);
  const auto ask = [&](const std::string& user, int number, bool paid = false, const target& on = cpu) {
    auto t = task_of(user + "/" + std::to_string(number), user, 0, on);
    t.paid = paid;
    return only<grant>(d.step(t, 0));
  };
  for (const char* user : {"a", "b"})
    CHECK(ask(user, 0, false, {"cuda", "", "cuda"}).empty()); // nobody serves it: both have something here all the time
  REQUIRE(ask("b", 1).size() == 1);
  (void)d.step(finished{"x", "b/1", 1, false, "", 2.0}, 2);
  for (int i = 1; i <= 5; ++i) {
    CHECK(ask("a", i, true).empty()); // its turn has come, and it waits for its permission
    (void)d.step(withdraw{"a/" + std::to_string(i)}, 2);
  }
  REQUIRE(ask("c", 1).size() == 1);
  REQUIRE(ask("c", 2).size() == 1);
  CHECK(ask("b", 2).empty());
  CHECK(ask("a", 6).empty());
  const auto next = only<grant>(d.step(finished{"x", "c/1", 1, false, "", 1.0}, 3));
  REQUIRE(next.size() == 1);
  CHECK(next[0].lease == "a/6"); // it had nothing, "b" had two seconds
}

TEST_CASE("a lease is accepted once: to accept it again gives no more time, and says in the end that it was accepted") {
  dispatcher d;
  (void)d.step(agent_of("x"), 0);
  REQUIRE(only<grant>(d.step(task_of("t"), 0)).size() == 1);
  (void)d.step(accepted{"x", "t", 1}, 1);
  std::vector<requeued> back;
  for (double now_s = 2; now_s < 40 && back.empty(); now_s += 1) {
    (void)d.step(accepted{"x", "t", 1}, now_s);
    (void)d.step(heartbeat{"x"}, now_s);
    back = only<requeued>(d.step(tick{}, now_s));
    if (!back.empty())
      CHECK(now_s < 20); // a limit of 10 s, and 5 s of grace
  }
  REQUIRE(back.size() == 1);
  CHECK(back[0].reason.find("its deadline passed") != std::string::npos);
}

TEST_CASE("an agent that lies about what work took harms nobody's share for long") {
  one_agent x;
  std::map<std::string, int> served;
  for (const char* user : {"a", "a", "b", "b"})
    x.ask(user);
  for (int i = 0; i < 100; ++i) {
    const std::string user = x.user();
    x.now_s += 1;
    ++served[user];
    x.ask(user);
    x.finish(user == "b" ? 1.0 : i % 3 == 0 ? 1e300 : i % 3 == 1 ? -5.0 : std::nan(""));
  }
  CHECK(std::abs(served["a"] - served["b"]) <= 4);
}

TEST_CASE("an agent is told once that its result is on the disk, and only of the result that counted") {
  settlements<int> kept(8);
  kept.settle("s/1/0", {"x", 3, 42});
  CHECK(kept.awaits_disk("s/1/0", "x", 3));
  CHECK(!kept.awaits_disk("s/1/0", "x", 2));
  CHECK(!kept.awaits_disk("s/1/0", "y", 3));
  CHECK(!kept.awaits_disk("s/2/0", "x", 3));
  CHECK(!kept.durable("s/2/0"));
  const auto told = kept.durable("s/1/0");
  REQUIRE(told.has_value());
  CHECK(told->agent == "x");
  CHECK(told->epoch == 3);
  CHECK(!kept.durable("s/1/0"));
  CHECK(!kept.awaits_disk("s/1/0", "x", 3));
  REQUIRE(kept.origin_of("s/1/0") != nullptr); // a late result still finds its owner
  CHECK(*kept.origin_of("s/1/0") == 42);
}

TEST_CASE("an agent is told once that its result was withdrawn, and then nothing more of it") {
  settlements<int> kept(8);
  kept.settle("s/1/0", {"x", 3, 42});
  const auto told = kept.withdrawn("s/1/0");
  REQUIRE(told.has_value());
  CHECK(told->agent == "x");
  CHECK(told->epoch == 3);
  CHECK(!kept.withdrawn("s/1/0"));
  CHECK(!kept.durable("s/1/0"));
  CHECK(!kept.awaits_disk("s/1/0", "x", 3));
  CHECK(!kept.withdrawn("s/2/0"));
}

TEST_CASE("settled tasks are forgotten oldest first beyond the bound, and by their session") {
  settlements<int> kept(2);
  kept.settle("s/1/0", {"x", 1, 1});
  kept.settle("s/2/0", {"x", 1, 2});
  kept.settle("s/2/0", {"y", 2, 3}); // settled anew: no second entry
  CHECK(kept.origin_of("s/1/0") != nullptr);
  kept.settle("t/1/0", {"x", 1, 4});
  CHECK(kept.origin_of("s/1/0") == nullptr);
  REQUIRE(kept.origin_of("s/2/0") != nullptr);
  CHECK(*kept.origin_of("s/2/0") == 3);
  kept.forget("s/");
  CHECK(kept.origin_of("s/2/0") == nullptr);
  CHECK(kept.origin_of("t/1/0") != nullptr);
}

TEST_CASE("a device that its agent no longer offers gets nothing more, and what is given back waits until it is offered again") {
  dispatcher d;
  (void)d.step(agent_of("x", 2), 0);
  CHECK(only<grant>(d.step(task_of("a"), 0)).size() == 1);
  (void)d.step(accepted{"x", "a", 1}, 0);
  hello without = agent_of("x", 2);
  without.what.devices.clear();
  auto told = d.step(without, 1);
  CHECK(only<welcome>(told).size() == 1);
  CHECK(only<agent_gone>(told).empty());
  CHECK_FALSE(d.serves(cpu));
  CHECK(only<grant>(d.step(task_of("b"), 1)).empty());
  CHECK(only<requeued>(d.step(finished{"x", "a", 1, true, "cpu0 is suspended: it drifts"}, 1)).size() == 1);
  CHECK(only<grant>(d.step(dispatch::tick{}, 2)).empty());
  auto granted = only<grant>(d.step(agent_of("x", 2), 3));
  REQUIRE(granted.size() == 2);
  CHECK(granted[0].lease == "a");
  CHECK(granted[0].epoch == 2);
  CHECK(granted[1].lease == "b");
}

TEST_CASE("what a suspended device gives back goes to another agent, and compiling for others goes on") {
  dispatcher d;
  hello x = agent_of("x");
  x.what.toolchains = {"g++ 12.2.0"};
  x.what.machine = "x86_64";
  (void)d.step(x, 0);
  (void)d.step(task_of("a"), 0);
  (void)d.step(agent_of("y"), 0);
  x.what.devices.clear();
  (void)d.step(x, 1);
  auto granted = only<grant>(d.step(finished{"x", "a", 1, true, "suspended"}, 1));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "y");
  submit compile = task_of("c");
  compile.needs_device = false;
  compile.toolchain = "g++";
  compile.machine = "x86_64";
  compile.libc = 2036;
  granted = only<grant>(d.step(compile, 2));
  REQUIRE(granted.size() == 1);
  CHECK(granted[0].agent == "x");
}

TEST_CASE("an agent's credit follows the slots that it offers, and saying the same twice changes nothing") {
  dispatcher d;
  (void)d.step(agent_of("x", 1), 0);
  CHECK(d.standing_of("x")->credit == 1);
  (void)d.step(agent_of("x", 3), 1);
  CHECK(d.standing_of("x")->credit == 3);
  for (int i = 0; i < 4; ++i)
    (void)d.step(task_of("t" + std::to_string(i)), 1);
  CHECK(d.standing_of("x")->leases == 3);
  (void)d.step(agent_of("x", 3), 2);
  CHECK(d.standing_of("x")->leases == 3);
  (void)d.step(agent_of("x", 1), 3); // holds more than it has slots for now
  CHECK(d.standing_of("x")->leases == 3);
  CHECK(only<grant>(d.step(finished{"x", "t0", 1, false, ""}, 4)).empty());
  CHECK(only<grant>(d.step(finished{"x", "t1", 1, false, ""}, 4)).empty());
  CHECK(only<grant>(d.step(finished{"x", "t2", 1, false, ""}, 4)).size() == 1);
}
