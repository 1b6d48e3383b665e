// Who measures on which cores, between processes: a child of this one is the other process.
#include "node-agent/device_lock.hpp"
#include "node-agent/process.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace kevolve::agent;
namespace fs = std::filesystem;

namespace {

const std::atomic<bool> never{false};

struct folder {
  fs::path at;
  folder() {
    std::string name = (fs::temp_directory_path() / "kevolve-locks-XXXXXX").string();
    at = mkdtemp(name.data());
  }
  ~folder() { fs::remove_all(at); }
};

/// Another process that has taken these units, and measures on them or not, until it is killed.
struct neighbour {
  pid_t pid = -1;
  neighbour(const fs::path& at, const std::vector<int>& units, bool measures) {
    int done[2];
    REQUIRE(::pipe2(done, O_CLOEXEC) == 0);
    pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      device_lock its("cpu", units, at);
      const char answer = its.take(5, never) ? 'y' : 'n';
      its.measuring(measures);
      (void)!::write(done[1], &answer, 1);
      for (;;)
        ::pause();
    }
    char answer = 0;
    REQUIRE(::read(done[0], &answer, 1) == 1);
    CHECK(answer == 'y');
    ::close(done[0]);
    ::close(done[1]);
  }
  neighbour(const neighbour&) = delete;
  neighbour& operator=(const neighbour&) = delete;
  ~neighbour() { kill(); }
  void kill() {
    if (pid > 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    pid = -1;
  }
};

bool soon(const std::function<bool()>& what) {
  for (int i = 0; i < 500; ++i) {
    if (what())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

} // namespace

TEST_CASE("one process at a time on the same cores; who is killed holds nothing") {
  folder here;
  neighbour other(here.at, {0, 1}, false);
  device_lock one("cpu", {1, 2}, here.at), two("cpu", {2, 3, 7}, here.at), device("loom9", {0, 1}, here.at);
  REQUIRE(one.trouble().empty());
  CHECK(one.file() == here.at / "kevolve-cpu.lock");
  CHECK((fs::status(one.file()).permissions() & fs::perms::all) == fs::perms(0666)); // whatever the umask: other users lock it, too
  CHECK_FALSE(one.take(0.05, never)); // core 1 is used
  CHECK(device.take(0, never));       // another device
  CHECK(two.take(0, never));          // other cores: who gave up holds none of them
  two.release();
  std::atomic<bool> cancelled{true};
  CHECK_FALSE(one.take(60, cancelled));
  other.kill();
  CHECK(one.take(5, never));
  CHECK_FALSE(two.take(0.05, never)); // core 2
  one.release();
  CHECK(two.take(0, never));
}

TEST_CASE("who waits comes before who asks again at once") {
  folder here;
  std::atomic<bool> stop{false};
  std::atomic<int> greedy = 0;
  std::thread other([&] {
    device_lock its("cpu", {0}, here.at);
    while (!stop) {
      if (its.take(5, never))
        ++greedy;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      its.release();
    }
  });
  device_lock mine("cpu", {0}, here.at);
  std::vector<int> others_turns;
  for (int i = 0; i < 21; ++i) {
    CHECK(soon([&] { return greedy > 0; }));
    greedy = 0;
    CHECK(mine.take(5, never));
    others_turns.push_back(greedy);
    mine.release();
  }
  stop = true;
  other.join();
  std::sort(others_turns.begin(), others_turns.end());
  CHECK(others_turns[10] < 40); // without turns it is thousands, and we get none; a busy host may hold us up before we ask, but not every time
}

TEST_CASE("compilers stand still while a neighbour measures, and only then") {
  folder here;
  pause_gate compilers;
  neighbour_watch watch(compilers, "cpu", {0, 1}, here.at);
  {
    neighbour checks(here.at, {0, 1}, false);
    neighbour elsewhere(here.at, {2, 3}, true);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    CHECK_FALSE(compilers.paused());
  }
  {
    neighbour measures(here.at, {1}, true);
    CHECK(soon([&] { return compilers.paused(); }));
  }
  CHECK(soon([&] { return !compilers.paused(); }));
  device_lock ours("cpu", {0}, here.at);
  REQUIRE(ours.take(5, never));
  watch.our_own(true);
  ours.measuring(true);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK_FALSE(compilers.paused()); // that is its own affair
  ours.release();
  watch.our_own(false);
}

TEST_CASE("where nothing can be locked it says so, and nobody waits") {
  folder here;
  device_lock nowhere("cpu", {0}, here.at / "missing");
  CHECK(nowhere.trouble().find("cannot open " + (here.at / "missing/kevolve-cpu.lock").string()) == 0);
  CHECK_FALSE(nowhere.take(60, never));
  CHECK_FALSE(nowhere.another_measures());
  fs::create_symlink("/etc/passwd", here.at / "kevolve-cpu.lock"); // somebody else's trap in a folder for everybody
  device_lock trap("cpu", {0}, here.at);
  CHECK_FALSE(trap.trouble().empty());
  REQUIRE(::mkfifo((here.at / "kevolve-pipe.lock").c_str(), 0666) == 0);
  CHECK(device_lock("pipe", {0}, here.at).trouble().find("is no file") != std::string::npos);
}
