#include "scheduler/trajectory_formats.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;

// Of a pair: the least difference of rewards. Where the better one gained that is measured; else it must be one of kind (it passes and the other does
// not), or a quarter of the time.
constexpr double worth_telling = 0.05, worth_telling_without_gain = 0.3;
constexpr std::size_t pairs_of_parents = 8;

object turns_of(const std::vector<chat_turn>& turns) {
  object all = object::array();
  for (const chat_turn& t : turns)
    all.push_back({{"role", t.role}, {"content", t.content}});
  return all;
}

object answer_of(const trajectory_sample& s) { return object::array({{{"role", "assistant"}, {"content", s.answer}}}); }
object number_or_null(double value) { return std::isfinite(value) && value > 0 ? object(value) : object(nullptr); }
object text_or_null(const std::string& text) { return text.empty() ? object(nullptr) : object(text); }

/// Where a prompt comes from: the same for all answers to it.
void add_origin(object& row, const trajectory_sample& s) {
  row["session"] = s.session;
  row["operator"] = s.operator_name;
  row["split"] = split_of(s.operator_name);
  row["target"] = s.target;
  row["hardware"] = s.hardware;
  row["problem"] = text_or_null(s.problem);
}

void add_author(object& row, const trajectory_sample& s) {
  row["number"] = s.number;
  row["step"] = s.step;
  row["kind"] = s.edge ? "edge" : "turn";
  row["synthesizer"] = s.synthesizer;
  row["provider"] = text_or_null(s.provider);
  row["model"] = text_or_null(s.model);
}

void add_verdict(object& row, const trajectory_sample& s) {
  row["candidate"] = text_or_null(s.candidate);
  row["parent"] = text_or_null(s.parent);
  row["outcome"] = s.outcome;
  row["integrity_violation"] = s.integrity_violation;
  row["reward"] = s.reward;
  row["gain"] = number_or_null(s.gain);
  row["over_plain"] = number_or_null(s.over_plain);
  row["latency_s"] = number_or_null(s.latency_s);
  row["change"] = s.change;
  row["feedback"] = s.feedback;
  row["tokens_read"] = s.used.input;
  row["tokens_written"] = s.used.output;
  row["cost_usd"] = s.cost_usd;
}

/// One view of each answer: a model's as it was said, the generator's as an edge.
std::vector<const trajectory_sample*> once_each(const std::vector<trajectory_sample>& samples) {
  std::vector<const trajectory_sample*> chosen;
  for (const trajectory_sample& s : samples)
    if (!s.edge || s.model.empty())
      chosen.push_back(&s);
  return chosen;
}

using groups = std::vector<std::vector<const trajectory_sample*>>;

/// In the order in which prompts first appear. Prompts are long and begin alike, so they are found by hash.
groups by_prompt(const std::vector<const trajectory_sample*>& samples) {
  groups all;
  std::unordered_multimap<std::size_t, std::size_t> known;
  for (const trajectory_sample* s : samples) {
    std::size_t hash = 0;
    for (const chat_turn& t : s->prompt)
      hash = hash * 31 + std::hash<std::string>()(t.content);
    const auto [begin, end] = known.equal_range(hash);
    const auto mine = std::find_if(begin, end, [&](const auto& each) { return all[each.second].front()->prompt == s->prompt; });
    const std::size_t at = mine == end ? all.size() : mine->second;
    if (at == all.size()) {
      all.emplace_back();
      known.emplace(hash, at);
    }
    all[at].push_back(s);
  }
  return all;
}

void add_sft(const std::vector<trajectory_sample>& samples, std::vector<object>& rows) {
  for (const trajectory_sample* s : once_each(samples))
    if (s->positive()) {
      object row{{"prompt", turns_of(s->prompt)}, {"completion", answer_of(*s)}};
      add_origin(row, *s), add_author(row, *s), add_verdict(row, *s);
      rows.push_back(std::move(row));
    }
}

void add_kto(const std::vector<trajectory_sample>& samples, std::vector<object>& rows) {
  for (const trajectory_sample* s : once_each(samples)) {
    object row{{"prompt", turns_of(s->prompt)}, {"completion", answer_of(*s)}, {"label", s->positive()}};
    add_origin(row, *s), add_author(row, *s), add_verdict(row, *s);
    rows.push_back(std::move(row));
  }
}

