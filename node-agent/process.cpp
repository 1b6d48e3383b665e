#include "node-agent/process.hpp"

#include "node-agent/warden.hpp"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kevolve::agent {
namespace {

class descriptor {
public:
  explicit descriptor(int fd = -1) : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() { close(); }
  [[nodiscard]] int get() const { return fd_; }
  void reset(int fd) { close(), fd_ = fd; }
  void close() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }

private:
  int fd_;
};

bool open_pipe(descriptor& read_end, descriptor& write_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return false;
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  return true;
}

/// All that the child needs, laid out before fork: between fork and exec only async-signal-safe calls are allowed.
struct launch {
  std::string program;
  std::vector<char*> argv, envp;
  std::string directory;
  int in = -1, out = -1, err = -1, report = -1;
  process_limits limits;
  unsigned identity = 0;
  int nice = 0;
  pid_t parent = 0;
  int warden = -1;
};

void limit(int resource, std::uint64_t value) {
  const rlimit both{value, value};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &both);
}

void apply_limits(const launch& l) {
  limit(RLIMIT_CORE, 0);
  if (l.limits.cpu_s > 0)
    limit(RLIMIT_CPU, static_cast<std::uint64_t>(l.limits.cpu_s) + 1);
  if (l.limits.memory_bytes)
    limit(RLIMIT_AS, l.limits.memory_bytes);
  if (l.limits.file_bytes)
    limit(RLIMIT_FSIZE, l.limits.file_bytes);
  if (l.limits.open_files)
    limit(RLIMIT_NOFILE, l.limits.open_files);
  if (l.limits.processes)
    limit(RLIMIT_NPROC, l.limits.processes);
  if (l.nice)
    ::setpriority(PRIO_PROCESS, 0, l.nice);
}

[[noreturn]] void become(const launch& l) {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != l.parent)
    ::_exit(127);
  tell_warden_of_us(l.warden);
  for (int s = 1; s < NSIG; ++s)
    ::signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // The report pipe goes to 3 and closes itself on exec; nothing else above 2 survives.
  if (::dup2(l.in, 0) < 0 || ::dup2(l.out, 1) < 0 || ::dup2(l.err, 2) < 0 || (l.report != 3 && ::dup2(l.report, 3) < 0))
    ::_exit(127);
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  ::syscall(SYS_close_range, 4u, ~0u, 0u);
  int why = 0;
  if (!l.directory.empty() && ::chdir(l.directory.c_str()) != 0)
    why = errno;
  if (!why) {
    apply_limits(l);
    if (l.identity && (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setresgid, l.identity, l.identity, l.identity) != 0 ||
                       ::syscall(SYS_setresuid, l.identity, l.identity, l.identity) != 0))
      why = errno;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL); // a change of user clears it
  }
  if (!why) {
    ::execve(l.program.c_str(), l.argv.data(), l.envp.data());
    why = errno;
  }
  (void)!::write(3, &why, sizeof why);
  ::_exit(127);
}

int input_descriptor(const std::string& text) {
  if (text.empty())
    return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int fd = ::memfd_create("input", MFD_CLOEXEC);
  for (std::size_t done = 0; fd >= 0 && done < text.size();) {
    const ssize_t n = ::pwrite(fd, text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (n <= 0)
      return ::close(fd), -1;
    done += static_cast<std::size_t>(n);
  }
  return fd;
}

constexpr int drained_at_once = 16384;

/// Reads what is there; false at the end of the stream.
bool drain(int fd, std::string& into, std::size_t most, bool& truncated) {
  char buffer[drained_at_once];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) {
      const std::size_t room = most - std::min(most, into.size());
      into.append(buffer, std::min(room, static_cast<std::size_t>(n)));
      truncated |= room < static_cast<std::size_t>(n);
      if (static_cast<std::size_t>(n) == sizeof buffer)
        return true; // a flood: let the caller look at its deadline
      continue;
    }
    if (n < 0 && errno == EINTR)
      continue;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
}

