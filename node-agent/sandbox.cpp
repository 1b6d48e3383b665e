#include "node-agent/sandbox.hpp"

#include "node-agent/system_calls.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr std::uint64_t memory_of_a_cell = 12ull << 30; // private memory (limited to 8 GiB beside this) and what it touches first of shared buffers
constexpr std::uint64_t tasks_of_a_cell = 320;
constexpr double confine_limit_s = 10;
constexpr defence layers_in_order[] = {defence::identity, defence::namespaces, defence::group, defence::limits, defence::seccomp, defence::landlock, defence::descriptors};

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

/// The rest of the line in /proc/PID/status that begins with `key`.
std::string status_of(int pid, const std::string& key) {
  std::istringstream in(text_of("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key + ":\t"))
      return line.substr(key.size() + 2);
  return {};
}

std::string outside(const char* kind, int pid) {
  std::error_code failed;
  const fs::path theirs = fs::read_symlink("/proc/" + std::to_string(pid) + "/ns/" + kind, failed), ours = fs::read_symlink(std::string("/proc/self/ns/") + kind, failed);
  return failed || theirs == ours ? std::string(kind) + " namespace is ours" : std::string();
}

constexpr int looks = 20;

/// Empty, or what about a running harness shows that the layer does not hold. Looked at from outside: a layer is not asked about itself.
std::string flaw(defence what, int pid, unsigned identity, const control_group* group) {
  const std::string folder = "/proc/" + std::to_string(pid);
  std::error_code failed;
  switch (what) {
    case defence::identity: {
      const std::string id = std::to_string(identity), all = id + "\t" + id + "\t" + id + "\t" + id;
      if (status_of(pid, "Uid") != all || status_of(pid, "Gid") != all)
        return "it runs as user " + status_of(pid, "Uid");
      return status_of(pid, "CapEff").find_first_not_of('0') == std::string::npos ? std::string() : "it has capabilities " + status_of(pid, "CapEff");
    }
    case defence::namespaces:
      for (const char* kind : {"mnt", "pid", "net", "ipc", "uts"})
        if (std::string wrong = outside(kind, pid); !wrong.empty())
          return wrong;
      return fs::exists(folder + "/root/etc", failed) || !fs::exists(folder + "/root/kevolve-harness", failed) ? "it sees another root" : std::string();
    case defence::group: return group && !group->empty() ? std::string() : "it is not in its group";
    case defence::limits: return text_of(folder + "/limits").find("Max core file size        0                    0") != std::string::npos ? std::string() : "limits are not set";
    case defence::seccomp: return status_of(pid, "Seccomp") == "2" ? std::string() : "no filter is active";
    case defence::landlock: return {}; // the harness tries to open a file and says so
    case defence::descriptors: {
      std::size_t open = 0;
      for ([[maybe_unused]] const auto& each : fs::directory_iterator(folder + "/fd", failed))
        ++open;
      return failed || open == 4 ? std::string() : std::to_string(open) + " descriptors are open, expected 4";
    }
    default: return {};
  }
}

} // namespace

unsigned pick_identity() {
  if (::geteuid() != 0)
    return 0;
  // Unlike any other live process's, so that sweeping one identity never hits another's programs.
  const unsigned pid = static_cast<unsigned>(::getpid());
  for (const unsigned candidate : {1'000'000u + pid * 64, 60'000u + pid % 80 * 64}) {
    const pid_t probe = ::fork();
    if (probe == 0)
      ::_exit(::syscall(SYS_setresgid, candidate, candidate, candidate) == 0 && ::syscall(SYS_setresuid, candidate, candidate, candidate) == 0 ? 0 : 1);
    int status = 1;
    if (probe > 0)
      while (::waitpid(probe, &status, 0) < 0 && errno == EINTR) {
      }
    if (probe > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
      return candidate;
  }
  return 0;
}

sandbox::sandbox(fs::path harness, defences_off off, const interruption& stop) : harness_(std::move(harness)), off_(off), stop_(stop), identity_(pick_identity()) {
  sweep_control_groups();
  for (const defence what : layers_in_order)
    test(what);
}

void sandbox::test(defence what) {
  if (!off_.on(what))
    return layers_.push_back({what, false, "switched off"});
  const auto missing = [&](std::string why) {
    off_.add(what);
    layers_.push_back({what, false, std::move(why)});
  };
  std::string detail;
  if (what == defence::identity) {
    if (identity_ == 0)
      return missing(::geteuid() == 0 ? "this host does not let root become another user" : "not root: candidates run as this user");
    detail = "users " + std::to_string(identity_) + " to " + std::to_string(identity_ + 63);
  } else if (what == defence::namespaces) {
    auto made = namespaces::make(harness_);
    if (!made)
      return missing(made.error().message);
    inside_ = std::move(*made);
    detail = "mounts, processes, network, IPC, host name";
  } else if (what == defence::group) {
    auto made = control_group::make("cell0", {memory_of_a_cell, tasks_of_a_cell});
    if (!made)
      return missing(made.error().message);
    detail = (*made)->description();
    const bool complete = (*made)->limits_memory() && (*made)->limits_tasks();
    groups_[0] = std::move(*made);
    if (!complete)
      return missing("limits only " + (detail.empty() ? std::string("nothing") : detail));
  } else if (what == defence::seccomp) {
    auto made = candidate_filter();
    if (!made)
      return missing(made.error().message);
    filter_ = std::move(*made);
    detail = std::to_string(filter_.size() / 8) + " instructions";
  }
  if (what == defence::limits)
    detail = "8 GiB of memory, no files, no core dumps, " + std::string(identity_ ? "256 threads" : "threads unlimited (not root)");
  else if (what == defence::landlock)
    detail = "ABI " + std::to_string(::syscall(444, nullptr, 0, 1)) + ": libraries may be read, nothing else";
  else if (what == defence::descriptors)
    detail = "the judge's channel and /dev/null";
  defences_off others;
  for (const defence each : layers_in_order)
    if (each != what)
      others.add(each);
  auto one = launch(0, {}, others);
  if (!one)
    return missing(one.error().message);
  std::string wrong;
  for (int look = 0; look < looks; ++look) { // while it starts it opens what it closes again; what stays is a flaw
    if (wrong = flaw(what, (*one)->id(), identity_, groups_.count(0) ? groups_[0].get() : nullptr); wrong.empty())
      break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!wrong.empty())
    return missing(std::move(wrong));
  layers_.push_back({what, true, std::move(detail)});
}

result<std::unique_ptr<program>> sandbox::launch(unsigned cell, program_settings s, defences_off off) {
  s.arguments = {harness_.string()};
  s.identity = off.on(defence::identity) && identity_ ? identity_ + cell : 0;
  s.inside = off.on(defence::namespaces) ? inside_.get() : nullptr;
  s.limited = off.on(defence::limits);
  s.clean = off.on(defence::descriptors);
  s.read_only = off.on(defence::read_only);
  s.numbered = off.on(defence::reply_numbers);
  if (!s.clean)
    for (char** variable = environ; variable && *variable; ++variable)
      s.environment.emplace_back(*variable);
  if (off.on(defence::group)) {
    auto& group = groups_[cell];
    if (!group) {
      KEVOLVE_TRY(made, control_group::make("cell" + std::to_string(cell), {memory_of_a_cell, tasks_of_a_cell}));
      group = std::move(made);
    }
    s.group = group.get();
  }
  KEVOLVE_TRY(started, program::start(s, stop_));
  const bool filtered = off.on(defence::seccomp), fenced = off.on(defence::landlock);
  if (filtered || fenced) {
    const call_end confined = started->confine(filtered ? filter_ : std::string(), fenced, confine_limit_s);
    if (!confined.good())
      return error{errc::infrastructure, "a harness cannot be confined: it " + confined.detail};
  }
  return started;
}

result<std::unique_ptr<program>> sandbox::start(unsigned cell, const program_settings& settings) { return launch(cell, settings, off_); }

std::string sandbox::level() const {
  std::string missing;
  for (const layer& l : layers_)
    if (!l.holds)
      missing += (missing.empty() ? "" : "; ") + std::string(agent::to_string(l.what)) + " (" + l.detail + ")";
  return missing.empty() ? "full" : "reduced: no " + missing;
}

} // namespace kevolve::agent
