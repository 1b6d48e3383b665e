#include "node-agent/workspace.hpp"

#include "node-agent/process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

/// Closes `fd`.
result<std::string> read_regular(int fd, const std::string& name, std::uint64_t most) {
  struct stat about {};
  std::string bytes;
  bool good = fd >= 0 && ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && static_cast<std::uint64_t>(about.st_size) <= most;
  if (good)
    bytes.resize(static_cast<std::size_t>(about.st_size));
  for (std::size_t done = 0; good && done < bytes.size();) {
    const ssize_t n = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    good = n > 0;
    done += good ? static_cast<std::size_t>(n) : 0;
  }
  if (fd >= 0)
    ::close(fd);
  if (!good)
    return error{errc::io, "cannot read what the command made ('" + name + "'): it is no regular file below the limit"};
  return bytes;
}

} // namespace

result<void> write_file(const fs::path& file, std::string_view content) {
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  std::ofstream out(file, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out)
    return error{errno == ENOSPC ? errc::full : errc::io, "cannot write '" + file.string() + "': " + std::strerror(errno)};
  return {};
}

result<std::string> read_made(const fs::path& file, std::uint64_t most) {
  return read_regular(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), file.filename().string(), most);
}

result<std::string> read_made_in(const fs::path& folder, const std::string& name, std::uint64_t most) {
  const int at = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY);
  const int fd = at < 0 ? -1 : ::openat(at, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (at >= 0)
    ::close(at);
  return read_regular(fd, name, most);
}

result<fs::path> scratch::make(const std::string& prefix) {
  std::error_code ignored;
  std::string name = (fs::temp_directory_path(ignored) / (prefix + process_space() + "-" + std::to_string(::getpid()) + "-XXXXXX")).string();
  if (!::mkdtemp(name.data()))
    return error{errno == ENOSPC ? errc::full : errc::io, "cannot make a folder '" + name + "': " + std::strerror(errno)};
  return fs::path(name);
}

scratch::~scratch() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::size_t scratch::sweep(const std::string& prefix) {
  std::size_t removed = 0;
  std::error_code failed;
  const std::string ours = prefix + process_space() + "-";
  for (fs::directory_iterator each(fs::temp_directory_path(failed), failed), end; !failed && each != end; each.increment(failed)) {
    const std::string name = each->path().filename().string();
    const int pid = name.starts_with(ours) ? std::atoi(name.c_str() + ours.size()) : 0;
    std::error_code ignored;
    if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH && each->is_directory(ignored) && !each->is_symlink(ignored))
      removed += fs::remove_all(each->path(), ignored) > 0;
  }
  return removed;
}

} // namespace kevolve::agent
