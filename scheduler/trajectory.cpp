#include "scheduler/trajectory.hpp"

#include "actors/session_state.hpp"
#include "actors/synthesis/prompts/prompt.hpp"
#include "protocol/check.hpp"
#include "scheduler/account.hpp"
#include "scheduler/source_changes.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <optional>

namespace kevolve::scheduler {
namespace {

constexpr std::size_t prompt_tokens = 24'000; // of an edge's prompt: as models are given by default
constexpr std::size_t feedback_bytes = 8'000;

bool is_violation(outcome o) { return o == outcome::reward_hack || o == outcome::quarantined; }

/// What a model was asked and said within one proposal, by step: the last asking that was answered.
struct exchange {
  const model_asked* asked = nullptr;
  const model_answered* said = nullptr;
};

/// A session's log, taken apart by proposal.
struct record {
  session_account account;
  std::map<node_number, const candidate_added*> added;
  std::map<node_number, const evaluation_recorded*> evaluated;
  std::map<node_number, const leader_verified*> refuted; // by a verification
  std::map<node_number, std::map<std::uint32_t, exchange>> talks;
};

result<record> record_of(const std::vector<event>& log) {
  record r;
  KEVOLVE_TRY(account, account_of(log));
  r.account = std::move(account);
  for (const event& e : log)
    if (const auto* added = std::get_if<candidate_added>(&e))
      r.added[added->number] = added;
    else if (const auto* evaluated = std::get_if<evaluation_recorded>(&e))
      r.evaluated[evaluated->number] = evaluated;
    else if (const auto* verified = std::get_if<leader_verified>(&e); verified && !verified->holds && verified->what.result != outcome::passed && verified->what.result != outcome::infrastructure)
      r.refuted[verified->number] = verified;
    else if (const auto* asked = std::get_if<model_asked>(&e))
      r.talks[asked->number][asked->step].asked = asked;
    else if (const auto* said = std::get_if<model_answered>(&e))
      if (said->failure.empty())
        r.talks[said->number][said->step].said = said;
  return r;
}

/// The outcome's word; empty: whatever became of it is nothing to learn from.
std::string outcome_of(const record& r, const node_account& n) {
  if (const auto refuted = r.refuted.find(n.number); refuted != r.refuted.end())
    return std::string(to_string(refuted->second->what.result));
  if (n.result)
    return *n.result == outcome::infrastructure ? "" : std::string(to_string(*n.result));
  if (n.closed.starts_with(search::closed_duplicate) || n.closed.starts_with(search::closed_nothing_new))
    return "duplicate";
  const bool nobodys = n.closed.empty() || n.closed.starts_with(search::fault) || n.closed.starts_with(search::closed_unaffordable) || n.closed.starts_with(search::closed_stopped);
  return nobodys || !n.candidate.empty() ? "" : "refused";
}

synthesis::attempt attempt_of(const record& r, node_number number) {
  const node_account& n = r.account.nodes[number];
  synthesis::attempt a;
  a.edge = n.edge;
  a.result = n.result.value_or(outcome::infrastructure);
  a.gain = n.gain;
  a.fitness = n.over_root;
  a.diagnosed = n.diagnosed;
  if (const auto added = r.added.find(number); added != r.added.end()) {
    a.written = std::make_shared<const candidate>(added->second->what);
    if (added->second->what.printed_from)
      a.printed_from = *added->second->what.printed_from;
  }
  if (const auto evaluated = r.evaluated.find(number); evaluated != r.evaluated.end())
    a.evaluated = std::make_shared<const evaluation>(evaluated->second->what);
  return a;
}

std::string feedback_of(const record& r, const problem& subject, const node_account& n) {
  if (const auto refuted = r.refuted.find(n.number); refuted != r.refuted.end())
    return fmt::format("measured afresh: {}: {}", to_string(refuted->second->what.result),
                       refuted->second->what.correct.failed_case.empty() ? refuted->second->what.log : refuted->second->what.correct.failed_case);
  if (!n.result)
    return n.closed;
  return synthesis::evaluation_text(subject, attempt_of(r, n.number), feedback_bytes);
}

std::vector<source_file> sources_of(const record& r, node_number number) {
  const auto added = r.added.find(number);
  return added == r.added.end() ? std::vector<source_file>() : added->second->what.sources;
}

/// Everything of a proposal that does not depend on the view.
trajectory_sample common_of(const record& r, const node_account& n, const std::set<candidate_id>& violations) {
  const session_opened& opening = r.account.opening;
  trajectory_sample s;
  s.session = opening.session;
  s.number = n.number;
  s.operator_name = opening.subject.op.name;
  s.target = to_string(opening.on);
  s.hardware = opening.hardware;
  s.synthesizer = n.synthesizer;
  s.candidate = n.candidate;
  s.outcome = outcome_of(r, n);
  const bool afresh = n.memory == memory_operator::clean_slate || n.parents.empty();
  if (!afresh)
    s.parent = r.account.nodes[n.parents.front()].candidate;
  s.integrity_violation = violations.contains(n.candidate);
  const bool passed = s.outcome == to_string(outcome::passed);
  s.over_plain = passed ? n.over_root : 0;
  s.gain = !passed ? 0 : afresh ? n.over_root : n.gain;
  s.gained = passed && n.gained;
  s.latency_s = passed ? n.latency_s : 0;
  s.plain_latency_s = r.account.nodes.front().latency_s;
  s.reward = reward_of(s.outcome, s.integrity_violation, s.gain);
  if (const auto evaluated = r.evaluated.find(n.number); evaluated != r.evaluated.end())
    s.problem = evaluated->second->what.where.problem;
  if (!n.candidate.empty())
    s.change = changes_between(afresh ? std::vector<source_file>() : sources_of(r, n.parents.front()), sources_of(r, n.number));
  s.feedback = feedback_of(r, opening.subject, n);
  return s;
}

std::vector<chat_turn> prompt_of(const model_asked& asked) {
  std::vector<chat_turn> prompt{{"system", asked.instructions}};
  for (std::size_t i = 0; i < asked.turns.size(); ++i)
    prompt.push_back({i % 2 == 0 ? "user" : "assistant", asked.turns[i]});
  return prompt;
}

/// A step that another followed was refused before it was evaluated; what was said of it stands in the next one's prompt.
void add_turns(const record& r, const trajectory_sample& common, std::vector<trajectory_sample>& out) {
  const auto talk = r.talks.find(common.number);
  if (talk == r.talks.end())
    return;
  for (const auto& [step, each] : talk->second) {
    if (!each.asked || !each.said)
      continue;
    trajectory_sample s = common;
    s.step = step;
    s.provider = each.asked->provider;
    s.model = each.asked->model;
    s.prompt = prompt_of(*each.asked);
    s.answer = each.said->text;
    s.used = each.said->used;
    s.cost_usd = each.said->cost_usd;
    if (const auto next = talk->second.find(step + 1); next != talk->second.end() && next->second.asked) {
      s.outcome = "refused";
      s.feedback = next->second.asked->turns.back();
      s.candidate.clear(), s.change.clear();
      s.gained = s.integrity_violation = false;
      s.gain = s.over_plain = s.latency_s = 0;
      s.reward = reward_of(s.outcome, false, 0);
    }
    if (!s.outcome.empty())
      out.push_back(std::move(s));
  }
}

/// The candidate as an answer that needs nothing but the prompt: its schedule where it was printed from one, else all its files.
std::string answer_with(const candidate_added& added, const synthesis::language& in) {
  std::string idea = added.edge.summary.substr(0, added.edge.summary.find('\n'));
  std::string text = "IDEA: " + (idea.empty() ? "a new version" : idea) + "\n";
  if (added.what.printed_from)
    return text + "```schedule\n" + to_string(*added.what.printed_from) + "\n```\n";
  for (const source_file& f : added.what.sources)
    text += fmt::format("{}```{}\n{}{}```\n", added.what.sources.size() > 1 ? f.path + "\n" : "", in.fence, f.content, f.content.ends_with('\n') ? "" : "\n");
  return text;
}

/// Prompts of edges, each written once: children of the same parents share it.
class edge_prompts {
public:
  edge_prompts(const record& r, const synthesis::language& in) : r_(r), in_(in), subject_(std::make_shared<const problem>(r.account.opening.subject)) {}

