// Monte Carlo tree search: UCT from the root with progressive widening (Kocsis and Szepesvari 2006; Couetoux et al. 2011). A visit is counted
// along the ancestors as soon as a proposal is made, so that proposals in flight spread. Values are scaled by what their parent's subtree
// spans, because late gains are small beside the first ones. A descent enters only subtrees in which some node may get a child, so that it
// stalls only when no node may. O(depth) per event, O(depth x live children) per selection; the widening bounds the children (48 at 100,000
// visits).
#pragma once

#include "actors/policies/policy.hpp"

namespace kevolve::search {

class mcts final : public policy {
public:
  void proposed(const tree& t, node_number n) override;
  void settled(const tree& t, node_number n) override;
  [[nodiscard]] std::optional<selection> select(const tree& t, node_number number, rng draw) const override;
  [[nodiscard]] std::uint64_t digest() const override;
  [[nodiscard]] std::size_t bytes() const override;

  /// Live children that a node with so many visits may have.
  [[nodiscard]] static std::uint32_t widening_limit(std::uint32_t visits);
  [[nodiscard]] std::uint32_t visits(node_number n) const { return statistics_[n].visits; }

private:
  struct statistics {
    std::uint32_t visits = 0; // proposals in its subtree, its own included
    std::uint32_t passed = 0;
    float sum = 0;            // of the fitness of those that passed
    float best = 0;
    float rarity = 0;         // 1 / sqrt(visits)
    node_number first_child = no_node; // of those that passed, newest first
    node_number next_sibling = no_node;
    std::uint32_t ways = 0;   // of those children, how many are ways down to a node that may get a child
    bool is_way = false;      // itself one: passed, and it may widen or has ways
    [[nodiscard]] float mean() const { return sum / static_cast<float>(passed); }
  };
  [[nodiscard]] node_number best_child(node_number n) const;
  void unlink(const tree& t, node_number n);
  /// `n` changed: brings `ways` of its ancestors up to date. `always_up`: visits changed along the whole line.
  void find_ways(const tree& t, node_number n, bool always_up);
  std::vector<statistics> statistics_;
};

} // namespace kevolve::search
