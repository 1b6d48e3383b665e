// Keys of the store's tables and the rows of its views. The log (`events`) and `candidates`, with what was sealed of them, are the truth; `candidate_index`, `sessions`,
// `occurrences`, `evaluations` and `verifications` follow from them. Integers in keys are big-endian, so that order by key is order by number.
//   events           session 00 position(8)              previous hash(32) sequence(8) + event without a candidate's sources
//   candidates       number(8)                           sequence(8) of the event that added it + the whole candidate, once per id
//   event_segments   session 00 last position(8)         event_segment: events that were sealed (segment.hpp), no longer in `events`
//   candidate_segments  last number(8)                   candidate_segment: the same of candidates
//   candidate_index  id(32)                              number
//   sessions         session                             session_row
//   occurrences      number(8) sequence(8)               use_row
//   evaluations      number(8) sequence(8)               evaluation_row
//   verifications    definition 00 hardware 00 sequence(8) part(2)   verification_row
// `sequence` counts events over all sessions: what is newest does not depend on a clock.
#pragma once

#include "kb/store.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::kb {

inline constexpr std::uint32_t schema_version = 2; // that is read; 2: something was sealed
inline constexpr std::uint32_t schema_unsealed = 1;
inline constexpr std::size_t session_id_bytes_max = 255;
inline constexpr std::size_t event_fixed_bytes = 40;

using chain_hash = std::array<unsigned char, 32>;
/// What a session's first event follows: SHA-256 of a fixed text and the session's id, so that chains of two sessions never agree.
chain_hash chain_begin(std::string_view session);
/// SHA-256 of an event's MessagePack (before compression). SHA-256 because digests are compared between stores, and sealed segments will be
/// trusted by theirs; this larger part runs on the caller's thread.
chain_hash content_hash(std::string_view encoded_event);
/// SHA-256(previous, content_hash): the chain after an event.
chain_hash chain_next(const chain_hash& previous, const chain_hash& content);
inline std::string_view as_bytes(const chain_hash& hash) { return {reinterpret_cast<const char*>(hash.data()), hash.size()}; }
std::string hex(std::string_view bytes);
/// The 32 bytes of a candidate id; empty where it is not 64 lower-case hex digits.
std::string bytes_of_id(std::string_view id);

void append_u64(std::string& key, std::uint64_t value);
std::uint64_t u64_at(std::string_view bytes, std::size_t offset); // big-endian; offset + 8 <= size
std::string event_key(std::string_view session, std::uint64_t position);
std::string number_key(std::uint64_t number);
std::string number_key(std::uint64_t number, std::uint64_t sequence);
/// Text as part of a key: itself, or its beginning and a hash where it is long or holds a zero byte.
std::string key_part(std::string_view text);

/// One record of `root`, key "store": what this database is.
struct store_row {
  std::string what = "kevolve store";
  std::uint32_t schema = schema_unsealed;
  std::int64_t created_ms = 0;
};
/// One record of `root`, key "head": the newest event, rewritten by every commit.
struct head_row {
  std::uint64_t events = 0;      // in all sessions: the next sequence
  std::uint64_t candidates = 0;  // the next candidate's number
  std::uint64_t sessions = 0;
  session_id session;            // of the newest event
  std::uint64_t position = 0;
  std::uint64_t sequence = 0;
  std::string chain;             // after it, 32 bytes
};
struct verified_node {
  candidate_id candidate;
  double speedup = 0;
  bool holds = false;
};
struct session_row {
  session_summary summary;
  std::string hardware;
  std::uint64_t events = 0;
  std::uint64_t first_sequence = 0;
  std::string chain;                   // after the newest event, 32 bytes
  std::vector<verified_node> verified; // newest verification of each candidate
  std::string features;                // of its operator, with `skills`: what the session saw of transformations when it ended
  std::vector<skill> skills;
  std::string damage;                  // set by a repair that could read the log only so far: no more appends
};
struct use_row {
  session_id session;
  node_number number = 0;
};
struct evaluation_row {
  session_id session;
  std::uint64_t position = 0;
  outcome result = outcome::infrastructure;
  std::string hardware;
  std::string toolchain;
  std::string judge_version;
  std::string oracle_version;
  std::string on; // target
  bool timed = false;
};
struct verification_row {
  leader found;
  bool holds = false;
};

template <class Inspector>
bool inspect(Inspector& f, store_row& x) {
  return f.object(x).fields(f.field("what", x.what), f.field("schema", x.schema), f.field("created_ms", x.created_ms));
}
template <class Inspector>
bool inspect(Inspector& f, head_row& x) {
  return f.object(x).fields(f.field("events", x.events), f.field("candidates", x.candidates), f.field("sessions", x.sessions),
                            f.field("session", x.session), f.field("position", x.position), f.field("sequence", x.sequence),
                            f.field("chain", x.chain));
}
template <class Inspector>
bool inspect(Inspector& f, session_summary& x) {
  return f.object(x).fields(f.field("session", x.session), f.field("definition", x.definition), f.field("on", x.on),
                            f.field("state", x.state), f.field("stopped_by", x.stopped_by), f.field("proposals", x.proposals),
                            f.field("evaluations", x.evaluations), f.field("best_speedup", x.best_speedup), f.field("best", x.best),
                            f.field("opened_ms", x.opened_ms), f.field("changed_ms", x.changed_ms));
}
template <class Inspector>
bool inspect(Inspector& f, leader& x) {
  return f.object(x).fields(f.field("definition", x.definition), f.field("hardware", x.hardware), f.field("workload", x.workload),
                            f.field("candidate", x.candidate), f.field("speedup", x.speedup), f.field("speedup_ci95", x.speedup_ci95),
                            f.field("latency_s", x.latency_s), f.field("session", x.session), f.field("number", x.number),
                            f.field("at_ms", x.at_ms), f.field("workloads", x.workloads));
}
template <class Inspector>
bool inspect(Inspector& f, verified_node& x) {
  return f.object(x).fields(f.field("candidate", x.candidate), f.field("speedup", x.speedup), f.field("holds", x.holds));
}
template <class Inspector>
bool inspect(Inspector& f, session_row& x) {
  if constexpr (!Inspector::is_loading)
    if (x.skills.empty()) // as it was before there were skills
      return f.object(x).fields(f.field("summary", x.summary), f.field("hardware", x.hardware), f.field("events", x.events),
                                f.field("first_sequence", x.first_sequence), f.field("chain", x.chain), f.field("verified", x.verified),
                                f.field("damage", x.damage));
  return f.object(x).fields(f.field("summary", x.summary), f.field("hardware", x.hardware), f.field("events", x.events),
                            f.field("first_sequence", x.first_sequence), f.field("chain", x.chain), f.field("verified", x.verified),
                            f.field("damage", x.damage), f.field("features", x.features), f.field("skills", x.skills));
}
template <class Inspector>
bool inspect(Inspector& f, use_row& x) {
  return f.object(x).fields(f.field("session", x.session), f.field("number", x.number));
}
template <class Inspector>
bool inspect(Inspector& f, evaluation_row& x) {
  return f.object(x).fields(f.field("session", x.session), f.field("position", x.position), f.field("result", x.result),
                            f.field("hardware", x.hardware), f.field("toolchain", x.toolchain),
                            f.field("judge_version", x.judge_version), f.field("oracle_version", x.oracle_version),
                            f.field("on", x.on), f.field("timed", x.timed));
}
template <class Inspector>
bool inspect(Inspector& f, verification_row& x) {
  return f.object(x).fields(f.field("found", x.found), f.field("holds", x.holds));
}

} // namespace kevolve::kb
