#include "actors/policies/mcts.hpp"

#include "protocol/check.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::search {
namespace {

constexpr float exploration = 0.5f; // on values scaled to [0, 1]
constexpr double widening = 2.0;
constexpr double widening_power = 0.4;

} // namespace

std::uint32_t mcts::widening_limit(std::uint32_t visits) {
  return static_cast<std::uint32_t>(std::ceil(widening * std::pow(std::max(visits, 1u), widening_power)));
}

void mcts::proposed(const tree& t, node_number n) {
  KEVOLVE_CHECK(statistics_.size() == n);
  statistics_.emplace_back();
  for (auto at = n; at != no_node; at = t[at].parent)
    ++statistics_[at].visits;
}

void mcts::settled(const tree& t, node_number n) {
  const auto& node = t[n];
  if (node.status != node_status::passed)
    return; // its visit stays: a failure is what was learnt
  for (auto at = n; at != no_node; at = t[at].parent) {
    auto& s = statistics_[at];
    s.best = s.passed == 0 ? node.fitness : std::max(s.best, node.fitness);
    s.sum += node.fitness;
    ++s.passed;
  }
}

float mcts::value(node_number n) const {
  const auto& s = statistics_[n];
  return s.passed == 0 ? 0 : 0.5f * (s.sum / static_cast<float>(s.passed) + s.best);
}

node_number mcts::best_child(const tree& t, node_number n) const {
  auto first = t[n].first_child;
  if (first == no_node)
    return no_node;
  float least = value(first), greatest = least;
  for (auto c = t[first].next_sibling; c != no_node; c = t[c].next_sibling) {
    least = std::min(least, value(c));
    greatest = std::max(greatest, value(c));
  }
  const float scale = greatest > least ? 1 / (greatest - least) : 0;
  const float log_visits = std::log(static_cast<float>(statistics_[n].visits + 1));
  node_number best = no_node;
  float best_score = 0;
  for (auto c = first; c != no_node; c = t[c].next_sibling) {
    float score = (value(c) - least) * scale + exploration * std::sqrt(log_visits / static_cast<float>(statistics_[c].visits));
    if (best == no_node || score > best_score) {
      best = c;
      best_score = score;
    }
  }
  return best;
}

std::optional<selection> mcts::select(const tree& t, node_number, rng) const {
  if (t.empty() || t[0].status != node_status::passed)
    return std::nullopt;
  for (node_number at = 0;;) {
    if (t[at].live_children < widening_limit(statistics_[at].visits))
      return selection{{at}, 0};
    auto next = best_child(t, at);
    if (next == no_node)
      return std::nullopt; // as wide as allowed, and every child still open
    at = next;
  }
}

std::uint64_t mcts::digest() const {
  std::uint64_t digest = statistics_.size();
  for (const auto& s : statistics_)
    digest = mix_real(mix_real(mix(digest, std::uint64_t{s.visits} << 32 | s.passed), s.sum), s.best);
  return digest;
}

std::size_t mcts::bytes() const { return statistics_.capacity() * sizeof(statistics); }

} // namespace kevolve::search
