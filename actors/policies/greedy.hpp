// Greedy: the fittest node, where every child that a node was given already makes it worth one percent less, so that a leaf of equal fitness
// comes first and no node is tried for ever; one proposal in ten takes any node that passed. O(log n) per event.
#pragma once

#include "actors/policies/policy.hpp"

#include <set>
#include <utility>

namespace kevolve::search {

/// What expanding `n` is worth: its fitness (log speedup) less a percent per child it was given.
double expansion_worth(const tree& t, node_number n);

class greedy final : public policy {
public:
  void proposed(const tree& t, node_number n) override;
  void settled(const tree& t, node_number n) override;
  [[nodiscard]] std::optional<selection> select(const tree& t, node_number number, rng draw) const override;
  [[nodiscard]] std::uint64_t digest() const override;
  [[nodiscard]] std::size_t bytes() const override;

private:
  std::set<std::pair<double, node_number>> by_worth_; // every node that passed, worth as of its present children
};

} // namespace kevolve::search
