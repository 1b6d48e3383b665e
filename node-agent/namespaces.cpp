#include "node-agent/namespaces.hpp"

#include "node-agent/loader.hpp"
#include "node-agent/process.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sched.h>
#include <set>
#include <spawn.h>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr double start_limit_s = 10;

// What the harness and candidates are linked with; those that this host lacks are left out.
constexpr const char* libraries[] = {"libc.so.6", "libm.so.6", "libmvec.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1", "libomp.so.5", "libiomp5.so", "libdl.so.2", "libpthread.so.0"};

constexpr const char* loader = dynamic_loader;

fs::path found_at(const char* library) {
  void* handle = ::dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  link_map* map = nullptr;
  fs::path path;
  if (handle && ::dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map)
    path = map->l_name;
  if (handle)
    ::dlclose(handle);
  return path;
}

std::vector<std::string> wrapped(const fs::path& harness) {
  std::vector<std::string> a{find_bubblewrap().string(), "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "kevolve",
                             "--die-with-parent", "--cap-drop", "ALL", "--clearenv"};
  const auto add = [&](std::initializer_list<std::string> more) { a.insert(a.end(), more); };
  if (::geteuid() != 0)
    add({"--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"});
  std::set<std::string> folders; // bubblewrap makes those that a file lies in for root alone
  const auto bind = [&](const fs::path& from, const fs::path& to) {
    std::vector<std::string> missing;
    for (fs::path folder = to.parent_path(); folder != folder.root_path(); folder = folder.parent_path())
      if (folders.insert(folder.string()).second)
        missing.push_back(folder.string());
    for (auto folder = missing.rbegin(); folder != missing.rend(); ++folder)
      add({"--perms", "0755", "--dir", *folder});
    add({"--ro-bind", from.string(), to.string()});
  };
  bind(loader, loader);
  bind(harness, "/kevolve-harness");
  // Those of a package lie anywhere; inside, the harness finds them through its RPATH, which is /lib there.
  std::error_code failed;
  const fs::path packaged = fs::canonical(harness.parent_path().parent_path() / "lib", failed);
  for (const char* library : libraries)
    if (const fs::path at = found_at(library); !at.empty())
      bind(at, !failed && fs::weakly_canonical(at.parent_path(), failed) == packaged ? fs::path("/lib") / library : at);
  add({"--proc", "/proc", "--remount-ro", "/", "--chdir", "/", "--info-fd", "4", "/kevolve-harness", "wait"});
  return a;
}

std::string contents(int fd) {
  char text[4096];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  return n > 0 ? scrub({text, static_cast<std::size_t>(n)}, 300) : std::string();
}

/// Everything up to the end of the stream, or nothing when that takes too long.
std::string read_all(int fd, double deadline, char until) {
  std::string text;
  char buffer[512];
  while (now_s() < deadline) {
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, 100) <= 0)
      continue;
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0)
      break;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.find(until) != std::string::npos)
      break;
  }
  return text;
}

} // namespace

result<std::unique_ptr<namespaces>> namespaces::make(const fs::path& harness) {
  std::unique_ptr<namespaces> made(new namespaces);
  auto arguments = wrapped(harness);
  if (arguments[0].empty())
    return error{errc::infrastructure, "bubblewrap (bwrap) is not installed"};
  std::vector<char*> argv;
  for (auto& a : arguments)
    argv.push_back(a.data());
  argv.push_back(nullptr);
  char* envp[] = {nullptr};
  int info[2], ready[2];
  if (::pipe2(info, O_CLOEXEC) != 0)
    return error{errc::infrastructure, std::string("cannot open a pipe: ") + std::strerror(errno)};
  if (::pipe2(ready, O_CLOEXEC) != 0) {
    ::close(info[0]), ::close(info[1]);
    return error{errc::infrastructure, std::string("cannot open a pipe: ") + std::strerror(errno)};
  }
  const int said = ::memfd_create("bwrap", MFD_CLOEXEC);
  for (int* fd : {&info[1], &ready[1]}) { // above those that they become
    const int high = ::fcntl(*fd, F_DUPFD_CLOEXEC, 16);
    ::close(*fd);
    *fd = high;
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, said, 2);
  ::posix_spawn_file_actions_adddup2(&actions, ready[1], 3);
  ::posix_spawn_file_actions_adddup2(&actions, info[1], 4);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  pid_t child = -1;
  const int failed = ::posix_spawn(&child, argv[0], &actions, &attributes, argv.data(), envp);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  ::close(info[1]), ::close(ready[1]);
  made->wrapper_ = failed ? -1 : child;
  const double deadline = now_s() + start_limit_s;
  // The harness inside says one byte once it waits: everything is mounted then.
  const bool up = !failed && !read_all(ready[0], deadline, '.').empty();
  const std::string facts = up ? read_all(info[0], deadline, '}') : std::string();
  ::close(info[0]), ::close(ready[0]);
  const auto described = nlohmann::json::parse(facts, nullptr, false);
  const int pid = described.is_object() ? described.value("child-pid", -1) : -1;
  if (pid > 0)
    made->inside_ = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  const std::string why = failed ? std::strerror(failed) : contents(said);
  ::close(said);
  if (made->inside_ < 0)
    return error{errc::infrastructure, "bubblewrap did not start: " + (why.empty() ? std::string("it said nothing") : why)};
  made->kinds_ = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | (::geteuid() != 0 ? CLONE_NEWUSER : 0);
  return made;
}

namespaces::~namespaces() {
  if (inside_ >= 0) {
    ::syscall(SYS_pidfd_send_signal, inside_, SIGKILL, nullptr, 0); // the first process inside: the kernel ends the others with it
    ::close(inside_);
  }
  // Bubblewrap reaps the process inside and ends by itself; killed before that it would leave it to whoever adopts it.
  for (int i = 0; wrapper_ > 0 && i < 1000; ++i) {
    if (::waitpid(wrapper_, nullptr, WNOHANG) == wrapper_)
      wrapper_ = -1;
    else
      ::usleep(1000);
  }
  if (wrapper_ > 0) {
    ::kill(wrapper_, SIGKILL);
    while (::waitpid(wrapper_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

} // namespace kevolve::agent
