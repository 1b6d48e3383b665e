#include "kb/verify.hpp"

#include "kb/pages.hpp"
#include "kb/refold.hpp"
#include "kb/store_check.hpp"

#include <fmt/format.h>
#include <mutex>

namespace kevolve::kb {
namespace {

// All pages of a file up to this size are checked at every start: 1.2 us per page of 4 KiB from the page cache.
constexpr std::uintmax_t small_file_bytes = std::uintmax_t{64} << 20;
constexpr std::size_t reported_max = 100;

constexpr std::array views{table::candidate_index, table::sessions, table::occurrences, table::evaluations, table::verifications};

void limit(std::vector<std::string>& damage) {
  if (damage.size() > reported_max) {
    const std::size_t more = damage.size() - reported_max;
    damage.resize(reported_max);
    damage.push_back(fmt::format("and {} more", more));
  }
}

/// The record that the refold gives, beside the one that is stored.
result<void> compare(const reading& at, const fact& expected, std::vector<std::string>& damage) {
  KEVOLVE_TRY(value, at.find(expected.where, expected.key));
  const std::string where = expected.where == table::sessions ? "session " + expected.key
                            : expected.where == table::root   ? expected.key
                                                              : "key " + hex(expected.key);
  if (!value) {
    damage.push_back(at.from().problem(expected.where, where, {errc::damaged, "missing; the log has it"}).message);
    return {};
  }
  auto opened = open_record(expected.where, expected.key, *value);
  if (!opened) {
    damage.push_back(at.from().problem(expected.where, where, opened.error()).message);
    return {};
  }
  if (opened->stored == expected.row)
    return {};
  if (expected.where == table::sessions) // a damaged session is reported as such, its row can only be partial
    if (auto row = decode<session_row>(expected.row); row && !row->damage.empty())
      return {};
  damage.push_back(at.from().problem(expected.where, where, {errc::damaged, "differs from what the log gives"}).message);
  return {};
}

result<page_report> check_pages_of(const reading& at) {
  return check_pages(at.from().file(), page_depth::all, mdb_txn_id(at.txn()));
}

} // namespace

result<void> verify_before_mapping(const std::filesystem::path& directory, bool alone) {
  const std::filesystem::path file = directory / "data.mdb";
  std::error_code code;
  const auto size = std::filesystem::file_size(file, code);
  if (code)
    return error{code == std::errc::permission_denied ? errc::configuration : errc::io, file.string() + ": " + code.message()};
  const page_depth depth = !alone ? page_depth::roots : size <= small_file_bytes ? page_depth::all : page_depth::branches;
  auto report = check_pages(file, depth, 0);
  if (!report)
    return report.error();
  if (!report->damage.empty())
    return error{errc::damaged, fmt::format("{}: {}{}; restore a snapshot, or move the directory away to begin anew", file.string(),
                                            report->damage.front(),
                                            report->damage.size() > 1 ? fmt::format(" ({} more)", report->damage.size() - 1) : "")};
  return check_in_child(directory, check_effort::start);
}

result<check_report> check_database(const database& data) {
  check_report report;
  for (int attempt = 0;; ++attempt) {
    KEVOLVE_TRY(at, reading::begin(data));
    auto pages = check_pages_of(at);
    if (!pages && pages.error().code == errc::not_found && attempt < 1'000)
      continue; // a writer committed twice in between
    if (!pages)
      return pages.error();
    report.damage = std::move(pages->damage);
    if (!report.damage.empty()) // LMDB must not walk these
      return report;
    std::vector<std::string> differences;
    KEVOLVE_TRY(log, refold(at, [&](const fact& expected) { return compare(at, expected, differences); }));
    report.records = log.records;
    report.sessions = log.sessions;
    report.damage = std::move(log.damage);
    report.damage.insert(report.damage.end(), differences.begin(), differences.end());
    for (table t : views) {
      MDB_stat found{};
      if (int failed = mdb_stat(at.txn(), data.handle(t), &found))
        return lmdb::failure(failed, data.file());
      report.records += found.ms_entries;
      const std::uint64_t expected = log.facts[static_cast<std::size_t>(t)];
      if (found.ms_entries > expected)
        report.damage.push_back(data.problem(t, "all of it", {errc::damaged, fmt::format("{} records, the log gives {}", found.ms_entries,
                                                                                       expected)}).message);
    }
    limit(report.damage);
    return report;
  }
}

result<void> rebuild_views(database& data) {
  {
    // Old and new views side by side need at most as much again.
    std::unique_lock lock(data.map_mutex);
    MDB_envinfo info{};
    MDB_stat stat{};
    mdb_env_info(data.env.get(), &info);
    mdb_env_stat(data.env.get(), &stat);
    const std::size_t wanted = 3 * (info.me_last_pgno + 1) * stat.ms_psize + (std::size_t{64} << 20);
    if (info.me_mapsize < wanted)
      if (int code = mdb_env_set_mapsize(data.env.get(), wanted))
        return lmdb::failure(code, data.file());
  }
  KEVOLVE_TRY(at, reading::begin(data)); // the state before: the log is read here while the views are written below
  lmdb::transaction txn;
  if (int code = lmdb::transaction::begin(data.env.get(), 0, txn))
    return lmdb::failure(code, data.file());
  for (table t : views)
    if (int code = mdb_drop(txn.get(), data.handle(t), 0))
      return lmdb::failure(code, data.file());
  auto done = refold(at, [&](const fact& f) -> result<void> {
    const std::string record = make_record(f.where, f.key, f.row);
    MDB_val k = lmdb::as_value(f.key), v = lmdb::as_value(record);
    if (int code = mdb_put(txn.get(), data.handle(f.where), &k, &v, 0))
      return lmdb::failure(code, data.file());
    return {};
  });
  if (!done)
    return done.error();
  if (int code = txn.commit())
    return lmdb::failure(code, data.file());
  return {};
}

} // namespace kevolve::kb
