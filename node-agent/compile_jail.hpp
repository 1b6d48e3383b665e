// Where compilers of candidates run: in bubblewrap, as a user of their own, with the toolchain read-only, one folder to work in and no network.
// What a source includes, it may read there: nothing of ours is. Tested on itself when made. Any thread.
#pragma once

#include "node-agent/defence.hpp"
#include "node-agent/process.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace kevolve::agent {

/// What a command sees beside the system's folders: folders to read, device files to open. Absolute paths.
struct jail_view {
  std::vector<std::filesystem::path> folders, nodes;
};

class compile_jail {
public:
  explicit compile_jail(defences_off off);

  [[nodiscard]] bool holds() const { return holds_; }
  [[nodiscard]] const std::string& detail() const { return detail_; } // how, or why not

  /// Makes `folder` the jail's: its user's, where we can change users. `place`: one of those that are in use at once.
  void own(const std::filesystem::path& folder, unsigned place) const;
  /// Changes `what` (whose directory is `folder`) so that it runs in the jail.
  void confine(command& what, const std::filesystem::path& folder, unsigned place, const jail_view& also = {}) const;

  static constexpr unsigned places = 32;

private:
  std::string wrapper_;
  unsigned identity_ = 0;
  bool holds_ = false;
  std::string detail_;
};

} // namespace kevolve::agent
