#include "node-agent/warden.hpp"

#include <csignal>
#include <fcntl.h>
#include <mutex>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kevolve::agent {
namespace {

// A service manager's SIGTERM is for us: we may drain for long. The line's end is what ends the warden.
constexpr const char* keep_watch = R"(trap '' TERM INT HUP
all=' '
while read -r what group; do
  case $what in
    +) all="$all$group " ;;
    -) case $all in *" $group "*) all="${all%%" $group "*} ${all#*" $group "}" ;; esac ;;
  esac
done
for group in $all; do kill -s KILL -- "-$group"; done 2>/dev/null)";

int start(pid_t& pid) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return -1;
  posix_spawn_file_actions_t files;
  posix_spawnattr_t how;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&how);
  ::posix_spawn_file_actions_adddup2(&files, ends[1], 0);
  ::posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, 1, 2);
  ::posix_spawn_file_actions_addclosefrom_np(&files, 3);
  ::posix_spawn_file_actions_addchdir_np(&files, "/");
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&how, &all);
  ::posix_spawnattr_setsigmask(&how, &none);
  ::posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const char* line[] = {"kevolve-warden", "-c", keep_watch, nullptr};
  char* nothing[] = {nullptr};
  const int failed = ::posix_spawn(&pid, "/bin/sh", &files, &how, const_cast<char**>(line), nothing);
  ::posix_spawnattr_destroy(&how);
  ::posix_spawn_file_actions_destroy(&files);
  ::close(ends[1]);
  if (failed != 0)
    return ::close(ends[0]), -1;
  return ends[0];
}

/// "+ 123\n", without the library's help.
void tell(int line, char what, int group) {
  if (line < 0)
    return;
  char text[16];
  char* at = text + sizeof text;
  *--at = '\n';
  for (unsigned rest = static_cast<unsigned>(group); at > text + 2; rest /= 10) {
    *--at = static_cast<char>('0' + rest % 10);
    if (rest < 10)
      break;
  }
  *--at = ' ';
  *--at = what;
  (void)!::send(line, at, static_cast<size_t>(text + sizeof text - at), MSG_NOSIGNAL);
}

/// Ends with us where we end in order, so that nobody sees it afterwards.
struct watched_life {
  std::mutex mutex;
  int line = -1;
  pid_t whose = 0, warden = 0;

  ~watched_life() {
    if (line < 0)
      return;
    const bool ours = whose == ::getpid();
    if (ours)
      ::shutdown(line, SHUT_RDWR); // whatever was forked may hold it, too
    ::close(line);
    if (ours)
      ::waitpid(warden, nullptr, 0);
  }
};

} // namespace

int warden_line() {
  static watched_life life;
  std::lock_guard lock(life.mutex);
  if (life.whose != ::getpid()) { // the first call, or that of a process that was forked: it has a life of its own
    if (life.line >= 0)
      ::close(life.line);
    life.whose = ::getpid();
    life.line = start(life.warden);
  }
  return life.line;
}

void tell_warden_of_us(int line) { tell(line, '+', ::getpid()); }
void tell_warden_that_ended(int line, int group) { tell(line, '-', group); }

} // namespace kevolve::agent
