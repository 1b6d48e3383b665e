#include "tests/simulation/ledger.hpp"

#include <algorithm>

namespace kevolve::simulation {
namespace {

template <class Text> // made only when it is needed
void require(bool holds, const char* invariant, Text what) {
  if (!holds)
    throw violated{std::string(invariant) + ": " + what()};
}

} // namespace

bool is_logged(const session_disk& disk, std::size_t events, node_number number, std::uint32_t attempt, bool verification) {
  for (std::size_t i = events; i-- > 0;) {
    const event& e = disk.log[i];
    if (const auto* closed = std::get_if<evaluation_discarded>(&e); closed && closed->number == number && closed->attempt == attempt)
      return true;
    if (verification) {
      if (const auto* verdict = std::get_if<leader_verified>(&e); verdict && verdict->number == number)
        return true;
    } else if (const auto* counted = std::get_if<evaluation_recorded>(&e); counted && counted->number == number && counted->attempt == attempt) {
      return true;
    }
  }
  return false;
}

bool is_written(const session_disk& disk, std::size_t events, node_number number) {
  return std::any_of(disk.log.begin(), disk.log.begin() + static_cast<std::ptrdiff_t>(events), [number](const event& e) {
    const auto* added = std::get_if<candidate_added>(&e);
    const auto* closed = std::get_if<proposal_closed>(&e);
    return (added && added->number == number) || (closed && closed->number == number);
  });
}

logged_tokens tokens_in(const session_disk& disk, std::size_t events) {
  logged_tokens sum;
  std::map<std::pair<node_number, std::uint32_t>, std::uint64_t> open;
  for (std::size_t i = 0; i < events; ++i) {
    if (const auto* asked = std::get_if<model_asked>(&disk.log[i])) {
      sum.reserved += asked->reserved_tokens;
      open[{asked->number, asked->step}] = asked->reserved_tokens;
    } else if (const auto* said = std::get_if<model_answered>(&disk.log[i])) {
      sum.reserved -= open[{said->number, said->step}];
      open.erase({said->number, said->step});
      sum.answered += said->used.input + said->used.output;
    }
  }
  return sum;
}

void ledger::joined(const std::string& identity) {
  require(identities_.insert(identity).second, "I4 fencing", [&] { return "the identity " + identity + " is used a second time"; });
}

void ledger::granted(const dispatch::grant& what) {
  require(!leases_.contains(what.lease), "I3 no double count", [&] { return what.lease + " is leased to " + leases_.at(what.lease).agent + " and now to " + what.agent; });
  require(!delivered_.contains(what.lease), "I3 no double count", [&] { return what.lease + " is leased again though its result was delivered"; });
  auto& newest = epochs_[what.lease];
  require(what.epoch > newest, "I4 fencing", [&] { return what.lease + " is leased with epoch " + std::to_string(what.epoch) + " after " + std::to_string(newest); });
  newest = what.epoch;
  promises_.erase(what.lease);
  if (is_writing(what.lease) && !what.kept)
    require(permitted_.erase(what.lease) == 1, "I9 bounded", [&] { return what.lease + " is leased to " + what.agent + " without a permission of its own"; });
  leases_[what.lease] = {what.agent, what.epoch, what.kept};
  ++(is_compilation(what.lease) ? compilations : is_writing(what.lease) ? writings : leases);
}

void ledger::spent(const std::string& session, std::uint64_t tokens, const session_disk& disk) {
  auto& sum = spent_[session];
  sum += tokens;
  const logged_tokens durable = tokens_in(disk, disk.durable);
  require(sum <= durable.answered + durable.reserved, "I9 bounded", [&] { return session + "'s models took " + std::to_string(sum) + " tokens, reserved or answered on the disk are " + std::to_string(durable.answered + durable.reserved); });
  const auto* opening = std::get_if<session_opened>(&disk.log.front());
  require(opening && (opening->settings.model_tokens == 0 || sum <= opening->settings.model_tokens), "I9 bounded", [&] { return session + "'s models took " + std::to_string(sum) + " tokens, more than its limit"; });
}

void ledger::over(const std::string& task) {
  leases_.erase(task);
  promises_.erase(task);
  permitted_.erase(task);
}

void ledger::asked_permit(const dispatch::ask_permit& what, const dispatch::dispatcher& logic, double now_s) {
  const auto now = logic.standing_of(what.agent);
  std::uint32_t taken = 0;
  for (const auto& [task, l] : leases_)
    taken += l.agent == what.agent && !l.kept && is_writing(task);
  for (const auto& [task, p] : promises_)
    taken += p.agent == what.agent && p.until_s > now_s;
  require(now && taken < now->writing_slots, "I9 bounded", [&] { return what.task + " is to be reserved for " + what.agent + ", which has no slot free for it"; });
  require(!permitted_.contains(what.task), "I9 bounded", [&] { return what.task + " is to be reserved again before it was leased"; });
  promises_[what.task] = {what.agent, now_s + dispatch::options().permit_wait_s};
}

void ledger::permitted(const std::string& task) {
  require(permitted_.insert(task).second, "I9 bounded", [&] { return task + " is reserved twice for one lease"; });
}

void ledger::scheduler_died() {
  reserved_in_vain += permitted_.size();
  leases_.clear(), delivered_.clear(), uncounted_.clear(), promises_.clear(), permitted_.clear();
}

void ledger::agent_gone(const std::string& identity) {
  std::erase_if(promises_, [&](const auto& each) { return each.second.agent == identity; });
  for (const auto& [task, l] : leases_)
    require(l.agent != identity, "I2 no lost result", [&] { return "agent " + identity + " is gone and " + task + " was not taken back"; });
}

void ledger::delivered(const dispatch::deliver& what) {
  auto held = leases_.find(what.task);
  require(held != leases_.end() && held->second.agent == what.agent && held->second.epoch == what.epoch, "I4 fencing",
          [&] { return what.task + " counts the result of " + what.agent + " with epoch " + std::to_string(what.epoch) + ", which holds no lease of it now"; });
  require(delivered_.emplace(what.task, what.epoch).second, "I3 no double count", [&] { return what.task + " is delivered twice"; });
  leases_.erase(held);
  counted += !is_compilation(what.task);
}

void ledger::check(const dispatch::dispatcher& logic) const {
  const auto& t = logic.totals();
  require(t.submitted == t.queued + t.leased + t.delivered + t.failed + t.cancelled, "I8 conservation",
          [&] { return std::to_string(t.submitted) + " submitted, found " + std::to_string(t.queued) + " queued + " + std::to_string(t.leased) + " leased + " +
            std::to_string(t.delivered) + " delivered + " + std::to_string(t.failed) + " failed + " + std::to_string(t.cancelled) + " cancelled"; });
  require(t.leased == leases_.size(), "I8 conservation", [&] { return std::to_string(leases_.size()) + " leases were granted and not ended, the dispatcher counts " + std::to_string(t.leased); });
  struct held { std::uint32_t leases = 0, compiling = 0, writes = 0, keeps = 0; };
  std::map<std::string, held> by_agent;
  for (const auto& [task, l] : leases_) {
    held& h = by_agent[l.agent];
    ++(l.kept ? h.keeps : is_compilation(task) ? h.compiling : is_writing(task) ? h.writes : h.leases);
  }
  for (const auto& each : by_agent) {
    const auto& [agent, n] = each;
    const auto now = logic.standing_of(agent);
    const auto told = [&] { return agent + " holds " + std::to_string(n.leases) + " leases, " + std::to_string(n.compiling) + " of compilers and " + std::to_string(n.writes) + " to write"; };
    require(now && n.leases <= now->credit && n.compiling <= now->compile_credit && n.writes <= now->writing_slots, "I9 bounded", [&] { return told() + ", more than its credit"; });
    require(now->leases == n.leases && now->compiling == n.compiling && now->writes == n.writes && now->keeps == n.keeps, "I8 conservation",
            [&] { return told() + ", the dispatcher counts " + std::to_string(now->leases) + ", " + std::to_string(now->compiling) + " and " + std::to_string(now->writes); });
  }
}

void ledger::check_acknowledged(const std::string& task, std::uint64_t epoch, const session_disk* disk, node_number number, std::uint32_t attempt, bool verification) {
  auto counted_epoch = delivered_.find(task);
  if (counted_epoch == delivered_.end() || counted_epoch->second != epoch || disk == nullptr || uncounted_.contains(task))
    return; // a result that never counted may be forgotten at any time
  const bool writing = is_writing(task);
  require(writing ? is_written(*disk, disk->durable, number) : is_logged(*disk, disk->durable, number, attempt, verification), "I1 durable before visible", [&] { return task + " is acknowledged to its agent and is not on the disk"; });
  if (!verification)
    acknowledged_[task.substr(0, task.find('/'))].push_back({number, attempt, disk->durable, writing});
}

void ledger::uncounted(const std::string& task, const session_disk& disk, node_number number, std::uint32_t attempt) {
  uncounted_.insert(task);
  const bool counts = std::any_of(disk.log.begin(), disk.log.end(), [&](const event& e) {
    const auto* recorded = std::get_if<evaluation_recorded>(&e);
    return recorded && recorded->number == number && recorded->attempt == attempt;
  });
  require(!counts, "I2 no lost result", [&] { return task + " counts, and its agent is told that it does not"; });
}

void ledger::check_not_awaited(const dispatch::acknowledge& what) const {
  auto held = leases_.find(what.lease);
  require(held == leases_.end() || held->second.agent != what.agent || held->second.epoch != what.epoch, "I1 durable before visible",
          [&] { return what.lease + " is acknowledged to its agent before it is delivered"; });
}

void ledger::check_survived(const std::string& session, const session_disk& disk) const {
  if (auto theirs = acknowledged_.find(session); theirs != acknowledged_.end())
    for (const auto& p : theirs->second)
      require(p.writing ? is_written(disk, std::min(disk.log.size(), p.within), p.number) : is_logged(disk, std::min(disk.log.size(), p.within), p.number, p.attempt, false), "I2 no lost result",
              [&] { return session + "/" + std::to_string(p.number) + "/" + std::to_string(p.attempt) + " was acknowledged and is gone after a crash"; });
}

void ledger::appended(const std::string& session, const session_disk& disk, std::size_t from) {
  books& b = books_[session];
  if (from < b.events || from == 0) { // the end of the log was lost in a crash
    b = {};
    from = 0;
  }
  for (std::size_t i = from; i < disk.log.size(); ++i) {
    if (const auto* added = std::get_if<candidate_added>(&disk.log[i]))
      require(b.candidates.emplace(added->number, added->what.id).second, "I3 no double count", [&] { return session + "/" + std::to_string(added->number) + " has two candidates"; });
    if (const auto* said = std::get_if<model_answered>(&disk.log[i])) {
      b.answered += said->used.input + said->used.output;
      require(b.answered <= spent_[session], "I3 no double count", [&] { return session + " counts " + std::to_string(b.answered) + " tokens of answers, its models took " + std::to_string(spent_[session]); });
    }
    if (const auto* recorded = std::get_if<evaluation_recorded>(&disk.log[i])) {
      require(b.recorded.insert(recorded->number).second, "I3 no double count", [&] { return session + "/" + std::to_string(recorded->number) + " is counted twice"; });
      require(b.candidates[recorded->number] == recorded->what.candidate, "I6 provenance", [&] { return session + "/" + std::to_string(recorded->number) + " counts the result of another candidate"; });
      require(recorded->what.result != outcome::infrastructure, "I12 three-way verdict", [&] { return "an infrastructure fault counts against " + session + "/" + std::to_string(recorded->number); });
    }
    if (const auto* verdict = std::get_if<leader_verified>(&disk.log[i]))
      require(b.candidates[verdict->number] == verdict->what.candidate, "I6 provenance", [&] { return session + "'s leader " + std::to_string(verdict->number) + " is verified by the measurement of another candidate"; });
  }
  b.events = disk.log.size();
}

void ledger::check_program(const std::string& candidate, const std::string& program) const {
  require(program == program_of(candidate), "I6 provenance", [&] { return "what is about to run for " + candidate + " is another program"; });
}

std::string program_of(const std::string& candidate) {
  std::string program;
  for (std::uint64_t n = 1 + rng(17, 0, candidate).below(6); n > 0; --n)
    program += std::to_string(n) + candidate;
  return program;
}

bool compiles(const std::string& candidate) { return !rng(13, 0, candidate).chance(0.04); }

void ledger::check_shown(const session_disk& disk, std::uint32_t evaluations) const {
  const auto durable = std::count_if(disk.log.begin(), disk.log.begin() + static_cast<std::ptrdiff_t>(disk.durable),
                                     [](const event& e) { return std::holds_alternative<evaluation_recorded>(e); });
  require(evaluations <= static_cast<std::size_t>(durable), "I1 durable before visible", [&] { return std::to_string(evaluations) + " evaluations are shown, " + std::to_string(durable) + " are durable"; });
}

} // namespace kevolve::simulation