object pair_of(const trajectory_sample& chosen, const std::vector<chat_turn>& prompt, const trajectory_sample& rejected) {
  object row{{"prompt", turns_of(prompt)}, {"chosen", answer_of(chosen)}, {"rejected", answer_of(rejected)}};
  add_origin(row, chosen);
  row["kind"] = rejected.edge ? "edge" : "repair";
  for (const auto& [name, s] : {std::pair<std::string, const trajectory_sample*>{"chosen", &chosen}, {"rejected", &rejected}}) {
    row[name + "_number"] = s->number;
    row[name + "_synthesizer"] = s->synthesizer;
    row[name + "_provider"] = text_or_null(s->provider);
    row[name + "_model"] = text_or_null(s->model);
    row[name + "_outcome"] = s->outcome;
    row[name + "_reward"] = s->reward;
    row[name + "_feedback"] = s->feedback;
  }
  return row;
}

/// Integrity violations are preferred to nothing.
bool is_preferred(const trajectory_sample& a, const trajectory_sample& to) {
  return a.outcome == "passed" && !a.integrity_violation && a.answer != to.answer && a.reward - to.reward > (a.gained ? worth_telling : worth_telling_without_gain);
}

/// Of the same parents: the best against each other, the worst first.
void add_siblings(std::vector<const trajectory_sample*> edges, std::vector<object>& rows) {
  std::stable_sort(edges.begin(), edges.end(), [](const auto* a, const auto* b) { return a->reward > b->reward; });
  const trajectory_sample& best = *edges.front();
  std::size_t pairs = 0;
  for (auto other = edges.rbegin(); other != edges.rend() && pairs < pairs_of_parents; ++other)
    if (is_preferred(best, **other)) {
      rows.push_back(pair_of(best, best.prompt, **other));
      ++pairs;
    }
}

/// A first answer that was refused, against the candidate that the repair of it became: whole, so that it needs no earlier answer.
void add_repairs(const std::vector<trajectory_sample>& samples, std::vector<object>& rows) {
  std::map<node_number, const trajectory_sample*> edges;
  for (const trajectory_sample& s : samples)
    if (s.edge)
      edges[s.number] = &s;
  for (const trajectory_sample& s : samples)
    if (const auto mended = edges.find(s.number); !s.edge && s.step == 0 && s.outcome == "refused" && mended != edges.end() && is_preferred(*mended->second, s))
      rows.push_back(pair_of(*mended->second, s.prompt, s));
}

void add_dpo(const std::vector<trajectory_sample>& samples, std::vector<object>& rows) {
  std::vector<const trajectory_sample*> edges;
  for (const trajectory_sample& s : samples)
    if (s.edge)
      edges.push_back(&s);
  for (auto& family : by_prompt(edges))
    add_siblings(std::move(family), rows);
  add_repairs(samples, rows);
}

/// What a policy is asked: first askings of models, edges of the generator.
groups first_askings(const std::vector<trajectory_sample>& samples) {
  auto chosen = once_each(samples);
  std::erase_if(chosen, [](const trajectory_sample* s) { return !s->edge && s->step > 0; });
  return by_prompt(chosen);
}

void add_grpo(const std::vector<trajectory_sample>& samples, std::vector<object>& rows) {
  for (const auto& group : first_askings(samples)) {
    const trajectory_sample& first = *group.front();
    object row{{"prompt", turns_of(first.prompt)}};
    add_origin(row, first);
    row["kind"] = first.edge ? "edge" : "turn";
    row["parent"] = text_or_null(first.parent);
    row["plain_latency_s"] = number_or_null(first.plain_latency_s);
    for (const char* name : {"answers", "rewards", "outcomes", "synthesizers", "providers", "models"})
      row[name] = object::array();
    for (const trajectory_sample* s : group) {
      row["answers"].push_back(s->answer);
      row["rewards"].push_back(s->reward);
      row["outcomes"].push_back(s->outcome);
      row["synthesizers"].push_back(s->synthesizer);
      row["providers"].push_back(s->provider);
      row["models"].push_back(s->model);
    }
    rows.push_back(std::move(row));
  }
}

