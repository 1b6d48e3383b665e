#include "tests/actors/search_world.hpp"

#include <doctest/doctest.h>

using namespace search_test;

namespace {

session_settings budget_of(std::uint32_t evaluations, policy_kind policy = policy_kind::evolve, std::uint32_t in_flight = 4) {
  session_settings s;
  s.policy = policy;
  s.evaluations = evaluations;
  s.time_s = 0;
  s.plateau = evaluations;
  s.in_flight = in_flight;
  s.seed = 7;
  return s;
}

constexpr policy_kind policies[] = {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve, policy_kind::random};

template <class Event>
std::size_t count(const std::vector<event>& log) {
  return static_cast<std::size_t>(std::count_if(log.begin(), log.end(), [](const event& e) { return std::holds_alternative<Event>(e); }));
}

std::map<node_status, std::uint32_t> by_status(const tree& t) {
  std::map<node_status, std::uint32_t> counted;
  for (node_number n = 0; n < t.size(); ++n)
    ++counted[t[n].status];
  return counted;
}

} // namespace

TEST_CASE("the root is evaluated alone, first and without an anchor") {
  world w({}, budget_of(20));
  w.start();
  w.run();
  REQUIRE(w.ended);
  CHECK(w.evaluations.front().number == 0);
  CHECK(w.evaluations.front().anchor == nullptr);
  auto root_result = std::find_if(w.log.begin(), w.log.end(), [](const event& e) { return std::holds_alternative<evaluation_recorded>(e); });
  auto second = std::find_if(w.log.begin(), w.log.end(), [](const event& e) {
    const auto* p = std::get_if<proposal_made>(&e);
    return p != nullptr && p->number == 1;
  });
  CHECK(root_result < second);
  for (std::size_t i = 1; i < w.evaluations.size(); ++i)
    CHECK(w.evaluations[i].anchor != nullptr);
}

TEST_CASE("what won on like operators is tried first, below the root, unless nothing is to be injected") {
  session_options options;
  options.priors = {"leader:a", "leader:b", "leader:c", "leader:d"};
  for (const double injection : {0.0, 0.2}) {
    auto settings = budget_of(20);
    settings.injection = injection;
    world w({}, settings, options);
    w.start();
    w.run();
    REQUIRE(w.ended);
    std::vector<std::string> early;
    for (const event& e : w.log)
      if (const auto* p = std::get_if<proposal_made>(&e); p != nullptr && p->number >= 1 && p->number <= 4) {
        early.push_back(p->prior);
        if (injection > 0 && p->number >= 2)
          CHECK(p->parents == std::vector<node_number>{0});
      }
    REQUIRE(early.size() == 4);
    if (injection > 0)
      CHECK(std::vector<std::string>(early.begin() + 1, early.end()) == std::vector<std::string>{"leader:a", "leader:b", "leader:c"});
    else
      CHECK(early == std::vector<std::string>(4));
  }
}

TEST_CASE("what others see waits until every event before it is durable") {
  session s;
  session_opened open;
  open.settings = budget_of(5);
  auto first = s.step(opened{open}, {});
  for (const auto& e : first)
    CHECK((std::holds_alternative<append_event>(e) || std::holds_alternative<ask_synthesis>(e)));
  auto answered = s.step(synthesized{0, candidate_of({}), {}}, {});
  REQUIRE(answered.size() == 1);
  CHECK(std::holds_alternative<append_event>(answered[0]));
  CHECK(s.step(stored{2}, {}).size() <= 1); // progress at most: candidate_added is the third event
  bool asked = false;
  for (const auto& e : s.step(stored{3}, {}))
    asked = asked || std::holds_alternative<ask_evaluation>(e);
  CHECK(asked);
}

