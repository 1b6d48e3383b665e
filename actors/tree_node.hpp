// The tree-node actor: holds its memory operator's history (its own result and its ancestors' as a shared chain, its children's) and draws the
// context of proposals under it. Statistics are the session's. Can be respawned from the log at any time. Its own actor only.
#pragma once

#include "actors/messages.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <functional>

namespace kevolve::actors {

/// Children's results, oldest first. Bounded: the newest, and the most telling of the older ones.
class child_history {
public:
  void add(remembered_ptr what);
  [[nodiscard]] const std::vector<remembered_ptr>& all() const { return results_; }

private:
  std::vector<remembered_ptr> results_;
};

struct tree_node_state {
  tree_node_state() = default;
  static constexpr const char* name = "tree_node";
  history_ptr parent;
  remembered_ptr self;
  history_ptr link; // both, as children see them; made when the first asks
  child_history children;
  std::function<void(const char*)> probe;
};

tree_node_actor::behavior_type tree_node(tree_node_actor::stateful_pointer<tree_node_state> self, history_ptr parent, remembered_ptr own,
                                         child_history children, std::function<void(const char*)> probe);

} // namespace kevolve::actors