/// `ground_truth` is what a reward function needs to have an answer measured: which operator, for which target, against what.
void add_verl(const std::vector<trajectory_sample>& samples, std::vector<object>& rows, std::size_t index) {
  for (const auto& group : first_askings(samples)) {
    const trajectory_sample& first = *group.front();
    const double best = (*std::max_element(group.begin(), group.end(), [](const auto* a, const auto* b) { return a->reward < b->reward; }))->reward;
    const object truth{{"operator", first.operator_name}, {"target", first.target}, {"hardware", first.hardware}, {"problem", first.problem}, {"parent", first.parent},
                       {"plain_latency_s", first.plain_latency_s}};
    object row{{"data_source", "kevolve"}, {"prompt", turns_of(first.prompt)}, {"ability", "kernel"}};
    row["reward_model"] = {{"style", "rule"}, {"ground_truth", truth.dump()}};
    row["extra_info"] = {{"split", split_of(first.operator_name)}, {"index", index++}, {"session", first.session}, {"operator", first.operator_name}, {"kind", first.edge ? "edge" : "turn"},
                         {"synthesizer", first.synthesizer}, {"provider", first.provider}, {"model", first.model}, {"best_reward", best}, {"need_tools_kwargs", false}};
    rows.push_back(std::move(row));
  }
}

object message(const std::string& role, const std::string& content) { return {{"type", "message"}, {"message", {{"role", role}, {"content", content}}}}; }

void add_sts(const std::vector<trajectory_sample>& samples, std::vector<object>& rows) {
  std::vector<const trajectory_sample*> turns;
  for (const trajectory_sample& s : samples)
    if (!s.edge)
      turns.push_back(&s);
  if (turns.empty())
    return;
  const trajectory_sample& first = *turns.front();
  rows.push_back({{"type", "session"}, {"harness", "kevolve"}, {"id", first.session}, {"name", fmt::format("{} on {}", first.operator_name, first.target)},
                  {"operator", first.operator_name}, {"split", split_of(first.operator_name)}, {"hardware", first.hardware}});
  rows.push_back(message("system", first.prompt.front().content));
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const trajectory_sample& s = *turns[i];
    rows.push_back(message("user", s.prompt.back().content)); // of a repair: what was said of the answer before
    object said = message("assistant", s.answer);
    said["message"]["provider"] = text_or_null(s.provider);
    said["message"]["model"] = text_or_null(s.model);
    add_author(said, s), add_verdict(said, s);
    rows.push_back(std::move(said));
    const bool repaired = i + 1 < turns.size() && turns[i + 1]->number == s.number;
    if (!repaired)
      rows.push_back(message("user", fmt::format("What came of it: {} (reward {:.2f})\n{}", s.outcome, s.reward, s.feedback)));
  }
}

/// Every string, whatever it is.
void scrub(object& value, const secret_filter& filter) {
  if (value.is_string())
    value = filter.scrub(value.get<std::string>());
  else if (value.is_structured())
    for (auto& each : value)
      scrub(each, filter);
}

} // namespace

std::string_view to_string(trajectory_format f) noexcept {
  static constexpr std::string_view names[] = {"sft", "dpo", "kto", "grpo", "verl", "sts"};
  return names[static_cast<std::size_t>(f)];
}

result<trajectory_format> trajectory_format_from_string(std::string_view text) {
  for (const auto f : {trajectory_format::sft, trajectory_format::dpo, trajectory_format::kto, trajectory_format::grpo, trajectory_format::verl, trajectory_format::sts})
    if (to_string(f) == text)
      return f;
  return error{errc::usage, fmt::format("--trajectories: found '{}', expected sft, dpo, kto, grpo, verl or sts", text)};
}

std::vector<std::string> trajectory_lines(trajectory_format format, const std::vector<trajectory_sample>& samples, const secret_filter& filter, std::size_t first_index) {
  std::vector<object> rows;
  switch (format) {
    case trajectory_format::sft: add_sft(samples, rows); break;
    case trajectory_format::dpo: add_dpo(samples, rows); break;
    case trajectory_format::kto: add_kto(samples, rows); break;
    case trajectory_format::grpo: add_grpo(samples, rows); break;
    case trajectory_format::verl: add_verl(samples, rows, first_index); break;
    case trajectory_format::sts: add_sts(samples, rows); break;
  }
  std::vector<std::string> lines;
  for (object& row : rows) {
    scrub(row, filter);
    lines.push_back(row.dump(-1, ' ', false, object::error_handler_t::replace));
  }
  return lines;
}

} // namespace kevolve::scheduler
