// kevolve leaders, kb and export: what the store remembers, its integrity, and copies of it.
#include "protocol/trace_format.hpp"
#include "scheduler/answers.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/documents.hpp"
#include "scheduler/policy_file.hpp"
#include "scheduler/leader_files.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

namespace {

/// What people call the workloads of operators that ship.
std::vector<std::pair<std::string, std::string>> workload_names(const std::vector<kb::leader>& leaders, const settings& from) {
  std::vector<std::pair<std::string, std::string>> names;
  std::vector<std::string> asked;
  for (const kb::leader& l : leaders) {
    if (std::find(asked.begin(), asked.end(), l.definition) != asked.end())
      continue;
    asked.push_back(l.definition);
    if (auto subject = read_specification(l.definition, from))
      for (const workload& w : subject->workloads)
        names.emplace_back(w.uuid, label_of(w));
  }
  return names;
}

bool is_candidate(const std::string& id) { return id.size() == 64; }

/// A copy of the file before its views are rebuilt: views may hold what a damaged log no longer gives. Nobody else writes meanwhile.
result<std::string> keep_damaged(const std::filesystem::path& directory) {
  const std::filesystem::path copy = directory / "data.mdb.before-repair";
  std::error_code failure;
  if (std::filesystem::exists(copy, failure))
    return copy.string(); // of an earlier repair: nearer to what was written
  std::filesystem::copy_file(directory / "data.mdb", copy, failure);
  if (failure)
    return error{errc::io, fmt::format("{}: cannot be written: {}; a repair keeps the damaged file there first, free some space", copy.string(), failure.message())};
  return copy.string();
}

struct operator_memory {
  std::uint32_t sessions = 0;
  std::uint64_t evaluations = 0;
  double best = 0;
};

} // namespace

result<int> show_leaders(context& in, const std::string& operator_name) {
  auto memory = open_for_reading(in);
  std::vector<kb::leader> leaders;
  if (memory) {
    KEVOLVE_TRY(found, (*memory)->leaders(operator_name));
    leaders = std::move(found);
  } else if (memory.error().code != errc::not_found) {
    return memory.error();
  }
  in.out.answer(leaders_answer(leaders));
  in.out.say(leaders_table(leaders, workload_names(leaders, in.configured), in.look()));
  return 0;
}

result<int> export_leader(context& in, const std::string& operator_name, const std::string& directory) {
  KEVOLVE_TRY(memory, open_for_reading(in));
  KEVOLVE_TRY(leaders, memory->leaders(operator_name));
  const auto whole = std::find_if(leaders.begin(), leaders.end(), [](const kb::leader& l) { return l.workload.empty() && is_candidate(l.candidate); });
  const auto any = whole != leaders.end() ? whole : std::find_if(leaders.begin(), leaders.end(), [](const kb::leader& l) { return is_candidate(l.candidate); });
  if (any == leaders.end())
    return error{errc::not_found, fmt::format("{}: no candidate leads it yet; find one with: {} optimize {}", operator_name, in.command(), operator_name)};
  KEVOLVE_TRY(what, memory->find_candidate(any->candidate));
  if (!what)
    return error{errc::damaged, fmt::format("leader {} is not in the store; run: {} kb check --repair", any->candidate, in.command())};
  KEVOLVE_TRY(source, write_candidate(directory, *what, any->hardware));
  in.out.answer(nlohmann::ordered_json{{"operator", operator_name}, {"candidate", what->id}, {"hardware", any->hardware}, {"source", source.string()}}.dump(2));
  in.out.say(fmt::format("{} ({}, {}) is in {}\n", short_id(what->id), show_factor(any->speedup), any->hardware, source.string()));
  return 0;
}

result<int> list_knowledge(context& in) {
  auto memory = open_for_reading(in);
  std::map<std::string, operator_memory> known;
  for (const std::string& name : shipped_operators(in.configured))
    known[name];
  if (memory) {
    KEVOLVE_TRY(sessions, (*memory)->sessions());
    for (const kb::session_summary& s : sessions) {
      operator_memory& one = known[s.definition];
      ++one.sessions;
      one.evaluations += s.evaluations;
      one.best = std::max(one.best, s.best_speedup);
    }
  } else if (memory.error().code != errc::not_found) {
    return memory.error();
  }
  nlohmann::ordered_json answer = nlohmann::ordered_json::array();
  table rows({{"operator"}, {"sessions", align::right}, {"evaluations", align::right}, {"best", align::right}});
  for (const auto& [name, one] : known) {
    answer.push_back({{"operator", name}, {"sessions", one.sessions}, {"evaluations", one.evaluations},
                      {"best_speedup", one.best > 0 ? nlohmann::ordered_json(one.best) : nlohmann::ordered_json(nullptr)}});
    rows.add({name, std::to_string(one.sessions), std::to_string(one.evaluations), one.best > 0 ? show_factor(one.best) : ""});
  }
  in.out.answer(nlohmann::ordered_json{{"operators", answer}}.dump(2));
  in.out.say(rows.render(in.look(), ""));
  return 0;
}

