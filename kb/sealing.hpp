// Compacts the log without losing anything: events of finished sessions, and candidates in runs of consecutive numbers, move into segments
// (segment.hpp), a session or run per transaction. Chains, digests, views and everything that can be asked stay what they were; the pages
// that are freed are used again, so that a store that is sealed as it grows needs a fraction of the room. A store in which something was
// sealed is of schema 2: an older kevolve refuses it and says so.
#pragma once

#include "kb/database.hpp"

#include <mutex>

namespace kevolve::kb {

/// A session's events that were added since it was last sealed are sealed when there are so many; before, another segment would not pay.
inline constexpr std::uint64_t reseal_events = 32;

/// Seals the sessions that finished or failed before `finished_before_ms`. `pause` is asked for before each transaction and released after it:
/// it keeps the writer out, for milliseconds; reading and packing happen outside. A session or run that is damaged is left as it is, for
/// `check` to report. Errors: the disk is full (nothing of the transaction was written), io.
result<seal_report> seal_finished(database& data, std::int64_t finished_before_ms, const std::function<std::unique_lock<std::mutex>()>& pause);

} // namespace kevolve::kb