TEST_CASE("a synthesizer that is paid is asked only for durable proposals") {
  session s;
  session_opened open;
  open.settings = budget_of(5);
  open.settings.synthesizers = {"model"};
  (void)s.step(opened{open}, {});
  (void)s.step(synthesized{0, candidate_of({}), {}}, {});
  (void)s.step(stored{3}, {});
  evaluation e;
  e.candidate = id_of({});
  e.result = outcome::passed;
  auto is_ask = [](const effect& x) { return std::holds_alternative<ask_synthesis>(x); };
  auto effects = s.step(evaluated{0, 0, e}, {});
  CHECK(std::none_of(effects.begin(), effects.end(), is_ask));
  auto released = s.step(stored{s.appended()}, {});
  CHECK(std::count_if(released.begin(), released.end(), is_ask) == 4);
}

TEST_CASE("where the plain loop nest is slow the first schedule goes alone") {
  for (const double latency_s : {1e-3, 0.2}) {
    session s;
    session_opened open;
    open.settings = budget_of(9);
    open.settings.in_flight = 4;
    (void)s.step(opened{open}, {});
    (void)s.step(synthesized{0, candidate_of({}), {}}, {});
    (void)s.step(stored{3}, {});
    evaluation e;
    e.candidate = id_of({});
    e.result = outcome::passed;
    e.timings = {{.workload = "w", .latency_s = latency_s}};
    const auto asked = [&] { return s.state().open().size(); };
    (void)s.step(evaluated{0, 0, e}, {});
    CHECK(asked() == (latency_s < 0.01 ? 4 : 1));
    (void)s.step(synthesized{1, candidate_of({1}), {}}, {});
    e.candidate = id_of({1});
    (void)s.step(evaluated{1, 0, e}, {});
    CHECK(asked() == 4);
  }
}

TEST_CASE("a session that ends leaves what its single transformations did") {
  world w({}, budget_of(40, policy_kind::greedy, 2));
  w.start();
  w.run();
  REQUIRE(w.ended);
  REQUIRE(count<skills_learnt>(w.log) == 1);
  REQUIRE(w.log.size() >= 2);
  const auto* learnt = std::get_if<skills_learnt>(&w.log[w.log.size() - 2]);
  REQUIRE(learnt);
  std::uint32_t trials = 0, wins = 0;
  for (const skill& s : learnt->what) {
    CHECK(s.wins + s.failures <= s.trials);
    trials += s.trials;
    wins += s.wins;
  }
  std::uint32_t crossed = 0;
  for (const auto& e : w.log)
    if (const auto* made = std::get_if<proposal_made>(&e))
      crossed += made->parents.size() == 2;
  CHECK(trials >= 1);
  CHECK(trials <= 39); // all but the root
  CHECK(trials + crossed >= 39);
  CHECK(wins >= 1);
}

TEST_CASE("exactly the budget is counted, whatever the policy, the load and the faults") {
  for (auto policy : policies)
    for (std::uint32_t in_flight : {1u, 3u, 16u})
      for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        world_settings how;
        how.seed = seed;
        how.infrastructure = seed % 2 ? 0.1 : 0;
        how.repeated = 0.2;
        how.synthesizer_fails = 0.1;
        how.slow_factor = 8;
        world w(how, budget_of(60, policy, in_flight));
        w.after_step = [&] {
          auto status = by_status(w.of().state().nodes());
          std::uint32_t total = 0;
          for (const auto& [s, n] : status)
            total += n;
          CHECK(total == w.of().state().nodes().size());
          CHECK(status[node_status::proposed] + status[node_status::waiting] == w.of().state().open().size());
          CHECK(status[node_status::passed] + status[node_status::failed] == w.of().state().results());
          CHECK(w.of().state().open().size() <= in_flight);
        };
        w.start();
        w.run();
        REQUIRE(w.ended);
        INFO("policy " << to_string(policy) << ", in flight " << in_flight << ", seed " << seed);
        CHECK(w.ended->what.stopped_by == "evaluations");
        CHECK(w.of().state().results() == 60);
        CHECK(count<evaluation_recorded>(w.log) == 60);
        CHECK(count<proposal_made>(w.log) == count<evaluation_recorded>(w.log) + count<proposal_closed>(w.log));
        std::set<node_number> once;
        for (const auto& e : w.log)
          if (const auto* r = std::get_if<evaluation_recorded>(&e))
            CHECK(once.insert(r->number).second);
      }
}

