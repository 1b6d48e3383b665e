// FlashInfer-Trace on disk, both dialects read (formats.md 1.3, 1.4), key order kept; ours under x_kevolve. Every error names file, field,
// what was found and what was expected. Reading accepts bare Workloads (SOL) and workload-only Traces. Any thread.
#pragma once

#include "protocol/evaluation.hpp"
#include "protocol/operator.hpp"
#include "protocol/result.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve {

using json = nlohmann::ordered_json;

/// A person's JSON file, bounded by limits::specification_bytes; duplicate keys and trailing text are errors with line and column.
result<json> read_json(const std::filesystem::path& file);
/// The same from memory; `where` names it. Nesting beyond 64 is an error too.
result<json> parse_json(std::string_view text, const std::string& where);

result<operator_definition> definition_from_json(const json& value, const std::string& where);
json to_json(const operator_definition& op);
result<graph> graph_from_json(const json& value, const std::string& where);
json to_json(const graph& g);
result<workload> workload_from_json(const json& value, const std::string& where);
json to_json(const workload& w, const std::string& definition); // a workload-only Trace
result<candidate> candidate_from_json(const json& value, const std::string& where); // a Solution
json to_json(const candidate& c, const std::vector<std::string>& target_hardware);
/// A Trace: definition, workload, solution, evaluation in their vocabulary, all of ours under x_kevolve.
json to_json(const evaluation& e, const operator_definition& op, const workload& w);
json to_json(const schedule& s);
result<schedule> schedule_from_json(const json& value, const std::string& where);

/// A Definition file and its workloads: `workloads` beside it or under the dataset root (…/workloads/<op_type>/<name>.jsonl, or
/// <name>.workloads.jsonl beside the definition, or workload.jsonl for the SOL layout). Without any: one workload per variable axis binding
/// cannot be guessed, so an error says where to put them (operators without variable axes get one).
/// Workloads may also stand in the definition itself, as x_kevolve.workloads (what the tracer writes for operators without variable axes).
result<problem> read_problem(const std::filesystem::path& definition_file);
/// The same for a document in memory that carries its workloads (the tracer's answer).
result<problem> problem_from_json(const json& value, const std::string& where);
/// One workload per line: bare, or a workload-only Trace of the definition.
result<std::vector<workload>> read_workloads(const std::filesystem::path& file, const operator_definition& op);

/// An operator by name in directories of Definitions (searched recursively, in order).
struct operator_match {
  std::filesystem::path file;
  std::vector<std::string> others; // further members of the family, when a family's name was given
};
/// `name`: a Definition's name, or its family's ("rms_norm" finds rms_norm_h4096 and lists the others). An error says what is near.
result<operator_match> find_operator(const std::string& name, const std::vector<std::filesystem::path>& directories);

} // namespace kevolve
