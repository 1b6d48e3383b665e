#include "actors/policies/greedy.hpp"

#include <bit>

namespace kevolve::search {
namespace {

constexpr double child_cost = 0.01;
constexpr double exploration = 0.1;

double worth_with(const tree_node& node, std::uint32_t children) { return static_cast<double>(node.fitness) - child_cost * children; }

} // namespace

double expansion_worth(const tree& t, node_number n) { return worth_with(t[n], t[n].children); }

void greedy::proposed(const tree& t, node_number n) {
  auto parent = t[n].parent;
  if (parent == no_node || t[parent].status != node_status::passed)
    return;
  by_worth_.erase({worth_with(t[parent], t[parent].children - 1), parent});
  by_worth_.emplace(expansion_worth(t, parent), parent);
}

void greedy::settled(const tree& t, node_number n) {
  if (t[n].status == node_status::passed)
    by_worth_.emplace(expansion_worth(t, n), n);
  else
    by_worth_.erase({expansion_worth(t, n), n});
}

std::optional<selection> greedy::select(const tree& t, node_number, rng draw) const {
  if (by_worth_.empty())
    return std::nullopt;
  if (draw.chance(exploration))
    return selection{{t.passed()[draw.below(t.passed().size())]}, 0};
  return selection{{by_worth_.rbegin()->second}, 0};
}

std::uint64_t greedy::digest() const {
  std::uint64_t digest = by_worth_.size();
  for (const auto& [worth, n] : by_worth_)
    digest = mix(mix(digest, std::bit_cast<std::uint64_t>(worth)), n);
  return digest;
}

std::size_t greedy::bytes() const { return by_worth_.size() * (sizeof(std::pair<double, node_number>) + 4 * sizeof(void*)); }

} // namespace kevolve::search
