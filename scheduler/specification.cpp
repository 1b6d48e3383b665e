#include "scheduler/specification.hpp"

#include "node-agent/task_lint.hpp"
#include "node-agent/process.hpp"
#include "protocol/check.hpp"
#include "protocol/limits.hpp"
#include "protocol/trace_format.hpp"
#include "scheduler/account.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

bool looks_like_file(const std::string& spec) { return spec.find('/') != std::string::npos || spec.ends_with(".json") || spec.ends_with(".py"); }

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items)
    text += (text.empty() ? "" : ", ") + item;
  return text.empty() ? "none" : text;
}

/// Levels of x86-64 that a device of another level runs: v4 runs v3.
int x86_level(const std::string& architecture) {
  static const std::vector<std::string> levels{"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
  const auto at = std::find(levels.begin(), levels.end(), architecture);
  return at == levels.end() ? -1 : static_cast<int>(at - levels.begin());
}

bool runs(const target& device, const target& wanted) {
  if (device.platform != wanted.platform || device.language != wanted.language)
    return false;
  if (wanted.architecture.empty() || wanted.architecture == device.architecture)
    return true;
  return x86_level(wanted.architecture) >= 0 && x86_level(wanted.architecture) <= x86_level(device.architecture);
}

} // namespace

bool is_python_specification(const std::string& spec) { return spec.ends_with(".py"); }

result<std::filesystem::path> operators_folder(const settings& from) {
  if (!from.operators.empty()) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(from.operators, ignored))
      return error{errc::configuration, fmt::format("operators (from {}): found '{}', expected a directory of Definitions",
                                                    from.origin.find("operators")->second, from.operators.string())};
    return from.operators;
  }
  auto folder = agent::find_beside_executable("kb/operators");
  if (folder.empty())
    return error{errc::configuration, "the operators that ship (kb/operators) are not beside this executable; name their folder with KEVOLVE_OPERATORS"};
  return folder;
}

result<problem> read_specification(const std::string& spec, const settings& from, std::string* remark) {
  KEVOLVE_CHECK(!is_python_specification(spec));
  std::error_code ignored;
  if (looks_like_file(spec)) {
    if (!std::filesystem::exists(spec, ignored))
      return error{errc::specification, fmt::format("{}: no such file; expected a Definition .json, a KernelBench .py, or one of the operators {}", spec,
                                                    joined(shipped_operators(from)))};
    return read_problem(spec);
  }
  KEVOLVE_TRY(folder, operators_folder(from));
  KEVOLVE_TRY(found, find_operator(spec, {folder}));
  if (remark && !found.others.empty())
    *remark = fmt::format("{}: taking {}; of the same family: {}", spec, found.file.stem().string(), joined(found.others));
  return read_problem(found.file);
}

result<problem> trace_specification(const std::string& spec, const settings& from, agent::host_evaluator& host, const std::atomic<bool>& cancelled) {
  std::error_code ignored;
  if (!std::filesystem::exists(spec, ignored))
    return error{errc::specification, fmt::format("{}: no such file; expected a KernelBench .py or a Definition .json", spec)};
  auto traced = host.trace({std::filesystem::absolute(spec).string(), from.scale}, cancelled);
  return traced ? std::move(traced) : traced.error().in(spec);
}

result<void> check_problem(const problem& subject) {
  if (subject.workloads.empty())
    return error{errc::specification, fmt::format("{}: found no workloads, expected at least one", subject.op.name)};
  for (const workload& w : subject.workloads) {
    const std::string where = fmt::format("{}, workload {}", subject.op.name, label_of(w));
    auto axes = bind_axes(subject.op, w.axes);
    if (!axes)
      return axes.error().in(where);
    for (const auto* tensors : {&subject.op.inputs, &subject.op.outputs})
      for (const tensor_spec& tensor : *tensors) {
        auto shape = bind_shape(tensor.shape, *axes);
        if (!shape)
          return shape.error().in(fmt::format("{}, tensor {}", where, tensor.name));
        auto count = element_count(*shape);
        if (!count)
          return count.error().in(fmt::format("{}, tensor {}", where, tensor.name));
        const double bytes = static_cast<double>(*count) * static_cast<double>(size_of(tensor.type));
        if (bytes > static_cast<double>(limits::tensor_bytes))
          return error{errc::specification, fmt::format("{}, tensor {}: found {:.4g} bytes, expected at most {}", where, tensor.name, bytes,
                                                        limits::tensor_bytes)};
      }
  }
  return {};
}

result<void> lint_problem(const problem& subject, const std::string& how, const std::function<void(const std::string&)>& note) {
  if (how == "off" || !subject.op.traced)
    return {};
  auto found = agent::lint(subject);
  if (!found) // an operator that the oracle cannot run is refused by whoever needs it, by name
    return {};
  if (!found->remarks.empty())
    note(fmt::format("operator {}: {}", subject.op.name, fmt::join(found->remarks, "; ")));
  if (found->objections.empty())
    return {};
  const std::string all = fmt::format("{}", fmt::join(found->objections, "; "));
  if (how == "note")
    return note(fmt::format("operator {}: {}", subject.op.name, all)), result<void>();
  return error{errc::specification, fmt::format("operator {} is not fit to be optimised: {}; if it is meant so, go on with --lint note", subject.op.name, all)};
}

result<void> restrict_workloads(problem& subject, const std::vector<std::string>& names) {
  if (names.empty())
    return {};
  std::vector<workload> kept;
  std::vector<bool> used(names.size(), false);
  for (const workload& w : subject.workloads) {
    bool wanted = false;
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == w.name || names[i] == label_of(w) || (names[i].size() >= 4 && w.uuid.starts_with(names[i]))) {
        used[i] = true;
        wanted = true;
      }
    if (wanted)
      kept.push_back(w);
  }
  if (const auto unknown = std::find(used.begin(), used.end(), false); unknown != used.end()) {
    std::vector<std::string> labels;
    for (const workload& w : subject.workloads)
      labels.push_back(label_of(w));
    return error{errc::usage, fmt::format("--workload: found '{}', expected one of {}'s workloads: {}",
                                          names[static_cast<std::size_t>(unknown - used.begin())], subject.op.name, joined(labels))};
  }
  subject.workloads = std::move(kept);
  return {};
}

std::vector<std::string> shipped_operators(const settings& from) {
  std::vector<std::string> names;
  auto folder = operators_folder(from);
  if (!folder)
    return names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*folder, ignored))
    if (entry.path().extension() == ".json")
      names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

result<target> choose_target(const std::string& text, const std::vector<device_description>& devices) {
  auto wanted = target_from_string(text);
  if (!wanted)
    return error{errc::usage, "--target: " + wanted.error().message};
  std::vector<std::string> here;
  for (const device_description& device : devices) {
    if (runs(device.on, *wanted)) {
      if (wanted->architecture.empty())
        wanted->architecture = device.on.architecture;
      return *wanted;
    }
    here.push_back(to_string(device.on));
  }
  return error{errc::no_agent, fmt::format("no agent serves the target {}; this host serves {}", to_string(*wanted), joined(here))};
}

} // namespace kevolve::scheduler
