#include "actors/ensemble.hpp"

#include <array>
#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::search;

namespace {

struct made_up_synthesizer {
  double chance = 0, cost_usd = 0;
};

/// How often each is drawn in a made-up session of so many proposals.
std::vector<int> shares(std::vector<ensemble_member> members, const std::vector<made_up_synthesizer>& truth, int proposals, std::uint64_t seed) {
  std::vector<int> drawn(members.size());
  for (int n = 0; n < proposals; ++n) {
    rng random(seed, static_cast<std::uint64_t>(n), "synthesizer");
    const std::size_t i = draw_member(members, {}, random);
    ++drawn[i];
    ++members[i].here.proposals;
    members[i].here.gains += rng(seed, static_cast<std::uint64_t>(n), "made-up outcome").chance(truth[i].chance);
    members[i].here.cost_usd += truth[i].cost_usd;
  }
  return drawn;
}

ensemble_member member(const std::string& name, double weight = 1) { return {name, weight, {}, {}}; }

} // namespace

TEST_CASE("the bandit finds who gains most, and still asks the others") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto drawn = shares({member("a"), member("b"), member("c")}, {{0.1, 0}, {0.5, 0}, {0.1, 0}}, 300, seed);
    CHECK(drawn[1] > 150);
    CHECK(drawn[0] >= 3);
    CHECK(drawn[2] >= 3);
  }
}

TEST_CASE("of two that gain alike the cheaper is asked, unless the dear one gains enough to pay for it") {
  int cheap = 0, dear = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    cheap += shares({member("cheap"), member("dear")}, {{0.2, 0.001}, {0.2, 0.05}}, 300, seed)[0];
    dear += shares({member("cheap"), member("dear")}, {{0.01, 0.01}, {0.6, 0.05}}, 300, seed)[1];
  }
  CHECK(cheap > 20 * 300 * 8 / 10);
  CHECK(dear > 20 * 300 / 2);
}

TEST_CASE("what was shown on operators of the same class counts at first, and is outweighed later") {
  std::vector<known_synthesizer> records;
  for (int i = 0; i < 500; ++i)
    add_records(records, {{"a", {2, 2, 1, 0}}, {"b", {2, 1, 0, 0}}});
  CHECK(records == std::vector<known_synthesizer>{{"a", {1000, 1000, 500, 0}}, {"b", {1000, 500, 0, 0}}});
  CHECK(find_record(records, "c") == synthesizer_record{});
  std::vector<ensemble_member> members{member("a"), member("b")};
  for (auto& m : members)
    m.elsewhere = find_record(records, m.name);
  int first = 0;
  for (std::uint64_t n = 0; n < 200; ++n) {
    rng random(7, n, "synthesizer");
    first += draw_member(members, {}, random) == 0;
  }
  CHECK(first > 150);
  int late = 0; // here it is the other way round
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    late += shares(members, {{0.02, 0}, {0.5, 0}}, 400, seed)[1];
  CHECK(late > 10 * 200);
}

TEST_CASE("weights count: 0 is never drawn, and by weight alone shares follow them") {
  CHECK(shares({member("a"), member("b", 0)}, {{0, 0}, {1, 0}}, 200, 3)[1] == 0);
  const std::vector<ensemble_member> members{member("a", 3), member("b", 1), member("c", 0)};
  std::array<int, 3> drawn{};
  for (std::uint64_t n = 0; n < 4000; ++n) {
    rng random(1, n, "synthesizer");
    ++drawn[draw_by_weight(members, random)];
  }
  CHECK(drawn[2] == 0);
  CHECK(drawn[0] == doctest::Approx(3000).epsilon(0.05));
}

TEST_CASE("the same key draws the same member") {
  const std::vector<ensemble_member> members{{"a", 1, {10, 8, 3, 0.1}, {}}, {"b", 2, {20, 9, 5, 0.4}, {}}};
  for (std::uint64_t n = 0; n < 100; ++n) {
    rng one(5, n, "synthesizer"), two(5, n, "synthesizer");
    CHECK(draw_member(members, {}, one) == draw_member(members, {}, two));
  }
}
