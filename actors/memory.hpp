// Memory operators: what a tree node lets a synthesizer see (inherit its trajectory, contrast its siblings, both, or a clean slate), and with
// what probability a prior goes in. Choosing is the session's (statistics only); drawing reads histories through a narrow view, because they
// live in the tree-node actors. Pure; bounded by `context_bounds`.
#pragma once

#include "actors/synthesis/generator.hpp"
#include "actors/tree.hpp"
#include "protocol/event.hpp"
#include "protocol/rng.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace kevolve::search {

/// Chosen for one proposal, from statistics alone.
struct memory_choice {
  memory_operator memory = memory_operator::inherit;
  std::string prior; // "" : none
};

struct stagnation {
  std::uint32_t results_since_leader = 0;
  std::uint32_t patience = 40;  // results without a better leader after which the search counts as stagnant
};

memory_choice choose_memory(const tree& t, const std::vector<node_number>& parents, stagnation s, double injection,
                            const std::vector<std::string>& priors, rng draw);

/// One attempt as a tree node remembers it. `ordinal` is `remember::ordinal`.
struct remembered {
  node_number number = 0;
  std::uint32_t ordinal = 0;
  synthesis::attempt what;
};

/// A tree node's history: its own attempt, its ancestors', its children's.
class history_view {
public:
  virtual ~history_view() = default;
  [[nodiscard]] virtual const remembered* self() const = 0;
  /// Oldest first, self excluded.
  virtual void ancestors(std::vector<const remembered*>& out) const = 0;
  /// Evaluated children, oldest first; at least the newest `context_bounds::siblings` and the best of them.
  virtual void children(std::vector<const remembered*>& out) const = 0;
};

/// How much of a history a context carries.
struct context_bounds {
  std::size_t trajectory = 8;  // the newest ancestors
  std::size_t siblings = 8;    // half the newest, half the most telling (best and worst gain)
};

/// The context of proposal `number`, a function of what had a result before `results_seen`. `second` is null unless it is a crossover.
/// Priors and refused ids are the caller's to fill in.
synthesis::context draw_context(memory_operator memory, std::uint32_t results_seen, const history_view* parent, const history_view* second,
                                context_bounds bounds = {});

} // namespace kevolve::search
