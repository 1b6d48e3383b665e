// The command line: argv -> which command, its options, and the settings given as flags. CLI11 is used for flags only; precedence is
// settings.hpp's. Commands of later versions are refused by name, not listed.
#pragma once

#include "scheduler/commands.hpp"

#include <functional>
#include <optional>
#include <string>

namespace kevolve::scheduler {

inline constexpr const char* version = "0.1.0";

struct command_line {
  flag_values flags;
  std::string config;
  bool json = false;
  bool log_json = false;
  int verbosity = 0;
  std::function<result<int>(context&)> run;
};

/// Either what to run, or an exit code with the text to show (help on stdout, a usage error on stderr).
struct parsed_line {
  command_line line;
  std::optional<int> exit;
  std::string text;
};

parsed_line parse_command_line(int argc, const char* const* argv);

} // namespace kevolve::scheduler
