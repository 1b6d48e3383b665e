// A device that kevolve does not know, as its description says: target, constraints, and command templates. Read from TOML by
// scheduler/target_description.hpp, carried out by an agent (node-agent/described_device.hpp). Pure data.
#pragma once

#include "protocol/candidate.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve {

struct target_description {
  std::string name;                     // "Loom 9", for people
  target on;                            // all three parts are given
  std::vector<std::string> constraints; // a sentence each
  // Arguments with {source}, {artifact}, {inputs}, {outputs}, {report}, {iterations} and {here} where files and counts go; no shell reads them.
  std::vector<std::string> compile, run;
  std::vector<std::string> profile;     // empty: none
  std::string source;                   // what a candidate's file is called: "kernel.loom"
  std::string candidate_form;           // what a candidate must be, in words; "": the documents say it
  std::string example;                  // a complete candidate; "": none
  bool emulated = false;                // no such hardware is there: said wherever a result is shown
  std::vector<std::filesystem::path> folders; // what the commands may read beside the system's; absolute
  std::vector<std::filesystem::path> nodes;   // device files that they may open
  std::filesystem::path file;           // absolute; {here} is its folder; empty: read from a text
  std::string digest;                   // of the file's text: results of another description are of another device
};

/// How the hardware key of a described device ends: results of another description are of another device.
inline std::string digest_digits(const target_description& of) { return of.digest.substr(0, 8); }
/// "loom/9/loomasm 0123…": what compiles for it, by its description.
inline std::string toolchain_of(const target_description& of) { return to_string(of.on) + " " + of.digest; }

/// By its hardware key.
inline bool is_described(std::string_view hardware) { return hardware.starts_with("described-") || hardware.starts_with("emulated-"); }
/// By the same description.
inline bool compiles_for(std::string_view toolchain, const target& on, std::string_view hardware) {
  const std::string head = to_string(on) + " " + std::string(hardware.substr(hardware.rfind('-') + 1));
  return is_described(hardware) && toolchain.starts_with(head);
}

} // namespace kevolve
