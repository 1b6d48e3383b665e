// What compilers have made, kept on disk by key: bounded, so that an agent can run for months. Past the bound the files that were asked for longest
// ago go, down to four fifths of it; what was asked for in the last quarter of an hour stays, since a harness may be about to load it. Several processes may
// keep artifacts in one folder. Any thread.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>

namespace kevolve::agent {

class artifact_store {
public:
  /// Under `cache`/artifacts. `most_bytes`: 0 is no bound.
  artifact_store(const std::filesystem::path& cache, std::uint64_t most_bytes);

  [[nodiscard]] std::filesystem::path file(const std::string& key, const char* ending) const;
  /// Whether it is there; if so, it counts as used now.
  [[nodiscard]] bool find(const std::filesystem::path& file) const;
  /// Whole or not at all, for readers in any process. Errors: errc::full, errc::io.
  result<void> keep(const std::filesystem::path& file, std::string_view content);

private:
  void tidy();
  const std::filesystem::path folder_;
  const std::uint64_t most_bytes_;
  std::mutex mutex_;
  std::uint64_t held_bytes_ = 0; // at least what we know of; others may have added
  bool counted_ = false;
};

} // namespace kevolve::agent
