// Reads LMDB's file without LMDB: every page that is reachable is checked for being where, what and how long it must be, so that LMDB, which
// trusts its file and crashes on nonsense, can be let near it. Reads by pread, bounds-checks everything; a short or failing read is an error.
// Format: LMDB 0.9, 64 bit, native endianness (mdb.c: MDB_page, MDB_meta, MDB_db, MDB_node). Any thread.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::kb {

struct page_report {
  std::uint64_t transaction = 0;     // the one that was looked at
  std::uint64_t pages = 0;           // read
  std::vector<std::string> damage;   // at most `damage_max`, the last says how many more
};

enum class page_depth : std::uint8_t {
  roots,     // both meta pages only
  branches,  // and everything but leaf pages and what hangs on them
  all,
};

/// Looks at the state of `transaction` (0: the newest). Errors: not a file that can be read; not_found when that transaction's meta page has
/// been overwritten meanwhile (a writer is at work: begin a new read transaction and try again).
result<page_report> check_pages(const std::filesystem::path& file, page_depth depth, std::uint64_t transaction);

} // namespace kevolve::kb
