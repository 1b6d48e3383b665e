// The session actor's upkeep: what its tree nodes remember, live and rebuilt from the log, and what is done when a part of it fails.
#include "actors/session.hpp"
#include "actors/model_synthesizer.hpp"
#include "actors/synthesizer.hpp"
#include "actors/synthesizer_proxy.hpp"
#include "actors/tree_node.hpp"

#include <algorithm>

namespace kevolve::actors {
namespace {

constexpr std::uint32_t restart_bound = 64; // of parts of one session; beyond it something is thoroughly broken

remembered_ptr make_memory(node_number number, std::uint32_t ordinal, schedule printed_from, transformation edge, outcome how, double gain,
                           double speedup, const diagnosis& why, std::shared_ptr<const candidate> written = nullptr,
                           std::shared_ptr<const evaluation> evaluated = nullptr) {
  auto m = std::make_shared<search::remembered>();
  m->number = number;
  m->ordinal = ordinal;
  m->what = {std::move(printed_from), std::move(edge), how, gain, speedup, why, std::move(written), std::move(evaluated)};
  return m;
}

} // namespace

void session_shell::on(search::remember& what) {
  auto found = attempted_.find(what.number);
  if (found == attempted_.end() || !found->second.what)
    return;
  const evaluation& e = **found->second.what;
  count_stages(e);
  auto evaluated = found->second.written ? std::shared_ptr<const evaluation>(found->second.what, &e) : nullptr;
  auto memory = make_memory(what.number, what.ordinal, std::move(found->second.printed_from), std::move(found->second.edge), what.result,
                            what.gain, what.speedup, e.diagnosed, std::move(found->second.written), std::move(evaluated));
  attempted_.erase(found);
  self_->send(node(what.number), remember_self{memory});
  for (node_number parent : what.parents)
    self_->send(node(parent), remember_child{memory});
}

/// Histories as the log has them, in one pass; only `which` are respawned.
void session_shell::rebuild_nodes(const std::vector<event>& events, const std::vector<node_number>& which) {
  const auto& tree = logic_.state().nodes();
  std::vector<remembered_ptr> results(tree.size());
  std::vector<remembered_ptr> by_ordinal;
  std::unordered_map<node_number, const candidate_added*> added;
  for (const auto& each : events) {
    if (auto* arrived = std::get_if<candidate_added>(&each))
      added[arrived->number] = arrived;
    auto* recorded = std::get_if<evaluation_recorded>(&each);
    if (!recorded)
      continue;
    const auto* from = added.at(recorded->number);
    auto place = search::memory_of(tree, recorded->number, recorded->what.result);
    results[recorded->number] = make_memory(recorded->number, place.ordinal, from->what.printed_from.value_or(schedule{}), from->edge,
                                            recorded->what.result, place.gain, place.speedup, recorded->what.diagnosed,
                                            models_take_part_ ? std::make_shared<const candidate>(from->what) : nullptr,
                                            models_take_part_ ? std::make_shared<const evaluation>(recorded->what) : nullptr);
    by_ordinal.push_back(results[recorded->number]);
  }
  for (const auto& [number, from] : added) // open ones: what their evaluation will add to
    if (!results[number] && logic_.state().open().contains(number))
      attempted_.try_emplace(number, attempted{from->what.printed_from.value_or(schedule{}), from->edge, nullptr,
                                             models_take_part_ ? std::make_shared<const candidate>(from->what) : nullptr});
  std::vector<history_ptr> links(tree.size());
  std::vector<child_history> children(tree.size());
  for (node_number n = 0; n < tree.size(); ++n)
    links[n] = std::make_shared<const history_link>(
      history_link{results[n], tree[n].parent == search::no_node ? nullptr : links[tree[n].parent]});
  for (const auto& each : by_ordinal)
    for (node_number parent : {tree[each->number].parent, tree[each->number].second})
      if (parent != search::no_node)
        children[parent].add(each);
  if (nodes_.size() < tree.size())
    nodes_.resize(tree.size());
  for (node_number n : which) {
    auto parent = tree[n].parent;
    nodes_[n] = self_->spawn<caf::monitored>(tree_node, parent == search::no_node ? nullptr : links[parent], results[n], std::move(children[n]),
                                            parts_.engine.probe);
  }
}

// ---- supervision

/// A model that this process does not have migrates to whoever has it; so does what the settings send away.
void session_shell::choose_writers() {
  const auto& settings = parts_.record->opening.settings;
  for (std::size_t i = 0; i < settings.synthesizers.size(); ++i) {
    const std::string& name = settings.synthesizers[i];
    const std::string label = i < settings.written_on.size() ? settings.written_on[i] : "";
    const bool is_model = name != "generator";
    models_take_part_ = models_take_part_ || is_model;
    if (is_model || !label.empty())
      writers_.push_back({name, !label.empty() || (parts_.engine.models && !parts_.engine.models->has(name)), label});
  }
}

void session_shell::spawn_synthesizer(std::size_t slot) {
  synthesizer_parts parts{parts_.engine.make_generator, subject_, parts_.record->opening.on, parts_.engine.compiler, known_,
                          std::make_shared<const std::vector<skill>>(parts_.record->opening.skills), parts_.record->opening.policy_model};
  if (slot >= generators()) {
    const writer& w = writers_[slot - generators()];
    model_synthesizer_parts asks{std::move(parts), w.name, parts_.record->session, parts_.record->opening.hardware, parts_.engine.models};
    if (!w.migrates)
      synthesizers_[slot] = self_->spawn<caf::monitored + caf::detached>(model_synthesizer, std::move(asks));
    else
      synthesizers_[slot] = self_->spawn<caf::monitored + caf::detached>(
        synthesizer_proxy, synthesizer_proxy_parts{std::move(asks), w.label, parts_.record->opening.settings, parts_.dispatcher, parts_.engine.unserved_limit_s,
                                                   parts_.engine.home_wait_s});
    return;
  }
  synthesizers_[slot] = parts_.engine.detach_synthesizers
                          ? self_->spawn<caf::monitored + caf::detached>(synthesizer, std::move(parts))
                          : self_->spawn<caf::monitored>(synthesizer, std::move(parts));
}

void session_shell::lost(const caf::down_msg& down) {
  if (left_ || !down.reason)
    return;
  std::string reason = self_->system().render(down.reason);
  if (++restarts_ > restart_bound)
    return failed({errc::infrastructure, "parts of the session were restarted " + std::to_string(restart_bound) + " times: " + reason});
  for (std::size_t slot = 0; slot < synthesizers_.size(); ++slot)
    if (synthesizers_[slot].address() == down.source)
      return synthesizer_lost(slot, reason);
  for (const auto& [number, r] : evaluating_)
    if (r.actor.address() == down.source) {
      std::vector<node_number> lost{number};
      evaluating_.erase(number);
      return step(search::restarted{"evaluator", reason, std::move(lost)});
    }
  if (verifying_ && verifying_->second.actor.address() == down.source) {
    std::vector<node_number> lost{verifying_->first};
    verifying_.reset();
    return step(search::restarted{"evaluator", reason, std::move(lost)});
  }
  for (node_number n = 0; n < nodes_.size(); ++n)
    if (nodes_[n] && nodes_[n].address() == down.source) {
      nodes_to_rebuild_.push_back(n);
      rebuild_reasons_.push_back(reason);
      if (!std::exchange(reading_, true))
        self_->send(parts_.log, read_log{parts_.record->session, self_});
      return;
    }
}

void session_shell::synthesizer_lost(std::size_t slot, const std::string& reason) {
  if (slot >= generators() && writers_[slot - generators()].migrates) // what it had away: whoever has it keeps it, and is asked again
    self_->send(parts_.dispatcher, withdraw_owner{parts_.record->session, true});
  spawn_synthesizer(slot);
  synthesizer_died_of_ = reason;
  std::vector<node_number> unanswered;
  for (const auto& [number, a] : asked_)
    if (a.synthesizer == slot)
      unanswered.push_back(number);
  std::sort(unanswered.begin(), unanswered.end());
  step(search::restarted{"synthesizer", reason, std::move(unanswered)});
}

} // namespace kevolve::actors
