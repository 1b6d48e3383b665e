// Many sessions, one after the other, each `kevolve optimize --json` in a process of its own; what each came to is recorded as it ends, so that
// a survey that was stopped goes on where it was. One table at the end.
#pragma once

#include "scheduler/commands.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

struct surveyed {
  std::string name;  // of the row
  std::string group; // rows are summed up by it
  std::string spec;  // what optimize is given
};

/// `identity` names the survey; a record of another one is refused. Exit code 0 when every problem was tried, whatever came of it.
result<int> survey(context& in, const survey_options& options, const std::string& title, const nlohmann::ordered_json& identity, const std::vector<surveyed>& all);

/// One recorded row of what `optimize --json` printed (and its exit code). Pure.
nlohmann::ordered_json survey_row(const surveyed& what, int exit, const nlohmann::ordered_json& answer, const std::string& last_words);
/// Counts and means over rows: correct, fast_0, fast_1 and fast_2 (fractions of all that are correct and more than p times as fast) and the
/// geometric mean over the correct ones, against each baseline. Pure.
nlohmann::ordered_json survey_summary(const std::vector<nlohmann::ordered_json>& rows);
/// The table for people. Pure.
std::string survey_table(const std::vector<nlohmann::ordered_json>& rows, const style& look);

} // namespace kevolve::scheduler
