// A device that kevolve does not know, described by a TOML file: its target, its constraints, and command templates for compile, run and profile.
// Parsed and checked here; kept among the added documents, where its constraints are found like any passage. Pure but for opening; any thread.
#pragma once

#include "protocol/result.hpp"
#include "protocol/target_description.hpp"

#include <string>
#include <vector>

namespace kevolve::scheduler {

using kevolve::target_description;

/// `file` names it in errors: a field that is missing, unknown or of another type; a placeholder that is unknown or missing.
result<target_description> read_target_description(const std::string& file, const std::string& text);
/// For running it: its folders and files are found from where it lies. Also errors: it cannot be read, or one of them is not there.
result<target_description> open_target_description(const std::filesystem::path& file);
/// "targets/PLATFORM/ARCHITECTURE/LANGUAGE"
std::string id_of(const target_description& d);
/// What a prompt should know of it, as a document's text with front matter.
std::string document_of(const target_description& d);

} // namespace kevolve::scheduler
