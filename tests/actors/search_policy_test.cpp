#include "actors/policies/evolve.hpp"
#include "actors/policies/greedy.hpp"
#include "actors/policies/mcts.hpp"
#include "tests/actors/search_world.hpp"

#include <doctest/doctest.h>

using namespace search_test;

namespace {

session_settings search_of(policy_kind policy, std::uint32_t evaluations, std::uint64_t seed) {
  session_settings s;
  s.policy = policy;
  s.evaluations = evaluations;
  s.time_s = 0;
  s.plateau = evaluations;
  s.seed = seed;
  return s;
}

/// Grows a tree under a policy without a session: `fitness` says what each node is worth, empty where it fails.
struct grown {
  tree nodes;
  std::function<std::optional<double>(node_number, const tree&)> fitness;

  void settle(policy& p, node_number n) {
    auto& node = nodes.at(n);
    node.status = node_status::waiting;
    if (auto f = fitness(n, nodes)) {
      node.fitness = static_cast<float>(*f);
      nodes.pass(n);
    } else {
      nodes.retire(n, node_status::failed);
    }
    p.settled(nodes, n);
  }
  node_number propose(policy& p, const selection& s) {
    auto n = nodes.add(s.parents[0], s.parents.size() > 1 ? s.parents[1] : no_node);
    nodes.at(n).island = static_cast<std::uint8_t>(s.island);
    nodes.at(n).strategy = n % 7;
    p.proposed(nodes, n);
    return n;
  }
  void grow(policy& p, node_number until) {
    if (nodes.empty()) {
      auto root = nodes.add(no_node, no_node);
      p.proposed(nodes, root);
      settle(p, root);
    }
    while (nodes.size() < until) {
      auto s = p.select(nodes, nodes.size(), rng(1, nodes.size(), "select"));
      REQUIRE(s);
      for (auto parent : s->parents)
        REQUIRE(nodes[parent].status == node_status::passed);
      settle(p, propose(p, *s));
    }
  }
};

std::optional<double> wandering(node_number n, const tree& t) {
  rng draw(3, n, "fitness");
  if (n == 0)
    return 0;
  if (draw.chance(0.3))
    return std::nullopt;
  return t[t[n].parent].fitness + 0.3 * (draw.uniform() - 0.4);
}

} // namespace

TEST_CASE("every policy finds more than drawing parents at random") {
  for (auto policy : {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve}) {
    double sum = 0, control = 0;
    int wins = 0;
    constexpr int seeds = 20;
    for (int seed = 1; seed <= seeds; ++seed) {
      session_options options;
      options.verify = false;
      landscape land{static_cast<std::uint64_t>(1 + seed % 5)};
      auto best_of = [&](policy_kind p) {
        world_settings how;
        how.seed = static_cast<std::uint64_t>(seed);
        world w(how, search_of(p, 150, static_cast<std::uint64_t>(seed)), options, land);
        w.start();
        w.run();
        return w.best();
      };
      auto found = best_of(policy), random = best_of(policy_kind::random);
      sum += found;
      control += random;
      wins += found > random;
    }
    INFO("policy " << to_string(policy) << ": mean log speedup " << sum / seeds << ", random " << control / seeds);
    CHECK(wins >= 18);
    CHECK(sum > 1.5 * control);
  }
}

TEST_CASE("generations are counted along the parents") {
  for (auto policy : {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve, policy_kind::random}) {
    world w({}, search_of(policy, 100, 2));
    w.start();
    w.run();
    const auto& t = w.of().state().nodes();
    std::uint32_t deepest = 0;
    for (node_number n = 1; n < t.size(); ++n) {
      auto above = t[t[n].parent].generation;
      if (t[n].second != no_node)
        above = std::max(above, t[t[n].second].generation);
      CHECK(t[n].generation == above + 1);
      deepest = std::max<std::uint32_t>(deepest, t[n].generation);
    }
    CHECK(deepest >= 3);
  }
}

