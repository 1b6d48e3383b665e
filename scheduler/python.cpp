#include "scheduler/python.hpp"

#include "node-agent/process.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace kevolve::scheduler {

namespace {

// Importing torch takes seconds; whether it is there and which version takes 30 ms.
constexpr const char* question = R"(
import importlib.util, re, os
spec = importlib.util.find_spec("torch")
if spec is None or not spec.origin:
    raise SystemExit(3)
try:
    text = open(os.path.join(os.path.dirname(spec.origin), "version.py")).read()
    print(re.search(r"__version__ = .*?'([^']+)'", text).group(1))
except Exception:
    print("")
)";

enum class answer { has_torch, no_torch, cannot_run };

answer ask(const std::filesystem::path& interpreter, std::string& version) {
  agent::command asking;
  asking.arguments = {interpreter.string(), "-c", question};
  asking.environment = agent::plain_environment();
  asking.limits.wall_s = 20;
  const auto asked = agent::run(asking);
  if (!asked || asked->fate != agent::process_fate::exited || asked->status == 126 || asked->status == 127)
    return answer::cannot_run;
  if (asked->status != 0)
    return answer::no_torch;
  version = asked->output.substr(0, asked->output.find('\n'));
  return answer::has_torch;
}

constexpr const char* remedy = "run ./kevolve doctor from a checkout with KEVOLVE_TORCH=pip to install PyTorch into kevolve's own environment, "
                               "or name a Python that has it with KEVOLVE_PYTHON=/path/to/python";

} // namespace

result<found_python> find_python(const settings& from, const environment_lookup& env) {
  found_python found;
  const auto origin = from.origin.find("python");
  if (from.python == "none") {
    found.missing = "Python is turned off by the setting 'python'";
    return found;
  }
  if (!from.python.empty()) {
    const std::string who = origin == from.origin.end() ? "python" : origin->second;
    switch (ask(from.python, found.torch)) {
      case answer::has_torch: found.interpreter = from.python; return found;
      case answer::no_torch: found.missing = fmt::format("{} (from {}) has no torch; {}", from.python, who, remedy); return found;
      case answer::cannot_run: break;
    }
    return error{errc::configuration, fmt::format("{}: found '{}', which cannot be run; expected a Python interpreter, or none", who, from.python)};
  }
  const std::filesystem::path own = xdg_folder(env, "DATA") / "venv/bin/python";
  if (access(own.c_str(), X_OK) == 0 && ask(own, found.torch) == answer::has_torch) {
    found.interpreter = own;
    return found;
  }
  if (const auto on_path = agent::find_command("python3"); !on_path.empty() && ask(on_path, found.torch) == answer::has_torch) {
    found.interpreter = on_path;
    return found;
  }
  found.missing = fmt::format("no Python with torch (looked at {} and python3 on PATH); {}", own.string(), remedy);
  return found;
}

} // namespace kevolve::scheduler
