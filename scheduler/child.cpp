#include "scheduler/child.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char** environ;

namespace kevolve::scheduler {

namespace {

using clock = std::chrono::steady_clock;

int status_of(int raw) { return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw); }

/// Starts `arguments` with stdin from /dev/null and the two given descriptors as stdout and stderr.
result<pid_t> spawn(const std::vector<std::string>& arguments, int out, int errors) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int failure = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure)
    return error{errc::io, fmt::format("cannot start {}: {}", arguments[0], std::strerror(failure))};
  return pid;
}

} // namespace

result<background_child> background_child::start(const std::vector<std::string>& arguments, const std::string& output_file,
                                                 const std::string& errors_file) {
  const int out = open(output_file.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  const int errors = open(errors_file.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  if (out < 0 || errors < 0) {
    const int reason = errno;
    if (out >= 0)
      close(out);
    if (errors >= 0)
      close(errors);
    return error{errc::io, fmt::format("cannot write {}: {}", out < 0 ? output_file : errors_file, std::strerror(reason))};
  }
  auto pid = spawn(arguments, out, errors);
  close(out);
  close(errors);
  if (!pid)
    return pid.error();
  return background_child(*pid);
}

background_child::~background_child() {
  if (pid_ > 0)
    kill_tree();
}

std::optional<int> background_child::wait_for(std::chrono::milliseconds deadline) {
  const auto end = clock::now() + deadline;
  for (;;) {
    int raw = 0;
    const pid_t got = waitpid(pid_, &raw, WNOHANG);
    if (got == pid_) {
      pid_ = -1;
      return status_of(raw);
    }
    if (got < 0 && errno != EINTR)
      return std::nullopt;
    if (clock::now() >= end)
      return std::nullopt;
    std::this_thread::sleep_for(std::min<clock::duration>(std::chrono::milliseconds(2), end - clock::now()));
  }
}

void background_child::kill_tree() {
  if (pid_ > 0) {
    const std::vector<pid_t> below = descendants_of(pid_);
    kill(pid_, SIGKILL);
    for (pid_t each : below)
      kill(each, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }
  // What was started in between became ours when its parent died.
  for (;;) {
    const std::vector<pid_t> orphans = descendants_of(getpid());
    if (orphans.empty())
      return;
    for (pid_t each : orphans)
      kill(each, SIGKILL);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

std::vector<pid_t> descendants_of(pid_t root) {
  std::multimap<pid_t, pid_t> children; // of any thread: /proc/PID/task/TID/children would need one look per thread
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos)
      continue;
    std::ifstream in(entry.path() / "stat");
    std::string line;
    std::getline(in, line);
    const std::size_t after_name = line.rfind(')'); // the name may hold anything
    char state = 0;
    int parent = 0;
    if (after_name != std::string::npos && std::sscanf(line.c_str() + after_name + 1, " %c %d", &state, &parent) == 2)
      children.emplace(parent, std::stoi(name));
  }
  std::vector<pid_t> found{root};
  for (std::size_t i = 0; i < found.size(); ++i)
    for (auto [at, end] = children.equal_range(found[i]); at != end; ++at)
      found.push_back(at->second);
  found.erase(found.begin());
  return found;
}

} // namespace kevolve::scheduler
