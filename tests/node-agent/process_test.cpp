#include "node-agent/process.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace kevolve::agent;

namespace {

process_end shell(const std::string& script, process_limits limits = {}, const std::atomic<bool>* cancelled = nullptr) {
  command what;
  what.arguments = {"/bin/sh", "-c", script};
  what.environment = plain_environment();
  what.limits = limits;
  auto end = run(what, cancelled);
  REQUIRE(end);
  return *end;
}

} // namespace

TEST_CASE("a command's output, errors and status come back apart") {
  const auto end = shell("echo out; echo err >&2; exit 3");
  CHECK(end.fate == process_fate::exited);
  CHECK(end.status == 3);
  CHECK(end.output == "out\n");
  CHECK(end.errors == "err\n");
}

TEST_CASE("a command reads what it is given on stdin") {
  command what;
  what.arguments = {"cat"};
  what.input = std::string(100'000, 'x');
  what.output_bytes = 1 << 20;
  auto end = run(what);
  REQUIRE(end);
  CHECK(end->fate == process_fate::exited);
  CHECK(end->status == 0);
  CHECK(end->output.size() == what.input.size());
  CHECK((end->output == what.input));
}

TEST_CASE("a command that does not exist is an error that names it") {
  command what;
  what.arguments = {"no-such-compiler"};
  auto end = run(what);
  REQUIRE(!end);
  CHECK(end.error().message.find("no-such-compiler") != std::string::npos);
  what.arguments = {"/etc/passwd"};
  end = run(what);
  REQUIRE(!end);
  CHECK(end.error().message.find("Permission denied") != std::string::npos);
}

TEST_CASE("a command that hangs is killed with its group at the deadline") {
  const auto end = shell("sleep 300 & echo $!; sleep 300", {.wall_s = 0.2});
  CHECK(end.fate == process_fate::timed_out);
  const int straggler = std::stoi(end.output);
  for (int i = 0; i < 500 && ::kill(straggler, 0) == 0; ++i) { // killed, but reaped by init in its own time
    std::ifstream stat("/proc/" + std::to_string(straggler) + "/stat");
    std::string line;
    std::getline(stat, line);
    if (line.find(") Z ") != std::string::npos || line.empty())
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(::kill(straggler, 0) != 0);
}

TEST_CASE("a child that keeps the pipe open after its parent ended does not hold us up") {
  CHECK(shell("sleep 300 & exit 0", {.wall_s = 30}).fate == process_fate::exited);
}

TEST_CASE("a flood of output is capped and does not stop the deadline") {
  const auto end = shell("yes", {.wall_s = 0.3});
  CHECK(end.fate == process_fate::timed_out);
  CHECK(end.truncated);
  CHECK(end.output.size() == (64u << 10));
}

TEST_CASE("a crash names its signal") {
  const auto end = shell("kill -SEGV $$");
  CHECK(end.fate == process_fate::signalled);
  CHECK(end.status == SIGSEGV);
  CHECK(describe(end).find("Segmentation fault") != std::string::npos);
}

TEST_CASE("a cancelled command is killed") {
  std::atomic<bool> cancelled{true};
  CHECK(shell("sleep 300", {}, &cancelled).fate == process_fate::cancelled);
}

TEST_CASE("nothing of our environment or descriptors reaches a command") {
  ::setenv("KEVOLVE_CANARY", "secret", 1);
  const int open_one = ::dup(0);
  const auto end = shell("env; ls /proc/self/fd | wc -l");
  ::close(open_one);
  CHECK(end.output.find("secret") == std::string::npos);
  CHECK(end.output.find("\n4\n") != std::string::npos); // 0, 1, 2 and the folder that ls reads
}

TEST_CASE("a file larger than its limit ends the command") {
  const auto end = shell("exec head -c 1000000 /dev/zero > /dev/shm/kevolve_process_test; rm -f /dev/shm/kevolve_process_test", {.file_bytes = 4096});
  std::error_code ignored;
  CHECK(std::filesystem::file_size("/dev/shm/kevolve_process_test", ignored) == 4096);
  std::filesystem::remove("/dev/shm/kevolve_process_test", ignored);
  CHECK(!end.good());
}

TEST_CASE("time that a command spends stopped by the gate does not count towards its deadline") {
  pause_gate gate;
  gate.pause();
  command what;
  what.arguments = {"/bin/sh", "-c", "echo done"};
  what.limits.wall_s = 0.2;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    gate.resume();
  });
  auto end = run(what, nullptr, &gate);
  later.join();
  REQUIRE(end);
  CHECK(end->good());
  CHECK(end->output == "done\n");
}

TEST_CASE("scrubbing leaves text and removes what could act on a terminal or mislead a reader") {
  CHECK(scrub("plain\ttext\n") == "plain\ttext\n");
  CHECK(scrub("\x1b[31mred\x1b[0m") == "red");
  CHECK(scrub(std::string_view("a\0b\x07", 4)) == "a?b?");
  CHECK(scrub("gr\xc3\xbcn \xe2\x80\x98q\xe2\x80\x99") == "gr\xc3\xbcn \xe2\x80\x98q\xe2\x80\x99");
  CHECK(scrub("\xff\xc3") == "??");
  CHECK(scrub("\xe2\x80\xae" "abc") == "?abc");
  CHECK(scrub("\xc2\x9b" "31m") == "?31m");
  CHECK(scrub("123456", 3) == "123");
  CHECK(scrub("12\xc3\xbc", 3) == "12");
}

TEST_CASE("what is stopped at any moment of its birth ends with an agent that is killed") {
  if (find_command("bwrap").empty()) {
    MESSAGE("skipped: no bubblewrap");
    return;
  }
  const std::string mark = "kevolve-birth-" + std::to_string(::getpid());
  for (int i = 0; i < 60; ++i) {
    const pid_t agent = ::fork();
    REQUIRE(agent >= 0);
    if (agent == 0) {
      pause_gate gate;
      std::thread worker([&] {
        command what;
        what.arguments = {"bwrap", "--unshare-user", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "sh", "-c", "sleep 60; : " + mark};
        (void)run(what, nullptr, &gate);
      });
      ::usleep(static_cast<useconds_t>(i * 200)); // every moment of its first 12 ms
      gate.pause();
      ::usleep(20'000);
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(agent, nullptr, 0);
  }
  std::string left; // a busy host takes its time
  for (int i = 0; i < 50 && (i == 0 || !left.empty()); ++i) {
    ::usleep(200'000);
    left.clear();
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::string line, stat;
      std::getline(std::ifstream(entry.path() / "cmdline"), line);
      if (line.find(mark) != std::string::npos && std::getline(std::ifstream(entry.path() / "stat"), stat))
        left += stat.substr(0, 40) + "\n";
    }
  }
  CHECK(left == "");
  if (!left.empty())
    (void)std::system(("pkill -9 -f " + mark).c_str());
}

TEST_CASE("nothing begins beside a measurement, and a gate that is closed again at once was open") {
  pause_gate gate;
  gate.pause();
  std::atomic<bool> over{false};
  std::thread worker([&] {
    command what;
    what.arguments = {"true"};
    (void)run(what, nullptr, &gate);
    over = true;
  });
  ::usleep(100'000);
  CHECK(!over);
  gate.resume();
  gate.pause();
  ::usleep(50'000);
  gate.resume();
  worker.join();
  CHECK(over);
  std::atomic<bool> cancelled{true};
  gate.pause();
  command what;
  what.arguments = {"sleep", "60"};
  CHECK(run(what, &cancelled, &gate)->fate == process_fate::cancelled);
  gate.resume();
}
