// A SPEC as a person types it -> a problem: an operator that ships by name, a Definition .json, or a KernelBench .py (traced by an agent's
// Python). Also the choice of workloads and of a target. Errors name what was found, what was expected and what there is to choose from.
#pragma once

#include "node-agent/evaluate.hpp"
#include "protocol/operator.hpp"
#include "scheduler/settings.hpp"

#include <atomic>
#include <functional>
#include <string>
#include <vector>

namespace kevolve::scheduler {

/// True for a SPEC that needs a Python: a .py file.
bool is_python_specification(const std::string& spec);
/// A name or a .json file; a .py file is our bug here. A family's name takes its first operator, and `remark` says so.
result<problem> read_specification(const std::string& spec, const settings& from, std::string* remark = nullptr);
/// A .py file, or a Definition .json without its graph, traced by `host`.
result<problem> trace_specification(const std::string& spec, const settings& from, agent::host_evaluator& host, const std::atomic<bool>& cancelled);

/// Every axis bound, every shape countable, no empty workload list: what the parts behind may rely on.
result<void> check_problem(const problem& subject);
/// What a kernel could pass without computing, as `how` says: refused (an error with each objection), or told through `note`.
result<void> lint_problem(const problem& subject, const std::string& how, const std::function<void(const std::string&)>& note);
/// Keeps the named workloads (by name, label or the beginning of a uuid), in the problem's order.
result<void> restrict_workloads(problem& subject, const std::vector<std::string>& names);

/// The folder of operators that ship.
result<std::filesystem::path> operators_folder(const settings& from);
/// Names of the operators that ship, sorted.
std::vector<std::string> shipped_operators(const settings& from);

/// The target that `text` asks for, with the architecture filled in from the device that serves it; errc::no_agent where none does.
result<target> choose_target(const std::string& text, const std::vector<device_description>& devices);

} // namespace kevolve::scheduler
