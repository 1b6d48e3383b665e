// A command that answers prompts (a coding agent's command line, a script): one process per request, many at once, one thread for all.
#pragma once

#include "actors/synthesis/llm/provider.hpp"

namespace kevolve::llm {

/// Arguments with their placeholders filled in; pure. Unknown {words} stay as they are.
std::vector<std::string> filled_arguments(const std::vector<std::string>& from, const std::map<std::string, std::string>& values);
/// The answer in what a command wrote; pure. `malformed` where a pointer leads nowhere.
reply answer_of_command(const provider_settings& from, const std::string& written);

result<std::shared_ptr<provider>> make_exec(const provider_settings& from, const surroundings& around);

} // namespace kevolve::llm
