// Runs of records that change no more, packed together as one compressed record: alike as they are, they take a fifth of the room. A segment
// of events continues its session's hash chain, so that what is read from it is verified as it was in the log; a segment of candidates holds
// consecutive numbers. sealing.hpp makes them. Readers do not see the difference: database.hpp's functions look here, too.
#pragma once

#include "kb/database.hpp"

namespace kevolve::kb {

inline constexpr std::size_t segment_events_max = 256;                    // one record that is looked up unpacks this many ...
inline constexpr std::size_t segment_bytes_max = std::size_t{1} << 20;    // ... or this many bytes (or one longer record)
inline constexpr std::size_t segment_candidates = 64;

struct sealed_event {
  std::uint64_t sequence = 0;
  std::string encoded; // without a candidate's sources, as in the log
};
/// Events at consecutive positions of one session.
struct event_segment {
  std::uint64_t first = 0; // position
  std::string previous;    // the chain before the first, 32 bytes
  std::vector<sealed_event> events;
};
struct sealed_candidate {
  std::uint64_t first_sequence = 0; // of the event that added it
  std::string encoded;
};
/// Candidates of consecutive numbers.
struct candidate_segment {
  std::uint64_t first = 0;
  std::vector<sealed_candidate> candidates;
};

template <class Inspector>
bool inspect(Inspector& f, sealed_event& x) {
  return f.object(x).fields(f.field("sequence", x.sequence), f.field("encoded", x.encoded));
}
template <class Inspector>
bool inspect(Inspector& f, event_segment& x) {
  return f.object(x).fields(f.field("first", x.first), f.field("previous", x.previous), f.field("events", x.events));
}
template <class Inspector>
bool inspect(Inspector& f, sealed_candidate& x) {
  return f.object(x).fields(f.field("first_sequence", x.first_sequence), f.field("encoded", x.encoded));
}
template <class Inspector>
bool inspect(Inspector& f, candidate_segment& x) {
  return f.object(x).fields(f.field("first", x.first), f.field("candidates", x.candidates));
}

/// What a read transaction unpacked last: who walks a session asks for neighbours.
struct segment_cache {
  std::string events_key, candidates_key; // empty: nothing yet
  event_segment events;
  candidate_segment candidates;
};

/// The segment that holds a position or a number; null where none does. Valid until the same reading is asked again.
result<const event_segment*> event_segment_at(const reading& at, const session_id& session, std::uint64_t position);
result<const candidate_segment*> candidate_segment_at(const reading& at, std::uint64_t number);

/// Calls `each` for a session's segments in order. Errors name session and position.
result<void> for_event_segments(const reading& at, const session_id& session, const std::function<result<bool>(const event_segment&)>& each);

} // namespace kevolve::kb
