// A device that kevolve does not know, described by a TOML file: its target, its constraints, and command templates for compile, run and profile.
// Parsed and checked here; kept among the added documents, where its constraints are found like any passage. Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"
#include "protocol/result.hpp"

#include <string>
#include <vector>

namespace kevolve::scheduler {

struct target_description {
  std::string name;                     // "Loom 9", for people
  target on;                            // all three parts are given
  std::vector<std::string> constraints; // a sentence each
  // Arguments with {source}, {artifact}, {inputs}, {outputs} and {report} where files go; no shell reads them.
  std::vector<std::string> compile, run;
  std::vector<std::string> profile;     // empty: none
};

/// `file` names it in errors: a field that is missing, unknown or of another type; a placeholder that is unknown or missing.
result<target_description> read_target_description(const std::string& file, const std::string& text);
/// "targets/PLATFORM/ARCHITECTURE/LANGUAGE"
std::string id_of(const target_description& d);
/// What a prompt should know of it, as a document's text with front matter.
std::string document_of(const target_description& d);

} // namespace kevolve::scheduler
