#include "node-agent/cgroup.hpp"

#include "node-agent/process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

/// kevolve-NAMESPACE-PID-NAME.
std::string prefix() { return "kevolve-" + process_space() + "-"; }

/// A mounted hierarchy, and the folder of our own group in it.
struct hierarchy {
  bool unified = false;
  std::vector<std::string> controllers;
  std::string own;
  std::string place; // where groups of ours are made
  [[nodiscard]] bool has(const std::string& controller) const { return std::find(controllers.begin(), controllers.end(), controller) != controllers.end(); }
};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);)
    if (!part.empty())
      parts.push_back(part);
  return parts;
}

std::string read_text(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

bool write_text(const std::string& file, const std::string& text) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  const bool good = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0)
    ::close(fd);
  return good;
}

std::vector<hierarchy> hierarchies() {
  std::vector<hierarchy> found;
  std::ifstream ours("/proc/self/cgroup");
  std::vector<std::pair<std::string, std::string>> groups; // controllers ("": unified), path
  for (std::string line; std::getline(ours, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second != std::string::npos)
      groups.emplace_back(line.substr(first + 1, second - first - 1), line.substr(second + 1));
  }
  std::ifstream mounts("/proc/self/mounts");
  for (std::string device, point, type, options, rest; mounts >> device >> point >> type >> options && std::getline(mounts, rest);) {
    if (type != "cgroup" && type != "cgroup2")
      continue;
    hierarchy h;
    h.unified = type == "cgroup2";
    const auto named = split(options, ',');
    for (const auto& [controllers, path] : groups) {
      const auto parts = split(controllers, ',');
      const bool same = h.unified ? controllers.empty() : !parts.empty() && std::find(named.begin(), named.end(), parts[0]) != named.end();
      if (!same)
        continue;
      h.own = path == "/" ? point : point + path;
      if (::access(h.own.c_str(), F_OK) != 0)
        h.own = point; // the mount shows our group as its root
      h.controllers = h.unified ? split(read_text(point + "/cgroup.controllers"), ' ') : parts; // of the whole hierarchy: our own group may have been handed less
    }
    for (auto& c : h.controllers)
      c.erase(std::remove(c.begin(), c.end(), '\n'), c.end());
    if (h.own.empty())
      continue;
    h.place = h.unified && h.has("memory") && h.has("pids") ? place_for_groups(h.own, point) : h.own;
    found.push_back(std::move(h));
  }
  return found;
}

/// The processes in a group's folder.
std::vector<int> members(const std::string& folder) {
  std::vector<int> found;
  std::ifstream in(folder + "/cgroup.procs");
  for (int pid = 0; in >> pid;)
    found.push_back(pid);
  return found;
}

void remove_folder(const std::string& folder) {
  for (int i = 0; i < 200 && ::rmdir(folder.c_str()) != 0 && errno == EBUSY; ++i) // busy until its last member is reaped
    ::usleep(1000);
}

} // namespace

std::string place_for_groups(const std::string& own, const std::string& top) {
  const auto hands_down = [](const fs::path& folder) {
    std::istringstream in(read_text((folder / "cgroup.subtree_control").string()));
    bool memory = false, tasks = false;
    for (std::string controller; in >> controller;)
      memory |= controller == "memory", tasks |= controller == "pids";
    return memory && tasks;
  };
  if (!hands_down(own))
    (void)write_text(own + "/cgroup.subtree_control", "+memory +pids"); // refused where processes live in it, ourselves among them, but for the top
  for (fs::path at = own;; at = at.parent_path()) {
    if (hands_down(at) && ::access(at.c_str(), W_OK) == 0)
      return at.string();
    if (at == fs::path(top) || !at.has_relative_path())
      return own;
  }
}

