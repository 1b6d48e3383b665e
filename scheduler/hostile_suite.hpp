// The programs of tests/hostile/: attacks with what must stop them, and strange but honest kernels that must pass. Read from the comments at
// the head of each source ("// key: value"; tests/hostile/README.md says which). Pure but for reading files.
#pragma once

#include "node-agent/defence.hpp"
#include "protocol/candidate.hpp"
#include "protocol/evaluation.hpp"
#include "protocol/result.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kevolve::scheduler {

/// How an attack shows that it has succeeded.
struct success_sign {
  enum class kind : std::uint8_t { text, outcome, not_outcome, canary } what = kind::text;
  std::string value = "returned 77"; // text in the log, or an outcome's name
  [[nodiscard]] bool shown(const evaluation& e, const std::string& canary) const;
};

struct hostile_program {
  std::string name, what, rows, operator_name = "rows";
  std::vector<agent::defence> stopped_by;  // each by itself
  std::vector<agent::defence> at_times_by; // when it happens to: off, too, for the control
  std::vector<outcome> verdicts;     // any of these is right
  success_sign success;
  std::vector<std::string> flags;
  std::string path = "candidate.cpp";
  std::string source;                // with @NAMES@ to be filled in
  bool needs_root = false, lengthy = false, verify = false, anchored = false;
  bool optional = false;             // needs something that not every kernel offers: where the control fails, so it is said
};

struct honest_kernel {
  std::string name, what, operator_name = "rows"; // name: the file's, and the variant's number
  std::vector<std::string> flags;
  std::string source, path;
};

/// All programs in `folder`, by name. Errors name the file and the line.
result<std::vector<hostile_program>> read_hostile_programs(const std::filesystem::path& folder);
result<std::vector<honest_kernel>> read_honest_kernels(const std::filesystem::path& folder);

/// The candidate, names filled in; `shared` is the text of hostile.h.
candidate candidate_of(const hostile_program& program, const std::map<std::string, std::string>& names, const std::string& shared);
candidate candidate_of(const honest_kernel& kernel);
/// The plain kernel of hostile.h, to time others against.
candidate honest_anchor(const std::string& operator_name, const std::string& shared);

} // namespace kevolve::scheduler
