#include "actors/policies/mcts.hpp"

#include "protocol/check.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace kevolve::search {
namespace {

// Chosen on the synthetic landscape of the tests (30 seeds; 50, 150 and 500 evaluations). Backing up the best instead of the mean decides:
// a search wants the one fastest candidate, and most neighbours of a good one are worse.
constexpr float exploration = 0.5f; // on values scaled to [0, 1]; 0.3 does no better and hardly leaves the best line
constexpr double widening = 1.5;
constexpr double widening_power = 0.3;

/// Visits that a node needs for one more than so many live children.
double visits_for(std::uint32_t live_children) { return std::pow(live_children / widening, 1 / widening_power); }

bool may_widen(std::uint32_t live_children, std::uint32_t visits) {
  static const auto table = [] { // a power per level of every descent costs as much as the rest of it
    std::array<double, 128> t{};
    for (std::uint32_t i = 0; i < t.size(); ++i)
      t[i] = visits_for(i);
    return t;
  }();
  return visits > (live_children < table.size() ? table[live_children] : visits_for(live_children));
}

} // namespace

std::uint32_t mcts::widening_limit(std::uint32_t visits) {
  return static_cast<std::uint32_t>(std::ceil(widening * std::pow(std::max(visits, 1u), widening_power)));
}

void mcts::proposed(const tree& t, node_number n) {
  KEVOLVE_CHECK(statistics_.size() == n);
  statistics_.emplace_back();
  for (auto at = n; at != no_node; at = t[at].parent)
    statistics_[at].rarity = 1 / std::sqrt(static_cast<float>(++statistics_[at].visits));
  find_ways(t, t[n].parent, true);
}

void mcts::find_ways(const tree& t, node_number n, bool always_up) {
  for (auto at = n; at != no_node; at = t[at].parent) {
    auto& s = statistics_[at];
    bool is_way = t[at].status == node_status::passed && (s.ways > 0 || may_widen(t[at].live_children, s.visits));
    if (is_way == s.is_way && !always_up)
      return;
    if (is_way != s.is_way && t[at].parent != no_node)
      statistics_[t[at].parent].ways += is_way ? 1 : -1;
    s.is_way = is_way;
  }
}

void mcts::settled(const tree& t, node_number n) {
  const auto& node = t[n];
  if (node.status != node_status::passed) { // its visit stays: a failure is what was learnt
    unlink(t, n);
    find_ways(t, n, false);
    return find_ways(t, node.parent, false); // it has one live child less
  }
  if (node.parent != no_node) {
    statistics_[n].next_sibling = statistics_[node.parent].first_child;
    statistics_[node.parent].first_child = n;
  }
  for (auto at = n; at != no_node; at = t[at].parent) {
    auto& s = statistics_[at];
    s.best = s.passed == 0 ? node.fitness : std::max(s.best, node.fitness);
    s.sum += node.fitness;
    ++s.passed;
  }
  find_ways(t, n, false);
}

// One that had passed is taken back. What it taught its ancestors stays.
void mcts::unlink(const tree& t, node_number n) {
  if (t[n].parent == no_node || statistics_[n].passed == 0)
    return;
  auto* link = &statistics_[t[n].parent].first_child;
  while (*link != n)
    link = &statistics_[*link].next_sibling;
  *link = statistics_[n].next_sibling;
}

node_number mcts::best_child(node_number n) const {
  const auto& parent = statistics_[n];
  const float mean = parent.mean();
  const float span = parent.best - mean;
  const float scale = span > 0 ? 1 / span : 0; // what leads to the best reaches 1, to no better than the mean 0
  const float spread = exploration * std::sqrt(std::log(static_cast<float>(parent.visits + 1)));
  node_number best = no_node;
  float best_score = 0;
  for (auto c = parent.first_child; c != no_node; c = statistics_[c].next_sibling) {
    const auto& s = statistics_[c];
    if (!s.is_way)
      continue;
    float score = std::max(0.0f, (s.best - mean) * scale) + spread * s.rarity;
    if (best == no_node || score > best_score) {
      best = c;
      best_score = score;
    }
  }
  return best;
}

std::optional<selection> mcts::select(const tree& t, node_number, rng) const {
  node_number at = t.passed().empty() ? 0 : t.passed().front(); // the root: it is the first that passes
  if (t.empty() || !statistics_[at].is_way)
    return std::nullopt; // every node is as wide as its visits allow
  while (!may_widen(t[at].live_children, statistics_[at].visits)) {
    at = best_child(at);
    KEVOLVE_CHECK(at != no_node);
  }
  return selection{{at}, 0};
}

std::uint64_t mcts::digest() const {
  std::uint64_t digest = statistics_.size();
  for (const auto& s : statistics_)
    digest = mix(mix_real(mix_real(mix(digest, std::uint64_t{s.visits} << 32 | s.passed), s.sum), s.best),
                 std::uint64_t{s.first_child} << 32 | s.next_sibling);
  return digest;
}

std::size_t mcts::bytes() const { return statistics_.capacity() * sizeof(statistics); }

} // namespace kevolve::search
