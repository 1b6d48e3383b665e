// Files of ours that untrusted commands work beside: a folder that goes when its owner does, files written into it, and what a command has left
// there, which may be anything: a link, a device, a folder, too large. Any thread.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace kevolve::agent {

/// Folders above it are made.
result<void> write_file(const std::filesystem::path& file, std::string_view content);

/// What a command has made: a regular file of at most `most` bytes, no link to somewhere else. Errors: it is none, or over the limit.
result<std::string> read_made(const std::filesystem::path& file, std::uint64_t most);
/// The same of a file in `folder`, which itself must be a folder and no link.
result<std::string> read_made_in(const std::filesystem::path& folder, const std::string& name, std::uint64_t most);

/// A folder of our own that goes when we are done.
class scratch {
public:
  static result<std::filesystem::path> make(const std::string& prefix);
  /// Removes those of owners that were killed, and says how many.
  static std::size_t sweep(const std::string& prefix);
  explicit scratch(std::filesystem::path folder) : folder_(std::move(folder)) {}
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch();

private:
  std::filesystem::path folder_;
};

} // namespace kevolve::agent
