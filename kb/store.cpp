#include "kb/store.hpp"

#include "kb/log_writer.hpp"
#include "kb/opening.hpp"
#include "kb/queries.hpp"
#include "kb/sealing.hpp"
#include "kb/store_check.hpp"
#include "kb/verify.hpp"
#include "protocol/failpoint.hpp"

#include <cerrno>
#include <condition_variable>
#include <fcntl.h>
#include <fmt/format.h>

namespace kevolve::kb {
namespace {

class lmdb_store final : public store {
public:
  lmdb_store(opened_database opened, const store_options& options, bool writes) : opened_(std::move(opened)) {
    if (writes && !options.only_check)
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
  result<std::vector<event>> events(const session_id& session) const override { return events_of(data(), session); }
  result<session_opened> opening(const session_id& session) const override { return opening_of(data(), session); }
  result<std::string> digest(const session_id& session, std::uint64_t count) const override { return digest_of(data(), session, count); }
  result<std::vector<session_summary>> sessions() const override { return all_sessions(data()); }
  result<std::optional<candidate>> find_candidate(const candidate_id& id_or_prefix) const override {
    return candidate_by_prefix(data(), id_or_prefix);
  }
  result<std::vector<std::pair<session_id, node_number>>> occurrences(const candidate_id& id) const override {
    return occurrences_of(data(), id);
  }
  result<std::vector<leader>> leaders(const std::string& definition_or_all) const override { return leaders_for(data(), definition_or_all); }
  result<std::vector<known_skill>> skills() const override { return skills_of(data()); }
  result<std::optional<evaluation>> find_evaluation(const candidate_id& id, const std::string& hardware) const override {
    return evaluation_on(data(), id, hardware);
  }
  result<std::vector<evaluation>> known_evaluations(const candidate_id& id, const target& on, std::size_t most) const override {
    return settled_evaluations(data(), id, on, most);
  }
  result<check_report> check(bool repair) override;
  result<seal_report> seal(std::int64_t finished_before_ms) override {
    if (!writer_)
      return read_only();
    return seal_finished(*opened_.data, finished_before_ms, [&] { return writer_->pause(); });
  }
  result<void> snapshot(const std::filesystem::path& directory) const override;

private:
  const database& data() const { return *opened_.data; }
  error read_only() const { return {errc::refused, opened_.data->directory.string() + ": the store was opened to be read only"}; }

  opened_database opened_;
  std::unique_ptr<log_writer> writer_;
};

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

result<check_report> lmdb_store::check(bool repair) {
  if (repair && !opened_.lock)
    return read_only();
  std::unique_lock<std::mutex> pause;
  if (writer_)
    pause = writer_->pause();
  KEVOLVE_TRY(report, check_database(*opened_.data));
  if (!repair || report.damage.empty())
    return report;
  if (auto rebuilt = rebuild_views(*opened_.data); !rebuilt)
    return rebuilt.error().in("rebuilding the views");
  KEVOLVE_TRY(head, read_root(*opened_.data));
  if (writer_)
    writer_->forget(std::move(head));
  KEVOLVE_TRY(after, check_database(*opened_.data));
  report.remaining = std::move(after.damage);
  report.repaired = report.remaining.empty();
  return report;
}

result<void> lmdb_store::snapshot(const std::filesystem::path& directory) const {
  std::error_code code;
  std::filesystem::create_directories(directory, code);
  if (code)
    return error{errc::configuration, fmt::format("snapshot directory {}: {}", directory.string(), code.message())};
  if (std::filesystem::exists(directory / "data.mdb", code))
    return error{errc::refused, fmt::format("snapshot directory {} holds a store already", directory.string())};
  // LMDB writes a copy's meta pages first: half of one would pass for a store. It has its name once it is whole, and on the disk, which LMDB does not see to.
  const std::filesystem::path partial = directory / "data.mdb.part";
  std::shared_lock lock(opened_.data->map_mutex);
  const int copy = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  int failed = copy < 0 ? errno : mdb_env_copyfd2(opened_.data->env.get(), copy, MDB_CP_COMPACT);
  if (!failed && ::fsync(copy) != 0)
    failed = errno;
  if (copy >= 0)
    ::close(copy);
  pass(failpoint::snapshot_before_rename);
  if (!failed && ::rename(partial.c_str(), (directory / "data.mdb").c_str()) != 0)
    failed = errno;
  const int folder = failed ? -1 : ::open(directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (!failed && (folder < 0 || ::fsync(folder) != 0))
    failed = errno;
  if (folder >= 0)
    ::close(folder);
  if (failed)
    std::filesystem::remove(partial, code);
  return failed ? result<void>(lmdb::failure(failed, "snapshot to " + directory.string())) : result<void>();
}

} // namespace

result<std::unique_ptr<store>> store::open(const std::filesystem::path& directory, access how) {
  return open(directory, how, store_options{});
}

result<std::unique_ptr<store>> store::open(const std::filesystem::path& directory, access how, const store_options& options) {
  KEVOLVE_TRY(opened, open_database(directory, how, options));
  return std::unique_ptr<store>(std::make_unique<lmdb_store>(std::move(opened), options, how == access::read_write));
}

bool is_being_written(const std::filesystem::path& directory) { return writer_lock::is_held(directory); }

} // namespace kevolve::kb
