#include "tests/actors/search_world.hpp"

#include <doctest/doctest.h>

using namespace search_test;

namespace {

session_settings by_time(double seconds) {
  session_settings s;
  s.time_s = seconds;
  s.seed = 3;
  s.plateau = 1000000;
  return s;
}

session_settings by_count(std::uint32_t evaluations) {
  auto s = by_time(0);
  s.evaluations = evaluations;
  return s;
}

evaluation passed_with(std::vector<comparison> per_workload) {
  evaluation e;
  e.result = outcome::passed;
  for (std::size_t i = 0; i < per_workload.size(); ++i) {
    workload_timing t;
    t.workload = "w" + std::to_string(i);
    t.latency_s = 1e-3;
    t.comparisons = {per_workload[i]};
    e.timings.push_back(t);
  }
  return e;
}

} // namespace

TEST_CASE("a session ends within its time, verification included, and stops proposing early enough") {
  for (double verification : {1.0, 8.0, 18.0})
    for (double evaluation : {0.1, 0.5, 2.0}) {
      world_settings how;
      how.verification_s = verification;
      how.evaluation_s = evaluation;
      world w(how, by_time(60));
      w.start();
      for (double t = 0.05; t < 200; t += 0.05)
        w.later(t, [] { return input(kevolve::search::tick{}); });
      w.run();
      INFO("verification " << verification << ", evaluation " << evaluation);
      REQUIRE(w.ended);
      CHECK(w.ended->what.stopped_by == "time");
      REQUIRE(w.ended->verdict);
      CHECK(w.ended->what.wall_s <= 60.1);
      CHECK(w.ended->what.wall_s >= 38);
    }
}

TEST_CASE("an evaluation that never comes back is withdrawn when the search's time is over") {
  world_settings how;
  how.silent = 0.05;
  world w(how, by_time(40));
  w.start();
  for (double t = 0.05; t < 100; t += 0.05)
    w.later(t, [] { return input(kevolve::search::tick{}); });
  w.run();
  REQUIRE(w.ended);
  CHECK(w.ended->verdict);
  CHECK(w.of().state().open().empty());
  CHECK(w.ended->what.wall_s <= 40.1);
  CHECK(std::any_of(w.log.begin(), w.log.end(), [](const event& e) {
    const auto* c = std::get_if<proposal_closed>(&e);
    return c != nullptr && c->reason == "stopped: time";
  }));
}

TEST_CASE("a verification that never comes back does not keep the session for ever") {
  world_settings how;
  how.answers_verification = false;
  world w(how, by_time(10));
  w.start();
  for (double t = 0.05; t < 100; t += 0.05)
    w.later(t, [] { return input(kevolve::search::tick{}); });
  w.run();
  REQUIRE(w.ended);
  REQUIRE(w.ended->failure);
  CHECK(w.ended->failure->code == errc::infrastructure);
  CHECK(w.clock() < 45);
}

TEST_CASE("time that passed before a crash counts") {
  world w({}, by_time(30));
  w.start();
  for (double t = 0.05; t < 10; t += 0.05)
    w.later(t, [] { return input(kevolve::search::tick{}); });
  while (w.clock() < 9)
    w.run(w.of().appended() + 1);
  w.kill(w.log.size());
  w.resume();
  for (double t = 0.05; t < 100; t += 0.05)
    w.later(t, [] { return input(kevolve::search::tick{}); });
  w.run();
  REQUIRE(w.ended);
  CHECK(w.clock() > 20);
  CHECK(w.clock() < 31);
}

TEST_CASE("nothing that passed in time is a budget failure") {
  world_settings how;
  how.evaluation_s = 100;
  world w(how, by_time(5));
  w.start();
  for (double t = 0.05; t < 20; t += 0.05)
    w.later(t, [] { return input(kevolve::search::tick{}); });
  w.run();
  REQUIRE(w.ended);
  REQUIRE(w.ended->failure);
  CHECK(w.ended->failure->code == errc::budget);
  CHECK(w.clock() < 6);
}

TEST_CASE("a plateau, the roofline and an exhausted space each end the search by name") {
  SUBCASE("plateau") {
    auto s = by_count(2000);
    s.plateau = 60;
    world w({}, s);
    w.start();
    w.run();
    REQUIRE(w.ended);
    CHECK(w.ended->what.stopped_by == "plateau");
    CHECK(w.of().state().results() < 2000);
    CHECK(w.of().state().results_since_leader() == 60);
  }
  SUBCASE("roofline") {
    world_settings how;
    how.roof = 0.6;
    world w(how, by_count(2000));
    w.start();
    w.run();
    REQUIRE(w.ended);
    CHECK(w.ended->what.stopped_by == "roofline");
    CHECK(w.best() > 0.5);
  }
  SUBCASE("space exhausted") {
    session_options options;
    options.refused_in_a_row = 4;
    world w({}, by_count(100000), options);
    w.start();
    w.run();
    REQUIRE(w.ended);
    CHECK(w.ended->what.stopped_by == "space exhausted");
    CHECK(w.ended->verdict);
  }
}