TEST_CASE("what is expanded has passed, and the log names the parents that the tree has") {
  for (auto policy : {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve, policy_kind::random}) {
    world w({}, search_of(policy, 100, 4));
    w.start();
    w.run();
    std::map<node_number, outcome> known;
    std::size_t crossovers = 0;
    for (const auto& e : w.log) {
      if (const auto* r = std::get_if<evaluation_recorded>(&e))
        known[r->number] = r->what.result;
      if (const auto* p = std::get_if<proposal_made>(&e); p != nullptr && p->number > 0) {
        for (auto parent : p->parents)
          CHECK((known.contains(parent) && known[parent] == outcome::passed));
        CHECK(p->results_seen == known.size());
        CHECK(w.of().state().nodes()[p->number].parent == p->parents[0]);
        crossovers += p->parents.size() == 2;
        if (p->parents.size() == 2)
          CHECK(p->parents[0] != p->parents[1]);
      }
    }
    CHECK((crossovers > 0) == (policy == policy_kind::evolve));
  }
}

TEST_CASE("greedy takes the fittest node and tires of one that no longer pays") {
  greedy g;
  grown tree{{}, [](node_number n, const kevolve::search::tree&) -> std::optional<double> { return n == 0 ? 0.0 : n == 1 ? 1.0 : 0.995; }};
  tree.grow(g, 2);
  std::map<node_number, int> chosen;
  for (int i = 0; i < 200; ++i) {
    auto s = *g.select(tree.nodes, tree.nodes.size(), rng(1, static_cast<std::uint64_t>(i), "select"));
    ++chosen[s.parents[0]];
  }
  CHECK(chosen[1] > 180);
  tree.grow(g, 60);
  CHECK(tree.nodes[1].children < 10); // its children are as good within a percent: they are tried too
}

