#include "actors/synthesis/llm/child.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kevolve::llm {
namespace {

constexpr std::size_t error_bytes = 4096;

void close_fd(int& fd) {
  if (fd >= 0)
    ::close(fd);
  fd = -1;
}

struct pipe_ends {
  int read = -1, write = -1;
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      return false;
    read = ends[0], write = ends[1];
    return true;
  }
  ~pipe_ends() { close_fd(read), close_fd(write); }
};

/// A file in memory: the command may read as slowly as it likes and nobody waits to write.
int input_of(const std::string& text) {
  if (text.empty())
    return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  int fd = ::memfd_create("prompt", MFD_CLOEXEC);
  for (std::size_t done = 0; fd >= 0 && done < text.size();) {
    const ssize_t n = ::pwrite(fd, text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (n <= 0)
      close_fd(fd);
    else
      done += static_cast<std::size_t>(n);
  }
  return fd;
}

/// In the child, between fork and exec: async-signal-safe calls only. `report` tells why exec failed.
[[noreturn]] void become(const char* program, char* const* argv, char* const* envp, const char* directory, int in, int out, int err, int report, pid_t parent) {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(127);
  for (int s = 1; s < NSIG; ++s)
    ::signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  int why = 0;
  if (::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0 || (report != 3 && ::dup2(report, 3) < 0))
    ::_exit(127);
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  ::syscall(SYS_close_range, 4u, ~0u, 0u);
  if (::chdir(directory) != 0)
    why = errno;
  if (!why) {
    ::execve(program, argv, envp);
    why = errno;
  }
  (void)!::write(3, &why, sizeof why);
  ::_exit(127);
}

} // namespace

result<child> child::start(const child_command& what) {
  const char* path = ::getenv("PATH");
  const std::filesystem::path program = find_program(what.arguments.empty() ? "" : what.arguments[0], path ? path : "/usr/bin:/bin");
  if (program.empty())
    return error{errc::configuration, fmt::format("command '{}' was not found in PATH", what.arguments.empty() ? "" : what.arguments[0])};
  std::vector<char*> argv, envp;
  for (const std::string& a : what.arguments)
    argv.push_back(const_cast<char*>(a.c_str()));
  for (const std::string& e : what.environment)
    envp.push_back(const_cast<char*>(e.c_str()));
  argv.push_back(nullptr), envp.push_back(nullptr);
  const std::string directory = what.directory.empty() ? "/" : what.directory.string();

  pipe_ends out, err, report;
  int in = input_of(what.input);
  if (in < 0 || !out.open() || !err.open() || !report.open()) {
    const int why = errno;
    close_fd(in);
    return error{errc::io, fmt::format("cannot open pipes for '{}': {}", program.string(), std::strerror(why))};
  }
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0)
    become(program.c_str(), argv.data(), envp.data(), directory.c_str(), in, out.write, err.write, report.write, parent);
  const int fork_failure = errno;
  close_fd(in), close_fd(out.write), close_fd(err.write), close_fd(report.write);
  if (pid < 0)
    return error{errc::io, fmt::format("cannot start '{}': {}", program.string(), std::strerror(fork_failure))};

  child started;
  started.pid_ = pid;
  started.watch_ = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  started.output_bytes_ = what.output_bytes;
  std::swap(started.out_, out.read), std::swap(started.err_, err.read);
  ::fcntl(started.out_, F_SETFL, O_NONBLOCK);
  ::fcntl(started.err_, F_SETFL, O_NONBLOCK);
  int why = 0;
  if (::read(report.read, &why, sizeof why) == sizeof why) // closed by a successful exec
    return error{errc::configuration, fmt::format("cannot run '{}': {}", program.string(), std::strerror(why))};
  if (started.watch_ < 0)
    return error{errc::io, fmt::format("cannot watch '{}': pidfd_open: {}; expected Linux 5.3 or newer", program.string(), std::strerror(errno))};
  return started;
}

child& child::operator=(child&& other) noexcept {
  if (this == &other)
    return *this;
  kill();
  output = std::move(other.output), errors = std::move(other.errors);
  pid_ = std::exchange(other.pid_, -1), watch_ = std::exchange(other.watch_, -1);
  out_ = std::exchange(other.out_, -1), err_ = std::exchange(other.err_, -1);
  output_bytes_ = other.output_bytes_, flooded_ = other.flooded_;
  return *this;
}

void child::drain(int& fd, std::string& into, std::size_t most, bool keep_last) {
  char buffer[16384];
  for (int round = 0; fd >= 0 && round < 16; ++round) { // a flood must not keep the thread from its deadlines
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) {
      into.append(buffer, static_cast<std::size_t>(n));
      if (keep_last && into.size() > 2 * most)
        into.erase(0, into.size() - most);
      if (!keep_last && into.size() > most)
        flooded_ = true, into.resize(most);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      close_fd(fd);
    } else if (errno == EAGAIN) {
      return;
    }
  }
}

void child::read() {
  drain(out_, output, output_bytes_, false);
  drain(err_, errors, error_bytes, true);
}

std::string child::finish() {
  siginfo_t end{};
  ::waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOWAIT);
  for (int more = 0; more < 64 && !flooded_ && (out_ >= 0 || err_ >= 0); ++more) { // what the pipes held when it ended
    const std::size_t before = output.size() + errors.size();
    read();
    if (output.size() + errors.size() == before)
      break;
  }
  kill(); // whoever it left behind in its group
  if (end.si_code == CLD_EXITED)
    return end.si_status == 0 ? std::string() : fmt::format("exited with status {}", end.si_status);
  return fmt::format("was killed by signal {} ({})", end.si_status, ::strsignal(end.si_status));
}

void child::kill() {
  if (pid_ > 0) {
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL); // before it has a group of its own
    ::waitpid(pid_, nullptr, 0);
  }
  pid_ = -1;
  close_fd(watch_), close_fd(out_), close_fd(err_);
}

std::filesystem::path find_program(const std::string& name, const std::string& path_variable) {
  if (name.empty())
    return {};
  if (name.find('/') != std::string::npos)
    return std::filesystem::absolute(name);
  for (std::size_t from = 0; from <= path_variable.size();) {
    const std::size_t to = std::min(path_variable.find(':', from), path_variable.size());
    const std::filesystem::path candidate = std::filesystem::path(path_variable.substr(from, to - from)) / name;
    if (to > from && ::access(candidate.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(candidate))
      return candidate;
    from = to + 1;
  }
  return {};
}

} // namespace kevolve::llm
