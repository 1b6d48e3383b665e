// Who compiles for a host that has no compiler, as the evaluation library sees it: two calls that block, given by whoever knows a way to another
// host; and what such a host makes. Any thread may call them.
#pragma once

#include "protocol/message.hpp"
#include "protocol/result.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

namespace kevolve::agent {

struct remote_compiler {
  /// What became of it; a candidate that does not compile is an answer. Errors: infrastructure, interrupted.
  std::function<result<compile_made>(const compile_work& what, const std::atomic<bool>& cancelled)> compile;
  /// The bytes with that hash. Errors: infrastructure (nobody has them any more), interrupted.
  std::function<result<std::string>(const blob_reference& what, const std::atomic<bool>& cancelled)> fetch;

  explicit operator bool() const { return compile && fetch; }
};

/// What was made for another host, and where it lies on this one.
struct made_for_another {
  compile_made answer;
  std::filesystem::path file; // where good: what the answer's artifact is
};

} // namespace kevolve::agent
