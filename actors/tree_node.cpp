#include "actors/tree_node.hpp"

#include "actors/failure.hpp"

#include <algorithm>

namespace kevolve::actors {
namespace {

// A context shows eight children (context_bounds); proposals in flight may look back past results that came after they were made, so the
// newest are kept with room for many in flight, and of the older ones those with the best and worst gain.
constexpr std::size_t newest_kept = 128;
constexpr std::size_t telling_kept = 32;

class node_view final : public search::history_view {
public:
  node_view(remembered_ptr self, history_ptr parent, const std::vector<remembered_ptr>* children)
      : self_(std::move(self)), parent_(std::move(parent)), children_(children) {}

  const search::remembered* self() const override { return self_.get(); }
  void ancestors(std::vector<const search::remembered*>& out) const override {
    // No more than a context shows: lines of descent grow to hundreds, and walking one is a cache miss a step.
    auto shown = search::context_bounds{}.trajectory;
    for (const history_link* link = parent_.get(); link && out.size() < shown; link = link->parent.get())
      if (link->self)
        out.push_back(link->self.get());
    std::reverse(out.begin(), out.end());
  }
  void children(std::vector<const search::remembered*>& out) const override {
    if (children_)
      for (const auto& each : *children_)
        out.push_back(each.get());
  }

private:
  remembered_ptr self_;
  history_ptr parent_;
  const std::vector<remembered_ptr>* children_;
};

/// Made once and shared by all children.
const history_ptr& own_history(tree_node_state& state) {
  if (!state.link)
    state.link = std::make_shared<const history_link>(history_link{state.self, state.parent});
  return state.link;
}

} // namespace

void child_history::add(remembered_ptr what) {
  results_.push_back(std::move(what));
  if (results_.size() <= newest_kept + 2 * telling_kept)
    return;
  auto older = results_.end() - newest_kept;
  std::vector<remembered_ptr> telling(results_.begin(), older);
  auto by_gain = [](const remembered_ptr& a, const remembered_ptr& b) {
    return std::pair(-a->what.gain, a->ordinal) < std::pair(-b->what.gain, b->ordinal);
  };
  std::sort(telling.begin(), telling.end(), by_gain);
  telling.erase(telling.begin() + telling_kept / 2, telling.end() - telling_kept / 2);
  std::sort(telling.begin(), telling.end(), [](const auto& a, const auto& b) { return a->ordinal < b->ordinal; });
  telling.insert(telling.end(), older, results_.end());
  results_ = std::move(telling);
}

tree_node_actor::behavior_type tree_node(tree_node_actor::stateful_pointer<tree_node_state> self, history_ptr parent, remembered_ptr own,
                                         child_history children, std::function<void(const char*)> probe) {
  name_failures(self);
  self->state.parent = std::move(parent);
  self->state.self = std::move(own);
  self->state.children = std::move(children);
  self->state.probe = std::move(probe);
  return {
    [self](adopt& what) {
      self->state.parent = std::move(what.parent);
      self->state.link.reset();
    },
    [self](draw_context& what) {
      if (self->state.probe)
        self->state.probe("tree_node");
      if (what.child)
        self->send(what.child, adopt{own_history(self->state)});
      node_view parent_view(self->state.self, self->state.parent, &self->state.children.all());
      node_view second_view(what.second ? what.second->self : nullptr, what.second ? what.second->parent : nullptr, nullptr);
      auto context = search::draw_context(what.memory, what.results_seen, &parent_view, what.second ? &second_view : nullptr);
      context.priors = std::move(what.priors);
      what.request.given = std::make_shared<const synthesis::context>(std::move(context));
      self->send(what.then_ask, std::move(what.request));
    },
    [self](lend_history& what) {
      what.request.second = own_history(self->state);
      self->send(what.first, std::move(what.request));
    },
    [self](remember_self& what) {
      self->state.self = std::move(what.what);
      self->state.link.reset();
    },
    [self](remember_child& what) { self->state.children.add(std::move(what.what)); },
  };
}

} // namespace kevolve::actors
