// What every command is given: settings, environment, where its words go, who listens to Ctrl-C. Made once by main.
#pragma once

#include "scheduler/configured_models.hpp"
#include "scheduler/console.hpp"
#include "scheduler/interruption.hpp"
#include "scheduler/settings.hpp"
#include "scheduler/table.hpp"

#include <string>

namespace kevolve::scheduler {

struct context {
  settings configured;
  model_configuration models;
  environment_lookup env;
  console& out;
  interruption& signals;

  [[nodiscard]] style look() const { return {out.colour()}; }
  /// How a person starts kevolve here: the launcher says so in KEVOLVE_COMMAND.
  [[nodiscard]] std::string command() const { return env("KEVOLVE_COMMAND").value_or("kevolve"); }
  /// " --data DIR" where the data directory is not what a later command would take by itself.
  [[nodiscard]] std::string data_option() const {
    const auto origin = configured.origin.find("data");
    return origin != configured.origin.end() && origin->second == "flag" ? " --data " + configured.data.string() : "";
  }
};

} // namespace kevolve::scheduler
