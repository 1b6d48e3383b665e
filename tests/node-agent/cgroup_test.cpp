#include "node-agent/cgroup.hpp"
#include "node-agent/process.hpp"
#include "tests/node-agent/lacking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using namespace kevolve;
using namespace kevolve::agent;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t memory_bytes = 192ull << 20, tasks = 20;

/// A group, or null and a word about it where this host lets nobody make one.
std::unique_ptr<control_group> group(const std::string& name = "test", group_limits limits = {memory_bytes, tasks}) {
  auto made = control_group::make(name, limits);
  if (made)
    return std::move(*made);
  test::lacking("no control groups here: " + made.error().message);
  return nullptr;
}

/// Folders that a descriptor of the group's entrances leads to.
std::vector<fs::path> folders_of(const control_group& g) {
  std::vector<fs::path> folders;
  for (const int fd : g.entrances())
    folders.push_back(fs::read_symlink("/proc/self/fd/" + std::to_string(fd)).parent_path());
  return folders;
}

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// A process in the group that does something and ends when it is killed; told when it has done it.
template <class What>
pid_t member(const control_group& g, What what) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int fd : g.entrances())
      if (::write(fd, "0", 1) != 1)
        ::_exit(125);
    what();
    (void)!::write(ends[1], ".", 1);
    for (;;)
      ::pause();
  }
  char byte = 0;
  ::close(ends[1]);
  CHECK(::read(ends[0], &byte, 1) == 1);
  ::close(ends[0]);
  return child;
}

/// How the names of our groups begin.
std::string ours() {
  std::string space = fs::read_symlink("/proc/self/ns/pid").string();
  std::erase_if(space, [](char c) { return c < '0' || c > '9'; });
  return "kevolve-" + space + "-";
}

int reaped(pid_t child) {
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  return status;
}

} // namespace

TEST_CASE("a group is made below our own in each hierarchy, with its limits written, and is gone when it goes") {
  std::vector<fs::path> folders;
  {
    const auto g = group();
    if (!g)
      return;
    folders = folders_of(*g);
    REQUIRE(!folders.empty());
    CHECK(g->empty());
    bool memory = false, counted = false;
    for (const fs::path& f : folders) {
      CHECK(f.filename() == ours() + std::to_string(::getpid()) + "-test");
      CHECK(fs::is_directory(f));
      for (const char* file : {"memory.max", "memory.limit_in_bytes"})
        if (fs::exists(f / file))
          memory = first_line(f / file) == std::to_string(memory_bytes);
      if (fs::exists(f / "memory.oom.group"))
        CHECK(first_line(f / "memory.oom.group") == "1");
      if (fs::exists(f / "memory.swap.max"))
        CHECK(first_line(f / "memory.swap.max") == "0");
      if (fs::exists(f / "memory.memsw.limit_in_bytes"))
        CHECK(first_line(f / "memory.memsw.limit_in_bytes") == std::to_string(memory_bytes));
      if (fs::exists(f / "pids.max"))
        counted = first_line(f / "pids.max") == std::to_string(tasks);
    }
    CHECK(g->limits_memory() == memory);
    CHECK(g->limits_tasks() == counted);
    CHECK((g->description().find("memory (v") != std::string::npos) == memory);
    CHECK((g->description().find("tasks (v") != std::string::npos) == counted);
    const bool kills = std::any_of(folders.begin(), folders.end(), [](const fs::path& f) { return fs::exists(f / "cgroup.kill"); });
    CHECK((g->description().find("kill (v2)") != std::string::npos) == kills);
    CHECK(g->description().find(", , ") == std::string::npos);
    CHECK(g->description().front() != ',');
    CHECK(std::count(g->description().begin(), g->description().end(), ',') == memory + counted + kills - 1);
    const auto kinds = std::count_if(folders.begin(), folders.end(), [](const fs::path& f) { return fs::exists(f / "cgroup.controllers"); });
    if (kinds == 0)
      CHECK(g->description().find("(v2)") == std::string::npos);
  }
  for (const fs::path& f : folders)
    CHECK(!fs::exists(f));
}

TEST_CASE("a group without limits has none written") {
  const auto g = group("free", {});
  if (!g)
    return;
  for (const fs::path& f : folders_of(*g)) {
    if (fs::exists(f / "pids.max"))
      CHECK(first_line(f / "pids.max") == "max");
    if (fs::exists(f / "memory.max"))
      CHECK(first_line(f / "memory.max") == "max");
  }
  CHECK(g->limits_memory() == group()->limits_memory());
}

TEST_CASE("killing a group ends all of its members at once, and says so") {
  const auto g = group();
  if (!g)
    return;
  CHECK(g->kill(0));
  std::vector<pid_t> members;
  for (int i = 0; i < 5; ++i)
    members.push_back(member(*g, [] {
      std::signal(SIGTERM, SIG_IGN);
      (void)!::fork(); // not all of them our children
    }));
  CHECK(!g->empty());
  for (const fs::path& f : folders_of(*g))
    CHECK(!first_line(f / "cgroup.procs").empty());
  CHECK(g->kill(20));
  CHECK(g->empty());
  for (const pid_t m : members) {
    const int status = reaped(m);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
  }
}

TEST_CASE("a group that goes takes its members with it") {
  auto g = group();
  if (!g)
    return;
  const auto folders = folders_of(*g);
  const pid_t m = member(*g, [] {});
  g.reset();
  CHECK(WTERMSIG(reaped(m)) == SIGKILL);
  for (const fs::path& f : folders)
    CHECK(!fs::exists(f));
}

