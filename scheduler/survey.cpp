#include "scheduler/survey.hpp"

#include "scheduler/campaign.hpp"
#include "scheduler/child.hpp"
#include "scheduler/optimize_child.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

constexpr const char* baselines[] = {"eager", "compile"};
/// Runs optimize; empty: interrupted.
result<std::optional<object>> run(context& in, const survey_options& options, const surveyed& what) {
  std::vector<std::string> arguments{options.executable, "optimize", what.spec, "--json", "--data", in.configured.data.string()};
  pass_settings(options.flags, {"data"}, arguments);
  KEVOLVE_TRY(ended, run_optimize(in, arguments, in.configured.data / "bench", in.configured.time_s));
  if (!ended)
    return std::optional<object>{};
  return std::optional<object>{survey_row(what, ended->exit, ended->answer, ended->last_words)};
}

std::optional<double> number_at(const object& row, const char* baseline, const char* field) {
  const auto found = row.find(baseline);
  if (found == row.end() || !found->is_object() || !(*found)[field].is_number())
    return std::nullopt;
  return (*found)[field].get<double>();
}

std::string ratio_cell(const object& row, const char* baseline) {
  const auto x = number_at(row, baseline, "speedup");
  if (!x)
    return "-";
  const object ci = row[baseline]["speedup_ci"];
  return ci.is_array() && ci.size() == 2 && ci[0].is_number() ? fmt::format("{} ({} to {})", show_factor(*x), show_factor(ci[0]), show_factor(ci[1])) : show_factor(*x);
}

} // namespace

object survey_row(const surveyed& what, int exit, const object& answer, const std::string& last_words) {
  object row{{"problem", what.name}, {"group", what.group}, {"exit", exit}};
  const object best = answer.is_object() ? answer.value("best", object()) : object();
  row["correct"] = best.is_object() && best.value("verified", false);
  for (const char* b : baselines)
    row[b] = best.is_object() && best.contains("baselines") && best["baselines"].contains(b) ? best["baselines"][b] : object();
  for (const char* field : {"latency_s", "roofline_fraction", "bound"})
    row[field] = best.is_object() ? best.value(field, object()) : object();
  for (const char* field : {"session", "evaluations", "wall_s", "stopped_by", "outcomes", "hardware"})
    row[field] = answer.is_object() ? answer.value(field, object()) : object();
  object notes = object::array();
  for (const object& tag : answer.is_object() ? answer.value("tags", object::array()) : object::array())
    if (tag == "lint:constant_output")
      notes.push_back("its output is constant: a weak test");
  if (answer.is_object() && answer.contains("error"))
    notes.push_back(answer["error"]["message"]);
  else if (!row["correct"].get<bool>())
    notes.push_back(last_words.empty() ? fmt::format("ended with exit code {}", exit) : last_words);
  for (const object& missing : answer.is_object() ? answer.value("missing", object::array()) : object::array())
    notes.push_back(missing);
  row["notes"] = notes;
  return row;
}

object survey_summary(const std::vector<object>& rows) {
  object summary{{"problems", rows.size()}, {"correct", std::count_if(rows.begin(), rows.end(), [](const object& r) { return r["correct"].get<bool>(); })}};
  for (const char* b : baselines) {
    int fast[3] = {0, 0, 0};
    int compared = 0;
    double logs = 0;
    for (const object& row : rows) {
      if (!row["correct"].get<bool>())
        continue;
      ++fast[0];
      const auto x = number_at(row, b, "speedup");
      if (!x || !(*x > 0))
        continue;
      ++compared;
      logs += std::log(*x);
      fast[1] += *x > 1;
      fast[2] += *x > 2;
    }
    const auto share = [&](int n) { return rows.empty() ? object() : object(n / static_cast<double>(rows.size())); };
    summary[b] = {{"compared", compared}, {"geomean", compared ? object(std::exp(logs / compared)) : object()},
                  {"fast_0", share(fast[0])}, {"fast_1", share(fast[1])}, {"fast_2", share(fast[2])}};
  }
  return summary;
}

std::string survey_table(const std::vector<object>& rows, const style& look) {
  table lines({{"problem"}, {"group"}, {"correct"}, {"over eager", align::right}, {"over torch.compile", align::right}, {"roof", align::right},
               {"bound"}, {"evaluations", align::right}, {"notes"}});
  std::vector<std::string> groups;
  for (const object& r : rows) {
    std::string notes;
    for (const object& n : r["notes"])
      notes += (notes.empty() ? "" : "; ") + n.get<std::string>();
    const std::string group = r["group"];
    if (std::find(groups.begin(), groups.end(), group) == groups.end())
      groups.push_back(group);
    lines.add({r["problem"], group, r["correct"].get<bool>() ? "yes" : "no", ratio_cell(r, "eager"), ratio_cell(r, "compile"),
               r["roofline_fraction"].is_number() ? show_percent(r["roofline_fraction"]) : "-", r["bound"].is_string() ? r["bound"].get<std::string>() : "-",
               r["evaluations"].is_number() ? std::to_string(r["evaluations"].get<long>()) : "-", notes});
  }
  table sums({{""}, {"problems", align::right}, {"correct", align::right}, {"geomean over eager", align::right}, {"fast_1", align::right}, {"fast_2", align::right},
              {"geomean over torch.compile", align::right}, {"fast_1", align::right}, {"fast_2", align::right}});
  groups.emplace_back("all");
  for (const std::string& group : groups) {
    std::vector<object> members;
    for (const object& r : rows)
      if (group == "all" || r["group"] == group)
        members.push_back(r);
    const object s = survey_summary(members);
    std::vector<std::string> cells{group, std::to_string(members.size()), std::to_string(s["correct"].get<long>())};
    for (const char* b : baselines) {
      cells.push_back(s[b]["geomean"].is_number() ? show_factor(s[b]["geomean"]) : "-");
      for (const char* p : {"fast_1", "fast_2"})
        cells.push_back(s[b][p].is_number() && s[b]["compared"] > 0 ? fmt::format("{:.0f}%", 100 * s[b][p].get<double>()) : "-");
    }
    sums.add(cells);
  }
  return lines.render(look) + "\n" + sums.render(look);
}

result<int> survey(context& in, const survey_options& options, const std::string& title, const object& identity, const std::vector<surveyed>& all) {
  KEVOLVE_TRY_VOID(prepare_data(in));
  KEVOLVE_TRY(record, campaign::open(in.configured.data / "bench" / (title + ".jsonl"), identity));
  adopt_orphans();
  const auto row_of = [&](const surveyed& what) {
    return std::find_if(record.trials().begin(), record.trials().end(), [&](const object& r) { return r["problem"] == what.name && r["group"] == what.group; });
  };
  std::size_t done = 0;
  for (const surveyed& what : all) {
    ++done;
    if (row_of(what) != record.trials().end())
      continue;
    in.out.progress(fmt::format("{}/{} {}", done, all.size(), what.name), true);
    KEVOLVE_TRY(row, run(in, options, what));
    if (!row) {
      in.out.note(fmt::format("interrupted; the same command goes on after {} of {}", done - 1, all.size()));
      return in.signals.exit_code();
    }
    KEVOLVE_TRY_VOID(record.add(*row));
  }
  std::vector<object> rows;
  for (const surveyed& what : all)
    rows.push_back(*row_of(what));
  object summary = survey_summary(rows);
  in.out.answer(object{{"campaign", identity}, {"summary", summary}, {"rows", rows}}.dump(2));
  in.out.say(survey_table(rows, in.look()));
  return 0;
}

} // namespace kevolve::scheduler
