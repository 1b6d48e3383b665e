// What people read: structs in, text out, nothing else. No clock, file, terminal or environment; tests pin the text. Any thread.
#pragma once

#include "actors/runtime.hpp"
#include "kb/store.hpp"
#include "scheduler/account.hpp"
#include "scheduler/table.hpp"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace kevolve::scheduler {

/// What a session's events do not say.
struct report_facts {
  std::vector<std::string> missing; // each one sentence: what is not here and what it would have given
  std::string source;               // path of the best candidate's entry source; "" where there is none
  std::string command = "kevolve";  // how a person starts it here
  std::string data_option;          // " --data DIR" where later commands need it
  std::string waits_for;            // why nobody can take its work now; "": somebody can
  double needed_s = 0;              // wall time that compiles and measurements needed; 0: unknown
};

/// One speedup with its interval, over several workloads: the geometric mean; the interval from the workloads' own, as independent.
struct overall {
  std::string baseline;
  double speedup = 0;
  interval ci95;
};
/// Every anchor of an evaluation that was compared on all its workloads, in order of first appearance.
std::vector<overall> overall_speedups(const evaluation& e);
/// Seconds that compiles (side by side in `compile_slots`) and everything that holds the device need.
double needed_seconds(const stage_times& spent, unsigned compile_slots);
/// "eager" -> "PyTorch eager", "compile" -> "torch.compile", the root's id -> `root_name`, another id: its first digits.
std::string anchor_name(const std::string& anchor, const candidate_id& root, const std::string& root_name = "plain loop nest");

std::string progress_line(const std::string& operator_name, const session_progress& p);
std::string session_report(const session_account& of, const report_facts& facts, const style& how);
/// "1.52x  vectorize hidden by 16: bound by compute …" per step from the root to `number`.
std::string lineage_report(const session_account& of, node_number number, const style& how);
/// Latencies, roofs and speedups of one evaluation, per workload.
std::string timing_table(const problem& subject, const evaluation& e, const candidate_id& root, const style& how, const std::string& root_name = "plain loop nest");
std::string diagnosis_report(const diagnosis& d, const style& how);

std::string sessions_table(const std::vector<kb::session_summary>& sessions, const style& how);
/// `names`: workload uuid -> what people call it.
std::string leaders_table(const std::vector<kb::leader>& leaders, const std::vector<std::pair<std::string, std::string>>& names, const style& how);
/// "12 passed, 2 compile_error".
std::string outcomes_text(const std::vector<std::pair<outcome, std::uint32_t>>& outcomes);
std::string interval_text(const interval& i);

} // namespace kevolve::scheduler
