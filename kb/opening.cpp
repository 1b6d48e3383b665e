#include "kb/opening.hpp"

#include "kb/verify.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <set>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>

namespace kevolve::kb {
namespace {

using std::filesystem::path;

constexpr const char* lock_name = "writer.lock";
constexpr std::string_view created_mark = "store created";
constexpr std::string_view creating_mark = "store being created";

error system_error(const std::string& what, int code) {
  errc kind = errc::io;
  if (code == ENOSPC || code == EDQUOT)
    kind = errc::full;
  else if (code == EACCES || code == EPERM || code == EROFS || code == ENOTDIR || code == ELOOP || code == ENAMETOOLONG || code == EEXIST)
    kind = errc::configuration;
  else if (code == ENOENT)
    kind = errc::not_found;
  return {kind, what + ": " + std::strerror(code)};
}

std::string first_bytes(int descriptor) {
  char text[256];
  const ssize_t got = ::pread(descriptor, text, sizeof text, 0);
  return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : std::string();
}

bool has_mark(const path& directory, std::string_view mark) {
  const int descriptor = ::open((directory / lock_name).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return false;
  const bool marked = first_bytes(descriptor).find(mark) != std::string::npos;
  ::close(descriptor);
  return marked;
}

bool was_created(const path& directory) { return has_mark(directory, created_mark); }

/// Always as long, so that a power cut between a write and its truncation cannot cut a mark.
std::string lock_text(std::string_view mark) { return fmt::format("{:<12}\n{:<20}\n", ::getpid(), mark); }

/// The mark is durable when this returns, and so are the names of the directory's files. `created_mark`, written once the database is durable:
/// from then on an empty or missing data.mdb is a loss, not a beginning. `creating_mark`, before: until then a broken one is no loss.
result<void> put_mark(const path& directory, std::string_view mark) {
  const path file = directory / lock_name;
  const std::string text = lock_text(mark);
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0)
    return system_error(file.string(), errno);
  const bool good = ::pwrite(descriptor, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
                    ::ftruncate(descriptor, static_cast<off_t>(text.size())) == 0 && ::fsync(descriptor) == 0;
  const int code = errno;
  ::close(descriptor);
  if (!good)
    return system_error(file.string(), code);
  const int folder = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); // the new names themselves
  if (folder < 0 || ::fsync(folder) != 0) {
    const int why = errno;
    if (folder >= 0)
      ::close(folder);
    return system_error(directory.string(), why);
  }
  ::close(folder);
  return {};
}

result<void> make_directory(const path& directory) {
  std::error_code code;
  std::filesystem::create_directories(directory, code);
  if (code)
    return system_error("data directory " + directory.string(), code.value());
  if (!std::filesystem::is_directory(directory, code))
    return error{errc::configuration, "data directory " + directory.string() + ": is not a directory"};
  return {};
}

bool is_absent_or_empty(const path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) != 0 ? errno == ENOENT : status.st_size == 0;
}

/// Opens the tables; makes them and the root rows where the database is new.
result<void> open_tables(database& data, bool create, bool writes) {
  lmdb::transaction txn;
  if (int code = lmdb::transaction::begin(data.env.get(), writes ? 0 : MDB_RDONLY, txn))
    return lmdb::failure(code, data.file());
  for (std::size_t i = 0; i < table_count; ++i) {
    const auto t = static_cast<table>(i);
    const bool creates = create || (writes && may_be_missing(t));
    const int code = mdb_dbi_open(txn.get(), name_of(t), creates ? MDB_CREATE : 0, &data.tables[i]);
    if (code == MDB_NOTFOUND && may_be_missing(t))
      continue;
    if (code == MDB_NOTFOUND)
      return error{errc::damaged, fmt::format("{}: is not a kevolve store, or lost its table '{}'; choose another --data, or restore a snapshot",
                                              data.file(), name_of(t))};
    if (code)
      return lmdb::failure(code, data.file());
  }
  if (create) {
    store_row row;
    row.created_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    for (const auto& [key, encoded] : {std::pair{"store", encode(row)}, std::pair{"head", encode(head_row{})}}) {
      const std::string record = make_record(table::root, key, encoded);
      MDB_val k = lmdb::as_value(key), v = lmdb::as_value(record);
      if (int code = mdb_put(txn.get(), data.handle(table::root), &k, &v, 0))
        return lmdb::failure(code, data.file());
    }
  }
  if (int code = txn.commit())
    return lmdb::failure(code, data.file());
  return {};
}

std::mutex claims_mutex;
std::set<std::pair<std::uint64_t, std::uint64_t>> claims;

} // namespace

result<head_row> read_root(const database& data) {
  KEVOLVE_TRY(at, reading::begin(data));
  KEVOLVE_TRY(row, at.row<store_row>(table::root, "store", "store"));
  if (!row || row->what != store_row{}.what)
    return error{errc::damaged, data.file() + ": is not a kevolve store"};
  if (row->schema > schema_version)
    return error{errc::damaged, fmt::format("{}: written by a newer kevolve (schema {}, this one reads up to {}); update kevolve or choose "
                                            "another --data", data.file(), row->schema, schema_version)};
  KEVOLVE_TRY(head, at.row<head_row>(table::root, "head", "head"));
  if (!head)
    return error{errc::damaged, data.file() + ": root, head: missing"};
  if (head->session.empty())
    return *std::move(head);
  std::string buffer;
  KEVOLVE_TRY(newest, log_at(at, head->session, head->position, buffer));
  if (as_bytes(newest.chain) != head->chain || newest.sequence != head->sequence)
    return data.problem(table::events, fmt::format("session {}, position {}", head->session, head->position),
                        {errc::damaged, "is not the newest event that was committed"});
  return *std::move(head);
}

