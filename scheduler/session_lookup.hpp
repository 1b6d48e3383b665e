// Sessions and candidates by the beginning of their ids, as people type them. Reads the store only.
#pragma once

#include "kb/store.hpp"
#include "scheduler/account.hpp"

#include <optional>
#include <string>
#include <utility>

namespace kevolve::scheduler {

/// A session by its id, the beginning of it, or "last". Errors: not_found, refused (ambiguous, with the candidates).
result<kb::session_summary> find_session(const kb::store& memory, const std::string& id_or_prefix);

/// A candidate in the newest session in which it occurs.
struct found_candidate {
  candidate what;
  session_account in;
  node_number number = 0;
};
/// By candidate id or its beginning; or by session: then its best.
result<found_candidate> find_candidate(const kb::store& memory, const std::string& candidate_or_session);

} // namespace kevolve::scheduler
