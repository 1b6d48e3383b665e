#include "actors/agent_leases.hpp"

namespace kevolve {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t ended_kept = 4096;
constexpr auto repeat_after = 5s; // of an answer that nobody acknowledged: frames are lost only with their connection

} // namespace

std::vector<agent_effect> agent_leases::granted(lease_granted what, time now) {
  return take({std::move(what.lease), what.epoch, std::move(what.what), {}}, what.deadline_s, now);
}

std::vector<agent_effect> agent_leases::offered(lease_offered what, time now) {
  return take({std::move(what.lease), what.epoch, {}, std::move(what.what)}, what.deadline_s, now);
}

std::vector<agent_effect> agent_leases::take(start_work what, double deadline_s, time now) {
  std::vector<agent_effect> effects;
  auto found = entries_.find(what.lease);
  if (found != entries_.end()) {
    entry& held = found->second;
    if (what.epoch < held.epoch)
      return effects; // overtaken by a newer grant
    if (what.epoch == held.epoch) {
      if (held.at == phase::answered)
        effects.push_back(message(held.answer));
      else
        effects.push_back(message(lease_accepted{what.lease, what.epoch}));
      return effects;
    }
    if (held.at == phase::running)
      effects.push_back(stop_work{what.lease, held.epoch});
    end(found);
  }
  if (auto over = ended_.find(what.lease); over != ended_.end() && what.epoch <= over->second)
    return effects; // overtaken by its own end
  if (entries_.size() >= bound_) {
    effects.push_back(message(lease_finished{what.lease, what.epoch, "the agent holds " + std::to_string(bound_) + " leases, its bound"}));
    return effects;
  }
  auto lasts = std::chrono::duration_cast<time::duration>(std::chrono::duration<double>(deadline_s));
  entries_[what.lease] = entry{what.epoch, phase::running, now + lasts, {}, {}};
  effects.push_back(message(lease_accepted{what.lease, what.epoch}));
  effects.push_back(std::move(what));
  return effects;
}

std::vector<agent_effect> agent_leases::cancelled(const lease_cancelled& what) {
  auto found = entries_.find(what.lease);
  if (found == entries_.end() || found->second.epoch != what.epoch)
    return {};
  bool running = found->second.at == phase::running;
  end(found);
  if (running)
    return {stop_work{what.lease, what.epoch}};
  return {};
}

void agent_leases::acknowledged(const result_acknowledged& what) {
  auto found = entries_.find(what.lease);
  if (found != entries_.end() && found->second.epoch == what.epoch && found->second.at == phase::answered)
    end(found);
}

void agent_leases::end(std::map<std::string, entry>::iterator held) {
  if (ended_.insert_or_assign(held->first, held->second.epoch).second)
    ended_order_.push_back(held->first);
  if (ended_order_.size() > ended_kept) {
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
  }
  entries_.erase(held);
}

std::vector<agent_effect> agent_leases::finished(const std::string& lease, std::uint64_t epoch, lease_answer answer, time now) {
  auto found = entries_.find(lease);
  if (found == entries_.end() || found->second.epoch != epoch || found->second.at == phase::answered)
    return {};
  if (found->second.at == phase::expired)
    answer = std::string("its lease's deadline passed on the agent");
  return {answer_with(lease, found->second, std::move(answer), now)};
}

std::vector<agent_effect> agent_leases::tick(time now) {
  std::vector<agent_effect> effects;
  for (auto& [lease, held] : entries_) {
    if (held.at == phase::running && now >= held.deadline) {
      held.at = phase::expired; // answered once its worker has really stopped and its resources are free
      effects.push_back(stop_work{lease, held.epoch});
    } else if (held.at == phase::answered && now >= held.repeat_at) {
      held.repeat_at = now + repeat_after;
      effects.push_back(message(held.answer));
    }
  }
  return effects;
}

std::vector<stop_work> agent_leases::running() const {
  std::vector<stop_work> all;
  for (const auto& [lease, held] : entries_)
    if (held.at == phase::running)
      all.push_back({lease, held.epoch});
  return all;
}

agent_effect agent_leases::answer_with(const std::string& lease, entry& e, lease_answer answer, time now) {
  e.at = phase::answered;
  e.repeat_at = now + repeat_after;
  e.answer = lease_finished{lease, e.epoch, std::move(answer)};
  return message(e.answer);
}

} // namespace kevolve