TEST_CASE("a result that comes twice or late is logged and not counted") {
  world_settings how;
  how.repeated = 1;
  world w(how, budget_of(30));
  w.start();
  w.run();
  CHECK(w.of().state().results() == 30);
  CHECK(count<evaluation_discarded>(w.log) >= 20);
}

TEST_CASE("the state of a session is the fold of its log at every position") {
  for (auto policy : policies) {
    world_settings how;
    how.infrastructure = 0.1;
    how.repeated = 0.1;
    how.slow_factor = 5;
    world w(how, budget_of(40, policy));
    session_state folded;
    std::size_t applied = 0;
    w.after_step = [&] {};
    w.start();
    while (!w.ended) {
      w.run(w.of().appended() + 1);
      for (; applied < w.log.size(); ++applied)
        folded.apply(w.log[applied]);
      REQUIRE(folded.digest() == w.of().state().digest());
    }
    CHECK(w.of().over());
  }
}

TEST_CASE("a session killed at any event ends in the tree of an uninterrupted one") {
  for (auto policy : policies) {
    auto settings = budget_of(25, policy, 1);
    world_settings how;
    how.synthesizer_fails = 0.1;
    world whole(how, settings);
    whole.start();
    whole.run();
    REQUIRE(whole.ended);
    for (std::uint64_t at = 1; at < whole.log.size(); ++at) {
      world w(how, settings);
      w.start();
      w.run(at);
      auto before = std::vector<event>(w.log.begin(), w.log.begin() + static_cast<std::ptrdiff_t>(at));
      w.kill(at);
      w.resume();
      w.run();
      INFO("policy " << to_string(policy) << ", killed after event " << at << " (" << kind_of(before.back()) << ")");
      REQUIRE(w.ended);
      CHECK(w.of().state().results() == 25);
      CHECK(w.of().state().tree_digest() == whole.of().state().tree_digest());
      CHECK(w.ended->what.stopped_by == whole.ended->what.stopped_by);
      REQUIRE(w.ended->verdict);
      CHECK(w.ended->verdict->number == whole.ended->verdict->number);
    }
  }
}

session_settings ensemble_of(std::vector<std::string> names, std::uint32_t evaluations, std::uint32_t in_flight) {
  auto s = budget_of(evaluations, policy_kind::evolve, in_flight);
  s.synthesizers = std::move(names);
  s.ensemble = ensemble_kind::bandit;
  return s;
}

std::map<std::string, std::uint32_t> proposals_by(const std::vector<event>& log) {
  std::map<std::string, std::uint32_t> counted;
  for (const event& e : log)
    if (const auto* made = std::get_if<proposal_made>(&e); made && made->number > 0)
      ++counted[made->synthesizer];
  return counted;
}

TEST_CASE("the bandit asks who gains for the cost: not a dear one that gains as much, and a useless one least") {
  world_settings how;
  how.fails_by = {{"useless", 0.95}};
  how.usd_by = {{"dear", 0.2}, {"useless", 0.001}};
  std::map<std::string, std::uint32_t> by;
  for (how.seed = 1; how.seed <= 5; ++how.seed) {
    auto settings = ensemble_of({"generator", "dear", "useless"}, 120, 4);
    settings.seed = how.seed;
    world w(how, settings);
    w.start();
    w.run();
    REQUIRE(w.ended);
    for (const auto& [name, count] : proposals_by(w.log))
      by[name] += count;
    std::uint64_t proposals = 0;
    for (const auto& s : w.of().state().synthesizers()) {
      INFO(s.name);
      CHECK(s.record.gains <= s.record.passed);
      CHECK(s.record.passed <= s.record.proposals);
      proposals += s.record.proposals;
      const double each = how.usd_by.contains(s.name) ? how.usd_by.at(s.name) : 0;
      CHECK(s.record.cost_usd == doctest::Approx(each * static_cast<double>(s.record.proposals)));
    }
    CHECK(proposals + count<session_opened>(w.log) == w.of().state().nodes().size()); // all but the root, which nobody chose
  }
  CHECK(by["generator"] > 2 * by["dear"]);
  CHECK(by["generator"] > 2 * by["useless"]);
  CHECK(by["dear"] > 0);
  CHECK(by["useless"] > 0);
}