result<std::unique_ptr<control_group>> control_group::make(const std::string& name, const group_limits& limits) {
  std::unique_ptr<control_group> g(new control_group);
  const std::string folder = prefix() + std::to_string(::getpid()) + "-" + name;
  std::string why = "no cgroup hierarchy is mounted";
  auto all = hierarchies();
  const bool one_for_all = std::any_of(all.begin(), all.end(), [](const hierarchy& h) { return h.unified && h.has("memory") && h.has("pids"); });
  std::vector<std::string> done;
  for (const hierarchy& h : all) {
    if (!h.unified && (one_for_all || !(h.has("memory") || h.has("pids") || h.has("cpuacct"))))
      continue;
    const std::string at = h.place + "/" + folder;
    if (::mkdir(at.c_str(), 0755) != 0 && errno != EEXIST) {
      why = "cannot make '" + at + "': " + std::strerror(errno);
      continue;
    }
    const int entrance = ::open((at + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
    if (entrance < 0) {
      why = "cannot write '" + at + "/cgroup.procs': " + std::strerror(errno);
      ::rmdir(at.c_str());
      continue;
    }
    g->folders_.push_back(at);
    g->entrances_.push_back(entrance);
    const std::string version = h.unified ? " (v2)" : " (v1)";
    const std::string memory = at + (h.unified ? "/memory.max" : "/memory.limit_in_bytes"), tasks = at + "/pids.max";
    if (h.has("memory") && (!limits.memory_bytes || write_text(memory, std::to_string(limits.memory_bytes)))) {
      g->memory_ = at;
      done.push_back("memory" + version);
      (void)(h.unified ? write_text(at + "/memory.swap.max", "0") : write_text(at + "/memory.memsw.limit_in_bytes", std::to_string(limits.memory_bytes)));
      if (h.unified)
        (void)write_text(at + "/memory.oom.group", "1");
    }
    if (h.has("pids") && (!limits.tasks || write_text(tasks, std::to_string(limits.tasks)))) {
      g->tasks_ = at;
      done.push_back("tasks" + version);
    }
    if (h.unified && ::access((at + "/cgroup.kill").c_str(), W_OK) == 0) {
      g->unified_ = at;
      done.push_back("kill" + version);
    }
    if (h.unified ? g->cpu_.empty() && ::access((at + "/cpu.stat").c_str(), R_OK) == 0 : h.has("cpuacct"))
      g->cpu_ = at;
  }
  if (g->folders_.empty())
    return error{errc::infrastructure, why};
  for (const std::string& what : done)
    g->description_ += (g->description_.empty() ? "" : ", ") + what;
  return g;
}

control_group::~control_group() {
  kill();
  for (int fd : entrances_)
    ::close(fd);
  for (const std::string& folder : folders_)
    remove_folder(folder);
}

bool control_group::empty() const {
  return std::all_of(folders_.begin(), folders_.end(), [](const std::string& f) { return members(f).empty(); });
}

bool control_group::kill(double limit_s) {
  const double deadline = now_s() + limit_s;
  while (!empty()) {
    if (!unified_.empty())
      (void)write_text(unified_ + "/cgroup.kill", "1");
    for (const std::string& folder : folders_)
      if (folder != unified_)
        for (int pid : members(folder))
          ::kill(pid, SIGKILL);
    if (now_s() > deadline)
      return false;
    ::usleep(500);
  }
  return true;
}

double control_group::cpu_s() const {
  if (cpu_.empty())
    return -1;
  if (std::ifstream v1(cpu_ + "/cpuacct.usage"); v1) {
    double ns = 0;
    v1 >> ns;
    return ns * 1e-9;
  }
  std::ifstream v2(cpu_ + "/cpu.stat");
  double value = 0;
  for (std::string key; v2 >> key >> value;)
    if (key == "usage_usec")
      return value * 1e-6;
  return -1;
}

std::uint64_t control_group::out_of_memory() const {
  if (memory_.empty())
    return 0;
  for (const char* file : {"/memory.events", "/memory.oom_control"}) {
    std::ifstream in(memory_ + file);
    std::uint64_t value = 0;
    for (std::string key; in >> key >> value;)
      if (key == "oom_kill")
        return value;
  }
  return 0;
}

std::size_t sweep_control_groups() {
  std::size_t removed = 0;
  for (const hierarchy& h : hierarchies()) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(h.place, failed)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(prefix()))
        continue;
      const int pid = std::atoi(name.c_str() + prefix().size());
      if (pid <= 0 || ::kill(pid, 0) == 0 || errno != ESRCH)
        continue;
      for (int member : members(entry.path().string()))
        if (member > 0) // 0: one whom our namespace does not show; as a number to kill it would mean ourselves
          ::kill(member, SIGKILL);
      remove_folder(entry.path().string());
      removed += ::access(entry.path().c_str(), F_OK) != 0;
    }
  }
  return removed;
}

} // namespace kevolve::agent
