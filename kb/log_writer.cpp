#include "kb/log_writer.hpp"

#include "protocol/check.hpp"
#include "protocol/failpoint.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

namespace kevolve::kb {
namespace {

// One commit's share: bounds latency of the first in it and the memory of its dirty pages (LMDB allows 131,072 of them).
constexpr std::size_t group_events_max = 8'192;
constexpr std::size_t group_bytes_max = std::size_t{32} << 20;
// Rows and candidate numbers kept in memory between groups; dropped whole when there are more, they are in the database anyway.
constexpr std::size_t cached_rows = 4'096;
constexpr std::size_t cached_numbers = 65'536;

} // namespace

struct log_writer::group_state {
  lmdb::transaction txn;
  lmdb::cursor events;
  std::string last_key;                                       // greatest key of the log: beyond it, appending is cheaper
  head_row head;
  std::unordered_map<session_id, session_row> rows;           // touched in this group
  std::unordered_map<std::string, std::uint64_t> numbers;     // added in this group
  std::vector<fact> facts;
};

log_writer::log_writer(database& into, head_row head, const store_options& options)
    : into_(into), options_(options), head_(std::move(head)), thread_([this] { run(); }) {}

log_writer::~log_writer() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  queued_.notify_all();
  thread_.join();
}

void log_writer::push(queued_event what) {
  std::unique_lock lock(mutex_);
  const std::size_t bytes = what.bytes();
  if (std::this_thread::get_id() != thread_.get_id()) // a completion that appends must not wait for itself
    room_.wait(lock, [&] {
      return outstanding_events_ == 0 || (outstanding_events_ < options_.queued_events && outstanding_bytes_ + bytes <= options_.queued_bytes);
    });
  ++outstanding_events_;
  outstanding_bytes_ += bytes;
  const bool was_empty = queue_.empty();
  queue_.push_back(std::move(what));
  lock.unlock();
  if (was_empty)
    queued_.notify_one();
}

result<void> log_writer::health() const {
  std::lock_guard lock(mutex_);
  return trouble_ ? result<void>(*trouble_) : result<void>();
}

result<void> log_writer::recover() {
  std::lock_guard lock(mutex_);
  if (fatal_)
    return *trouble_;
  given_up_ = false;
  trouble_.reset();
  return {};
}

void log_writer::forget(head_row head) {
  head_ = std::move(head);
  rows_.clear();
  numbers_.clear();
}

void log_writer::run() {
  for (;;) {
    std::deque<queued_event> group;
    {
      std::unique_lock lock(mutex_);
      queued_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (queue_.empty())
        return;
      std::size_t bytes = 0;
      if (queue_.size() <= group_events_max && outstanding_bytes_ <= group_bytes_max) {
        group.swap(queue_);
      } else {
        while (!queue_.empty() && group.size() < group_events_max && bytes <= group_bytes_max) {
          bytes += queue_.front().bytes();
          group.push_back(std::move(queue_.front()));
          queue_.pop_front();
        }
      }
    }
    write_group(group);
  }
}

void log_writer::write_group(std::deque<queued_event>& group) {
  const auto since = std::chrono::steady_clock::now();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (given_up_) {
        const error why = *trouble_;
        lock.unlock();
        complete(group, std::vector<result<std::uint64_t>>(group.size(), result<std::uint64_t>(why)));
        return;
      }
    }
    std::vector<result<std::uint64_t>> outcomes(group.size(), result<std::uint64_t>(std::uint64_t{0}));
    std::unique_lock writing(writing_);
    group_state state;
    const int code = apply(group, outcomes, state);
    if (code == 0) {
      head_ = std::move(state.head);
      if (rows_.size() + state.rows.size() > cached_rows)
        rows_.clear();
      for (auto& [session, row] : state.rows)
        rows_[session] = std::move(row);
      if (numbers_.size() + state.numbers.size() > cached_numbers)
        numbers_.clear();
      numbers_.merge(state.numbers);
      writing.unlock();
      {
        std::lock_guard lock(mutex_);
        trouble_.reset();
      }
      complete(group, std::move(outcomes));
      return;
    }
    state = {}; // aborts: nothing of the group is in the database
    if (code == MDB_MAP_FULL && grow_map(group_bytes_max) == 0)
      continue;
    writing.unlock();
    const error why = lmdb::failure(code, "writing " + into_.file());
    if (why.code == errc::full || (code == EIO && disk_is_full())) { // LMDB calls a short write EIO
      if (!wait_for_space(lmdb::failure(ENOSPC, "writing " + into_.file()), since))
        give_up({errc::full, fmt::format("{}: the disk is full; nothing that was acknowledged is lost; free some space, then resume",
                                         into_.file())}, false);
    } else {
      give_up(why.in("the store stops, a failed write is not retried; start again, which verifies it"), true);
    }
  }
}