TEST_CASE("what synthesizers did on like operators, as the opening has it, decides at first") {
  for (const char* good : {"a", "b"}) {
    std::uint32_t asked = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      session s;
      session_opened open;
      open.settings = ensemble_of({"a", "b"}, 40, 4);
      open.settings.seed = seed;
      open.synthesizers = {{"a", {100, 90, good == std::string("a") ? 60u : 0u, 0}}, {"b", {100, 90, good == std::string("b") ? 60u : 0u, 0}}};
      (void)s.step(opened{open}, {});
      (void)s.step(synthesized{0, candidate_of({}), {}}, {});
      (void)s.step(stored{3}, {});
      evaluation e;
      e.candidate = id_of({});
      e.result = outcome::passed;
      (void)s.step(evaluated{0, 0, e}, {});
      for (const auto& [n, p] : s.state().open())
        asked += p.synthesizer == good;
    }
    CHECK(asked >= 30); // of 40
  }
}

TEST_CASE("a bandit's session killed at any event ends in the tree of an uninterrupted one") {
  const auto settings = ensemble_of({"generator", "dear", "useless"}, 25, 1);
  world_settings how;
  how.fails_by = {{"useless", 0.5}};
  how.usd_by = {{"dear", 0.01}};
  world whole(how, settings);
  whole.start();
  whole.run();
  REQUIRE(whole.ended);
  const auto writers = [](const world& w) {
    std::vector<std::string> names;
    for (const event& e : w.log)
      if (const auto* made = std::get_if<proposal_made>(&e))
        names.push_back(made->synthesizer);
    return names;
  };
  for (std::uint64_t at = 1; at < whole.log.size(); ++at) {
    world w(how, settings);
    w.start();
    w.run(at);
    const bool paid_twice = std::holds_alternative<model_asked>(w.log[at - 1]); // its answer is lost: asked once more, and that is in the log
    w.kill(at);
    w.resume();
    w.run();
    INFO("killed after event " << at);
    REQUIRE(w.ended);
    CHECK(w.of().state().results() == 25);
    if (paid_twice)
      continue;
    CHECK(w.of().state().tree_digest() == whole.of().state().tree_digest());
    CHECK(writers(w) == writers(whole));
  }
}

TEST_CASE("a session that goes on with another budget ends by that one, also when killed once more") {
  world_settings how;
  world w(how, budget_of(20, policy_kind::greedy, 2));
  w.start();
  w.run(12);
  w.kill(12);
  w.resume(budget_changed{35, 0, 0, 0});
  w.run(60);
  w.kill(60);
  w.resume();
  w.run();
  REQUIRE(w.ended);
  CHECK(w.ended->what.stopped_by == "evaluations");
  CHECK(w.of().state().results() == 35);
  CHECK(count<budget_changed>(w.log) == 1);
}

