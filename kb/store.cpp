#include "kb/store.hpp"

#include "kb/log_writer.hpp"
#include "kb/opening.hpp"
#include "kb/verify.hpp"

#include <algorithm>
#include <condition_variable>
#include <fmt/format.h>

namespace kevolve::kb {
namespace {

class lmdb_store final : public store {
public:
  lmdb_store(opened_database opened, const store_options& options, bool writes) : opened_(std::move(opened)) {
    if (writes)
      writer_ = std::make_unique<log_writer>(*opened_.data, opened_.head, options);
  }
  ~lmdb_store() override {
    if (opened_.data->owner != ::getpid()) { // a forked child: threads, locks and map belong to the parent
      (void)writer_.release();
      (void)opened_.data->env.release();
    }
  }

  void append(const session_id& session, event what, completion done) override;
  result<void> flush() override;
  result<void> health() const override { return writer_ ? writer_->health() : result<void>(); }
  result<void> recover() override { return writer_ ? writer_->recover() : read_only(); }
  result<std::vector<event>> events(const session_id& session) const override;
  result<std::string> digest(const session_id& session, std::uint64_t count) const override;
  result<std::vector<session_summary>> sessions() const override;
  result<std::optional<candidate>> find_candidate(const candidate_id& id_or_prefix) const override;
  result<std::vector<std::pair<session_id, node_number>>> occurrences(const candidate_id& id) const override;
  result<std::vector<leader>> leaders(const std::string& definition_or_all) const override;
  result<std::optional<evaluation>> find_evaluation(const candidate_id& id, const std::string& hardware) const override;
  result<std::optional<evaluation>> find_timing(const candidate_id& id, const std::string& hardware, const std::string& toolchain,
                                                const std::string& judge_version) const override;
  result<std::optional<evaluation>> find_correctness(const candidate_id& id, const target& on, const std::string& toolchain,
                                                     const std::string& oracle_version) const override;
  result<check_report> check(bool repair) override;
  result<void> snapshot(const std::filesystem::path& directory) const override;

private:
  error read_only() const { return {errc::refused, opened_.data->directory.string() + ": the store was opened to be read only"}; }
  result<std::optional<evaluation>> newest(const candidate_id& id, const std::function<bool(const evaluation_row&)>& fits) const;