int log_writer::apply(const std::deque<queued_event>& group, std::vector<result<std::uint64_t>>& outcomes, group_state& state) {
  std::size_t bytes = 0;
  for (const queued_event& item : group)
    bytes += item.bytes() + 4'096;
  if (int code = grow_map(bytes))
    return code;
  if (int code = lmdb::transaction::begin(into_.env.get(), 0, state.txn))
    return code;
  if (int code = lmdb::cursor::open(state.txn.get(), into_.handle(table::events), state.events))
    return code;
  std::string_view key, value;
  if (int code = state.events.get(key, value, MDB_LAST); code == 0)
    state.last_key = key;
  else if (code != MDB_NOTFOUND)
    return code;
  state.head = head_;
  for (std::size_t i = 0; i < group.size(); ++i)
    if (!group[i].session.empty())
      if (int code = apply_event(group[i], outcomes[i], state))
        return code;
  state.events = {};
  if (state.rows.empty()) // markers and refusals only
    return 0;
  if (int code = put_sessions(state))
    return code;
  pass(failpoint::log_before_commit);
  const int code = state.txn.commit();
  if (code == 0)
    pass(failpoint::log_after_commit);
  return code;
}

int log_writer::apply_event(const queued_event& item, result<std::uint64_t>& outcome, group_state& state) {
  session_row* row = nullptr;
  error problem;
  if (int code = row_of(item.session, row, state, problem))
    return code;
  const bool opens = std::holds_alternative<session_opened>(item.what);
  if (row && !row->damage.empty())
    problem = {errc::damaged, fmt::format("session {} is damaged ({}) and takes no more events", item.session, row->damage)};
  else if (row && opens)
    problem = {errc::refused, fmt::format("session {} exists already", item.session)};
  else if (!row && !opens && problem.message.empty())
    problem = {errc::refused, fmt::format("session {} is not open: its first event must be session_opened", item.session)};
  if (!problem.message.empty()) {
    outcome = problem;
    return 0;
  }
  if (!row) {
    row = &state.rows[item.session];
    row->first_sequence = state.head.events;
    row->chain = std::string(as_bytes(chain_begin(item.session)));
    ++state.head.sessions;
  }

  const event_place at{item.session, row->events, state.head.events};
  const std::string key = event_key(item.session, at.position);
  std::string fixed = row->chain;
  append_u64(fixed, at.sequence);
  MDB_val k = lmdb::as_value(key), v{item.body.record_bytes(fixed.size()), nullptr};
  const bool beyond = key > state.last_key;
  if (int code = mdb_cursor_put(state.events.get(), &k, &v, MDB_RESERVE | (beyond ? MDB_APPEND : MDB_NOOVERWRITE)))
    return code;
  write_record(static_cast<char*>(v.mv_data), table::events, key, fixed, item.body);
  if (beyond)
    state.last_key = key;

  chain_hash previous{};
  std::copy(row->chain.begin(), row->chain.end(), reinterpret_cast<char*>(previous.data()));
  row->chain = std::string(as_bytes(chain_next(previous, item.content)));
  ++row->events;
  ++state.head.events;
  state.head.session = item.session;
  state.head.position = at.position;
  state.head.sequence = at.sequence;
  state.head.chain = row->chain;
  fold_session(*row, item.what);
  outcome = at.position;
  return put_facts(item, at, *row, state);
}

int log_writer::put_facts(const queued_event& item, const event_place& at, const session_row& row, group_state& state) {
  std::optional<std::uint64_t> number;
  if (!item.candidate.empty()) {
    if (int code = add_candidate(item, at.sequence, number.emplace(), state))
      return code;
  } else if (const candidate_id* id = candidate_of(item.what)) {
    if (const std::string bytes = bytes_of_id(*id); !bytes.empty())
      if (int code = find_number(bytes, number, state))
        return code;
  }
  state.facts.clear();
  derive_facts(item.what, at, row, number, state.facts);
  for (const fact& f : state.facts) {
    const std::string record = make_record(f.where, f.key, f.row);
    MDB_val k = lmdb::as_value(f.key), v = lmdb::as_value(record);
    if (int code = mdb_put(state.txn.get(), into_.handle(f.where), &k, &v, 0))
      return code;
  }
  return 0;
}

int log_writer::add_candidate(const queued_event& item, std::uint64_t sequence, std::uint64_t& number, group_state& state) {
  std::optional<std::uint64_t> known;
  if (int code = find_number(item.candidate, known, state))
    return code;
  if (known) {
    number = *known;
    return 0;
  }
  number = state.head.candidates++;
  const std::string key = number_key(number);
  std::string fixed;
  append_u64(fixed, sequence);
  MDB_val k = lmdb::as_value(key), v{item.candidate_body.record_bytes(fixed.size()), nullptr};
  if (int code = mdb_put(state.txn.get(), into_.handle(table::candidates), &k, &v, MDB_RESERVE | MDB_APPEND))
    return code;
  write_record(static_cast<char*>(v.mv_data), table::candidates, key, fixed, item.candidate_body);
  const std::string record = make_record(table::candidate_index, item.candidate, encode(number));
  k = lmdb::as_value(item.candidate);
  v = lmdb::as_value(record);
  if (int code = mdb_put(state.txn.get(), into_.handle(table::candidate_index), &k, &v, MDB_NOOVERWRITE))
    return code;
  state.numbers.emplace(item.candidate, number);
  return 0;
}

