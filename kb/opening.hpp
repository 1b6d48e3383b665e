// From a directory to an open database: makes it where missing, takes the writer's lock, verifies the file before LMDB maps it into this
// process, checks that it is ours and of a schema we know. Every failure is an error that says what to do.
#pragma once

#include "kb/database.hpp"

#include <memory>

namespace kevolve::kb {

/// Held by the one writer for as long as it lives (flock: gone with the process, however it ends).
class writer_lock {
public:
  static result<writer_lock> take(const std::filesystem::path& directory);
  /// Is there a writer? False where that cannot be told.
  static bool is_held(const std::filesystem::path& directory);
  writer_lock(writer_lock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  writer_lock(const writer_lock&) = delete;
  writer_lock& operator=(const writer_lock&) = delete;
  ~writer_lock();

private:
  explicit writer_lock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

/// This process' claim on a directory: LMDB allows one environment per file and process.
class process_claim {
public:
  static result<process_claim> take(const std::filesystem::path& directory);
  process_claim(process_claim&& other) noexcept : key_(std::exchange(other.key_, {})) {}
  process_claim(const process_claim&) = delete;
  process_claim& operator=(const process_claim&) = delete;
  ~process_claim();

private:
  explicit process_claim(std::pair<std::uint64_t, std::uint64_t> key) : key_(key) {}
  std::pair<std::uint64_t, std::uint64_t> key_;
};

struct opened_database {
  process_claim claim;
  std::optional<writer_lock> lock;
  std::unique_ptr<database> data;
  head_row head;
};

/// Is it ours, do we know its schema, and is the newest event there that was committed?
result<head_row> read_root(const database& data);
result<opened_database> open_database(const std::filesystem::path& directory, access how, const store_options& options);

} // namespace kevolve::kb
