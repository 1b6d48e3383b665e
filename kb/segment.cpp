#include "kb/segment.hpp"

#include <fmt/format.h>

namespace kevolve::kb {
namespace {

/// A record of `t` under `key` as a segment of `count` members, of which the last is number `last`.
template <class Segment, class Members>
result<Segment> unpack(const reading& at, table t, std::string_view key, std::string_view value, const std::string& where, Members members) {
  KEVOLVE_TRY(found, at.row_in<Segment>(t, key, value, where));
  const std::uint64_t last = u64_at(key, key.size() - 8), count = members(found).size();
  if (count == 0 || found.first > last || last - found.first != count - 1)
    return at.from().problem(t, where, {errc::damaged, fmt::format("holds {} from {}, its key says up to {}", count, found.first, last)});
  return found;
}

std::string named(const session_id& session, std::string_view key) {
  return fmt::format("session {}, up to position {}", session, u64_at(key, key.size() - 8));
}

result<event_segment> unpack_events(const reading& at, const session_id& session, std::string_view key, std::string_view value) {
  if (key.size() != session.size() + 9)
    return at.from().problem(table::event_segments, "session " + session, {errc::damaged, fmt::format("a key of {} bytes", key.size())});
  const std::string where = named(session, key);
  KEVOLVE_TRY(found, unpack<event_segment>(at, table::event_segments, key, value, where, [](const auto& s) -> auto& { return s.events; }));
  if (found.previous.size() != sizeof(chain_hash))
    return at.from().problem(table::event_segments, where, {errc::damaged, fmt::format("a chain of {} bytes", found.previous.size())});
  return found;
}

} // namespace

class segment_reader {
public:
  static segment_cache& of(const reading& at) {
    if (!at.cache_)
      at.cache_ = std::make_shared<segment_cache>();
    return *at.cache_;
  }
};

result<const event_segment*> event_segment_at(const reading& at, const session_id& session, std::uint64_t position) {
  KEVOLVE_TRY(found, at.find_from(table::event_segments, event_key(session, position)));
  if (!found || found->first.substr(0, session.size() + 1) != session + '\0')
    return nullptr;
  segment_cache& cache = segment_reader::of(at);
  if (cache.events_key != found->first) {
    KEVOLVE_TRY(segment, unpack_events(at, session, found->first, found->second));
    cache.events = std::move(segment);
    cache.events_key = found->first;
  }
  return position < cache.events.first ? nullptr : &cache.events;
}

result<const candidate_segment*> candidate_segment_at(const reading& at, std::uint64_t number) {
  KEVOLVE_TRY(found, at.find_from(table::candidate_segments, number_key(number)));
  if (!found)
    return nullptr;
  const auto& [key, value] = *found;
  if (key.size() != 8)
    return at.from().problem(table::candidate_segments, "a key", {errc::damaged, fmt::format("{} bytes, 8 expected", key.size())});
  segment_cache& cache = segment_reader::of(at);
  if (cache.candidates_key != key) {
    KEVOLVE_TRY(segment, unpack<candidate_segment>(at, table::candidate_segments, key, value, fmt::format("candidates up to number {}", u64_at(key, 0)),
                                                   [](const auto& s) -> auto& { return s.candidates; }));
    cache.candidates = std::move(segment);
    cache.candidates_key = key;
  }
  return number < cache.candidates.first ? nullptr : &cache.candidates;
}

result<void> for_event_segments(const reading& at, const session_id& session, const std::function<result<bool>(const event_segment&)>& each) {
  return at.scan(table::event_segments, session + '\0', [&](std::string_view key, std::string_view value) -> result<bool> {
    KEVOLVE_TRY(segment, unpack_events(at, session, key, value));
    return each(segment);
  });
}

} // namespace kevolve::kb