  opened_database opened_;
  std::unique_ptr<log_writer> writer_;
};

result<void> check_session_id(const session_id& session) {
  if (session.empty() || session.size() > session_id_bytes_max || session.find('\0') != std::string::npos)
    return error{errc::refused, fmt::format("a session's id has 1 to {} bytes and no zero byte, found {} bytes", session_id_bytes_max,
                                            session.size())};
  return {};
}

/// Everything that needs no order: encoding, hashing and compressing, on the caller's thread.
result<queued_event> prepare(const session_id& session, event what) {
  KEVOLVE_TRY_VOID(check_session_id(session));
  queued_event item;
  item.session = session;
  if (const auto* opened = std::get_if<session_opened>(&what); opened && opened->session != session)
    return error{errc::refused, fmt::format("session_opened names session {}, it was appended to {}", opened->session, session)};
  if (auto* added = std::get_if<candidate_added>(&what)) {
    item.candidate = bytes_of_id(added->what.id);
    if (item.candidate.empty() || candidate_hash(added->what) != added->what.id)
      return error{errc::refused, fmt::format("candidate id '{}' is not the hash of the candidate's content", added->what.id)};
    KEVOLVE_TRY(packed, pack_body(encode(added->what)));
    item.candidate_body = std::move(packed);
    added->what.sources.clear();
  }
  std::string plain = encode(what);
  item.content = content_hash(plain);
  KEVOLVE_TRY(packed, pack_body(std::move(plain)));
  item.body = std::move(packed);
  item.what = std::move(what);
  return item;
}

void lmdb_store::append(const session_id& session, event what, completion done) {
  KEVOLVE_CHECK(opened_.data->owner == ::getpid());
  auto item = writer_ ? prepare(session, std::move(what)) : result<queued_event>(read_only());
  if (!item) {
    if (done)
      done(item.error());
    return;
  }
  item->done = std::move(done);
  writer_->push(*std::move(item));
}

result<void> lmdb_store::flush() {
  if (!writer_)
    return {};
  std::mutex mutex;
  std::condition_variable finished;
  bool is_done = false;
  result<std::uint64_t> outcome{0};
  queued_event marker;
  marker.done = [&](result<std::uint64_t> position) {
    std::lock_guard lock(mutex);
    outcome = std::move(position);
    is_done = true;
    finished.notify_one();
  };
  writer_->push(std::move(marker));
  std::unique_lock lock(mutex);
  finished.wait(lock, [&] { return is_done; });
  return outcome ? result<void>() : result<void>(outcome.error());
}

result<std::vector<event>> lmdb_store::events(const session_id& session) const {
  KEVOLVE_TRY_VOID(check_session_id(session));
  KEVOLVE_TRY(at, reading::begin(*opened_.data));
  KEVOLVE_TRY(row, at.row<session_row>(table::sessions, session, "session " + session));
  std::vector<event> out;
  chain_hash chain = chain_begin(session);
  if (row)
    out.reserve(row->events);
  KEVOLVE_TRY_VOID(walk_log(at, session, [&](const logged_event& found) -> result<bool> {
    auto decoded = decode<event>(found.encoded);
    const std::string where = fmt::format("session {}, position {}", session, found.position);
    if (!decoded)
      return opened_.data->problem(table::events, where, decoded.error());
    if (auto* added = std::get_if<candidate_added>(&*decoded)) {
      KEVOLVE_TRY(number, candidate_number(at, bytes_of_id(added->what.id)));
      if (!number)
        return opened_.data->problem(table::candidate_index, where + ", candidate " + added->what.id, {errc::damaged, "missing"});
      KEVOLVE_TRY(stored, candidate_at(at, *number));
      if (stored.what.id != added->what.id)
        return opened_.data->problem(table::candidate_index, where + ", candidate " + added->what.id, {errc::damaged, "leads to " + stored.what.id});
      added->what.sources = std::move(stored.what.sources);
    }
    chain = found.chain;
    out.push_back(*std::move(decoded));
    return true;
  }));
  if (!row && out.empty())
    return error{errc::not_found, fmt::format("no session '{}' in {}", session, opened_.data->directory.string())};
  if (!row || row->events != out.size() || row->chain != as_bytes(chain))
    return opened_.data->problem(table::events, "session " + session,
                                 {errc::damaged, fmt::format("{} events, {} were committed", out.size(), row ? row->events : 0)});
  return out;
}

result<std::string> lmdb_store::digest(const session_id& session, std::uint64_t count) const {
  KEVOLVE_TRY_VOID(check_session_id(session));
  KEVOLVE_TRY(at, reading::begin(*opened_.data));
  KEVOLVE_TRY(row, at.row<session_row>(table::sessions, session, "session " + session));
  if (!row)
    return error{errc::not_found, fmt::format("no session '{}' in {}", session, opened_.data->directory.string())};
  if (count > row->events)
    return error{errc::usage, fmt::format("session {} has {} events, a digest of {} was asked for", session, row->events, count)};
  std::string buffer;
  KEVOLVE_TRY(last, log_at(at, session, (count ? count : row->events) - 1, buffer));
  return hex(as_bytes(last.chain));
}

result<std::vector<session_summary>> lmdb_store::sessions() const {
  KEVOLVE_TRY(at, reading::begin(*opened_.data));
  std::vector<std::pair<std::uint64_t, session_summary>> found;
  KEVOLVE_TRY_VOID(at.scan(table::sessions, {}, [&](std::string_view key, std::string_view value) -> result<bool> {
    KEVOLVE_TRY(row, at.row_in<session_row>(table::sessions, key, value, "session " + std::string(key)));
    if (!row.damage.empty())
      row.summary.state = "damaged";
    found.emplace_back(row.first_sequence, std::move(row.summary));
    return true;
  }));
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<session_summary> out;
  for (auto& [sequence, summary] : found)
    out.push_back(std::move(summary));
  return out;
}

result<std::optional<candidate>> lmdb_store::find_candidate(const candidate_id& id_or_prefix) const {
  constexpr std::size_t shortest = 4;
  if (id_or_prefix.size() < shortest || id_or_prefix.size() > 64 ||
      id_or_prefix.find_first_not_of("0123456789abcdef") != std::string::npos)
    return error{errc::usage, fmt::format("a candidate's id is {} to 64 lower-case hex digits, found '{}'", shortest, id_or_prefix)};
  KEVOLVE_TRY(at, reading::begin(*opened_.data));
  std::vector<std::pair<std::string, std::uint64_t>> found;
  const std::string prefix = bytes_of_id(id_or_prefix.substr(0, id_or_prefix.size() / 2 * 2) +
                                         std::string(64 - id_or_prefix.size() / 2 * 2, '0')).substr(0, id_or_prefix.size() / 2);
  KEVOLVE_TRY_VOID(at.scan(table::candidate_index, prefix, [&](std::string_view key, std::string_view value) -> result<bool> {
    const std::string id = hex(key);
    if (id.compare(0, id_or_prefix.size(), id_or_prefix) != 0)
      return true;
    KEVOLVE_TRY(number, at.row_in<std::uint64_t>(table::candidate_index, key, value, "candidate " + id));
    found.emplace_back(id, number);
    return found.size() < 3;
  }));
  if (found.empty())
    return std::optional<candidate>{};
  if (found.size() > 1)
    return error{errc::refused, fmt::format("candidate '{}' is ambiguous: {}, {}{}; give more digits", id_or_prefix, found[0].first,
                                            found[1].first, found.size() > 2 ? ", …" : "")};
  KEVOLVE_TRY(stored, candidate_at(at, found[0].second));
  if (stored.what.id != found[0].first)
    return opened_.data->problem(table::candidate_index, "candidate " + found[0].first, {errc::damaged, "leads to " + stored.what.id});
  return std::optional<candidate>(std::move(stored.what));
}

result<std::vector<std::pair<session_id, node_number>>> lmdb_store::occurrences(const candidate_id& id) const {
  KEVOLVE_TRY(at, reading::begin(*opened_.data));
  std::vector<std::pair<session_id, node_number>> out;
  const std::string bytes = bytes_of_id(id);
  if (bytes.empty())
    return error{errc::usage, fmt::format("a candidate's id is 64 lower-case hex digits, found '{}'", id)};
  KEVOLVE_TRY(number, candidate_number(at, bytes));
  if (!number)
    return out;
  KEVOLVE_TRY_VOID(at.scan(table::occurrences, number_key(*number), [&](std::string_view key, std::string_view value) -> result<bool> {
    KEVOLVE_TRY(row, at.row_in<use_row>(table::occurrences, key, value, "candidate " + id));
    out.emplace_back(row.session, row.number);
    return true;
  }));
  return out;
}

result<std::vector<leader>> lmdb_store::leaders(const std::string& definition_or_all) const {
  KEVOLVE_TRY(at, reading::begin(*opened_.data));
  const std::string prefix = definition_or_all.empty() || definition_or_all == "all" ? "" : key_part(definition_or_all) + '\0';
  std::vector<verification_row> rows;
  KEVOLVE_TRY_VOID(at.scan(table::verifications, prefix, [&](std::string_view key, std::string_view value) -> result<bool> {
    KEVOLVE_TRY(row, at.row_in<verification_row>(table::verifications, key, value, "definition " + std::string(key.substr(0, key.find('\0')))));
    rows.push_back(std::move(row));
    return true;
  }));
  return leaders_of(rows);
}

result<std::optional<evaluation>> lmdb_store::newest(const candidate_id& id, const std::function<bool(const evaluation_row&)>& fits) const {
  KEVOLVE_TRY(at, reading::begin(*opened_.data));
  const std::string bytes = bytes_of_id(id);
  if (bytes.empty())
    return error{errc::usage, fmt::format("a candidate's id is 64 lower-case hex digits, found '{}'", id)};
  KEVOLVE_TRY(number, candidate_number(at, bytes));
  std::optional<evaluation_row> best;
  if (number)
    KEVOLVE_TRY_VOID(at.scan(table::evaluations, number_key(*number), [&](std::string_view key, std::string_view value) -> result<bool> {
      KEVOLVE_TRY(row, at.row_in<evaluation_row>(table::evaluations, key, value, "candidate " + id));
      if (fits(row))
        best = std::move(row);
      return true;
    }));
  if (!best)
    return std::optional<evaluation>{};
  std::string buffer;
  KEVOLVE_TRY(logged, log_at(at, best->session, best->position, buffer));
  const std::string where = fmt::format("session {}, position {}", best->session, best->position);
  auto decoded = decode<event>(logged.encoded);
  if (!decoded)
    return opened_.data->problem(table::events, where, decoded.error());
  auto* recorded = std::get_if<evaluation_recorded>(&*decoded);
  if (!recorded || recorded->what.candidate != id)
    return opened_.data->problem(table::evaluations, "candidate " + id, {errc::damaged, where + " is not its evaluation"});
  return std::optional<evaluation>(std::move(recorded->what));
}

result<std::optional<evaluation>> lmdb_store::find_evaluation(const candidate_id& id, const std::string& hardware) const {
  return newest(id, [&](const evaluation_row& row) { return row.result == outcome::passed && row.hardware == hardware; });
}

result<std::optional<evaluation>> lmdb_store::find_timing(const candidate_id& id, const std::string& hardware, const std::string& toolchain,
                                                          const std::string& judge_version) const {
  return newest(id, [&](const evaluation_row& row) {
    return row.result == outcome::passed && row.timed && row.hardware == hardware && row.toolchain == toolchain &&
           row.judge_version == judge_version;
  });
}

result<std::optional<evaluation>> lmdb_store::find_correctness(const candidate_id& id, const target& on, const std::string& toolchain,
                                                               const std::string& oracle_version) const {
  return newest(id, [&, wanted = to_string(on)](const evaluation_row& row) {
    const bool settled = row.result == outcome::passed || row.result == outcome::compile_error || row.result == outcome::incorrect_shape ||
                         row.result == outcome::incorrect_numerical || row.result == outcome::incorrect_dtype;
    return settled && row.on == wanted && row.toolchain == toolchain && row.oracle_version == oracle_version;
  });
}

result<check_report> lmdb_store::check(bool) { return error{errc::refused, "not yet"}; }

result<void> lmdb_store::snapshot(const std::filesystem::path& directory) const {
  std::error_code code;
  std::filesystem::create_directories(directory, code);
  if (code)
    return error{errc::configuration, fmt::format("snapshot directory {}: {}", directory.string(), code.message())};
  if (std::filesystem::exists(directory / "data.mdb", code))
    return error{errc::refused, fmt::format("snapshot directory {} holds a store already", directory.string())};
  std::shared_lock lock(opened_.data->map_mutex);
  if (int failed = mdb_env_copy2(opened_.data->env.get(), directory.c_str(), MDB_CP_COMPACT))
    return lmdb::failure(failed, "snapshot to " + directory.string());
  return {};
}

} // namespace

result<std::unique_ptr<store>> store::open(const std::filesystem::path& directory, access how) {
  return open(directory, how, store_options{});
}

result<std::unique_ptr<store>> store::open(const std::filesystem::path& directory, access how, const store_options& options) {
  KEVOLVE_TRY(opened, open_database(directory, how, options));
  return std::unique_ptr<store>(std::make_unique<lmdb_store>(std::move(opened), options, how == access::read_write));
}

} // namespace kevolve::kb
