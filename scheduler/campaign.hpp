// A campaign's record: one JSON line per finished trial in a file, so that a campaign that was stopped goes on where it was. Appends are
// flushed to disk; a torn last line is dropped on reading. One process per file.
#pragma once

#include "protocol/result.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

namespace kevolve::scheduler {

class campaign {
public:
  /// `identity`: what must be equal for a record to be continued (SPEC, counts, seed); another one's file is refused.
  static result<campaign> open(const std::filesystem::path& file, const nlohmann::ordered_json& identity);
  [[nodiscard]] const std::vector<nlohmann::ordered_json>& trials() const { return trials_; }
  result<void> add(const nlohmann::ordered_json& trial);

private:
  result<void> append(const nlohmann::ordered_json& line);
  std::filesystem::path file_;
  std::vector<nlohmann::ordered_json> trials_;
};

} // namespace kevolve::scheduler
