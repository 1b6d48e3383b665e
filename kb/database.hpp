// The open LMDB environment with its tables: how the store reads. Growing the map excludes readers in this process for a moment; everything
// else runs side by side. One per directory and process (LMDB's locks allow no second). Any thread; never across a fork.
#pragma once

#include "kb/layout.hpp"
#include "kb/lmdb.hpp"
#include "kb/record.hpp"
#include "protocol/codec.hpp"

#include <functional>
#include <optional>
#include <shared_mutex>
#include <unistd.h>

namespace kevolve::kb {

struct database {
  std::filesystem::path directory;
  lmdb::environment env;
  std::array<MDB_dbi, table_count> tables{};
  mutable std::shared_mutex map_mutex; // shared: transactions; exclusive: changing the map's size
  pid_t owner = ::getpid();

  /// 0 for a table that may be missing and is.
  MDB_dbi handle(table t) const { return tables[static_cast<std::size_t>(t)]; }
  std::string file() const { return (directory / "data.mdb").string(); }
  /// "…/data.mdb: TABLE, WHERE: PROBLEM", with what to do about damage.
  error problem(table t, const std::string& where, const error& what) const;
};

struct segment_cache;

/// A read transaction: sees one consistent state for as long as it lives. Keep it short, it holds old pages.
class reading {
public:
  static result<reading> begin(const database& from);
  MDB_txn* txn() const { return txn_.get(); }
  const database& from() const { return *from_; }

  /// LMDB's record, or nothing. The view lives as long as this.
  result<std::optional<std::string_view>> find(table t, std::string_view key) const;
  /// The first record at or behind `key`: its key and value.
  result<std::optional<std::pair<std::string_view, std::string_view>>> find_from(table t, std::string_view key) const;
  /// A row of a view or of `root`, checked and decoded.
  template <class Row>
  result<std::optional<Row>> row(table t, std::string_view key, const std::string& where) const {
    KEVOLVE_TRY(value, find(t, key));
    if (!value)
      return std::optional<Row>{};
    KEVOLVE_TRY(decoded, row_in<Row>(t, key, *value, where));
    return std::optional<Row>(std::move(decoded));
  }
  template <class Row>
  result<Row> row_in(table t, std::string_view key, std::string_view value, const std::string& where) const {
    auto opened = open_record(t, key, value);
    if (!opened)
      return from_->problem(t, where, opened.error());
    std::string buffer;
    auto body = body_of(*opened, buffer);
    if (!body)
      return from_->problem(t, where, body.error());
    auto decoded = decode<Row>(*body);
    if (!decoded)
      return from_->problem(t, where, decoded.error());
    return decoded;
  }
  /// Calls `each` for the records whose key begins with `prefix`, in order, until it returns false or an error.
  result<void> scan(table t, std::string_view prefix, const std::function<result<bool>(std::string_view, std::string_view)>& each) const;

private:
  result<void> from_the_first(table t, std::string_view key, MDB_cursor_op op,
                              const std::function<result<bool>(std::string_view, std::string_view)>& each) const;
  reading(const database& from, std::shared_lock<std::shared_mutex> lock) : from_(&from), lock_(std::move(lock)) {}
  const database* from_;
  std::shared_lock<std::shared_mutex> lock_;
  lmdb::transaction txn_;
  friend class segment_reader;
  mutable std::shared_ptr<segment_cache> cache_; // made when a segment is first read
};

/// An event as it lies in the log.
struct logged_event {
  std::uint64_t position = 0;
  std::uint64_t sequence = 0;
  chain_hash previous{};
  chain_hash chain{}; // after it
  std::string_view encoded; // without a candidate's sources
};
/// Walks a session's log from its beginning, verifying positions, checksums and the hash chain. Errors name session and position.
result<void> walk_log(const reading& at, const session_id& session, const std::function<result<bool>(const logged_event&)>& each);
/// One event; `position` must exist.
result<logged_event> log_at(const reading& at, const session_id& session, std::uint64_t position, std::string& buffer);

/// A candidate by its number.
struct stored_candidate {
  std::uint64_t first_sequence = 0;
  candidate what;
};
result<stored_candidate> candidate_at(const reading& at, std::uint64_t number);
result<std::optional<std::uint64_t>> candidate_number(const reading& at, std::string_view id_bytes);

} // namespace kevolve::kb
