// Thin ownership over the LMDB C API: environment, transaction, cursor, and errors as values. An environment belongs to one process and must
// not cross a fork; read transactions may be used by any one thread at a time (MDB_NOTLS); there is one write transaction at a time.
#pragma once

#include "protocol/result.hpp"

#include <filesystem>
#include <lmdb.h>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace kevolve::kb::lmdb {

/// An LMDB or errno code as an error: full (no space, map full), configuration (not allowed to), damaged (not a database, broken pages), io.
error failure(int code, const std::string& doing);

inline MDB_val as_value(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
inline std::string_view as_view(const MDB_val& value) { return {static_cast<const char*>(value.mv_data), value.mv_size}; }

struct environment_closer {
  void operator()(MDB_env* handle) const noexcept { mdb_env_close(handle); }
};
using environment = std::unique_ptr<MDB_env, environment_closer>;

/// Opens DIR/data.mdb. `flags` beside MDB_NOTLS, which is always set: MDB_RDONLY, MDB_NOLOCK.
result<environment> open_environment(const std::filesystem::path& directory, unsigned flags, std::size_t map_bytes);

/// Aborts unless committed.
class transaction {
public:
  transaction() = default;
  transaction(transaction&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  transaction& operator=(transaction&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~transaction() {
    if (handle_)
      mdb_txn_abort(handle_);
  }
  /// Returns LMDB's code; a map that another process has grown is taken over first.
  static int begin(MDB_env* env, unsigned flags, transaction& out) {
    MDB_txn* handle = nullptr;
    int code = mdb_txn_begin(env, nullptr, flags, &handle);
    if (code == MDB_MAP_RESIZED && mdb_env_set_mapsize(env, 0) == 0)
      code = mdb_txn_begin(env, nullptr, flags, &handle);
    if (code == 0)
      out = transaction(handle);
    return code;
  }
  int commit() { return mdb_txn_commit(std::exchange(handle_, nullptr)); }
  MDB_txn* get() const { return handle_; }

private:
  explicit transaction(MDB_txn* handle) : handle_(handle) {}
  MDB_txn* handle_ = nullptr;
};

/// Closed before its transaction ends (declare it after the transaction).
class cursor {
public:
  cursor() = default;
  cursor(cursor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  cursor& operator=(cursor&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~cursor() {
    if (handle_)
      mdb_cursor_close(handle_);
  }
  static int open(MDB_txn* txn, MDB_dbi table, cursor& out) { return mdb_cursor_open(txn, table, &out.handle_); }
  int get(std::string_view& key, std::string_view& value, MDB_cursor_op op) {
    MDB_val k = as_value(key), v{};
    int code = mdb_cursor_get(handle_, &k, &v, op);
    if (code == 0) {
      key = as_view(k);
      value = as_view(v);
    }
    return code;
  }
  MDB_cursor* get() const { return handle_; }

private:
  MDB_cursor* handle_ = nullptr;
};

} // namespace kevolve::kb::lmdb