TEST_CASE("killed again and again at random, with work in flight, exactly the budget is counted") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    rng draw(seed);
    world_settings how;
    how.seed = seed;
    how.infrastructure = 0.05;
    how.repeated = 0.1;
    how.slow_factor = 6;
    world w(how, budget_of(40, policies[seed % 4], 1 + static_cast<std::uint32_t>(draw.below(8))));
    w.start();
    for (int kills = 0; kills < 5 && !w.ended; ++kills) {
      w.run(w.of().appended() + 1 + draw.below(40));
      if (w.ended)
        break;
      auto lost = draw.below(4); // what the last commit had not reached
      w.kill(w.log.size() > lost + 1 ? w.log.size() - lost : w.log.size());
      session_state folded;
      for (const auto& e : w.log)
        folded.apply(e);
      CHECK(folded.digest() == w.of().state().digest());
      w.resume();
    }
    w.run();
    INFO("seed " << seed);
    REQUIRE(w.ended);
    CHECK(w.of().state().results() == 40);
    CHECK(count<evaluation_recorded>(w.log) == 40);
    CHECK(count<proposal_made>(w.log) == count<evaluation_recorded>(w.log) + count<proposal_closed>(w.log));
  }
}

TEST_CASE("the same seed and the same results in the same order give the same tree, whatever the clock did") {
  for (auto policy : policies) {
    world_settings slow;
    slow.evaluation_s = 3;
    slow.commit_s = 0.2;
    world a({}, budget_of(50, policy, 1)), b(slow, budget_of(50, policy, 1));
    a.start();
    a.run();
    b.start();
    b.run();
    CHECK(a.of().state().tree_digest() == b.of().state().tree_digest());
    auto other = budget_of(50, policy, 1);
    other.seed = 8;
    world c({}, other);
    c.start();
    c.run();
    CHECK(c.of().state().tree_digest() != a.of().state().tree_digest());
  }
}

TEST_CASE("a session that was finished says so again when it is resumed") {
  world w({}, budget_of(10));
  w.start();
  w.run();
  auto events = w.log.size();
  auto verdict = w.ended->verdict->number;
  w.kill(events);
  w.resume();
  REQUIRE(w.ended);
  CHECK(w.ended->what.stopped_by == "evaluations");
  CHECK(w.ended->verdict->number == verdict);
  CHECK(w.log.size() == events);
}

TEST_CASE("a paused session keeps its open proposals and asks for them when it is resumed") {
  world w({}, budget_of(30));
  w.start();
  w.run(40);
  w.feed(kevolve::search::pause{"a person asked"});
  w.run();
  REQUIRE(w.ended);
  CHECK(w.ended->what.stopped_by == "paused");
  auto open = w.of().state().open().size();
  CHECK(open > 0);
  CHECK(count<session_finished>(w.log) == 0);
  w.kill(w.log.size());
  w.resume();
  w.run();
  CHECK(w.ended->what.stopped_by == "evaluations");
  CHECK(w.of().state().results() == 30);
}

TEST_CASE("what is asked again after a death is timed against the same anchor, so that an answer which outlived it fits") {
  std::size_t again = 0, led_by_another = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    world_settings how;
    how.seed = seed;
    how.slow_factor = 6;
    world w(how, budget_of(40, policies[seed % 4], 8));
    w.start();
    for (std::uint64_t stop = 20; !w.ended; stop += 20) {
      w.run(stop);
      if (w.ended)
        break;
      w.kill(w.log.size());
      w.resume();
    }
    std::map<node_number, std::string> asked;
    std::string leader;
    for (const auto& ask : w.evaluations) {
      const std::string anchor = ask.anchor ? ask.anchor->id : "";
      const auto [known, first] = asked.emplace(ask.number, anchor);
      CHECK(known->second == anchor);
      again += !first;
      led_by_another += !first && anchor != leader;
      if (first)
        leader = anchor; // of the newest candidate
    }
  }
  CHECK(again > 50);
  CHECK(led_by_another > 5); // where asking against the leader of the moment would ask for something else
}

TEST_CASE("a cancelled session closes what is open and does not verify") {
  world w({}, budget_of(30));
  w.start();
  w.run(40);
  w.feed(cancel{});
  w.run();
  REQUIRE(w.ended);
  CHECK(w.ended->what.stopped_by == "cancelled");
  CHECK(w.verifications.empty());
  CHECK(w.of().state().open().empty());
}