TEST_CASE("mcts never has more live children than the widening allows") {
  mcts m;
  grown t{{}, wandering};
  t.grow(m, 2);
  rng draw(9);
  std::vector<node_number> open;
  while (t.nodes.size() < 3000) {
    auto s = m.select(t.nodes, t.nodes.size(), rng(1, t.nodes.size(), "select"));
    REQUIRE((s || !open.empty()));
    if (s && open.size() < 16) {
      auto parent = s->parents[0];
      CHECK(t.nodes[parent].live_children < mcts::widening_limit(m.visits(parent)));
      open.push_back(t.propose(m, *s));
    } else {
      auto i = draw.below(open.size());
      t.settle(m, open[i]);
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  for (node_number n = 0; n < t.nodes.size(); ++n)
    CHECK(t.nodes[n].live_children <= mcts::widening_limit(m.visits(n)));
  CHECK(m.visits(0) == t.nodes.size());
}

TEST_CASE("mcts has something to expand as long as any node may widen") {
  mcts m;
  grown t{{}, wandering};
  t.grow(m, 2);
  rng draw(11);
  std::vector<node_number> open;
  auto may_widen = [&] {
    for (auto n : t.nodes.passed())
      if (t.nodes[n].live_children < mcts::widening_limit(m.visits(n)))
        return true;
    return false;
  };
  std::size_t stalls = 0;
  while (t.nodes.size() < 2000) {
    auto s = m.select(t.nodes, t.nodes.size(), rng(1, t.nodes.size(), "select"));
    REQUIRE(s.has_value() == may_widen());
    stalls += !s;
    if (s && open.size() < 64) {
      open.push_back(t.propose(m, *s));
      continue;
    }
    auto i = draw.below(open.size());
    t.settle(m, open[i]);
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    if (t.nodes.size() % 97 == 0) { // sometimes one is taken back
      auto gone = t.nodes.passed()[draw.below(t.nodes.passed().size())];
      if (gone != 0) {
        t.nodes.retire(gone, node_status::failed);
        m.settled(t.nodes, gone);
      }
    }
  }
  CHECK(stalls > 0); // at the beginning only
  CHECK(stalls < 200);
}

TEST_CASE("mcts counts a visit for every node below, and spreads over several branches") {
  mcts m;
  grown t{{}, wandering};
  t.grow(m, 500);
  std::vector<std::uint32_t> below(t.nodes.size(), 0);
  for (node_number n = 0; n < t.nodes.size(); ++n)
    for (auto a = n; a != no_node; a = t.nodes[a].parent)
      ++below[a];
  for (node_number n = 0; n < t.nodes.size(); ++n)
    CHECK(m.visits(n) == below[n]);
  std::size_t branches = 0;
  for (node_number n = 1; n < t.nodes.size(); ++n)
    branches += t.nodes[n].parent == 0 && m.visits(n) >= 2;
  CHECK(branches >= 2);
}

TEST_CASE("every island gets nodes of its own, and its best migrates along the ring") {
  evolve e({4, 16, 3, 64, 0.2});
  grown t{{}, wandering};
  t.grow(e, 400);
  std::map<int, int> members;
  for (node_number n = 1; n < t.nodes.size(); ++n)
    ++members[t.nodes[n].island];
  REQUIRE(members.size() == 4);
  for (auto [island, n] : members)
    CHECK(n >= 90);
  CHECK(e.migrations() >= 40);
  std::size_t strangers = 0;
  for (std::size_t island = 0; island < 4; ++island) {
    const auto& population = e.populations()[island];
    CHECK(population.size() <= 16);
    CHECK(std::is_sorted(population.begin(), population.end(), [&](auto a, auto b) { return t.nodes[a].fitness > t.nodes[b].fitness; }));
    for (auto n : population)
      strangers += n != 0 && t.nodes[n].island != island;
  }
  CHECK(strangers > 0);
}

TEST_CASE("islands without migration keep to themselves") {
  evolve e({3, 16, 1000000, 64, 0});
  grown t{{}, wandering};
  t.grow(e, 200);
  CHECK(e.migrations() == 0);
  for (std::size_t island = 0; island < 3; ++island)
    for (auto n : e.populations()[island])
      CHECK((n == 0 || t.nodes[n].island == island));
}

TEST_CASE("the archive keeps one elite per bound and strategy: the fittest") {
  evolve e({2, 8, 3, 64, 0.2});
  grown t{{}, wandering};
  t.grow(e, 300);
  std::map<std::uint32_t, float> best;
  for (auto n : t.nodes.passed()) {
    auto [cell, is_new] = best.try_emplace(t.nodes[n].strategy, t.nodes[n].fitness);
    cell->second = std::max(cell->second, t.nodes[n].fitness);
  }
  CHECK(e.elites().size() == best.size());
  for (auto n : e.elites())
    CHECK(t.nodes[n].fitness == best.at(t.nodes[n].strategy));
}

TEST_CASE("a full archive stays at its bound") {
  evolve e({1, 8, 3, 16, 0.2});
  grown t{{}, wandering};
  t.grow(e, 2);
  while (t.nodes.size() < 300) {
    auto n = t.propose(e, selection{{0}, 0});
    t.nodes.at(n).strategy = n;
    t.settle(e, n);
  }
  CHECK(e.elites().size() == 16);
}

TEST_CASE("a node that is taken back is not selected again") {
  std::vector<std::unique_ptr<policy>> all;
  all.push_back(std::make_unique<greedy>());
  all.push_back(std::make_unique<mcts>());
  all.push_back(std::make_unique<evolve>(evolve_shape{2, 8, 3, 64, 0.3}));
  for (auto& p : all) {
    grown t{{}, wandering};
    t.grow(*p, 120);
    auto best = t.nodes.passed().back();
    for (auto n : t.nodes.passed())
      best = t.nodes[n].fitness > t.nodes[best].fitness ? n : best;
    REQUIRE(best != 0);
    t.nodes.retire(best, node_status::failed);
    p->settled(t.nodes, best);
    t.grow(*p, 400); // requires that whoever is selected has passed
    for (node_number n = 120; n < 400; ++n) {
      CHECK(t.nodes[n].parent != best);
      CHECK(t.nodes[n].second != best);
    }
  }
}

TEST_CASE("candidates are found by identity, whatever their number") {
  tree t;
  for (node_number n = 0; n < 5000; ++n) {
    t.add(n == 0 ? no_node : 0, no_node);
    t.at(n).key = key_of("candidate " + std::to_string(n));
    t.index(n);
  }
  for (node_number n = 0; n < 5000; ++n)
    CHECK(t.find(key_of("candidate " + std::to_string(n))) == n);
  CHECK(t.find(key_of("candidate 5000")) == no_node);
  std::string a(64, 'a'), b = a;
  b[31] = 'b';
  CHECK_FALSE(key_of(a) == key_of(b));
}
