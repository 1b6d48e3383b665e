// Learned policies in the knowledge base: DATA/policies, one JSON file each: the trees, what they were learnt from, and how they did against the
// rules on operators that they had not seen. Written whole and renamed, so that a running scheduler needs no lock; the newest counts.
#pragma once

#include "actors/synthesis/learned.hpp"
#include "protocol/result.hpp"
#include "scheduler/settings.hpp"

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::scheduler {

struct kept_policy {
  std::string id;                 // of its bytes: 12 hex digits of their SHA-256
  std::int64_t at_ms = 0;
  synthesis::learned_policy policy;
  std::vector<std::string> hardware; // that its edges were measured on
  bool beats_rules = false;       // on held-out operators, by the measure: then sessions use it by default
  nlohmann::ordered_json trained_on = nlohmann::ordered_json::object(); // for people: operators and edges
  nlohmann::ordered_json held_out = nullptr; // the evaluation's table; null: not evaluated
};

std::string policy_id(const synthesis::learned_policy& p);
/// Returns the file.
result<std::filesystem::path> keep_policy(const std::filesystem::path& data, const kept_policy& what);
/// The newest; nothing where there is none. Errors name the file, the field, what was found and expected.
result<std::optional<kept_policy>> newest_policy(const std::filesystem::path& data);
result<kept_policy> policy_of_json(const nlohmann::ordered_json& text);
nlohmann::ordered_json to_json(const kept_policy& what);

/// Into a snapshot.
result<void> copy_policies(const std::filesystem::path& data, const std::filesystem::path& to);

/// What a session on this hardware is given, as bytes for its opening; "": the rules. `choice`: on (the newest, whatever it showed), off, or auto
/// (only one that beat the rules, on its own hardware). A damaged file is "" and named in `remark`.
std::string policy_for_session(const std::filesystem::path& data, const std::string& choice, const std::string& hardware, std::string& remark);
/// The same as a runtime asks for it, by the settings; remarks go to the log.
std::function<std::string(const std::string& hardware)> policy_source(const settings& from);

} // namespace kevolve::scheduler
