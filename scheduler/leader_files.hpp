// A candidate as files that a person can read, compile and hand on: its sources and solution.json (a FlashInfer-Trace Solution). Files are
// written beside and renamed, so that a reader never sees half of one.
#pragma once

#include "protocol/candidate.hpp"
#include "protocol/result.hpp"

#include <filesystem>
#include <string>

namespace kevolve::scheduler {

/// Writes into `folder` (created where missing) and returns the path of the entry point's source.
result<std::filesystem::path> write_candidate(const std::filesystem::path& folder, const candidate& what, const std::string& hardware);
/// DATA/leaders/<operator>/<first 12 digits of the id>.
std::filesystem::path leader_folder(const std::filesystem::path& data, const candidate& what);

} // namespace kevolve::scheduler
