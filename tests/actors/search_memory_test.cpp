#include "actors/memory.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace kevolve;
using namespace kevolve::search;

namespace {

node_history::entry attempt(node_number number, std::uint32_t ordinal, double gain, bool fresh = false) {
  remembered r{number, ordinal, fresh, {}};
  r.what.edge.summary = std::to_string(number);
  r.what.gain = gain;
  return std::make_shared<const remembered>(std::move(r));
}

std::vector<std::string> names(const std::vector<synthesis::attempt>& attempts) {
  std::vector<std::string> all;
  for (const auto& a : attempts)
    all.push_back(a.edge.summary);
  return all;
}

/// A line of nodes 0..n-1, each the child of the one before.
std::vector<node_history> line(node_number n, node_number fresh = no_node) {
  std::vector<node_history> nodes;
  for (node_number i = 0; i < n; ++i) {
    nodes.push_back(i == 0 ? node_history{} : nodes.back().child());
    nodes.back().settle(attempt(i, i + 1, 1.1, i == fresh));
  }
  return nodes;
}

} // namespace

TEST_CASE("inheriting shows the newest ancestors, oldest first, and no sibling") {
  auto nodes = line(12);
  nodes.back().add_child(attempt(50, 20, 2));
  auto c = draw_context(memory_operator::inherit, 100, &nodes.back(), nullptr);
  REQUIRE(c.parent);
  CHECK(c.parent->edge.summary == "11");
  CHECK(names(c.trajectory) == std::vector<std::string>{"3", "4", "5", "6", "7", "8", "9", "10"});
  CHECK(c.siblings.empty());
}

TEST_CASE("the trajectory begins where somebody started afresh") {
  auto nodes = line(10, 6);
  CHECK(names(draw_context(memory_operator::inherit, 100, &nodes[9], nullptr).trajectory) == std::vector<std::string>{"6", "7", "8"});
  CHECK(draw_context(memory_operator::inherit, 100, &nodes[6], nullptr).trajectory.empty());
}

TEST_CASE("siblings are the newest and the most telling, newest first, and bounded") {
  node_history node;
  node.settle(attempt(0, 1, 1));
  for (node_number n = 1; n <= 20; ++n)
    node.add_child(attempt(n, n + 1, n == 3 ? 5.0 : n == 5 ? 0.0 : 1.0 + n / 1000.0));
  auto c = draw_context(memory_operator::siblings, 100, &node, nullptr);
  CHECK(c.trajectory.empty());
  auto seen = names(c.siblings);
  CHECK(seen.size() == 8);
  CHECK(std::vector<std::string>(seen.begin(), seen.begin() + 4) == std::vector<std::string>{"20", "19", "18", "17"});
  CHECK(std::find(seen.begin(), seen.end(), "3") != seen.end());
  CHECK(std::find(seen.begin(), seen.end(), "5") != seen.end());
}

TEST_CASE("combined shows both, a clean slate nothing") {
  auto nodes = line(3);
  nodes.back().add_child(attempt(50, 20, 2));
  auto both = draw_context(memory_operator::combined, 100, &nodes.back(), &nodes[1]);
  CHECK(names(both.trajectory) == std::vector<std::string>{"0", "1"});
  CHECK(names(both.siblings) == std::vector<std::string>{"50"});
  REQUIRE(both.second_parent);
  CHECK(both.second_parent->edge.summary == "1");
  auto nothing = draw_context(memory_operator::clean_slate, 100, &nodes.back(), &nodes[1]);
  CHECK_FALSE(nothing.parent);
  CHECK_FALSE(nothing.second_parent);
  CHECK(nothing.trajectory.empty());
  CHECK(nothing.siblings.empty());
}

TEST_CASE("results that came after the decision are not shown") {
  node_history node;
  node.settle(attempt(0, 1, 1));
  for (node_number n = 1; n <= 6; ++n)
    node.add_child(attempt(n, n + 1, 1));
  auto before = names(draw_context(memory_operator::siblings, 4, &node, nullptr).siblings);
  CHECK(before == std::vector<std::string>{"3", "2", "1"});
}