  const std::vector<chat_turn>& of(const node_account& n) {
    const std::vector<node_number> from = n.memory == memory_operator::clean_slate ? std::vector<node_number>() : n.parents;
    auto& prompt = written_[from];
    if (prompt.empty()) {
      synthesis::prompt_facts facts;
      facts.subject = subject_;
      facts.on = r_.account.opening.on;
      facts.in = &in_;
      facts.hardware = r_.account.opening.hardware;
      facts.number = from.empty() ? 1 : from.front() + 1;
      facts.may_schedule = in_.runs;
      facts.given.memory = from.empty() ? memory_operator::clean_slate : memory_operator::inherit;
      if (!from.empty())
        facts.given.parent = attempt_of(r_, from[0]);
      if (from.size() > 1)
        facts.given.second_parent = attempt_of(r_, from[1]);
      auto made = synthesis::write_prompt(facts, prompt_tokens);
      prompt = {{"system", std::move(made.instructions)}, {"user", std::move(made.text)}};
    }
    return prompt;
  }

private:
  const record& r_;
  const synthesis::language& in_;
  std::shared_ptr<const problem> subject_;
  std::map<std::vector<node_number>, std::vector<chat_turn>> written_;
};

} // namespace

double reward_of(std::string_view outcome, bool integrity_violation, double gain) {
  if (integrity_violation || outcome == "reward_hack" || outcome == "quarantined")
    return -1;
  if (outcome == "passed")
    return 0.3 + (gain > 0 ? std::clamp(std::log2(gain), -0.3, 3.0) : 0);
  if (outcome == "duplicate")
    return -0.5;
  if (outcome == "refused" || outcome == "compile_error")
    return -0.4;
  return outcome == "runtime_error" || outcome == "timeout" ? -0.3 : -0.2;
}

std::set<candidate_id> violations_in(const std::vector<event>& log) {
  std::set<candidate_id> found;
  for (const event& e : log)
    if (const auto* evaluated = std::get_if<evaluation_recorded>(&e); evaluated && is_violation(evaluated->what.result))
      found.insert(evaluated->what.candidate);
    else if (const auto* verified = std::get_if<leader_verified>(&e); verified && is_violation(verified->what.result))
      found.insert(verified->what.candidate);
  return found;
}

result<std::vector<trajectory_sample>> samples_of(const std::vector<event>& log, const std::set<candidate_id>& violations) {
  KEVOLVE_TRY(r, record_of(log));
  std::vector<trajectory_sample> samples;
  const synthesis::language* in = synthesis::language_of(r.account.opening.on); // null: of a device that is described elsewhere; no edge can be put into words
  std::optional<edge_prompts> prompts;
  if (in)
    prompts.emplace(r, *in);
  for (const node_account& n : r.account.nodes) {
    if (n.number == 0)
      continue; // the plain loop nest is nobody's idea
    const trajectory_sample common = common_of(r, n, violations);
    add_turns(r, common, samples);
    const auto added = r.added.find(n.number);
    if (!prompts || common.outcome.empty() || added == r.added.end())
      continue;
    trajectory_sample s = common;
    s.edge = true;
    if (const auto talk = r.talks.find(n.number); talk != r.talks.end() && !talk->second.empty() && talk->second.rbegin()->second.asked) {
      s.provider = talk->second.rbegin()->second.asked->provider;
      s.model = talk->second.rbegin()->second.asked->model;
    }
    s.prompt = prompts->of(n);
    s.answer = answer_with(*added->second, *in);
    samples.push_back(std::move(s));
  }
  return samples;
}

std::string operator_family(std::string_view name) {
  const auto is_size = [](std::string_view part) { return part.substr(0, 2).find_first_of("0123456789") != part.npos; }; // h4096, 3x3, v100k; not conv2d
  std::size_t cut;
  while ((cut = name.rfind('_')) != name.npos && cut > 0 && is_size(name.substr(cut + 1)))
    name = name.substr(0, cut);
  return std::string(name);
}

std::string_view split_of(std::string_view operator_name) {
  std::uint64_t h = 14695981039346656037ull;
  for (unsigned char c : operator_family(operator_name))
    h = (h ^ c) * 1099511628211ull;
  return h % 5 == 0 ? "test" : "train";
}

} // namespace kevolve::scheduler
