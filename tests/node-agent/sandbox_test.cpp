#include "node-agent/process.hpp"
#include "node-agent/sandbox.hpp"
#include "tests/node-agent/lacking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <sched.h>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::agent;
namespace fs = std::filesystem;

namespace {

fs::path harness() { return fs::read_symlink("/proc/self/exe").parent_path() / "kevolve-harness"; }

const sandbox::layer& layer_of(const sandbox& box, defence what) {
  const auto at = std::find_if(box.layers().begin(), box.layers().end(), [&](const sandbox::layer& l) { return l.what == what; });
  REQUIRE(at != box.layers().end());
  return *at;
}

std::string status_of(int pid, const std::string& key) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key + ":"))
      return line.substr(key.size() + 2);
  return {};
}

std::string file_text(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

/// One with every layer, or null and a word about it where this host lacks some.
std::unique_ptr<sandbox> full() {
  auto box = std::make_unique<sandbox>(harness(), defences_off(), interruption{});
  if (box->level() == "full")
    return box;
  test::lacking(box->level());
  return nullptr;
}

std::unique_ptr<program> started(sandbox& box, unsigned cell, program_settings s = {}) {
  auto p = box.start(cell, s);
  REQUIRE_MESSAGE(p, (p ? std::string() : p.error().message));
  return std::move(*p);
}

/// The folder in a hierarchy that takes this process, and every limit in it.
std::set<std::string> groups_of(int pid) {
  std::set<std::string> found;
  std::ifstream in("/proc/" + std::to_string(pid) + "/cgroup");
  for (std::string line; std::getline(in, line);)
    if (const auto at = line.find("kevolve-"); at != std::string::npos)
      found.insert(line.substr(at));
  return found;
}

} // namespace

TEST_CASE("a sandbox tells of each layer how it is done here") {
  const auto box = full();
  if (!box)
    return;
  CHECK(box->layers().size() == 7);
  CHECK(layer_of(*box, defence::identity).detail.find("users ") == 0);
  CHECK(layer_of(*box, defence::namespaces).detail == "mounts, processes, network, IPC, host name");
  CHECK(layer_of(*box, defence::group).detail.find("memory (v") != std::string::npos);
  CHECK(layer_of(*box, defence::limits).detail.find("256 threads") != std::string::npos);
  CHECK(layer_of(*box, defence::seccomp).detail.find(" instructions") != std::string::npos);
  CHECK(std::stoi(layer_of(*box, defence::seccomp).detail) > 100);
  CHECK(layer_of(*box, defence::landlock).detail.find("ABI ") == 0);
  CHECK(std::atoi(layer_of(*box, defence::landlock).detail.c_str() + 4) >= 1);
  CHECK(layer_of(*box, defence::descriptors).detail == "the judge's channel and /dev/null");
  CHECK(box->off().bits() == 0);
  CHECK(box->keeper() > 0);
  CHECK(fs::exists("/proc/" + std::to_string(box->keeper())));
}