TEST_CASE("a node's history is bounded and keeps the best, the worst and the newest, in whatever order they came") {
  node_history node;
  rng draw(1);
  std::vector<node_number> order(500);
  for (node_number n = 0; n < order.size(); ++n)
    order[n] = n;
  for (std::size_t i = order.size() - 1; i > 0; --i)
    std::swap(order[i], order[draw.below(i + 1)]);
  for (auto n : order)
    node.add_child(attempt(n, n + 1, n == 17 ? 9.0 : n == 40 ? 0.0 : 1.0));
  std::vector<const remembered*> kept;
  node.children(kept);
  CHECK(kept.size() == 32);
  CHECK(kept.back()->number == 499);
  CHECK(std::is_sorted(kept.begin(), kept.end(), [](auto* a, auto* b) { return a->ordinal < b->ordinal; }));
  CHECK(std::any_of(kept.begin(), kept.end(), [](auto* r) { return r->number == 17; }));
}

TEST_CASE("the memory operator follows what there is to remember, and stagnation brings clean slates") {
  tree t;
  t.add(no_node, no_node);
  t.add(0, no_node);
  t.add(1, no_node);
  auto tally = [&](node_number parent, std::uint32_t since) {
    std::map<memory_operator, int> counted;
    for (std::uint64_t i = 0; i < 2000; ++i)
      ++counted[choose_memory(t, {parent}, {since, 20}, {.p = 0}, {}, rng(1, i, "memory")).memory];
    return counted;
  };
  CHECK(tally(0, 0)[memory_operator::siblings] == 2000); // the root has children and no line
  auto usual = tally(1, 0);
  for (auto m : {memory_operator::inherit, memory_operator::siblings, memory_operator::combined})
    CHECK(usual[m] > 300);
  CHECK(usual[memory_operator::clean_slate] < 120);
  CHECK(tally(1, 40)[memory_operator::clean_slate] > 400);
  CHECK(tally(2, 0)[memory_operator::siblings] == 0); // no children yet
}

TEST_CASE("priors go in with the given probability, the first ones more often") {
  tree t;
  t.add(no_node, no_node);
  std::map<std::string, int> counted;
  for (std::uint64_t i = 0; i < 4000; ++i)
    ++counted[choose_memory(t, {0}, {0, 20}, {.p = 0.25}, {"a", "b", "c"}, rng(1, i, "memory")).prior];
  CHECK(counted[""] > 2800);
  CHECK(counted[""] < 3200);
  CHECK(counted["a"] > counted["b"]);
  CHECK(counted["b"] > counted["c"]);
  CHECK(counted["c"] > 0);
}

TEST_CASE("p that adapts follows the record of this session, the node and stagnation") {
  tree_node fresh, tried;
  tried.children = 24;
  const injection start{.adaptive = true, .skills = true};
  const stagnation none{0, 20};
  CHECK(injection_odds(start, none, fresh) == doctest::Approx(1));
  auto helped = start, misled = start;
  helped.seen = {20, 10, 20, 2};
  misled.seen = {40, 0, 20, 8};
  CHECK(injection_odds(helped, none, fresh) == doctest::Approx(1));
  CHECK(injection_odds(misled, none, fresh) < 0.2);
  CHECK(injection_odds(start, none, tried) == doctest::Approx(0.25));
  CHECK(injection_odds(start, {30, 20}, fresh) == doctest::Approx(0.5));
  CHECK(injection_odds(start, {40, 20}, fresh) == 0); // a clean slate for all
  auto seeking = start;
  seeking.islands = 3;
  seeking.island = 1;
  CHECK(injection_odds(seeking, none, fresh) == doctest::Approx(1));
  seeking.island = 2;
  CHECK(injection_odds(seeking, none, fresh) == 0); // this one finds out for itself
  CHECK(injection_odds({.p = 0.3}, {40, 20}, tried) == doctest::Approx(0.3)); // fixed: as it was
}

TEST_CASE("skills are kept from as many proposals as p says, and from none where p does not decide on them") {
  tree t;
  t.add(no_node, no_node);
  const auto unprimed = [&](const injection& how) {
    int n = 0;
    for (std::uint64_t i = 0; i < 1000; ++i)
      n += choose_memory(t, {0}, {0, 20}, how, {}, rng(1, i, "memory")).unprimed;
    return n;
  };
  CHECK(unprimed({.p = 0.25, .skills = true}) == 0);
  CHECK(unprimed({.p = 0.25, .skills = false, .skills_by_p = true}) == 0);
  const int kept = unprimed({.p = 0.25, .skills = true, .skills_by_p = true});
  CHECK(kept > 680);
  CHECK(kept < 820);
  CHECK(unprimed({.adaptive = true, .skills = true}) == 0); // a node that nobody tried yet
}