TEST_CASE("after a store's failure nothing that was not durable is shown") {
  world w({}, budget_of(30));
  w.start();
  w.run(40);
  auto effects = w.of().durable();
  w.feed(broken{{errc::full, "no space left"}});
  REQUIRE(w.ended);
  CHECK(w.ended->failure->code == errc::full);
  CHECK(w.of().durable() == effects);
  CHECK(w.of().over());
}

TEST_CASE("proposals lost with a restarted part are asked again and counted once") {
  world w({}, budget_of(30));
  w.start();
  w.run(40);
  std::vector<node_number> open;
  for (const auto& [n, p] : w.of().state().open())
    open.push_back(n);
  w.feed(restarted{"evaluator", "it threw", open});
  w.run();
  CHECK(w.of().state().results() == 30);
  CHECK(count<actor_restarted>(w.log) == 1);
}

TEST_CASE("a result of another candidate is the infrastructure's fault: its proposal is asked again, and so is its verification") {
  world_settings how;
  how.answers_verification = false;
  world w(how, budget_of(20));
  w.start();
  w.run(30);
  const std::size_t asked_before = w.evaluations.size();
  REQUIRE(asked_before > 0);
  const auto asked = w.evaluations.back();
  evaluation lie = w.measure(*asked.what, asked.anchor.get());
  lie.candidate[0] = lie.candidate[0] == '0' ? '1' : '0';
  REQUIRE(w.of().state().open().contains(asked.number));
  w.feed(evaluated{asked.number, asked.attempt, lie});
  CHECK(w.of().state().attempt_of(asked.number) == asked.attempt + 1);
  CHECK(w.of().state().open().contains(asked.number));
  w.run();
  REQUIRE(w.verifications.size() == 1);
  const auto verification = w.verifications.back();
  const evaluation truth = w.measure(*verification.what, verification.root.get());
  lie = truth;
  lie.candidate[0] = lie.candidate[0] == '0' ? '1' : '0';
  w.feed(verified{verification.number, verification.attempt, lie});
  w.run();
  CHECK_FALSE(w.of().state().last_verdict());
  REQUIRE(w.verifications.size() == 2);
  w.feed(verified{verification.number, w.verifications.back().attempt, truth});
  w.run();
  CHECK(w.ended);
  CHECK(w.of().state().last_verdict());
  CHECK(count<evaluation_recorded>(w.log) == 20);
}

TEST_CASE("a result of an earlier attempt, life or candidate is discarded") {
  world w({}, budget_of(30));
  w.start();
  while (w.of().state().open().size() < 2 || w.evaluations.size() < 4)
    w.run(w.of().appended() + 1);
  auto asked = w.evaluations.back();
  REQUIRE(w.of().state().open().contains(asked.number));
  auto counted = w.of().state().results();
  auto discarded_before = count<evaluation_discarded>(w.log);
  auto result = w.measure(*asked.what, asked.anchor.get());
  SUBCASE("an attempt that was given up") {
    w.feed(evaluation_failed{asked.number, asked.attempt, "agent died"});
    CHECK(count<evaluation_discarded>(w.log) == ++discarded_before);
    w.feed(evaluated{asked.number, asked.attempt, result});
  }
  SUBCASE("a life that ended") {
    w.kill(w.log.size());
    w.resume();
    w.feed(evaluated{asked.number, asked.attempt, result});
  }
  SUBCASE("another candidate") {
    result.candidate = id_of({5, 5, 5, 5, 5, 5, 5, 5, 5, 5});
    w.feed(evaluated{asked.number, asked.attempt, result});
  }
  SUBCASE("a number that was never proposed") { w.feed(evaluated{4000, 0, result}); }
  CHECK(w.of().state().results() == counted);
  CHECK(count<evaluation_discarded>(w.log) == discarded_before + 1);
  w.run();
  CHECK(w.of().state().results() == 30);
}