result<int> list_skills(context& in) {
  auto memory = open_for_reading(in);
  std::vector<kb::known_skill> skills;
  if (memory) {
    KEVOLVE_TRY(found, (*memory)->skills());
    skills = std::move(found);
  } else if (memory.error().code != errc::not_found) {
    return memory.error();
  }
  table rows({{"transformation"}, {"bound by"}, {"operators of"}, {"wins", align::right}, {"trials", align::right}, {"failed", align::right}, {"mean gain", align::right}, {"seen with"}});
  for (const kb::known_skill& s : skills) {
    const auto passed = s.what.trials - s.what.failures;
    std::string operators = s.operators.empty() ? "" : s.operators.front();
    if (s.operators.size() > 1)
      operators += fmt::format(" and {} more", s.operators.size() - 1);
    rows.add({s.what.transformation, std::string(to_string(s.what.under)), s.features, std::to_string(s.what.wins), std::to_string(s.what.trials),
              std::to_string(s.what.failures), passed > 0 ? show_factor(std::exp(s.what.log_gain / passed)) : "-", operators});
  }
  in.out.answer(skills_answer(skills));
  in.out.say(skills.empty() ? "no skills yet: they are learnt when sessions end\n" : rows.render(in.look(), ""));
  return 0;
}

result<int> check_store(context& in, bool repair) {
  std::error_code ignored;
  if (!std::filesystem::exists(in.configured.data, ignored))
    return error{errc::not_found, fmt::format("there is no store in {}", in.configured.data.string())};
  kb::store_options looking;
  looking.only_check = true;
  KEVOLVE_TRY(memory, kb::store::open(in.configured.data, repair ? kb::access::read_write : kb::access::read_only, looking));
  std::string kept;
  if (repair) {
    KEVOLVE_TRY(before, memory->check(false));
    if (!before.damage.empty()) {
      KEVOLVE_TRY(copy, keep_damaged(in.configured.data));
      kept = std::move(copy);
    }
  }
  KEVOLVE_TRY(report, memory->check(repair));
  in.out.answer(check_answer(report));
  std::string text = fmt::format("{}: {} records of {} sessions, {}\n", in.configured.data.string(), report.records, report.sessions,
                                 report.damage.empty() ? "all good" : fmt::format("{} damaged", report.damage.size()));
  for (const std::string& each : report.damage)
    text += "  " + each + "\n";
  if (report.repaired)
    text += "repaired: the views were rebuilt from the log\n";
  else if (repair && !report.damage.empty())
    text += "the views were rebuilt; damage of the log itself remains: restore a snapshot for what it holds, everything else can be read on\n";
  else if (!report.damage.empty())
    text += fmt::format("rebuild what can be with: {} kb check --repair{}\n", in.command(), in.data_option());
  if (!kept.empty())
    text += "as it was before: " + kept + "\n";
  in.out.say(text);
  return report.damage.empty() || report.repaired ? 0 : exit_code(errc::damaged);
}

result<int> compact_store(context& in) {
  std::error_code ignored;
  const auto file = in.configured.data / "data.mdb";
  if (!std::filesystem::exists(file, ignored))
    return error{errc::not_found, fmt::format("there is no store in {}", in.configured.data.string())};
  KEVOLVE_TRY(memory, kb::store::open(in.configured.data, kb::access::read_write));
  KEVOLVE_TRY(sealed, memory->seal(std::numeric_limits<std::int64_t>::max()));
  in.out.answer(nlohmann::ordered_json{{"sessions", sealed.sessions}, {"events", sealed.events}, {"candidates", sealed.candidates},
                                       {"bytes_before", sealed.bytes_before}, {"bytes_after", sealed.bytes_after}}.dump(2));
  in.out.say(fmt::format("sealed {} sessions: {} events and {} candidates, {} bytes are {} now\n{} keeps its size and uses what is free in it first; {} kb snapshot DIR{} copies "
                         "it without\n", sealed.sessions, sealed.events, sealed.candidates, sealed.bytes_before, sealed.bytes_after, file.string(), in.command(), in.data_option()));
  return 0;
}

result<int> snapshot_store(context& in, const std::string& directory) {
  KEVOLVE_TRY(memory, open_for_reading(in));
  KEVOLVE_TRY_VOID(memory->snapshot(directory));
  KEVOLVE_TRY_VOID(copy_documents(in.configured, directory));
  KEVOLVE_TRY_VOID(copy_policies(in.configured.data, directory));
  in.out.answer(nlohmann::ordered_json{{"snapshot", directory}}.dump(2));
  in.out.say(fmt::format("copied {} to {}\n", in.configured.data.string(), directory));
  return 0;
}

} // namespace kevolve::scheduler
