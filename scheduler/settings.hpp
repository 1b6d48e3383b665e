// Settings and where each came from: flag > KEVOLVE_* > ./config.toml > the user's > the system's > default. One table names every key, its
// type and its default; files are TOML with flat keys. Pure but for `read_config_files`. Any thread.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::scheduler {

/// One configuration file's text, most important first in a list of them.
struct config_text {
  std::string file;
  std::string text;
};

/// Looks an environment variable up; empty optional: not set.
using environment_lookup = std::function<std::optional<std::string>(const std::string&)>;
/// Keys given as flags, with their text.
using flag_values = std::map<std::string, std::string, std::less<>>;

struct settings {
  std::filesystem::path data;      // the store and the leaders' sources
  std::filesystem::path cache;     // artifacts and calibration
  double seal_after_s = 0;         // serve: sessions that ended so long ago are sealed
  unsigned cache_gib = 0;          // of artifacts; 0: no bound
  std::string python;              // "": find one; "none": none
  std::string compiler;
  unsigned compile_slots = 0;      // 0: one per core
  double call_limit_s = 0;         // one call of a candidate
  std::string scheduler;           // tcp://HOST:PORT of a running one; "": none
  std::filesystem::path key;       // a client's key file
  std::string sandbox;             // "any" or "full": what this host must give
  std::string lint;                // "refuse", "note" or "off": operators that a kernel can pass without computing
  std::string target;
  std::string policy;
  std::vector<std::string> synthesizers;
  std::string ensemble;            // "weights" or "bandit": how several of them share a tree
  std::vector<std::string> baselines;
  double time_s = 0;
  std::uint32_t evaluations = 0;
  double goal = 0;
  std::optional<std::uint64_t> seed; // not set: drawn afresh
  std::uint32_t in_flight = 0;
  std::uint32_t plateau = 0;
  double injection = 0;
  bool adaptive_injection = false; // p adapts
  std::string policy_model;        // "auto", "on" or "off": the learned policy
  std::string scale;
  std::filesystem::path operators; // "": the folder that ships

  std::map<std::string, std::string, std::less<>> origin; // key -> "flag", "KEVOLVE_…", "file:line" or "default"
};

/// A key as `kevolve doctor` and error messages list it.
struct setting_key {
  std::string_view name;
  std::string_view expected; // "a duration such as 60s, …"
  std::string_view fallback; // as text; data and cache: from the XDG folders
};
const std::vector<setting_key>& setting_keys();

/// Errors name the file, line, key, what was found and what is expected (errc::configuration; a flag's: errc::usage).
result<settings> merge_settings(const flag_values& flags, const environment_lookup& env, const std::vector<config_text>& files);

/// ./config.toml, $XDG_CONFIG_HOME/kevolve/config.toml, /etc/kevolve/config.toml: those that exist. `explicit_file` replaces the first
/// and must exist.
result<std::vector<config_text>> read_config_files(const environment_lookup& env, const std::string& explicit_file);

/// The process's own environment.
environment_lookup process_environment();
/// $XDG_<KIND>_HOME/kevolve or its default below $HOME; `kind` is "STATE", "CACHE", "DATA" or "CONFIG".
std::filesystem::path xdg_folder(const environment_lookup& env, std::string_view kind);

} // namespace kevolve::scheduler