TEST_CASE("a goal that the leader is measured to meet ends the search") {
  auto s = by_count(5000);
  s.goal = 1.3;
  world_settings how;
  how.baseline = 0.4;
  world w(how, s);
  w.start();
  w.run();
  REQUIRE(w.ended);
  CHECK(w.ended->what.stopped_by == "goal");
  REQUIRE(w.ended->verdict);
  CHECK(w.ended->verdict->speedup >= 1.3);
  CHECK(w.ended->verdict->best_baseline == "compile");
  CHECK(w.of().state().results() < 5000);
}

TEST_CASE("a goal out of reach does not keep the verifier busy") {
  auto s = by_count(300);
  s.goal = 50;
  world w({}, s);
  w.start();
  w.run();
  REQUIRE(w.ended);
  CHECK(w.ended->what.stopped_by == "evaluations");
  CHECK(w.verifications.size() <= 2);
}

TEST_CASE("a leader that does not hold gives way to the one before it") {
  world first({}, by_count(80));
  first.start();
  first.run();
  REQUIRE(first.ended->verdict);
  auto refuted = first.ended->verdict->number;
  world_settings how;
  how.does_not_hold = {first.of().state().leader()->what->id};
  world w(how, by_count(80));
  w.start();
  w.run();
  REQUIRE(w.ended);
  REQUIRE(w.ended->verdict);
  CHECK(w.ended->verdict->holds);
  CHECK(w.ended->verdict->number != refuted);
  CHECK(w.of().state().nodes()[refuted].status == node_status::failed);
  CHECK(w.verifications.size() == 2);
}

TEST_CASE("infrastructure faults are retried with a new attempt and never held against a candidate") {
  world_settings how;
  how.infrastructure = 0.3;
  world w(how, by_count(60));
  w.start();
  w.run();
  REQUIRE(w.ended);
  CHECK(w.of().state().results() == 60);
  std::map<node_number, std::set<std::uint32_t>> attempts;
  bool retried = false;
  for (const auto& a : w.evaluations) {
    CHECK(attempts[a.number].insert(a.attempt).second);
    retried = retried || attempts[a.number].size() > 1;
  }
  CHECK(retried);
  for (auto [result, n] : w.of().state().outcomes())
    CHECK(result != outcome::infrastructure);
}

TEST_CASE("a host that loses everything fails the session instead of turning for ever") {
  world_settings how;
  how.infrastructure = 1;
  world w(how, by_count(60));
  w.start();
  w.run();
  REQUIRE(w.ended);
  CHECK(w.ended->what.stopped_by == "failed");
  REQUIRE(w.ended->failure);
  CHECK(w.ended->failure->code == errc::infrastructure);
  CHECK(w.evaluations.size() == 4);
}

TEST_CASE("a root that the generator cannot write ends the session with its reason") {
  session s;
  session_opened open;
  open.settings = by_count(10);
  (void)s.step(opened{open}, {});
  (void)s.step(synthesis_failed{0, {errc::synthesizer, "aten.fft is not known"}}, {});
  auto effects = s.step(stored{s.appended()}, {});
  auto last = std::find_if(effects.begin(), effects.end(), [](const effect& e) { return std::holds_alternative<finish>(e); });
  REQUIRE(last != effects.end());
  CHECK(std::get<finish>(*last).failure->code == errc::synthesizer);
  CHECK(std::get<finish>(*last).failure->message.find("aten.fft") != std::string::npos);
}

TEST_CASE("a candidate that is known is refused before it costs an evaluation") {
  world w({}, by_count(120));
  w.start();
  w.run();
  std::set<std::string> ids;
  std::size_t duplicates = 0;
  for (const auto& e : w.log) {
    if (const auto* c = std::get_if<candidate_added>(&e))
      CHECK(ids.insert(c->what.id).second);
    if (const auto* c = std::get_if<proposal_closed>(&e))
      duplicates += c->reason.starts_with(closed_duplicate);
  }
  CHECK(duplicates > 0);
}

TEST_CASE("better needs evidence: an e-value of 200, however large the ratio looks") {
  auto says = [](double ratio, double low, double high, double e) {
    return is_better(*against(passed_with({{"a", ratio, {low, high}, 1, e, 8}}), "a"));
  };
  CHECK(says(1.01, 0.99, 1.03, 250));
  CHECK_FALSE(says(1.01, 1.001, 1.02, 150));
  CHECK_FALSE(says(1.3, 1.1, 1.5, 3));
  CHECK(says(1.3, 1.1, 1.5, 200));
  CHECK_FALSE(says(1.3, 0.9, 1.8, 3));
  CHECK_FALSE(says(0.9, 0.8, 0.95, 1e9));
}