result<writer_lock> writer_lock::take(const path& directory) {
  const path file = directory / lock_name;
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0)
    return system_error(fmt::format("data directory {} cannot be written ({})", directory.string(), lock_name), errno);
  writer_lock lock(descriptor);
  for (int attempt = 0;; ++attempt) {
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0)
      break;
    if (errno != EWOULDBLOCK)
      return system_error(file.string(), errno);
    if (attempt == 5) { // a command that merely looks (is_held) holds it for microseconds
      std::string pid = first_bytes(descriptor);
      pid = pid.substr(0, pid.find_first_of(" \n"));
      return error{errc::busy, fmt::format("data directory {} is in use by another kevolve process (pid {}): wait for it, stop it, reach it "
                                           "with --scheduler, or choose another --data", directory.string(), pid.empty() ? "?" : pid)};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const std::string before = first_bytes(descriptor);
  const auto had = [&](std::string_view mark) { return before.find(mark) != std::string::npos; };
  const std::string text = lock_text(had(created_mark) ? created_mark : had(creating_mark) ? creating_mark : "");
  if (::pwrite(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      ::ftruncate(descriptor, static_cast<off_t>(text.size())) != 0)
    return system_error(file.string(), errno);
  return lock;
}

bool writer_lock::is_held(const path& directory) {
  const int descriptor = ::open((directory / lock_name).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return false;
  const bool held = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return held;
}

writer_lock::~writer_lock() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
}

result<process_claim> process_claim::take(const path& directory) {
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0)
    return system_error("data directory " + directory.string(), errno);
  const std::pair<std::uint64_t, std::uint64_t> key{status.st_dev, status.st_ino};
  std::lock_guard lock(claims_mutex);
  if (!claims.insert(key).second)
    return error{errc::busy, "data directory " + directory.string() + ": this process has it open already"};
  return process_claim(key);
}

process_claim::~process_claim() {
  if (key_ == std::pair<std::uint64_t, std::uint64_t>{})
    return;
  std::lock_guard lock(claims_mutex);
  claims.erase(key_);
}

namespace {

struct opened_file { std::unique_ptr<database> data; head_row head; };

result<opened_file> open_file(const path& directory, bool writes, const store_options& options) {
  const path file = directory / "data.mdb";
  const bool fresh = is_absent_or_empty(file);
  if (fresh && was_created(directory))
    return error{errc::damaged, fmt::format("{}: missing or empty, but a store was created here; restore a snapshot, or remove {} to begin "
                                            "anew", file.string(), (directory / lock_name).string())};
  if (fresh && !writes)
    return error{errc::not_found, fmt::format("no store in {} (data.mdb is missing)", directory.string())};
  if (!fresh) {
    auto sound = verify_before_mapping(directory, writes);
    if (!sound && !writes && sound.error().code == errc::damaged && !writer_lock::is_held(directory))
      if (auto closer = verify_before_mapping(directory, true); !closer) // nobody writes: the pages themselves say more than LMDB's crash
        return closer.error();
    KEVOLVE_TRY_VOID(std::move(sound));
  }

  if (fresh)
    KEVOLVE_TRY_VOID(put_mark(directory, creating_mark));
  auto data = std::make_unique<database>();
  data->directory = directory;
  auto env = lmdb::open_environment(directory, writes ? 0 : MDB_RDONLY, options.map_bytes);
  if (!env && !writes && env.error().code == errc::configuration && !writer_lock::is_held(directory))
    env = lmdb::open_environment(directory, MDB_RDONLY | MDB_NOLOCK, options.map_bytes); // nobody writes, and lock.mdb is not ours to touch
  if (!env)
    return env.error();
  data->env = *std::move(env);
  KEVOLVE_TRY_VOID(open_tables(*data, fresh, writes));
  if (fresh || (writes && has_mark(directory, creating_mark)))
    KEVOLVE_TRY_VOID(put_mark(directory, created_mark));
  auto head = read_root(*data);
  if (!head && !options.only_check)
    return head.error();
  if (writes) {
    int dead = 0;
    mdb_reader_check(data->env.get(), &dead);
  }
  return opened_file{std::move(data), head ? *std::move(head) : head_row{}};
}

/// Its creation was cut short, so that nothing was acknowledged from it.
bool is_unfinished(const path& directory) { return has_mark(directory, creating_mark) && !was_created(directory); }

} // namespace

result<opened_database> open_database(const path& directory, access how, const store_options& options) {
  const bool writes = how == access::read_write;
  if (writes)
    KEVOLVE_TRY_VOID(make_directory(directory));
  KEVOLVE_TRY(claim, process_claim::take(directory));
  std::optional<writer_lock> lock;
  if (writes) {
    KEVOLVE_TRY(taken, writer_lock::take(directory));
    lock.emplace(std::move(taken));
  }
  auto opened = open_file(directory, writes, options);
  if (!opened && opened.error().code == errc::damaged && is_unfinished(directory)) {
    if (!writes)
      return error{errc::not_found, fmt::format("no store in {} (its creation was cut short)", directory.string())};
    std::error_code failed; // set aside, not removed: whoever doubts it can look
    std::filesystem::rename(directory / "data.mdb", directory / "data.mdb.unfinished", failed);
    if (failed)
      return system_error((directory / "data.mdb").string(), failed.value());
    opened = open_file(directory, writes, options);
  }
  if (!opened)
    return opened.error();
  return opened_database{std::move(claim), std::move(lock), std::move(opened->data), std::move(opened->head)};
}

} // namespace kevolve::kb
