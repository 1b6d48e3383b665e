// Replayed searches over small made-up spaces: what is looked up is what was recorded, and the search finds its way.
#include "actors/landscape.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace kevolve;
using namespace kevolve::search;

namespace {

constexpr int parameters = 5, values = 4;

schedule configuration(int code) {
  schedule s;
  for (int p = 0; p < parameters; ++p, code /= values)
    s.steps.push_back({"set", "p" + std::to_string(p), {{"value", std::to_string(code % values)}}});
  return s;
}

/// 1024 configurations; each parameter helps by itself, two of them only together; one in sixteen does not work.
landscape grid() {
  landscape land("grid", {"small", "large"});
  for (int code = 0; code < 1024; ++code) {
    landscape_point p;
    p.how = configuration(code);
    const int a = code % 4, b = code / 4 % 4, c = code / 16 % 4, d = code / 64 % 4, e = code / 256;
    const double speed = 0.2 * a + 0.1 * b + (c == d ? 0.25 * c : -0.1) + 0.15 * e;
    if (code != 0 && a == 3 && b == 1)
      p.result = outcome::compile_error;
    else
      p.latency_s = {1e-3 * std::exp(-speed), 2e-3 * std::exp(-speed)};
    REQUIRE(land.add(std::move(p)));
  }
  return land;
}

double needed(const std::vector<double>& course, double best) {
  const auto at = std::find_if(course.begin(), course.end(), [&](double speed) { return speed >= best + std::log(0.95); });
  return static_cast<double>(at == course.end() ? 10 * course.size() : static_cast<std::size_t>(at - course.begin()) + 1);
}

double median_needed(const landscape& land, replay_settings how) {
  std::vector<double> all;
  const auto propose = one_parameter_apart(land);
  for (how.seed = 1; how.seed <= 15; ++how.seed)
    all.push_back(needed(replay(land, propose, how).best, land.best_log_speed()));
  std::nth_element(all.begin(), all.begin() + 7, all.end());
  return all[7];
}

} // namespace

TEST_CASE("a landscape knows its best point and takes each once") {
  auto land = grid();
  CHECK(land.best_log_speed() == doctest::Approx(0.6 + 0.3 + 0.75 + 0.45));
  CHECK(land.log_speed(0) == doctest::Approx(0));
  landscape_point again;
  again.how = configuration(17);
  CHECK(!land.add(again));
  CHECK(land.find(configuration(17)) == 17);
  schedule unknown;
  unknown.steps = {{"set", "p0", {{"value", "9"}}}};
  CHECK(!land.find(unknown));
}

TEST_CASE("the order of unlike verbs makes no other point, that of fusing verbs does") {
  landscape land("order", {"w"});
  landscape_point p;
  p.how.steps = {{"unroll", "*", {{"factor", "4"}}}, {"parallel", "*", {}}, {"fuse", "*", {}}, {"keep", "x", {}}};
  p.latency_s = {1};
  REQUIRE(land.add(p));
  schedule other;
  other.steps = {{"fuse", "*", {}}, {"keep", "x", {}}, {"parallel", "*", {}}, {"unroll", "*", {{"factor", "4"}}}};
  CHECK(land.find(other) == 0);
  std::swap(other.steps[0], other.steps[1]);
  CHECK(!land.find(other));
}

TEST_CASE("a replay is a function of its seed, never goes back, and counts each evaluation") {
  const auto land = grid();
  const auto propose = one_parameter_apart(land);
  replay_settings how;
  how.evaluations = 80;
  for (const auto policy : {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve, policy_kind::random}) {
    CAPTURE(to_string(policy));
    how.policy = policy;
    const auto course = replay(land, propose, how).best;
    CHECK(course.size() == 80);
    CHECK(course.front() == 0);
    CHECK(std::is_sorted(course.begin(), course.end()));
    CHECK(course == replay(land, propose, how).best);
    auto other = how;
    other.seed = 2;
    CHECK(course != replay(land, propose, other).best);
  }
}

TEST_CASE("search needs fewer evaluations than drawing points at random") {
  const auto land = grid();
  replay_settings search, sampling;
  search.evaluations = sampling.evaluations = 200;
  sampling.sampling = true;
  const double drawn = median_needed(land, sampling);
  for (const auto policy : {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve}) {
    CAPTURE(to_string(policy));
    search.policy = policy;
    CHECK(median_needed(land, search) < drawn / 2);
  }
}

TEST_CASE("parts that are switched off change what is proposed") {
  const auto land = grid();
  std::vector<std::size_t> siblings, trajectory, diagnosed;
  const auto counted = [&](replay_settings how) {
    std::size_t history = 0, bounds = 0;
    const auto inner = one_parameter_apart(land);
    const proposal_source watched = [&](const synthesis::context& given, rng draw) {
      history += given.siblings.size() + given.trajectory.size();
      bounds += given.parent && given.parent->diagnosed.limited_by != bound::unknown;
      return inner(given, draw);
    };
    how.evaluations = 120;
    replay(land, watched, how);
    return std::pair(history, bounds);
  };
  const auto all = counted({});
  for (const auto off : {memory_operator::inherit, memory_operator::siblings, memory_operator::combined}) {
    replay_settings how;
    how.without = off;
    CHECK(counted(how).first < all.first);
  }
  replay_settings blind;
  blind.without_diagnosis = true;
  CHECK(counted(blind).second == 0);
}

TEST_CASE("a first guess is the second evaluation, unless it is hidden") {
  const auto land = grid();
  const auto inner = one_parameter_apart(land);
  const schedule guess = configuration(1023);
  const proposal_source guessing = [&](const synthesis::context& given, rng draw) {
    auto all = inner(given, draw);
    all.insert(all.begin(), {guess, {"analytic", "the best there is", ""}});
    return all;
  };
  replay_settings how;
  how.evaluations = 2;
  CHECK(replay(land, guessing, how).best.at(1) == doctest::Approx(land.best_log_speed()));
  how.without_first_guess = true;
  CHECK(replay(land, guessing, how).best.at(1) < land.best_log_speed() - 0.1);
}

TEST_CASE("what a replay learns can be told to the next one") {
  const auto land = grid();
  const auto inner = one_parameter_apart(land);
  replay_settings how;
  how.evaluations = 60;
  const auto before = replay(land, inner, how);
  REQUIRE(!before.learnt.empty());
  how.skills = std::make_shared<const std::vector<skill>>(before.learnt);
  std::size_t told = 0, asked = 0;
  const proposal_source listening = [&](const synthesis::context& given, rng draw) {
    ++asked;
    told += given.skills && *given.skills == before.learnt;
    return inner(given, draw);
  };
  replay(land, listening, how);
  CHECK(told == asked);
  CHECK(asked >= 59);
}

TEST_CASE("a space that ends before the budget ends the search") {
  landscape land("tiny", {"w"});
  for (int i = 0; i < 3; ++i) {
    landscape_point p;
    p.how.steps = {{"set", "p", {{"value", std::to_string(i)}}}};
    p.latency_s = {1.0 / (i + 1)};
    land.add(std::move(p));
  }
  replay_settings how;
  how.evaluations = 50;
  const auto course = replay(land, one_parameter_apart(land), how).best;
  CHECK(course.size() == 3);
  CHECK(course.back() == doctest::Approx(std::log(3)));
}
