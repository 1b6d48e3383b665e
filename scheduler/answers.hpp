// The objects that --json prints, as text. Their fields are a contract (README): fields are added, never renamed or removed. Pure; any
// thread. Numbers that are not known are null, never 0.
#pragma once

#include "kb/store.hpp"
#include "node-agent/evaluate.hpp"
#include "scheduler/account.hpp"
#include "scheduler/noise.hpp"
#include "scheduler/report.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace kevolve::scheduler {

std::string error_answer(const error& why);
std::string session_answer(const session_account& of, const report_facts& facts);
std::string sessions_answer(const std::vector<kb::session_summary>& sessions);
std::string skills_answer(const std::vector<kb::known_skill>& skills);
std::string leaders_answer(const std::vector<kb::leader>& leaders);
/// A candidate in a session: its lineage, diagnosis and sources.
std::string explanation_answer(const session_account& of, node_number number, const candidate& what);
std::string verification_answer(const problem& subject, const candidate& what, const evaluation& e, const candidate_id& root,
                                const std::vector<std::string>& missing);
std::string check_answer(const kb::check_report& report);

struct doctor_findings {
  std::vector<std::pair<std::string, std::string>> findings;
  std::vector<device_description> devices;
  std::vector<found_device> found;                            // accelerators that nothing runs on
  agent::host_roofs roofs;
  std::string python;
  std::string torch;
  std::vector<std::string> missing;
  std::vector<std::pair<std::string, std::string>> settings; // key -> "value (origin)"
  std::vector<noise_row> noise;                               // empty: not asked for
};
std::string doctor_answer(const doctor_findings& found);
nlohmann::ordered_json found_answer(const found_device& d);

} // namespace kevolve::scheduler
