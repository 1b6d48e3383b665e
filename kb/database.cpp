#include "kb/database.hpp"

#include "kb/segment.hpp"

#include <cstring>
#include <fmt/format.h>

namespace kevolve::kb {

error database::problem(table t, const std::string& where, const error& what) const {
  std::string message = fmt::format("{}: {}, {}: {}", file(), name_of(t), where, what.message);
  if (what.code == errc::damaged)
    message += t == table::events || t == table::candidates || t == table::event_segments || t == table::candidate_segments
                   ? "; 'kevolve kb check' lists all damage; what is lost comes back only from a snapshot"
                   : "; 'kevolve kb check --repair' rebuilds it from the log";
  return {what.code, std::move(message)};
}

result<reading> reading::begin(const database& from) {
  KEVOLVE_CHECK(from.owner == ::getpid());
  reading out(from, std::shared_lock(from.map_mutex));
  int code = lmdb::transaction::begin(from.env.get(), MDB_RDONLY, out.txn_);
  if (code == MDB_READERS_FULL) { // slots of readers that were killed
    int dead = 0;
    mdb_reader_check(from.env.get(), &dead);
    code = lmdb::transaction::begin(from.env.get(), MDB_RDONLY, out.txn_);
  }
  if (code)
    return lmdb::failure(code, from.file());
  return out;
}

result<std::optional<std::string_view>> reading::find(table t, std::string_view key) const {
  if (!from_->handle(t))
    return std::optional<std::string_view>{};
  MDB_val k = lmdb::as_value(key), v{};
  const int code = mdb_get(txn_.get(), from_->handle(t), &k, &v);
  if (code == MDB_NOTFOUND)
    return std::optional<std::string_view>{};
  if (code)
    return lmdb::failure(code, fmt::format("{}: {}", from_->file(), name_of(t)));
  return std::optional(lmdb::as_view(v));
}

result<std::optional<std::pair<std::string_view, std::string_view>>> reading::find_from(table t, std::string_view key) const {
  std::optional<std::pair<std::string_view, std::string_view>> found;
  KEVOLVE_TRY_VOID(from_the_first(t, key, MDB_SET_RANGE, [&](std::string_view there, std::string_view value) -> result<bool> {
    found.emplace(there, value);
    return false;
  }));
  return found;
}

result<void> reading::scan(table t, std::string_view prefix,
                           const std::function<result<bool>(std::string_view, std::string_view)>& each) const {
  return from_the_first(t, prefix, prefix.empty() ? MDB_FIRST : MDB_SET_RANGE, [&](std::string_view key, std::string_view value) -> result<bool> {
    if (key.substr(0, prefix.size()) != prefix)
      return false;
    return each(key, value);
  });
}

result<void> reading::from_the_first(table t, std::string_view key, MDB_cursor_op op,
                                     const std::function<result<bool>(std::string_view, std::string_view)>& each) const {
  if (!from_->handle(t))
    return {};
  lmdb::cursor at;
  if (int code = lmdb::cursor::open(txn_.get(), from_->handle(t), at))
    return lmdb::failure(code, from_->file());
  std::string_view value;
  int code = at.get(key, value, op);
  for (; code == 0; code = at.get(key, value, MDB_NEXT)) {
    KEVOLVE_TRY(more, each(key, value));
    if (!more)
      return {};
  }
  if (code && code != MDB_NOTFOUND)
    return lmdb::failure(code, fmt::format("{}: {}", from_->file(), name_of(t)));
  return {};
}

namespace {

std::string place_name(const session_id& session, std::uint64_t position) {
  return fmt::format("session {}, position {}", session, position);
}

result<logged_event> read_logged(const reading& at, const session_id& session, std::string_view key, std::string_view value,
                                 std::string& buffer) {
  logged_event out;
  out.position = u64_at(key, key.size() - 8);
  auto opened = open_record(table::events, key, value, event_fixed_bytes);
  if (!opened)
    return at.from().problem(table::events, place_name(session, out.position), opened.error());
  std::memcpy(out.previous.data(), opened->fixed.data(), out.previous.size());
  out.sequence = u64_at(opened->fixed, out.previous.size());
  auto body = body_of(*opened, buffer);
  if (!body)
    return at.from().problem(table::events, place_name(session, out.position), body.error());
  out.encoded = *body;
  out.chain = chain_next(out.previous, content_hash(out.encoded));
  return out;
}

chain_hash chain_of(const event_segment& sealed) {
  chain_hash out{};
  std::memcpy(out.data(), sealed.previous.data(), out.size());
  return out;
}

logged_event unsealed(const event_segment& sealed, std::size_t index, const chain_hash& previous) {
  const sealed_event& e = sealed.events[index];
  return {sealed.first + index, e.sequence, previous, chain_next(previous, content_hash(e.encoded)), e.encoded};
}

} // namespace

result<void> walk_log(const reading& at, const session_id& session, const std::function<result<bool>(const logged_event&)>& each) {
  const std::string prefix = session + '\0';
  chain_hash chain = chain_begin(session);
  std::uint64_t expected = 0;
  bool goes_on = true;
  const auto next = [&](const logged_event& found) -> result<bool> {
    if (found.position != expected)
      return at.from().problem(table::events, place_name(session, expected),
                               {errc::damaged, fmt::format("missing; the next event is at {}", found.position)});
    if (found.previous != chain)
      return at.from().problem(table::events, place_name(session, found.position),
                               {errc::damaged, "the hash chain is broken: it does not follow the event before it"});
    chain = found.chain;
    ++expected;
    KEVOLVE_TRY(more, each(found));
    return goes_on = more;
  };
  KEVOLVE_TRY_VOID(for_event_segments(at, session, [&](const event_segment& sealed) -> result<bool> {
    chain_hash previous = chain_of(sealed);
    for (std::size_t i = 0; i < sealed.events.size() && goes_on; ++i) {
      const logged_event found = unsealed(sealed, i, previous);
      previous = found.chain;
      KEVOLVE_TRY_VOID(next(found));
    }
    return goes_on;
  }));
  if (!goes_on)
    return {};
  std::string buffer;
  return at.scan(table::events, prefix, [&](std::string_view key, std::string_view value) -> result<bool> {
    if (key.size() != prefix.size() + 8)
      return at.from().problem(table::events, "session " + session, {errc::damaged, fmt::format("a key of {} bytes", key.size())});
    KEVOLVE_TRY(found, read_logged(at, session, key, value, buffer));
    return next(found);
  });
}

result<logged_event> log_at(const reading& at, const session_id& session, std::uint64_t position, std::string& buffer) {
  const std::string key = event_key(session, position);
  KEVOLVE_TRY(value, at.find(table::events, key));
  if (value)
    return read_logged(at, session, key, *value, buffer);
  KEVOLVE_TRY(sealed, event_segment_at(at, session, position));
  if (!sealed)
    return at.from().problem(table::events, place_name(session, position), {errc::damaged, "missing"});
  chain_hash previous = chain_of(*sealed);
  for (std::size_t i = 0; i < position - sealed->first; ++i)
    previous = unsealed(*sealed, i, previous).chain;
  logged_event found = unsealed(*sealed, position - sealed->first, previous);
  buffer = found.encoded;
  found.encoded = buffer;
  return found;
}

result<stored_candidate> candidate_at(const reading& at, std::uint64_t number) {
  const std::string key = number_key(number), where = fmt::format("candidate number {}", number);
  KEVOLVE_TRY(value, at.find(table::candidates, key));
  std::string buffer;
  std::string_view body;
  std::uint64_t first_sequence = 0;
  if (value) {
    auto opened = open_record(table::candidates, key, *value, 8);
    if (!opened)
      return at.from().problem(table::candidates, where, opened.error());
    auto unpacked = body_of(*opened, buffer);
    if (!unpacked)
      return at.from().problem(table::candidates, where, unpacked.error());
    body = *unpacked;
    first_sequence = u64_at(opened->fixed, 0);
  } else {
    KEVOLVE_TRY(sealed, candidate_segment_at(at, number));
    if (!sealed)
      return at.from().problem(table::candidates, where, {errc::damaged, "missing"});
    const sealed_candidate& found = sealed->candidates[number - sealed->first];
    body = found.encoded;
    first_sequence = found.first_sequence;
  }
  auto what = decode<candidate>(body);
  if (!what)
    return at.from().problem(table::candidates, where, what.error());
  return stored_candidate{first_sequence, *std::move(what)};
}

result<std::optional<std::uint64_t>> candidate_number(const reading& at, std::string_view id_bytes) {
  return at.row<std::uint64_t>(table::candidate_index, id_bytes, "candidate " + hex(id_bytes));
}

} // namespace kevolve::kb
