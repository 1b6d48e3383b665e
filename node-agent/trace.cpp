#include "node-agent/trace.hpp"

#include "protocol/limits.hpp"
#include "protocol/trace_format.hpp"

#include <cstdlib>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr const char* tracer_beside = "node-agent/python/trace.py";

result<fs::path> find_python(const trace_settings& settings) {
  fs::path python = settings.python;
  if (const char* named = std::getenv("KEVOLVE_PYTHON"); python.empty() && named)
    python = named;
  if (python.empty())
    python = find_command("python3");
  if (python.empty())
    return error{errc::configuration, "no Python on this host: tracing a PyTorch reference needs python3 with torch (KEVOLVE_PYTHON names it)"};
  if (python.is_absolute() && !fs::exists(python))
    return error{errc::configuration, python.string() + ": no such Python interpreter"};
  return python;
}

result<fs::path> find_tracer(const trace_settings& settings) {
  fs::path tracer = settings.tracer.empty() ? find_beside_executable(tracer_beside) : settings.tracer;
  if (tracer.empty() || !fs::exists(tracer))
    return error{errc::configuration, std::string(tracer_beside) + ": not found beside the program nor under share/kevolve"};
  return tracer;
}

std::string last_error(const std::string& text) {
  const std::string lines = "\n" + text; // the tracer's own line starts with "error: "; warnings may stand before it
  auto at = lines.rfind("\nerror: ");
  std::string message = at == std::string::npos ? text : lines.substr(at + 8);
  while (!message.empty() && (message.back() == '\n' || message.back() == ' '))
    message.pop_back();
  return message.empty() ? "no message" : message;
}

error failure_of(const process_end& end, const trace_work& what, const trace_settings& settings) {
  if (end.fate == process_fate::cancelled)
    return {errc::interrupted, what.path + ": tracing was cancelled"};
  if (end.fate == process_fate::timed_out)
    return {errc::timeout, what.path + ": tracing took longer than " + std::to_string(static_cast<int>(settings.limit_s)) +
                             " s; cut the sizes with --scale"};
  if (end.fate == process_fate::exited && end.status == 2)
    return {errc::specification, last_error(end.errors)};
  if (end.fate == process_fate::exited && end.status == 4)
    return {errc::configuration, last_error(end.errors)};
  return {errc::specification, what.path + ": tracing " + describe(end) + ": " + last_error(end.errors)};
}

result<json> run_tracer(const trace_settings& settings, const trace_work& what, const std::atomic<bool>* cancelled) {
  KEVOLVE_TRY(python, find_python(settings));
  KEVOLVE_TRY(tracer, find_tracer(settings));
  command task;
  task.arguments = {python.string(), "-B", "-s", fs::absolute(tracer).string(), fs::absolute(what.path).lexically_normal().string()};
  if (!what.scale.empty())
    task.arguments.insert(task.arguments.end(), {"--scale", what.scale});
  task.environment = plain_environment();
  task.environment.push_back("OMP_WAIT_POLICY=passive");
  task.limits.wall_s = settings.limit_s;
  task.limits.memory_bytes = settings.memory_bytes;
  task.limits.open_files = 4096; // torch maps a few hundred libraries
  task.output_bytes = limits::specification_bytes;
  task.scrub_output = false; // it is JSON, and read as such
  KEVOLVE_TRY(end, run(task, cancelled));
  if (!end.good())
    return failure_of(end, what, settings);
  if (end.truncated)
    return error{errc::specification, what.path + ": its traced definition is larger than " + std::to_string(limits::specification_bytes) + " bytes"};
  return parse_json(end.output, what.path + ", as traced");
}

result<problem> trace_definition(const trace_settings& settings, const trace_work& what, const std::atomic<bool>* cancelled) {
  KEVOLVE_TRY(found, read_problem(what.path));
  if (!what.scale.empty())
    return error{errc::usage, "--scale applies to KernelBench problems (.py); the sizes of " + what.path + " are in its workloads"};
  if (found.op.traced)
    return found;
  KEVOLVE_TRY(answer, run_tracer(settings, what, cancelled));
  KEVOLVE_TRY(traced, definition_from_json(answer, what.path + ", as traced"));
  found.op = std::move(traced);
  return found;
}

} // namespace

result<problem> trace_specification(const trace_settings& settings, const trace_work& what, const std::atomic<bool>* cancelled) {
  if (!fs::exists(what.path))
    return error{errc::specification, what.path + ": no such file"};
  if (fs::path(what.path).extension() == ".json")
    return trace_definition(settings, what, cancelled);
  if (fs::path(what.path).extension() != ".py")
    return error{errc::specification, what.path + ": expected a Definition (.json) or a KernelBench problem (.py)"};
  KEVOLVE_TRY(answer, run_tracer(settings, what, cancelled));
  return problem_from_json(answer, what.path + ", as traced");
}

} // namespace kevolve::agent