TEST_CASE("comparisons combine to the geometric mean over workloads") {
  auto a = against(passed_with({{"a", 2.0, {1.9, 2.1}, 1, 1000, 8}, {"a", 0.5, {0.45, 0.55}, 1, 0, 8}}), "a");
  REQUIRE(a);
  CHECK(a->log_ratio == doctest::Approx(0));
  CHECK(a->e_value == doctest::Approx(250));
  CHECK_FALSE(is_better(*a));
  CHECK_FALSE(against(passed_with({{"a", 2.0, {1.9, 2.1}, 1, 1000, 8}}), "b"));
}

TEST_CASE("a gain on every workload is evidence sooner than any one of them") {
  CHECK(is_better(*against(passed_with({{"a", 1.1, {1, 1.2}, 1, 30, 8}, {"a", 1.1, {1, 1.2}, 1, 30, 8}}), "a")));
  CHECK_FALSE(is_better(*against(passed_with({{"a", 1.1, {1, 1.2}, 1, 30, 8}, {"a", 1.1, {1, 1.2}, 1, 0.5, 8}}), "a")));
}

TEST_CASE("against a newer leader a candidate must win by more than both errors") {
  auto a = *against(passed_with({{"old", 1.5, {1.48, 1.52}, 1, 1e6, 8}}), "old");
  double fitness = std::log(1.5);
  CHECK(is_better(a, fitness, std::log(1.4), a.error));
  CHECK_FALSE(is_better(a, fitness, std::log(1.49), a.error));
  CHECK_FALSE(is_better(a, fitness, std::log(1.6), a.error));
}

TEST_CASE("a candidate equal to the leader seldom becomes it") {
  // 2000 equals, each with honest noise and an e-value that reaches 200 in one of 200 at most
  session_state s;
  session_opened open;
  open.subject.workloads.resize(1);
  s.apply(open);
  auto add = [&](node_number n, double ratio, double e_value, const std::string& anchor) {
    s.apply(proposal_made{n, n == 0 ? std::vector<node_number>{} : std::vector<node_number>{0}, {}, 0, 0, "", "generator"});
    candidate c;
    c.id = std::to_string(n);
    s.apply(candidate_added{n, c, {}});
    auto e = passed_with({{anchor, ratio, {ratio * 0.98, ratio * 1.02}, 1, e_value, 8}});
    e.candidate = c.id;
    s.apply(evaluation_recorded{n, 0, n == 0 ? "" : anchor, e});
  };
  add(0, 1, 1, "");
  rng draw(5);
  std::uint32_t gains = 0;
  for (node_number n = 1; n <= 2000; ++n) {
    auto leader = s.leader()->number;
    add(n, 1 + 0.01 * (draw.uniform() - 0.5), 1 / std::max(1e-9, draw.uniform()), s.leader()->what->id);
    gains += s.leader()->number != leader;
  }
  CHECK(gains <= 20);
}

TEST_CASE("a verification is judged against the best baseline of each workload") {
  evaluation e;
  e.result = outcome::passed;
  for (int w = 0; w < 2; ++w) {
    workload_timing t;
    t.comparisons = {{"eager", w ? 2.0 : 4.0, {1.9, 4.1}, 1, 1e9, 8},
                     {"compile", w ? 3.0 : 1.0, {0.9, 3.1}, 1, 1e9, 8},
                     {"root", 9.0, {8.5, 9.5}, 1, 1e9, 8}};
    e.timings.push_back(t);
  }
  auto v = verdict_of(5, e, "root");
  CHECK(v.holds);
  CHECK(v.speedup == doctest::Approx(std::sqrt(2.0)));
  for (auto& t : e.timings)
    t.comparisons = {{"root", 0.9, {0.8, 0.95}, 1, 0, 8}};
  auto slower = verdict_of(5, e, "root");
  CHECK_FALSE(slower.holds);
  CHECK(slower.best_baseline == "root");
  CHECK(slower.speedup == doctest::Approx(0.9));
}

TEST_CASE("who was not compared on every workload does not lead") {
  session_state s;
  session_opened open;
  open.subject.workloads.resize(2);
  s.apply(open);
  auto add = [&](node_number n, std::size_t workloads) {
    s.apply(proposal_made{n, n == 0 ? std::vector<node_number>{} : std::vector<node_number>{0}, {}, 0, 0, "", "generator"});
    candidate c;
    c.id = std::to_string(n);
    s.apply(candidate_added{n, c, {}});
    auto e = passed_with(std::vector<comparison>(workloads, comparison{"0", 2, {1.9, 2.1}, 1, 1e9, 8}));
    e.candidate = c.id;
    s.apply(evaluation_recorded{n, 0, n == 0 ? "" : "0", e});
  };
  add(0, 2);
  add(1, 1);
  CHECK(s.leader()->number == 0);
  CHECK(s.nodes()[1].fitness == doctest::Approx(std::log(2.0)));
  add(2, 2);
  CHECK(s.leader()->number == 2);
}