int log_writer::find_number(const std::string& id_bytes, std::optional<std::uint64_t>& number, group_state& state) {
  if (auto found = state.numbers.find(id_bytes); found != state.numbers.end())
    return number = found->second, 0;
  if (auto found = numbers_.find(id_bytes); found != numbers_.end())
    return number = found->second, 0;
  MDB_val k = lmdb::as_value(id_bytes), v{};
  const int code = mdb_get(state.txn.get(), into_.handle(table::candidate_index), &k, &v);
  if (code)
    return code == MDB_NOTFOUND ? 0 : code;
  auto opened = open_record(table::candidate_index, id_bytes, lmdb::as_view(v));
  if (!opened)
    return MDB_CORRUPTED;
  auto decoded = decode<std::uint64_t>(opened->stored);
  if (!decoded)
    return MDB_CORRUPTED;
  number = *decoded;
  return 0;
}

int log_writer::row_of(const session_id& session, session_row*& row, group_state& state, error& problem) {
  if (auto found = state.rows.find(session); found != state.rows.end())
    return row = &found->second, 0;
  if (auto found = rows_.find(session); found != rows_.end())
    return row = &state.rows.emplace(session, found->second).first->second, 0;
  MDB_val k = lmdb::as_value(session), v{};
  const int code = mdb_get(state.txn.get(), into_.handle(table::sessions), &k, &v);
  if (code)
    return code == MDB_NOTFOUND ? 0 : code;
  auto opened = open_record(table::sessions, session, lmdb::as_view(v));
  std::string buffer;
  auto decoded = opened ? body_of(*opened, buffer) : result<std::string_view>(opened.error());
  auto stored = decoded ? decode<session_row>(*decoded) : result<session_row>(decoded.error());
  if (!stored) // only this session is concerned
    return problem = into_.problem(table::sessions, "session " + session, stored.error()), 0;
  row = &state.rows.emplace(session, *std::move(stored)).first->second;
  return 0;
}

int log_writer::put_sessions(group_state& state) {
  for (const auto& [session, row] : state.rows) {
    const std::string record = make_record(table::sessions, session, encode(row));
    MDB_val k = lmdb::as_value(session), v = lmdb::as_value(record);
    if (int code = mdb_put(state.txn.get(), into_.handle(table::sessions), &k, &v, 0))
      return code;
  }
  const std::string record = make_record(table::root, "head", encode(state.head));
  MDB_val k = lmdb::as_value("head"), v = lmdb::as_value(record);
  return mdb_put(state.txn.get(), into_.handle(table::root), &k, &v, 0);
}

int log_writer::grow_map(std::size_t at_least_free) {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(into_.env.get(), &info);
  mdb_env_stat(into_.env.get(), &stat);
  const std::size_t used = (info.me_last_pgno + 1) * stat.ms_psize;
  std::size_t size = info.me_mapsize;
  while (size / 10 * 7 < used + at_least_free)
    size *= 2;
  if (size == info.me_mapsize)
    return 0;
  std::unique_lock lock(into_.map_mutex);
  return mdb_env_set_mapsize(into_.env.get(), size);
}

bool log_writer::disk_is_full() const {
  struct statvfs disk {};
  return ::statvfs(into_.directory.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < (1u << 20);
}

bool log_writer::wait_for_space(const error& why, std::chrono::steady_clock::time_point since) {
  std::unique_lock lock(mutex_);
  trouble_ = error{errc::full, fmt::format("{}; waiting for space", why.message)};
  const auto waited = std::chrono::steady_clock::now() - since;
  if (waited >= (closing_ ? std::min(options_.full_patience, store_options{}.full_patience) : options_.full_patience))
    return false;
  lock.unlock();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return true;
}

void log_writer::give_up(const error& why, bool fatal) {
  std::lock_guard lock(mutex_);
  fatal_ = fatal;
  trouble_ = why;
  given_up_ = true;
}

void log_writer::complete(std::deque<queued_event>& group, std::vector<result<std::uint64_t>> outcomes) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < group.size(); ++i) {
    bytes += group[i].bytes();
    if (group[i].done)
      group[i].done(std::move(outcomes[i]));
  }
  {
    std::lock_guard lock(mutex_);
    outstanding_events_ -= group.size();
    outstanding_bytes_ -= bytes;
  }
  room_.notify_all();
}

} // namespace kevolve::kb
