#include "kb/store_check.hpp"

#include "kb/database.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <iterator>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace kevolve::kb {
namespace {

constexpr std::uintmax_t walked_at_start = std::uintmax_t{16} << 20;
constexpr unsigned child_limit_s = 600; // a full check of 100 GB from disk; the alarm only ends what would never end

result<void> touch_table(MDB_txn* txn, const char* name) {
  MDB_dbi handle = 0;
  int code = mdb_dbi_open(txn, name, 0, &handle);
  if (code == MDB_NOTFOUND)
    return {}; // whether it must be there is not decided here
  lmdb::cursor at;
  if (code == 0)
    code = lmdb::cursor::open(txn, handle, at);
  std::string_view key, value;
  unsigned char sum = 0;
  for (MDB_cursor_op op = MDB_FIRST; code == 0 && (code = at.get(key, value, op)) == 0; op = MDB_NEXT)
    for (std::size_t i = 0; i < value.size(); i += 4'096)
      sum = static_cast<unsigned char>(sum + value[i]);
  [[maybe_unused]] volatile unsigned char sink = sum; // the reads must happen
  return code == MDB_NOTFOUND ? result<void>() : lmdb::failure(code, fmt::format("table {}", name));
}

result<void> verdict(const std::filesystem::path& directory, int status, const std::string& said) {
  const std::string file = (directory / "data.mdb").string();
  if (WIFSIGNALED(status))
    return error{errc::damaged, fmt::format("{}: LMDB crashes on it ({}); 'kevolve kb check' says more when nobody writes; restore a "
                                            "snapshot, or move the directory away to begin anew", file, strsignal(WTERMSIG(status)))};
  if (WEXITSTATUS(status) != 0)
    return error{errc::damaged, fmt::format("{}: {}; restore a snapshot, or move the directory away to begin anew", file,
                                            said.empty() ? fmt::format("its check exits {}", WEXITSTATUS(status)) : said)};
  return {};
}

result<int> wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return error{errc::io, fmt::format("waiting for the store's check: {}", std::strerror(errno))};
  return status;
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 1024> part{};
  for (ssize_t got = 0; (got = ::read(descriptor, part.data(), part.size())) > 0 || (got < 0 && errno == EINTR);)
    if (got > 0 && text.size() < 65'536)
      text.append(part.data(), static_cast<std::size_t>(got));
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

result<void> by_program(const std::filesystem::path& program, const std::filesystem::path& directory, check_effort effort) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return error{errc::io, fmt::format("pipe: {}", std::strerror(errno))};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0); // LMDB's assertion prints there
  std::string name = program.string(), where = directory.string(), how = effort == check_effort::full ? "full" : "start";
  std::array<char*, 4> arguments{name.data(), where.data(), how.data(), nullptr};
  pid_t child = 0;
  const int code = ::posix_spawn(&child, name.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (code != 0) {
    ::close(ends[0]);
    return error{errc::io, fmt::format("{}: {}", name, std::strerror(code))};
  }
  const std::string said = read_all(ends[0]);
  ::close(ends[0]);
  KEVOLVE_TRY(status, wait_for(child));
  return verdict(directory, status, said);
}

result<void> by_fork(const std::filesystem::path& directory, check_effort effort) {
  const pid_t child = ::fork();
  if (child < 0)
    return error{errc::io, fmt::format("fork: {}", std::strerror(errno))};
  if (child == 0) {
    if (const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0)
      ::dup2(nowhere, STDERR_FILENO);
    ::alarm(child_limit_s);
    ::_exit(read_with_lmdb(directory, effort) ? 0 : 1);
  }
  KEVOLVE_TRY(status, wait_for(child));
  return verdict(directory, status, {});
}

bool has_single_thread() {
  std::error_code code;
  std::filesystem::directory_iterator tasks("/proc/self/task", code);
  return !code && std::distance(tasks, std::filesystem::directory_iterator()) == 1;
}

} // namespace

result<void> read_with_lmdb(const std::filesystem::path& directory, check_effort effort) {
  ::alarm(child_limit_s);
  auto env = lmdb::open_environment(directory, MDB_RDONLY, std::size_t{1} << 30);
  if (!env && env.error().code == errc::configuration) // lock.mdb cannot be written
    env = lmdb::open_environment(directory, MDB_RDONLY | MDB_NOLOCK, std::size_t{1} << 30);
  if (!env)
    return env.error();
  lmdb::transaction txn;
  if (int code = lmdb::transaction::begin(env->get(), MDB_RDONLY, txn))
    return lmdb::failure(code, "beginning to read");
  std::error_code code;
  const bool everything = effort == check_effort::full || std::filesystem::file_size(directory / "data.mdb", code) <= walked_at_start;
  for (std::size_t i = 0; i < table_count; ++i)
    if (everything || static_cast<table>(i) == table::root)
      KEVOLVE_TRY_VOID(touch_table(txn.get(), name_of(static_cast<table>(i))));
  return {};
}

result<void> check_in_child(const std::filesystem::path& directory, check_effort effort) {
  std::error_code code;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", code).parent_path() / "kevolve-store-check";
  if (!code && ::access(program.c_str(), X_OK) == 0)
    return by_program(program, directory, effort);
  if (has_single_thread())
    return by_fork(directory, effort);
  return {};
}

} // namespace kevolve::kb
