// How events become views: the same functions while appending and when the views are rebuilt, so that both give the same bytes. A session's
// row is folded event by event; every other view is a set of facts, each derived from one event. Pure; any thread.
#pragma once

#include "kb/layout.hpp"
#include "kb/record.hpp"

#include <optional>
#include <vector>

namespace kevolve::kb {

/// Where an event lies.
struct event_place {
  session_id session;
  std::uint64_t position = 0;
  std::uint64_t sequence = 0;
};

/// One record of a view.
struct fact {
  table where;
  std::string key;
  std::string row; // encoded

  friend bool operator==(const fact&, const fact&) = default;
};

/// The candidate an event is about: added by it, or evaluated.
const candidate_id* candidate_of(const event& e);

/// Folds everything but `events`, `chain` and `first_sequence`, which the caller keeps.
void fold_session(session_row& row, const event& e);

/// What an event adds to the other views; `row` is its session's row after it, `candidate_number` that of candidate_of(e) where the store
/// knows the candidate.
void derive_facts(const event& e, const event_place& at, const session_row& row, std::optional<std::uint64_t> candidate_number,
                  std::vector<fact>& out);

/// The leaders among verifications, given in the order of their sequence. Per definition, hardware and workload (or set of workloads) the
/// least latency that was verified and not invalidated since; a verification that does not hold invalidates its candidate's earlier ones.
std::vector<leader> leaders_of(const std::vector<verification_row>& verifications);

} // namespace kevolve::kb