/// Reads what the pipe still holds after the end: its capacity at most, so that whoever left the group cannot keep us reading.
void drain_rest(int fd, std::string& into, std::size_t most, bool& truncated) {
  const int capacity = std::max(::fcntl(fd, F_GETPIPE_SZ), 0);
  for (int asked = 0; asked <= capacity; asked += drained_at_once)
    drain(fd, into, most, truncated);
}

struct running {
  pid_t pid = -1;
  descriptor watch, out, err;
};

/// Reads output until the leader has ended or must end; says whether and how we ended it.
process_fate follow(running& child, const command& what, const std::atomic<bool>* cancelled, pause_gate* gate, process_end& end) {
  const double paused_before = gate ? gate->paused_s() : 0;
  const double began = now_s();
  bool out_open = true, err_open = true;
  if (gate)
    gate->enter(child.pid);
  for (;;) {
    pollfd fds[3] = {{child.watch.get(), POLLIN, 0}, {out_open ? child.out.get() : -1, POLLIN, 0}, {err_open ? child.err.get() : -1, POLLIN, 0}};
    ::poll(fds, 3, 50);
    if (fds[1].revents)
      out_open = drain(child.out.get(), end.output, what.output_bytes, end.truncated);
    if (fds[2].revents)
      err_open = drain(child.err.get(), end.errors, what.output_bytes, end.truncated);
    if (fds[0].revents)
      return process_fate::exited;
    if (cancelled && cancelled->load(std::memory_order_relaxed))
      return process_fate::cancelled;
    const double stopped = gate ? gate->paused_s() - paused_before : 0;
    if (what.limits.wall_s > 0 && now_s() - began - stopped > what.limits.wall_s)
      return process_fate::timed_out;
  }
}

} // namespace

double now_s() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void pause_gate::pause() {
  std::lock_guard lock(mutex_);
  if (depth_.fetch_add(1) > 0)
    return;
  since_s_ = now_s();
  for (int group : groups_)
    ::kill(-group, SIGSTOP);
}

void pause_gate::resume() {
  std::lock_guard lock(mutex_);
  if (depth_.fetch_sub(1) > 1)
    return;
  paused_s_ += now_s() - since_s_;
  for (int group : groups_)
    ::kill(-group, SIGCONT);
  ++openings_;
  opened_.notify_all();
}

void pause_gate::wait(const std::atomic<bool>* cancelled) {
  std::unique_lock lock(mutex_);
  const std::uint64_t before = openings_; // one opening is enough, even if it is paused again at once
  while (depth_.load() > 0 && openings_ == before && !(cancelled && cancelled->load(std::memory_order_relaxed)))
    opened_.wait_for(lock, std::chrono::milliseconds(50));
}

double pause_gate::paused_s() const {
  std::lock_guard lock(mutex_);
  return paused_s_ + (depth_.load() > 0 ? now_s() - since_s_ : 0);
}

void pause_gate::enter(int group) {
  std::lock_guard lock(mutex_);
  groups_.insert(group);
  if (depth_.load() > 0)
    ::kill(-group, SIGSTOP);
}

void pause_gate::leave(int group) {
  std::lock_guard lock(mutex_);
  groups_.erase(group);
}