TEST_CASE("the group's CPU time is what its members used, in seconds") {
  const auto g = group();
  if (!g)
    return;
  if (g->cpu_s() < 0) {
    test::lacking("no hierarchy counts CPU time here");
    return;
  }
  CHECK(g->cpu_s() < 0.05);
  const pid_t m = member(*g, [] {
    const auto used = [] {
      timespec t{};
      ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
      return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    };
    while (used() < 0.2) {
    }
  });
  CHECK(g->cpu_s() > 0.15);
  CHECK(g->cpu_s() < 0.6);
  CHECK(g->kill());
  reaped(m);
}

TEST_CASE("the CPU time of a group whose folders are gone is unknown, not none") {
  const auto g = group();
  if (!g || g->cpu_s() < 0)
    return; // said by the test before
  for (const fs::path& folder : folders_of(*g))
    fs::remove(folder);
  CHECK(g->cpu_s() < 0);
}

TEST_CASE("a member that asks for more memory than the group may have is killed, and counted") {
  const auto g = group();
  if (!g || !g->limits_memory())
    return test::lacking("no limit of memory");
  CHECK(g->out_of_memory() == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int fd : g->entrances())
      if (::write(fd, "0", 1) != 1)
        ::_exit(125);
    constexpr std::size_t more = memory_bytes + (64u << 20);
    char* all = static_cast<char*>(::mmap(nullptr, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (std::size_t i = 0; i < more; i += 4096)
      all[i] = 1;
    ::_exit(0);
  }
  CHECK(WTERMSIG(reaped(child)) == SIGKILL);
  CHECK(g->out_of_memory() == 1);
}

TEST_CASE("a member starts no more tasks than the group may have") {
  const auto g = group();
  if (!g || !g->limits_tasks())
    return test::lacking("no limit of tasks");
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t m = member(*g, [&] {
    char started = 0;
    for (int i = 0; i < 60; ++i) {
      const pid_t one = ::fork();
      if (one == 0)
        for (;;)
          ::pause();
      started += one > 0;
    }
    (void)!::write(ends[1], &started, 1);
  });
  char started = 0;
  CHECK(::read(ends[0], &started, 1) == 1);
  CHECK(started == tasks - 1);
  CHECK(g->kill(20));
  reaped(m);
  ::close(ends[0]), ::close(ends[1]);
}

TEST_CASE("sweeping removes what ended processes have left behind with whoever lives there, and nothing else") {
  auto mine = group();
  if (!mine)
    return;
  const auto folders = folders_of(*mine);
  pid_t gone = ::fork();
  if (gone == 0)
    ::_exit(0);
  reaped(gone);
  const fs::path left = folders[0].parent_path() / (ours() + std::to_string(gone) + "-cell0"), other = folders[0].parent_path() / ("other-" + std::to_string(gone) + "-cell0"),
                 unnumbered = folders[0].parent_path() / (ours() + "test-of-sweeping");
  const fs::path elsewhere = folders[0].parent_path() / ("kevolve-1-" + std::to_string(gone) + "-cell0"); // of another namespace of processes
  for (const fs::path& f : {left, other, unnumbered, elsewhere})
    fs::create_directory(f);
  const pid_t stranger = ::fork();
  if (stranger == 0)
    for (;;)
      ::pause();
  std::ofstream(left / "cgroup.procs") << stranger;
  std::ifstream there(left / "cgroup.procs");
  int who = 0;
  CHECK((there >> who && who == stranger));
  std::signal(SIGCHLD, SIG_IGN); // sweeping waits until a member is reaped: the kernel does it
  const std::size_t removed = sweep_control_groups();
  std::signal(SIGCHLD, SIG_DFL);
  CHECK(removed >= 1); // others on this host may have been killed, too
  CHECK(!fs::exists(left));
  CHECK(::kill(stranger, 0) != 0);
  CHECK(fs::exists(other));
  CHECK(fs::exists(unnumbered));
  CHECK(fs::exists(elsewhere));
  for (const fs::path& f : folders)
    CHECK(fs::exists(f)); // ours: we live
  for (const fs::path& f : {left, other, unnumbered, elsewhere})
    ::rmdir(f.c_str());
}

TEST_CASE("limits are below a group that hands its controllers down: our own, or the nearest above it") {
  std::string name = (fs::temp_directory_path() / "kevolve-groups-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()));
  const fs::path top = name, slice = top / "user.slice", scope = slice / "session-1.scope"; // as systemd makes them; files, so that a group takes what is written as it is
  fs::create_directories(scope);
  const auto hands_down = [](const fs::path& group, const std::string& controllers) { std::ofstream(group / "cgroup.subtree_control") << controllers << "\n"; };
  CHECK(place_for_groups(scope, top) == scope); // nowhere
  hands_down(top, "cpuset cpu io memory pids");
  hands_down(slice, "memory");
  hands_down(scope, "");
  CHECK(place_for_groups(scope, top) == top);
  hands_down(slice, "cpu memory pids");
  CHECK(place_for_groups(scope, top) == slice);
  CHECK(place_for_groups(slice, top) == slice);
  hands_down(scope, "pids memory");
  CHECK(place_for_groups(scope, top) == scope);
  fs::remove(slice / "cgroup.subtree_control");
  hands_down(scope, "");
  CHECK(place_for_groups(scope, slice) == scope); // not beyond the top
  CHECK(first_line(scope / "cgroup.subtree_control") == "+memory +pids"); // it was asked
  fs::remove_all(top);
}
