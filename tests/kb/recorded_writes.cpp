#include "tests/kb/recorded_writes.hpp"

#include <atomic>
#include <dlfcn.h>
#include <fcntl.h>
#include <lmdb.h>
#include <mutex>
#include <optional>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

namespace kevolve::power_cut {
namespace {

std::atomic<bool> recording = false;
std::atomic<unsigned> environment_flags = 0;
std::mutex mutex; // guards what follows
std::string directory;
std::vector<recorded> log;

/// The name of a file of the directory; nothing for any other descriptor.
std::optional<std::string> name_of(int descriptor) {
  char link[64], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = ::readlink(link, path, sizeof path);
  if (length <= 0)
    return std::nullopt;
  const std::string_view whole(path, static_cast<std::size_t>(length));
  if (!whole.starts_with(directory) || whole.size() <= directory.size() + 1 || whole[directory.size()] != '/')
    return std::nullopt;
  return std::string(whole.substr(directory.size() + 1));
}

void note_write(int descriptor, std::uint64_t offset, const void* bytes, ssize_t written) {
  if (!recording || written <= 0)
    return;
  std::lock_guard lock(mutex);
  if (auto file = name_of(descriptor))
    log.push_back({recorded::kind::write, *std::move(file), offset, std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(written)),
                   (::fcntl(descriptor, F_GETFL) & O_DSYNC) != 0});
}

void note(int descriptor, recorded::kind what, std::uint64_t length = 0) {
  if (!recording)
    return;
  std::lock_guard lock(mutex);
  if (auto file = name_of(descriptor))
    log.push_back({what, *std::move(file), length, {}, false});
}

} // namespace

void begin(const std::filesystem::path& where) {
  std::lock_guard lock(mutex);
  directory = std::filesystem::canonical(where).string();
  log.clear();
  recording = true;
}

void promise(const std::string& session, std::uint64_t events) {
  std::lock_guard lock(mutex);
  log.push_back({recorded::kind::promise, {}, 0, session, false, events});
}

std::vector<recorded> end() {
  std::lock_guard lock(mutex);
  recording = false;
  return std::exchange(log, {});
}

void open_environments_with(unsigned flags) { environment_flags = flags; }

} // namespace kevolve::power_cut

// In front of libc's and liblmdb's own: the executable's symbols come first.
using namespace kevolve::power_cut;

extern "C" {

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  const ssize_t written = ::syscall(SYS_pwrite64, descriptor, bytes, size, offset);
  note_write(descriptor, static_cast<std::uint64_t>(offset), bytes, written);
  return written;
}

ssize_t writev(int descriptor, const iovec* parts, int count) {
  const off_t offset = recording ? ::lseek(descriptor, 0, SEEK_CUR) : 0;
  const ssize_t written = ::syscall(SYS_writev, descriptor, parts, count);
  if (recording && written > 0 && offset >= 0) {
    std::string all;
    for (int i = 0; i < count; ++i)
      all.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    note_write(descriptor, static_cast<std::uint64_t>(offset), all.data(), written);
  }
  return written;
}

int ftruncate(int descriptor, off_t length) noexcept {
  const long done = ::syscall(SYS_ftruncate, descriptor, length);
  if (done == 0)
    note(descriptor, recorded::kind::truncate, static_cast<std::uint64_t>(length));
  return static_cast<int>(done);
}

int fdatasync(int descriptor) {
  const long done = ::syscall(SYS_fdatasync, descriptor);
  if (done == 0)
    note(descriptor, recorded::kind::sync);
  return static_cast<int>(done);
}

int fsync(int descriptor) {
  const long done = ::syscall(SYS_fsync, descriptor);
  if (done == 0)
    note(descriptor, recorded::kind::sync);
  return static_cast<int>(done);
}

/// Writable maps would be written behind our back: there must be none.
int msync(void*, size_t, int) { ::abort(); }

int mdb_env_open(MDB_env* env, const char* path, unsigned flags, mdb_mode_t mode) {
  static const auto theirs = reinterpret_cast<decltype(&::mdb_env_open)>(::dlsym(RTLD_NEXT, "mdb_env_open"));
  return theirs(env, path, flags | environment_flags, mode);
}

} // extern "C"