result<process_end> run(const command& what, const std::atomic<bool>* cancelled, pause_gate* gate) {
  if (what.arguments.empty())
    return error{errc::usage, "no command given"};
  launch l;
  l.program = what.arguments[0].find('/') != std::string::npos ? what.arguments[0] : find_command(what.arguments[0]).string();
  if (l.program.empty())
    return error{errc::configuration, "command '" + what.arguments[0] + "' was not found in PATH"};
  for (const auto& a : what.arguments)
    l.argv.push_back(const_cast<char*>(a.c_str()));
  for (const auto& e : what.environment)
    l.envp.push_back(const_cast<char*>(e.c_str()));
  l.argv.push_back(nullptr);
  l.envp.push_back(nullptr);
  l.directory = what.directory.string();
  l.limits = what.limits;
  l.nice = what.nice;
  l.identity = what.identity;
  l.parent = ::getpid();
  l.warden = warden_line();

  running child;
  descriptor in(input_descriptor(what.input)), out, err, report, report_read;
  if (in.get() < 0 || !open_pipe(child.out, out) || !open_pipe(child.err, err) || !open_pipe(report_read, report))
    return error{errc::io, "cannot open pipes for '" + l.program + "': " + std::strerror(errno)};
  ::fcntl(child.out.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(child.err.get(), F_SETFL, O_NONBLOCK);
  // Above 3, so that dup2 in the child never overwrites one that is still needed.
  for (descriptor* d : {&in, &out, &err, &report})
    if (d->get() <= 3)
      d->reset(::fcntl(d->get(), F_DUPFD_CLOEXEC, 4));
  l.in = in.get(), l.out = out.get(), l.err = err.get(), l.report = report.get();

  if (gate)
    gate->wait(cancelled);
  const double began = now_s();
  child.pid = ::fork();
  if (child.pid == 0)
    become(l);
  if (child.pid < 0)
    return error{errc::io, "cannot start '" + l.program + "': " + std::strerror(errno)};
  in.close(), out.close(), err.close(), report.close();
  int why = 0;
  ssize_t got = 0;
  while ((got = ::read(report_read.get(), &why, sizeof why)) < 0 && errno == EINTR) {
  }
  if (got == sizeof why) {
    tell_warden_that_ended(l.warden, child.pid);
    ::waitpid(child.pid, nullptr, 0);
    return error{errc::configuration, "cannot run '" + l.program + "': " + std::strerror(why)};
  }
  child.watch.reset(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));

  process_end end;
  end.fate = follow(child, what, cancelled, gate, end);
  if (gate)
    gate->leave(child.pid);
  ::kill(-child.pid, SIGKILL); // the rest of the group; before the leader is reaped, so the number is still ours
  tell_warden_that_ended(l.warden, child.pid);
  int status = 0;
  rusage used{};
  while (::wait4(child.pid, &status, 0, &used) < 0 && errno == EINTR) {
  }
  drain_rest(child.out.get(), end.output, what.output_bytes, end.truncated);
  drain_rest(child.err.get(), end.errors, what.output_bytes, end.truncated);
  if (end.fate == process_fate::exited && WIFSIGNALED(status))
    end.fate = process_fate::signalled;
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
  end.wall_s = now_s() - began;
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  end.cpu_s = seconds(used.ru_utime) + seconds(used.ru_stime);
  end.errors = scrub(end.errors, what.output_bytes);
  if (what.scrub_output)
    end.output = scrub(end.output, what.output_bytes);
  return end;
}

std::string describe(const process_end& end) {
  switch (end.fate) {
    case process_fate::exited: return "exited with status " + std::to_string(end.status);
    case process_fate::signalled: return "was killed by signal " + std::to_string(end.status) + " (" + ::strsignal(end.status) + ")";
    case process_fate::timed_out: {
      char text[64];
      std::snprintf(text, sizeof text, "was stopped after %.1f s", end.wall_s);
      return text;
    }
    case process_fate::cancelled: return "was cancelled";
  }
  return "ended";
}

std::vector<std::string> plain_environment() {
  const char* temporary = std::getenv("TMPDIR");
  return {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "LANG=C.UTF-8", "LC_ALL=C.UTF-8",
          "TMPDIR=" + std::string(temporary && *temporary ? temporary : "/tmp"), "HOME=/nonexistent"};
}

