#include "node-agent/compile_jail.hpp"
#include "node-agent/sandbox.hpp"
#include "tests/node-agent/lacking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::agent;
namespace fs = std::filesystem;

namespace {

/// A folder to compile in, gone with it.
struct bench {
  fs::path folder;
  explicit bench(const fs::path& below = fs::temp_directory_path()) {
    std::string name = (below / "kevolve-jail-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder = name;
  }
  ~bench() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
};

const compile_jail& jail() {
  static const compile_jail one{defences_off()};
  if (!one.holds())
    test::lacking("no jail here: " + one.detail());
  return one;
}

process_end inside(const bench& at, std::vector<std::string> arguments, unsigned place = 0) {
  command c;
  c.arguments = std::move(arguments);
  c.environment = plain_environment();
  c.directory = at.folder;
  jail().own(at.folder, place);
  jail().confine(c, at.folder, place);
  auto end = run(c);
  REQUIRE(end);
  return *end;
}
process_end shell(const bench& at, const std::string& script, unsigned place = 0) { return inside(at, {"/bin/sh", "-c", script}, place); }

} // namespace

TEST_CASE("a jail says how it is made, or why there is none") {
  if (jail().holds()) {
    CHECK(jail().detail().find("bubblewrap") == 0);
    CHECK((jail().detail().find(", users " + std::to_string(pick_identity()) + " and up") != std::string::npos) == (::geteuid() == 0));
    CHECK(jail().detail().find('\n') == std::string::npos);
  }
  const compile_jail off(defences_off().add(defence::compile_jail));
  CHECK_FALSE(off.holds());
  CHECK(off.detail() == "switched off");
  const compile_jail same(defences_off().add(defence::identity));
  if (same.holds())
    CHECK(same.detail() == "bubblewrap");
}

TEST_CASE("a bubblewrap that is missing or does not work makes no jail, and its words are told without the line's end") {
  bench tools;
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", tools.folder.c_str(), 1);
  const compile_jail none{defences_off()};
  CHECK_FALSE(none.holds());
  CHECK(none.detail() == "bubblewrap (bwrap) is not installed");
  std::ofstream(tools.folder / "bwrap") << "#!/bin/sh\necho no namespaces for you >&2\nexit 1\n";
  for (const fs::path& path_of_it : {tools.folder, tools.folder / "bwrap"}) // for the jail's user, too
    ::chmod(path_of_it.c_str(), 0755);
  const compile_jail refused{defences_off()};
  ::setenv("PATH", path.c_str(), 1);
  CHECK_FALSE(refused.holds());
  CHECK(refused.detail() == "bubblewrap does not work here: no namespaces for you");
  command c;
  c.arguments = {"g++"};
  refused.confine(c, tools.folder, 0);
  CHECK(c.arguments == std::vector<std::string>{"g++"});
  refused.own(tools.folder, 3);
  struct stat about {};
  REQUIRE(::stat(tools.folder.c_str(), &about) == 0);
  CHECK(about.st_uid == ::geteuid());
}

TEST_CASE("where users are not changed, the defence being off, folders stay ours") {
  const compile_jail same(defences_off().add(defence::identity));
  bench at;
  same.own(at.folder, 5);
  struct stat about {};
  REQUIRE(::stat(at.folder.c_str(), &about) == 0);
  CHECK(about.st_uid == ::geteuid());
}

TEST_CASE("without a jail a command is left as it is") {
  const compile_jail off(defences_off().add(defence::compile_jail));
  bench at;
  command c;
  c.arguments = {"g++", "-c", "a.cpp"};
  c.environment = {"TMPDIR=/var/tmp"};
  c.directory = at.folder;
  off.own(at.folder, 0);
  off.confine(c, at.folder, 0);
  CHECK(c.arguments == std::vector<std::string>{"g++", "-c", "a.cpp"});
  CHECK(c.environment == std::vector<std::string>{"TMPDIR=/var/tmp"});
  CHECK(c.directory == at.folder);
  struct stat about {};
  REQUIRE(::stat(at.folder.c_str(), &about) == 0);
  CHECK(about.st_uid == ::geteuid());
}

TEST_CASE("compilers work in their folder and in a temporary one, and write nowhere else") {
  if (!jail().holds())
    return;
  bench at;
  std::ofstream(at.folder / "a.cpp") << "#include <vector>\nint main() { return static_cast<int>(std::vector<int>(3).size()); }\n";
  const auto end = inside(at, {"g++", "-o", "a", "a.cpp"});
  CAPTURE(end.errors);
  CHECK(end.good());
  CHECK(fs::exists(at.folder / "a"));
  CHECK(shell(at, "pwd; echo x > /work/here && echo x > /tmp/there && test ! -e /tmp/here && echo $TMPDIR").output == "/work\n/tmp\n");
  CHECK(fs::exists(at.folder / "here"));
  for (const char* path : {"/x", "/usr/x", "/bin/x", "/etc/x", "/proc/x", "/dev/x"})
    CHECK(!shell(at, ": > " + std::string(path)).good());
  CHECK(shell(at, "ls /").output.find("home") == std::string::npos);
}

TEST_CASE("nothing of ours is to be read") {
  if (!jail().holds())
    return;
  bench at, other;
  std::ofstream(other.folder / "secret") << "x";
  const auto sees = [&](const std::string& path) { return shell(at, "test -e " + path).good(); };
  CHECK(sees("/usr/bin/cc"));
  CHECK(sees("/bin/sh"));
  CHECK(sees("/dev/null"));
  CHECK(sees("/proc/self"));
  for (const char* path : {"/etc/passwd", "/etc/shadow", "/root", "/home", "/var", "/sys", "/run", "/dev/zero", "/dev/random", "/dev/shm", "/dev/vda", "/boot", "/opt"})
    CHECK_FALSE(sees(path));
  CHECK_FALSE(sees((other.folder / "secret").string()));
  CHECK_FALSE(sees(at.folder.string()));
  CHECK(sees("/etc/alternatives") == fs::exists("/etc/alternatives"));
  CHECK(sees("/etc/ld.so.cache") == fs::exists("/etc/ld.so.cache"));
}

TEST_CASE("there is no network, no other process, no capability and no user but nobody") {
  if (!jail().holds())
    return;
  bench at;
  CHECK(shell(at, "tail -n +3 /proc/net/dev | grep -v ' lo:' | grep -c :").output == "0\n");
  CHECK(shell(at, "echo $$").output == "1\n"); // the first of its processes, waited for by the jail itself
  CHECK(shell(at, "id -u; id -g; grep CapEff /proc/self/status").output == "65534\n65534\nCapEff:\t0000000000000000\n");
  CHECK(!shell(at, "unshare -U true").good());
  CHECK(!shell(at, "mount -t tmpfs x /tmp").good());
}

TEST_CASE("each place has a user of its own, whose folder and files are its") {
  if (!jail().holds() || ::geteuid() != 0) {
    test::lacking("not root");
    return;
  }
  const unsigned first = pick_identity();
  for (const unsigned place : {0u, 5u}) {
    bench at;
    CHECK(shell(at, ": > made", place).good());
    for (const fs::path& path : {at.folder, at.folder / "made"}) {
      struct stat about {};
      REQUIRE(::stat(path.c_str(), &about) == 0);
      CHECK(about.st_uid == first + place);
      CHECK(about.st_gid == first + place);
    }
  }
  static_assert(compile_jail::places <= 64);
}

TEST_CASE("a compiler has a gigabyte of temporary files and 64 tasks, no more") {
  if (!jail().holds())
    return;
  bench at;
  CHECK(shell(at, "df -k --output=size /tmp | tail -1 | tr -d ' '").output == "1048576\n");
  if (::geteuid() == 0)
    CHECK(shell(at, "ulimit -u || grep processes /proc/self/limits").output.find("64") != std::string::npos);
}

TEST_CASE("a toolchain that lies elsewhere is bound in, and a program that is nowhere is an error of the jail's") {
  if (!jail().holds())
    return;
  bench at, tools("/var/tmp"); // the jail has a /tmp of its own
  fs::create_directories(tools.folder / "bin");
  std::ofstream(tools.folder / "bin" / "my-cc") << "#!/bin/sh\necho mine \"$1\"; test -e " << (tools.folder / "lib").string() << " && echo beside\n";
  std::ofstream(tools.folder / "lib") << "x";
  fs::permissions(tools.folder / "bin" / "my-cc", fs::perms::owner_all | fs::perms::group_exec | fs::perms::group_read | fs::perms::others_exec | fs::perms::others_read);
  fs::permissions(tools.folder, fs::perms::owner_all | fs::perms::group_exec | fs::perms::group_read | fs::perms::others_exec | fs::perms::others_read);
  CHECK(inside(at, {(tools.folder / "bin" / "my-cc").string(), "-c"}).output == "mine -c\nbeside\n");
  std::ofstream(tools.folder / "stray") << "#!/bin/sh\necho stray\n"; // not in a folder of programs
  fs::permissions(tools.folder / "stray", fs::perms::all);
  CHECK(!inside(at, {(tools.folder / "stray").string()}).good());
  CHECK(!inside(at, {"no-such-compiler"}).good());
}
