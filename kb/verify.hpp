// Is this database what was written? Before LMDB maps it (a damaged file makes LMDB crash), and record by record against a refold of the log.
#pragma once

#include "kb/store.hpp"

namespace kevolve::kb {

struct database;

/// For every start: LMDB's meta pages, the free list, branch pages, in small files all pages; then LMDB itself in a child process. `alone`: no
/// other process writes meanwhile (else pages change while they are read, and the writer has verified them).
result<void> verify_before_mapping(const std::filesystem::path& directory, bool alone);

/// Everything: pages, then each record's checksum, chains, candidates' hashes, and each view against the refold. Reads one consistent state.
result<check_report> check_database(const database& data);
/// Drops the views and writes them anew from the log, in one transaction. Nobody else may write meanwhile.
result<void> rebuild_views(database& data);

} // namespace kevolve::kb
