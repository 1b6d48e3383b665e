// The kevolve command: parses, merges settings, runs one command, maps its end to the contract's exit codes.
#include "node-agent/devices.hpp"
#include "protocol/failpoint.hpp"
#include "scheduler/answers.hpp"
#include "scheduler/command_line.hpp"
#include "scheduler/llm_settings.hpp"
#include "scheduler/log.hpp"

#include <cstdio>

namespace {

using namespace kevolve;
using namespace kevolve::scheduler;

int tell(console& out, const error& why) {
  out.answer(error_answer(why));
  out.note(why.message);
  return exit_code(why.code);
}

int run(const command_line& line) {
  console out(line.json);
  if (auto armed = arm_failpoint_of_environment(); !armed)
    return tell(out, armed.error());
  interruption signals;
  const environment_lookup env = process_environment();
  auto files = read_config_files(env, line.config);
  if (!files)
    return tell(out, files.error());
  auto merged = merge_settings(line.flags, env, *files);
  if (!merged)
    return tell(out, merged.error());
  auto models = read_llm_settings(*files);
  if (!models)
    return tell(out, models.error());
  context in{std::move(*merged), std::move(*models), env, out, signals};
  const auto status = line.run(in);
  return status ? *status : tell(out, status.error());
}

} // namespace

int main(int argc, char** argv) {
  if (agent::answer_device_search(argc, argv))
    return 0;
  const parsed_line parsed = parse_command_line(argc, argv);
  if (parsed.exit) {
    std::fprintf(*parsed.exit == 0 ? stdout : stderr, "%s\n", parsed.text.c_str());
    return *parsed.exit;
  }
  start_log(parsed.line.verbosity, parsed.line.log_json);
  return run(parsed.line);
}
