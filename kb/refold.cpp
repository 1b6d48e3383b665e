#include "kb/refold.hpp"

#include "kb/segment.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <unordered_map>

namespace kevolve::kb {
namespace {

struct known_candidate {
  std::uint64_t number = 0;
  std::uint64_t first_sequence = 0;
};

class refolding {
public:
  refolding(const reading& at, const std::function<result<void>(const fact&)>& emit) : at_(at), emit_(emit) {}
  result<refolded> run();

private:
  result<void> emit(fact f) {
    ++out_.facts[static_cast<std::size_t>(f.where)];
    return emit_(f);
  }
  void damaged(const error& what) { out_.damage.push_back(what.message); }
  result<void> candidates();
  result<void> one_candidate(std::uint64_t number);
  result<std::vector<session_id>> names();
  result<void> session(const session_id& name);
  result<void> lost_sessions(const std::vector<session_id>& logged);
  result<void> event_facts(const logged_event& found, const event& e, const session_row& row, const session_id& name);

  const reading& at_;
  const std::function<result<void>(const fact&)>& emit_;
  refolded out_;
  head_row head_;
  std::uint64_t newest_ = 0; // sequence + 1 of the event that head_ names
  std::unordered_map<std::string, known_candidate> known_;
};

result<void> refolding::one_candidate(std::uint64_t number) {
  if (number != head_.candidates)
    damaged(at_.from().problem(table::candidates, fmt::format("candidate number {}", head_.candidates), {errc::damaged, "missing"}));
  head_.candidates = number + 1;
  auto stored = candidate_at(at_, number);
  if (!stored) {
    damaged(stored.error());
    return {};
  }
  const std::string id = bytes_of_id(stored->what.id);
  if (id.empty() || candidate_hash(stored->what) != stored->what.id) {
    damaged(at_.from().problem(table::candidates, fmt::format("candidate number {}", number),
                               {errc::damaged, "its id is not the hash of its content"}));
    return {};
  }
  if (!known_.emplace(id, known_candidate{number, stored->first_sequence}).second) {
    damaged(at_.from().problem(table::candidates, "candidate " + stored->what.id, {errc::damaged, "is stored twice"}));
    return {};
  }
  return emit({table::candidate_index, id, encode(number)});
}

result<void> refolding::candidates() {
  const auto is_number = [&](table t, std::string_view key) {
    ++out_.records;
    if (key.size() != 8)
      damaged(at_.from().problem(t, "a key", {errc::damaged, fmt::format("{} bytes, 8 expected", key.size())}));
    return key.size() == 8;
  };
  KEVOLVE_TRY_VOID(at_.scan(table::candidate_segments, {}, [&](std::string_view key, std::string_view) -> result<bool> {
    if (!is_number(table::candidate_segments, key))
      return true;
    const auto sealed = candidate_segment_at(at_, u64_at(key, 0));
    if (!sealed) {
      damaged(sealed.error());
      return true;
    }
    const std::uint64_t first = (*sealed)->first, count = (*sealed)->candidates.size();
    for (std::uint64_t number = first; number < first + count; ++number)
      KEVOLVE_TRY_VOID(one_candidate(number));
    return true;
  }));
  return at_.scan(table::candidates, {}, [&](std::string_view key, std::string_view) -> result<bool> {
    if (is_number(table::candidates, key))
      KEVOLVE_TRY_VOID(one_candidate(u64_at(key, 0)));
    return true;
  });
}

result<std::vector<session_id>> refolding::names() {
  std::set<session_id> out;
  for (table t : {table::event_segments, table::events})
    KEVOLVE_TRY_VOID(at_.scan(t, {}, [&](std::string_view key, std::string_view) -> result<bool> {
      ++out_.records;
      const std::size_t end = key.find('\0');
      if (end == std::string_view::npos || key.size() != end + 9)
        damaged(at_.from().problem(t, "a key", {errc::damaged, fmt::format("{} bytes that are no session and position", key.size())}));
      else
        out.emplace_hint(out.end(), key.substr(0, end));
      return true;
    }));
  return std::vector<session_id>(out.begin(), out.end());
}

result<void> refolding::event_facts(const logged_event& found, const event& e, const session_row& row, const session_id& name) {
  std::optional<std::uint64_t> number;
  if (const candidate_id* id = candidate_of(e)) {
    const auto known = known_.find(bytes_of_id(*id));
    if (known != known_.end() && known->second.first_sequence <= found.sequence)
      number = known->second.number;
    else if (std::holds_alternative<candidate_added>(e))
      damaged(at_.from().problem(table::candidates, fmt::format("session {}, position {}, candidate {}", name, found.position, *id),
                                 {errc::damaged, "missing"}));
  }
  std::vector<fact> facts;
  derive_facts(e, {name, found.position, found.sequence}, row, number, facts);
  for (fact& f : facts)
    KEVOLVE_TRY_VOID(emit(std::move(f)));
  return {};
}

result<void> refolding::session(const session_id& name) {
  session_row row;
  row.chain = std::string(as_bytes(chain_begin(name)));
  const auto walked = walk_log(at_, name, [&](const logged_event& found) -> result<bool> {
    auto e = decode<event>(found.encoded);
    if (!e)
      return at_.from().problem(table::events, fmt::format("session {}, position {}", name, found.position), e.error());
    if (found.position == 0)
      row.first_sequence = found.sequence;
    fold_session(row, *e);
    row.chain = std::string(as_bytes(found.chain));
    ++row.events;
    if (found.sequence >= newest_) {
      newest_ = found.sequence + 1;
      head_.session = name;
      head_.position = found.position;
      head_.sequence = found.sequence;
      head_.chain = row.chain;
    }
    KEVOLVE_TRY_VOID(event_facts(found, *e, row, name));
    return true;
  });
  if (!walked && walked.error().code != errc::damaged)
    return walked.error();
  if (!walked)
    row.damage = walked.error().message;
  // What the stored row knows and the log does not: events lost from the end, or damage that an earlier repair met.
  const auto stored = at_.row<session_row>(table::sessions, name, "session " + name);
  if (stored && *stored && row.damage.empty()) {
    if ((*stored)->events > row.events)
      row.damage = at_.from().problem(table::events, "session " + name, {errc::damaged, fmt::format("{} events, {} were committed", row.events,
                                                                                                   (*stored)->events)}).message;
    else
      row.damage = (*stored)->damage;
  }
  if (row.summary.session.empty())
    row.summary.session = name;
  if (!row.damage.empty())
    damaged({errc::damaged, row.damage});
  ++out_.sessions;
  ++head_.sessions;
  return emit({table::sessions, name, encode(row)});
}

/// Sessions of which only the row is left keep it, with what happened.
result<void> refolding::lost_sessions(const std::vector<session_id>& logged) {
  return at_.scan(table::sessions, {}, [&](std::string_view key, std::string_view value) -> result<bool> {
    const session_id name(key);
    if (std::binary_search(logged.begin(), logged.end(), name))
      return true;
    const error lost = at_.from().problem(table::events, "session " + name, {errc::damaged, "all its events are missing"});
    damaged(lost);
    auto row = at_.row_in<session_row>(table::sessions, key, value, "session " + name);
    if (!row)
      return true;
    row->damage = lost.message;
    ++head_.sessions;
    KEVOLVE_TRY_VOID(emit({table::sessions, name, encode(*row)}));
    return true;
  });
}

result<refolded> refolding::run() {
  KEVOLVE_TRY_VOID(candidates());
  KEVOLVE_TRY(sessions, names());
  for (const session_id& name : sessions)
    KEVOLVE_TRY_VOID(session(name));
  KEVOLVE_TRY_VOID(lost_sessions(sessions));
  head_.events = newest_;
  const auto stored = at_.row<head_row>(table::root, "head", "head");
  if (stored && *stored) {
    const bool had_events = !(*stored)->session.empty();
    if (had_events && (newest_ == 0 || (*stored)->sequence > head_.sequence))
      damaged(at_.from().problem(table::events, fmt::format("session {}, position {}", (*stored)->session, (*stored)->position),
                                 {errc::damaged, "the newest event that was committed is missing"}));
    head_.events = std::max(head_.events, (*stored)->events); // sequences are never given out twice
  }
  KEVOLVE_TRY_VOID(emit({table::root, "head", encode(head_)}));
  return std::move(out_);
}

} // namespace

result<refolded> refold(const reading& at, const std::function<result<void>(const fact&)>& emit) { return refolding(at, emit).run(); }

} // namespace kevolve::kb