namespace {

/// Length of the valid UTF-8 sequence at `i`, 0 when there is none.
std::size_t sequence_length(std::string_view s, std::size_t i) {
  const auto byte = [&](std::size_t k) { return k < s.size() ? static_cast<unsigned char>(s[k]) : 0u; };
  const unsigned first = byte(i);
  const auto follows = [&](std::size_t k, unsigned low = 0x80, unsigned high = 0xBF) { return byte(k) >= low && byte(k) <= high; };
  if (first < 0x80)
    return 1;
  if (first >= 0xC2 && first <= 0xDF)
    return follows(i + 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF)
    return follows(i + 1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF) && follows(i + 2) ? 3 : 0;
  if (first >= 0xF0 && first <= 0xF4)
    return follows(i + 1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF) && follows(i + 2) && follows(i + 3) ? 4 : 0;
  return 0;
}

/// Bidirectional controls and zero-width marks can make text read as what it is not.
bool misleading(std::string_view sequence) {
  if (sequence.size() != 3)
    return false;
  const auto a = static_cast<unsigned char>(sequence[0]), b = static_cast<unsigned char>(sequence[1]), c = static_cast<unsigned char>(sequence[2]);
  return a == 0xE2 && ((b == 0x80 && ((c >= 0x8B && c <= 0x8F) || (c >= 0xA8 && c <= 0xAE))) || (b == 0x81 && c >= 0xA0 && c <= 0xAF));
}

/// End of an ANSI escape sequence that starts at `i` (which holds ESC).
std::size_t after_escape(std::string_view s, std::size_t i) {
  if (i + 1 >= s.size() || s[i + 1] != '[')
    return i + 1;
  for (i += 2; i < s.size() && !(s[i] >= 0x40 && s[i] <= 0x7E); ++i) {
  }
  return std::min(i + 1, s.size());
}

} // namespace

std::string scrub(std::string_view text, std::size_t most) {
  std::string clean;
  clean.reserve(std::min(text.size(), most));
  for (std::size_t i = 0; i < text.size() && clean.size() < most;) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == 0x1B) {
      i = after_escape(text, i);
      continue;
    }
    if (c < 0x20 || c == 0x7F) {
      if (c == '\n' || c == '\t')
        clean += static_cast<char>(c);
      else if (c != '\r')
        clean += '?';
      ++i;
      continue;
    }
    const std::size_t length = sequence_length(text, i);
    const std::string_view sequence = text.substr(i, std::max<std::size_t>(length, 1));
    const bool keep = length > 0 && !misleading(sequence) && !(length == 2 && c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0);
    if (keep && clean.size() + length > most)
      break;
    clean += keep ? sequence : std::string_view("?");
    i += sequence.size();
  }
  return clean;
}

std::filesystem::path find_command(const std::string& name) {
  if (name.find('/') != std::string::npos)
    return ::access(name.c_str(), X_OK) == 0 ? std::filesystem::path(name) : std::filesystem::path();
  const char* variable = std::getenv("PATH");
  const std::string path = variable && *variable ? variable : "/usr/local/bin:/usr/bin:/bin";
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t to = std::min(path.find(':', from), path.size());
    const std::filesystem::path file = std::filesystem::path(path.substr(from, to - from)) / name;
    std::error_code ignored;
    if (to > from && ::access(file.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(file, ignored))
      return file;
    from = to + 1;
  }
  return {};
}

std::filesystem::path find_bubblewrap() {
  const auto installed = find_command("bwrap");
  return installed.empty() ? find_beside_executable("libexec/bwrap") : installed;
}

const std::string& process_space() {
  static const std::string digits = [] {
    std::error_code failed;
    std::string space = std::filesystem::read_symlink("/proc/self/ns/pid", failed).string(); // pid:[4026531836]
    std::erase_if(space, [](char c) { return c < '0' || c > '9'; });
    return space;
  }();
  return digits;
}

std::filesystem::path find_beside_executable(const std::filesystem::path& relative) {
  std::error_code failed;
  std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", failed).parent_path();
  for (; !failed && !folder.empty(); folder = folder.parent_path()) {
    for (const auto& candidate : {folder / relative, folder / "share" / "kevolve" / relative}) {
      std::error_code ignored;
      if (std::filesystem::exists(candidate, ignored))
        return candidate;
    }
    if (folder == folder.root_path())
      break;
  }
  return {};
}

} // namespace kevolve::agent