TEST_CASE("the users of a sandbox are a block of 64 of this process's own") {
  const unsigned first = pick_identity();
  if (::geteuid() != 0) {
    CHECK(first == 0);
    test::lacking("not root");
    return;
  }
  const unsigned pid = static_cast<unsigned>(::getpid());
  CHECK((first == 1'000'000 + pid * 64 || first == 60'000 + pid % 80 * 64));
  CHECK(first == pick_identity());
  const auto box = full();
  if (box)
    CHECK(layer_of(*box, defence::identity).detail == "users " + std::to_string(first) + " to " + std::to_string(first + 63));
}

TEST_CASE("a process in a cell has its user, group, filter and namespaces, seen from outside") {
  const auto box = full();
  if (!box)
    return;
  const unsigned first = pick_identity();
  for (const unsigned cell : {0u, 3u}) {
    const auto p = started(*box, cell);
    const std::string folder = "/proc/" + std::to_string(p->id()), id = std::to_string(first + cell);
    for (const char* key : {"Uid", "Gid"})
      CHECK(status_of(p->id(), key) == id + "\t" + id + "\t" + id + "\t" + id);
    CHECK(status_of(p->id(), "Groups").find_first_not_of(" \t") == std::string::npos);
    CHECK(status_of(p->id(), "CapEff") == "0000000000000000");
    CHECK(status_of(p->id(), "NoNewPrivs") == "1");
    CHECK(status_of(p->id(), "Seccomp") == "2");
    for (const char* kind : {"mnt", "pid", "net", "ipc", "uts"})
      CHECK(fs::read_symlink(folder + "/ns/" + kind) != fs::read_symlink(std::string("/proc/self/ns/") + kind));
    CHECK(fs::exists(folder + "/root/kevolve-harness"));
    for (const char* path : {"etc", "root", "home", "tmp", "dev", "sys", "var", "bin", "usr/bin"})
      CHECK_FALSE(fs::exists(folder + "/root/" + path));
    CHECK(std::distance(fs::directory_iterator(folder + "/fd"), fs::directory_iterator()) == 4);
    CHECK(file_text(folder + "/environ") == "");
    CHECK(file_text(folder + "/limits").find("Max core file size        0                    0") != std::string::npos);
    CHECK(file_text(folder + "/net/dev").find("eth") == std::string::npos);
    const auto groups = groups_of(p->id());
    CHECK(!groups.empty());
    for (const std::string& g : groups)
      CHECK(g.ends_with("-" + std::to_string(::getpid()) + "-cell" + std::to_string(cell)));
    for (const char* limit : {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"}) // where it is found
      for (const char* file : {"memory.limit_in_bytes", "memory.max"})
        for (const std::string& g : groups)
          if (const auto at = fs::path(limit) / g / file; fs::exists(at))
            CHECK(file_text(at) == std::to_string(12ull << 30) + "\n");
  }
}

TEST_CASE("inside there are the harness, libraries that candidates are linked with, and nothing to write") {
  const auto box = full();
  if (!box)
    return;
  const auto p = started(*box, 0);
  const fs::path root = "/proc/" + std::to_string(p->id()) + "/root";
  std::set<std::string> files;
  for (const auto& e : fs::recursive_directory_iterator(root))
    if (e.path().string().find("/root/proc/") == std::string::npos && e.is_regular_file())
      files.insert(e.path().filename().string());
  for (const char* wanted : {"kevolve-harness", "libc.so.6", "libm.so.6", "libgomp.so.1", "libstdc++.so.6", "libgcc_s.so.1"})
    CHECK(std::any_of(files.begin(), files.end(), [&](const std::string& f) { return f.find(std::string(wanted).substr(0, 6)) == 0; }));
  CHECK(files.size() < 16);
  std::ifstream mounts("/proc/" + std::to_string(p->id()) + "/mounts");
  std::size_t seen = 0;
  for (std::string device, point, type, options, rest; mounts >> device >> point >> type >> options && std::getline(mounts, rest); ++seen)
    if (type != "proc")
      CHECK(options.find("ro") == 0);
  CHECK(seen > 5);
}

TEST_CASE("two cells at once are two users in two groups, and ending one leaves the other alone") {
  const auto box = full();
  if (!box)
    return;
  const auto one = started(*box, 1), other = started(*box, 2);
  CHECK(status_of(one->id(), "Uid") != status_of(other->id(), "Uid"));
  CHECK(groups_of(one->id()) != groups_of(other->id()));
  one->end();
  CHECK(status_of(other->id(), "State").find("Z") == std::string::npos);
  CHECK(!status_of(other->id(), "State").empty());
  const auto again = started(*box, 1); // the cell is free
  CHECK(!groups_of(again->id()).empty());
}

TEST_CASE("a layer that is switched off is off, said, and lowers the level; the others stay") {
  struct expected {
    defence off;
    const char* key;
    std::string value; // of /proc/PID/status with the layer; elsewise without
  };
  for (const defence off : {defence::identity, defence::namespaces, defence::group, defence::limits, defence::seccomp, defence::landlock, defence::descriptors}) {
    CAPTURE(to_string(off));
    sandbox box(harness(), defences_off().add(off), {});
    CHECK_FALSE(layer_of(box, off).holds);
    CHECK(layer_of(box, off).detail == "switched off");
    CHECK(box.level().find("reduced: no ") == 0);
    CHECK(box.level().find(std::string(to_string(off)) + " (switched off)") != std::string::npos);
    CHECK_FALSE(box.off().on(off));
    const bool others = std::all_of(box.layers().begin(), box.layers().end(), [&](const sandbox::layer& l) { return l.holds == (l.what != off); });
    if (!others) {
      test::lacking(box.level());
      continue;
    }
    CHECK(box.level() == "reduced: no " + std::string(to_string(off)) + " (switched off)");
    const auto p = started(box, 0);
    const std::string folder = "/proc/" + std::to_string(p->id());
    CHECK((status_of(p->id(), "Uid").substr(0, 2) == "0\t") == (off == defence::identity));
    CHECK((fs::read_symlink(folder + "/ns/mnt") == fs::read_symlink("/proc/self/ns/mnt")) == (off == defence::namespaces));
    CHECK(groups_of(p->id()).empty() == (off == defence::group));
    CHECK((file_text(folder + "/limits").find("Max core file size        0                    0") == std::string::npos) == (off == defence::limits));
    CHECK((status_of(p->id(), "Seccomp") == "0") == (off == defence::seccomp));
    CHECK((file_text(folder + "/environ") != "") == (off == defence::descriptors));
    CHECK((box.keeper() > 0) == (off != defence::namespaces));
  }
}

TEST_CASE("two layers that are off are named one after the other") {
  const sandbox box(harness(), defences_off().add(defence::seccomp).add(defence::limits), {});
  if (layer_of(box, defence::identity).holds && layer_of(box, defence::namespaces).holds && layer_of(box, defence::group).holds)
    CHECK(box.level() == "reduced: no limits (switched off); seccomp (switched off)");
}

TEST_CASE("a harness that does not run makes every layer a missing one, with the reason") {
  const sandbox box("/bin/false", {}, {});
  CHECK(box.layers().size() == 7);
  for (const sandbox::layer& l : box.layers()) {
    CAPTURE(to_string(l.what));
    if (l.what == defence::landlock || l.what == defence::seccomp || l.what == defence::namespaces) {
      CHECK_FALSE(l.holds); // these are asked for, or need it to wait
      CHECK(!l.detail.empty());
    }
  }
  CHECK(layer_of(box, defence::seccomp).detail.find("a harness cannot be confined: it ") == 0);
  CHECK(layer_of(box, defence::namespaces).detail.find("bubblewrap did not start") == 0);
  CHECK_FALSE(box.off().on(defence::landlock));
}

TEST_CASE("when a sandbox goes nothing of it is left") {
  int keeper = -1, inside = -1;
  std::set<std::string> groups;
  {
    const auto box = full();
    if (!box)
      return;
    keeper = box->keeper();
    auto p = started(*box, 0);
    inside = p->id();
    groups = groups_of(inside);
  }
  CHECK(!fs::exists("/proc/" + std::to_string(keeper)));
  CHECK(!fs::exists("/proc/" + std::to_string(inside)));
  for (const std::string& g : groups)
    for (const auto& e : fs::directory_iterator("/sys/fs/cgroup"))
      CHECK(!fs::exists(e.path() / g));
}

TEST_CASE("a bubblewrap that is missing or refuses is told with its own words") {
  std::string folder = (fs::temp_directory_path() / "kevolve-bwrap-test-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", folder.c_str(), 1);
  const auto message = [&](const std::string& script) {
    if (!script.empty()) {
      std::ofstream(folder + "/bwrap") << "#!/bin/sh\n" << script;
      fs::permissions(folder + "/bwrap", fs::perms::owner_all);
    }
    auto made = namespaces::make(harness());
    REQUIRE(!made);
    return made.error().message;
  };
  CHECK(message("") == "bubblewrap (bwrap) is not installed");
  CHECK(message("echo no namespaces >&2; exit 1\n") == "bubblewrap did not start: no namespaces\n");
  CHECK(message("printf x >&2; exit 1\n") == "bubblewrap did not start: x");
  CHECK(message("exit 1\n") == "bubblewrap did not start: it said nothing");
  CHECK(message("echo gone >&2; echo '{\"child-pid\": 999999999}' >&4; printf . >&3; exit 0\n").find("bubblewrap did not start: gone") == 0);
  ::setenv("PATH", path.c_str(), 1);
  fs::remove_all(folder);
}

TEST_CASE("namespaces are entered by their handle and end with whoever made them") {
  const auto descriptors = [] { return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()); };
  const auto at_first = descriptors();
  auto made = namespaces::make(harness());
  CHECK(descriptors() == at_first + (made ? 1 : 0)); // the handle, and nothing else
  if (!made) {
    test::lacking(made.error().message);
    return;
  }
  CHECK((*made)->handle() >= 0);
  CHECK((*made)->keeper() > 0);
  CHECK(((*made)->kinds() & CLONE_NEWNS) != 0);
  CHECK(((*made)->kinds() & CLONE_NEWNET) != 0);
  CHECK(((*made)->kinds() & CLONE_NEWPID) != 0);
  CHECK(((*made)->kinds() & CLONE_NEWUSER) == (::geteuid() != 0 ? CLONE_NEWUSER : 0));
  const std::string keeper = "/proc/" + std::to_string((*made)->keeper());
  std::string inside;
  std::ifstream(keeper + "/task/" + keeper.substr(6) + "/children") >> inside;
  REQUIRE(!inside.empty());
  CHECK(file_text("/proc/" + inside + "/environ") == "");
  const auto before = std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  made->reset();
  CHECK(!fs::exists(keeper));
  CHECK(!fs::exists("/proc/" + inside));
  CHECK(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()) == before - 1);
}

TEST_CASE("a bubblewrap that does not end with what it holds is ended") {
  std::string folder = (fs::temp_directory_path() / "kevolve-bwrap-test-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::string path = std::getenv("PATH");
  std::ofstream(folder + "/bwrap") << "#!/bin/sh\n/bin/sleep 600 &\necho \"{\\\"child-pid\\\": $!}\" >&4\nprintf . >&3\nexec 3>&- 4>&-\nexec /bin/sleep 600\n";
  fs::permissions(folder + "/bwrap", fs::perms::owner_all);
  ::setenv("PATH", folder.c_str(), 1);
  auto made = namespaces::make(harness());
  ::setenv("PATH", path.c_str(), 1);
  REQUIRE_MESSAGE(made, (made ? std::string() : made.error().message));
  const std::string wrapper = "/proc/" + std::to_string((*made)->keeper());
  REQUIRE(fs::exists(wrapper));
  made->reset();
  CHECK(!fs::exists(wrapper));
  fs::remove_all(folder);
}
