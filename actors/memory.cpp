#include "actors/memory.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::search {
namespace {

// Odds of the memory operators while the search gets on; what is left after the clean slate is shared in these proportions.
constexpr double clean_slate_at_rest = 0.03;
constexpr double clean_slate_stagnant = 0.25; // added once stagnation lasts twice the patience
constexpr double inherit_share = 0.45;
constexpr double siblings_share = 0.25;
constexpr double children_that_halve = 12; // of a node, p: what was told has had its chance there

double clean_slate_odds(stagnation s) {
  if (s.patience == 0 || s.results_since_leader <= s.patience)
    return clean_slate_at_rest;
  double over = static_cast<double>(s.results_since_leader - s.patience) / s.patience;
  return clean_slate_at_rest + clean_slate_stagnant * std::min(1.0, over);
}

void drop_unseen(std::vector<const remembered*>& entries, std::uint32_t results_seen) {
  std::erase_if(entries, [results_seen](const remembered* r) { return r->ordinal > results_seen; });
}

std::vector<synthesis::attempt> trajectory_of(const history_view& node, std::uint32_t results_seen, std::size_t bound) {
  std::vector<synthesis::attempt> trajectory;
  if (node.self() == nullptr || node.self()->fresh)
    return trajectory;
  std::vector<const remembered*> line;
  node.ancestors(line);
  drop_unseen(line, results_seen);
  auto from = line.end();
  while (from != line.begin() && static_cast<std::size_t>(line.end() - from) < bound) {
    --from;
    if ((*from)->fresh)
      break; // what came before did not lead here
  }
  for (; from != line.end(); ++from)
    trajectory.push_back((*from)->what);
  return trajectory;
}

std::vector<synthesis::attempt> siblings_of(const history_view& node, std::uint32_t results_seen, std::size_t bound) {
  std::vector<const remembered*> all;
  node.children(all);
  drop_unseen(all, results_seen);
  std::vector<const remembered*> chosen;
  if (all.size() > bound) {
    auto newest = bound / 2;
    chosen.assign(all.end() - static_cast<std::ptrdiff_t>(newest), all.end());
    all.resize(all.size() - newest);
    std::stable_sort(all.begin(), all.end(), [](const remembered* a, const remembered* b) { return a->what.gain > b->what.gain; });
    auto telling = bound - newest;
    auto best = (telling + 1) / 2;
    chosen.insert(chosen.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(best));
    chosen.insert(chosen.end(), all.end() - static_cast<std::ptrdiff_t>(telling - best), all.end());
  } else {
    chosen = std::move(all);
  }
  std::sort(chosen.begin(), chosen.end(), [](const remembered* a, const remembered* b) { return a->ordinal > b->ordinal; });
  std::vector<synthesis::attempt> siblings;
  siblings.reserve(chosen.size());
  for (const auto* r : chosen)
    siblings.push_back(r->what);
  return siblings;
}

} // namespace

double injection_odds(const injection& how, stagnation s, const tree_node& parent) {
  if (!how.adaptive)
    return how.p;
  if (how.islands > 1 && how.island + 1 == how.islands)
    return 0;
  // As if 4 had been tried of each kind: injected ones gained in 2, others in 1, which is what skills did over many sessions.
  const double primed = (how.seen.primed_gains + 2.0) / (how.seen.primed + 4.0);
  const double unprimed = (how.seen.unprimed_gains + 1.0) / (how.seen.unprimed + 4.0);
  const double trust = std::min(1.0, 1.5 * primed / (primed + unprimed)); // 1 at first, 0.75 where both gain alike
  const double at_node = std::exp2(-static_cast<double>(parent.children) / children_that_halve);
  const double over = s.patience == 0 ? 0 : std::clamp((static_cast<double>(s.results_since_leader) - s.patience) / s.patience, 0.0, 1.0);
  return trust * at_node * (1 - over);
}

memory_choice choose_memory(const tree& t, const std::vector<node_number>& parents, stagnation s, const injection& how,
                            const std::vector<std::string>& priors, rng draw) {
  memory_choice choice;
  const auto& parent = t[parents.front()];
  bool has_line = parent.parent != no_node;
  bool has_children = parent.children > 0;
  double kind = draw.uniform();
  double share = draw.uniform();
  if (kind < clean_slate_odds(s) && has_line) // under the root a clean slate is what inheriting is
    choice.memory = memory_operator::clean_slate;
  else if (has_line && has_children)
    choice.memory = share < inherit_share                    ? memory_operator::inherit
                    : share < inherit_share + siblings_share ? memory_operator::siblings
                                                             : memory_operator::combined;
  else
    choice.memory = has_children ? memory_operator::siblings : memory_operator::inherit;
  const double p = injection_odds(how, s, parent);
  if (!priors.empty() && draw.chance(p)) // the first are the best: the lesser of two draws
    choice.prior = priors[std::min(draw.below(priors.size()), draw.below(priors.size()))];
  if (how.skills && (how.adaptive || how.skills_by_p))
    choice.unprimed = !draw.chance(p);
  return choice;
}

synthesis::context draw_context(memory_operator memory, std::uint32_t results_seen, const history_view* parent, const history_view* second,
                                context_bounds bounds) {
  synthesis::context context;
  context.memory = memory;
  if (memory == memory_operator::clean_slate || parent == nullptr || parent->self() == nullptr)
    return context;
  context.parent = parent->self()->what;
  if (second != nullptr && second->self() != nullptr)
    context.second_parent = second->self()->what;
  if (memory == memory_operator::inherit || memory == memory_operator::combined)
    context.trajectory = trajectory_of(*parent, results_seen, bounds.trajectory);
  if (memory == memory_operator::siblings || memory == memory_operator::combined)
    context.siblings = siblings_of(*parent, results_seen, bounds.siblings);
  return context;
}

node_history node_history::child() const {
  node_history below;
  auto skip = ancestors_.size() + 1 > ancestors_kept ? ancestors_.size() + 1 - ancestors_kept : 0;
  below.ancestors_.reserve(ancestors_.size() + 1 - skip);
  below.ancestors_.assign(ancestors_.begin() + static_cast<std::ptrdiff_t>(skip), ancestors_.end());
  if (self_)
    below.ancestors_.push_back(self_);
  return below;
}

void node_history::add_child(entry child) {
  auto later = [](const entry& a, const entry& b) { return a->ordinal < b->ordinal; };
  children_.insert(std::upper_bound(children_.begin(), children_.end(), child, later), std::move(child));
  if (children_.size() <= children_kept)
    return;
  auto older = children_.begin() + static_cast<std::ptrdiff_t>(children_kept / 2); // only the older half may lose one
  auto [worst, best] = std::minmax_element(children_.begin(), older, [](const entry& a, const entry& b) { return a->what.gain < b->what.gain; });
  auto gone = children_.begin();
  while (gone == worst || gone == best)
    ++gone;
  children_.erase(gone);
}

void node_history::ancestors(std::vector<const remembered*>& out) const {
  for (const auto& a : ancestors_)
    out.push_back(a.get());
}

void node_history::children(std::vector<const remembered*>& out) const {
  for (const auto& c : children_)
    out.push_back(c.get());
}

} // namespace kevolve::search
