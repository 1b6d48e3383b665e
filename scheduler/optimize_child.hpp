// `kevolve optimize` as a child of a campaign: what it printed and how it ended.
#pragma once

#include "scheduler/context.hpp"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kevolve::scheduler {

struct ended_child {
  int exit = 0;                     // 124: it did not end within its limit and was killed
  nlohmann::ordered_json answer = nlohmann::ordered_json::object(); // of --json
  std::string last_words;           // the last line on stderr
};

/// Settings given on the command line as options of optimize, but for those in `except`.
void pass_settings(const std::map<std::string, std::string>& given, const std::set<std::string>& except, std::vector<std::string>& arguments);

/// Waits until it ends, or until `time_s` and 20 minutes (tracing, calibration, a slow reference) have passed. Empty: interrupted, and killed.
/// Its output lies in `folder` (which exists) until the next one.
result<std::optional<ended_child>> run_optimize(context& in, const std::vector<std::string>& arguments, const std::filesystem::path& folder, double time_s);

} // namespace kevolve::scheduler
