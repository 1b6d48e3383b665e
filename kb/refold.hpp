// Reads the whole log once more and derives every view from it: what `check` compares the stored views with and what a repair writes.
#pragma once

#include "kb/database.hpp"
#include "kb/fold.hpp"

#include <functional>

namespace kevolve::kb {

struct refolded {
  std::uint64_t records = 0;
  std::uint64_t sessions = 0;
  std::vector<std::string> damage; // of the log and the candidates: what cannot be rebuilt
  std::array<std::uint64_t, table_count> facts{}; // emitted, by table
};

/// `emit` gets each record of each view (candidate_index, sessions, occurrences, evaluations, verifications, and root's head). A session whose
/// log is damaged is folded up to there, and its row says so. Errors are LMDB's or emit's.
result<refolded> refold(const reading& at, const std::function<result<void>(const fact&)>& emit);

} // namespace kevolve::kb