TEST_CASE("where no plain loop nest can be written models write the root, one proposal after the other until one passes") {
  for (const policy_kind policy : policies) {
    session s;
    std::vector<event> log;
    std::vector<ask_synthesis> asked;
    std::vector<ask_evaluation> evaluations;
    bool ended = false;
    const std::function<void(input)> feed = [&](input in) {
      for (auto& e : s.step(std::move(in), {})) {
        if (auto* appended = std::get_if<append_event>(&e))
          log.push_back(appended->what);
        else if (auto* ask = std::get_if<ask_synthesis>(&e))
          asked.push_back(*ask);
        else if (auto* evaluate = std::get_if<ask_evaluation>(&e))
          evaluations.push_back(*evaluate);
        ended = ended || std::holds_alternative<finish>(e);
      }
      if (s.durable() < s.appended())
        feed(stored{s.appended()});
    };
    const auto answer = [&](node_number n, const point& p, outcome result, const std::string& anchor = "") {
      feed(synthesized{n, candidate_of(p), {}});
      evaluation e;
      e.candidate = id_of(p);
      e.result = result;
      if (result == outcome::passed)
        e.timings = {{.workload = "w", .latency_s = 1e-3}};
      if (!anchor.empty())
        e.timings[0].comparisons = {{.anchor = anchor, .ratio = 2, .ratio_ci95 = {1.9, 2.1}, .anchor_s = 2e-3, .e_value = 1000}};
      feed(evaluated{n, 0, e});
    };
    session_opened open;
    open.settings = budget_of(9, policy, 3);
    open.settings.synthesizers = {"generator", "model"};
    open.subject.workloads.resize(1);
    open.subject.workloads[0].uuid = "w";
    feed(opened{open});
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].synthesizer == "generator");
    feed(synthesis_failed{0, {errc::synthesizer, "it writes C++ only"}});
    REQUIRE_FALSE(ended);
    REQUIRE(asked.size() == 2); // one, though three may be in flight
    CHECK(asked[1].synthesizer == "model");
    answer(1, {1}, outcome::compile_error);
    REQUIRE(asked.size() == 3);
    CHECK(asked[2].parents == std::vector<node_number>{1}); // mended
    feed(synthesis_failed{2, {errc::synthesizer, "no answer"}});
    REQUIRE(asked.size() == 4);
    CHECK(asked[3].parents == std::vector<node_number>{1});
    CHECK_FALSE(s.state().root_passed());
    answer(3, {2}, outcome::passed);
    CHECK(s.state().root_passed());
    CHECK(s.state().root_number() == 3);
    CHECK(s.state().leader()->number == 3);
    REQUIRE(asked.size() == 7);
    for (std::size_t i = 4; i < asked.size(); ++i) {
      CHECK(asked[i].synthesizer == "model");
      CHECK(asked[i].parents == std::vector<node_number>{3});
    }
    for (const ask_evaluation& e : evaluations)
      CHECK(e.anchor == nullptr);
    answer(4, {3}, outcome::passed, id_of({2}));
    REQUIRE(evaluations.back().anchor != nullptr);
    CHECK(evaluations.back().anchor->id == id_of({2}));
    CHECK(s.state().leader()->number == 4);
    CHECK(s.state().nodes()[4].fitness == doctest::Approx(std::log(2.0)));
    session again;
    for (const event& e : log)
      again.replay(e);
    CHECK(again.state().digest() == s.state().digest());
    CHECK(again.state().root_number() == 3);
  }
}

TEST_CASE("a session of the generator alone ends where it cannot write the operator") {
  session s;
  session_opened open;
  open.settings = budget_of(5);
  (void)s.step(opened{open}, {});
  (void)s.step(synthesis_failed{0, {errc::synthesizer, "it writes C++ only"}}, {});
  CHECK(s.over());
}
