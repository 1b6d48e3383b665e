// Memory operators: what a tree node lets a synthesizer see (inherit its trajectory, contrast its siblings, both, or a clean slate), and with
// what probability a prior goes in. Choosing is the session's (statistics only); drawing reads histories through a narrow view, because they
// live in the tree-node actors. Pure; bounded by `context_bounds`.
#pragma once

#include "actors/injection.hpp"
#include "actors/synthesis/generator.hpp"
#include "actors/tree.hpp"
#include "protocol/event.hpp"
#include "protocol/rng.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::search {

/// Chosen for one proposal, from statistics alone.
struct memory_choice {
  memory_operator memory = memory_operator::inherit;
  std::string prior;     // "" : none
  bool unprimed = false; // skills are kept from it
};

struct stagnation {
  std::uint32_t results_since_leader = 0;
  std::uint32_t patience = 40;  // results without a better leader after which the search counts as stagnant
};

/// The probability for one proposal under `parent`. Adaptive: begins high, follows what injected contexts gained over the others in this session
/// (Beta means), falls with each child that the node has had already and with the search's stagnation (to 0 at twice the patience), and is 0 on
/// the last of several islands, which looks for what nobody told it.
double injection_odds(const injection& how, stagnation s, const tree_node& parent);

memory_choice choose_memory(const tree& t, const std::vector<node_number>& parents, stagnation s, const injection& how,
                            const std::vector<std::string>& priors, rng draw);

/// One attempt as a tree node remembers it; shared between the node, its parent and its descendants. `ordinal` is `remember::ordinal`.
struct remembered {
  node_number number = 0;
  std::uint32_t ordinal = 0;
  bool fresh = false;           // proposed with a clean slate: its ancestors did not lead to it
  synthesis::attempt what;
};

/// How much of a history a context carries.
struct context_bounds {
  std::size_t trajectory = 8;  // the newest ancestors
  std::size_t siblings = 8;    // half the newest, half the most telling (the best and the worst gains)
};

/// A tree node's history: its own attempt, its ancestors', its children's.
class history_view {
public:
  virtual ~history_view() = default;
  /// Null until its own result came.
  [[nodiscard]] virtual const remembered* self() const = 0;
  /// Oldest first, self excluded.
  virtual void ancestors(std::vector<const remembered*>& out) const = 0;
  /// Those with a result, oldest result first.
  virtual void children(std::vector<const remembered*>& out) const = 0;
};

/// The context of a proposal, a function of the results up to `results_seen`. `second` is null unless it is a crossover. Priors and refused
/// ids are the caller's to fill in.
synthesis::context draw_context(memory_operator memory, std::uint32_t results_seen, const history_view* parent, const history_view* second,
                                context_bounds bounds = {});

/// What a tree-node actor holds: bounded, and sharing every attempt with its relatives.
class node_history final : public history_view {
public:
  using entry = std::shared_ptr<const remembered>;
  /// A child's: its ancestors are this node and its own newest ones.
  [[nodiscard]] node_history child() const;

  void settle(entry own) { self_ = std::move(own); }
  void add_child(entry child);
  [[nodiscard]] const remembered* self() const override { return self_.get(); }
  void ancestors(std::vector<const remembered*>& out) const override;
  void children(std::vector<const remembered*>& out) const override;

private:
  static constexpr std::size_t ancestors_kept = context_bounds{}.trajectory;
  static constexpr std::size_t children_kept = 4 * context_bounds{}.siblings;
  std::vector<entry> ancestors_;
  entry self_;
  std::vector<entry> children_; // by ordinal; beyond the bound the oldest middling one goes
};

} // namespace kevolve::search
