#include "node-agent/artifacts.hpp"
#include "node-agent/process.hpp"
#include "node-agent/workspace.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace kevolve;
using namespace kevolve::agent;
namespace fs = std::filesystem;

namespace {

struct folder {
  fs::path at = fs::temp_directory_path() / ("kevolve-artifacts-" + std::to_string(::getpid()));
  folder() { fs::remove_all(at); }
  ~folder() { fs::remove_all(at); }
};

std::string key_of(int i) { return (i < 10 ? "0" : "") + std::to_string(i) + "0123456789abcdef"; }

void age(const fs::path& file, std::chrono::hours by) { fs::last_write_time(file, fs::file_time_type::clock::now() - by); }

std::uint64_t held(const fs::path& at) {
  std::uint64_t bytes = 0;
  for (const auto& each : fs::recursive_directory_iterator(at))
    bytes += each.is_regular_file() ? each.file_size() : 0;
  return bytes;
}

} // namespace

TEST_CASE("what is kept comes back, whole, and asking for it counts as use") {
  const folder where;
  artifact_store store(where.at, 0);
  const fs::path file = store.file(key_of(1), ".so");
  CHECK(!store.find(file));
  REQUIRE(store.keep(file, "machine code").has_value());
  CHECK(store.find(file));
  std::string text;
  std::getline(std::ifstream(file), text);
  CHECK(text == "machine code");
  age(file, std::chrono::hours(48));
  CHECK(store.find(file));
  CHECK(fs::file_time_type::clock::now() - fs::last_write_time(file) < std::chrono::hours(1));
  for (int i = 2; i < 60; ++i)
    REQUIRE(store.keep(store.file(key_of(i), ".so"), std::string(1000, 'x')).has_value());
  CHECK(held(where.at) > 58'000); // no bound
}

TEST_CASE("what cannot be written whole leaves nothing behind") {
  const folder where;
  artifact_store store(where.at, 0);
  REQUIRE(store.keep(store.file(key_of(1), ".so"), "machine code").has_value());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max}; // as a disk that has so much room
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto kept = store.keep(store.file(key_of(2), ".so"), std::string(100'000, 'x'));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(kept);
  CHECK(kept.error().message.find(where.at.string()) != std::string::npos);
  CHECK(held(where.at) == std::string("machine code").size());
  CHECK_FALSE(store.find(store.file(key_of(2), ".so")));
}

TEST_CASE("past the bound what was asked for longest ago goes, and nothing that may be in use") {
  const folder where;
  artifact_store store(where.at, 10'000);
  std::vector<fs::path> files;
  for (int i = 0; i < 10; ++i) {
    files.push_back(store.file(key_of(i), i % 2 ? ".made" : ".so"));
    REQUIRE(store.keep(files.back(), std::string(1000, 'x')).has_value());
    age(files.back(), std::chrono::hours(100 - i));
  }
  CHECK(store.find(files[0])); // the oldest, but wanted again
  const fs::path stranger = where.at / "artifacts" / "00" / "notes.txt", partial = where.at / "artifacts" / "00" / "00.part1-1", fresh = where.at / "artifacts" / "00" / "01.part1-1";
  for (const fs::path& each : {stranger, partial, fresh})
    std::ofstream(each) << "x";
  age(stranger, std::chrono::hours(1000));
  age(partial, std::chrono::hours(1000));
  REQUIRE(store.keep(store.file(key_of(90), ".so"), std::string(1000, 'x')).has_value());
  CHECK(fs::exists(files[0]));
  CHECK(!fs::exists(files[1]));
  CHECK(!fs::exists(files[2]));
  CHECK(!fs::exists(files[3]));
  CHECK(fs::exists(files[4])); // four fifths of the bound are left
  CHECK(fs::exists(store.file(key_of(90), ".so")));
  CHECK(fs::exists(stranger)); // none of ours
  CHECK(fs::exists(fresh));
  CHECK(!fs::exists(partial));
  CHECK(held(where.at) <= 8'100);
  for (int i = 20; i < 60; ++i) // all of it in use: the bound waits
    REQUIRE(store.keep(store.file(key_of(i), ".so"), std::string(1000, 'x')).has_value());
  for (int i = 20; i < 60; ++i)
    CHECK(fs::exists(store.file(key_of(i), ".so")));
}

TEST_CASE("several writers in one folder keep the bound together, and each sees whole files only") {
  const folder where;
  std::vector<std::thread> writers;
  std::atomic<int> torn{0}, failed{0};
  for (int w = 0; w < 4; ++w)
    writers.emplace_back([&, w] {
      artifact_store store(where.at, 20'000);
      for (int i = 0; i < 100; ++i) {
        const fs::path file = store.file(key_of(i), ".so");
        failed += !store.keep(file, std::string(1000, static_cast<char>('a' + w))).has_value();
        std::ifstream in(file, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(in), {}};
        if (in.is_open() && !text.empty())
          torn += text != std::string(1000, text[0]);
        std::error_code gone;
        fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1), gone);
      }
    });
  for (std::thread& each : writers)
    each.join();
  CHECK(failed == 0);
  CHECK(torn == 0);
  artifact_store last(where.at, 20'000);
  REQUIRE(last.keep(last.file(key_of(99), ".vec"), "x").has_value());
  CHECK(held(where.at) <= 20'000);
}

TEST_CASE("folders whose owner was killed are swept, and nobody else's") {
  const std::string prefix = "kevolve-sweeptest-";
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t owner = ::fork();
  REQUIRE(owner >= 0);
  if (owner == 0) {
    const auto made = scratch::make(prefix);
    if (made)
      std::ofstream(*made / "kernel.cpp") << "x";
    const std::string name = made ? made->string() : "";
    (void)!::write(ends[1], name.data(), name.size());
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(owner, nullptr, 0);
  std::string name(4096, '\0');
  name.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(ends[0], name.data(), name.size()))));
  ::close(ends[0]);
  ::close(ends[1]);
  REQUIRE(fs::is_directory(name));
  const auto ours = scratch::make(prefix);
  REQUIRE(ours.has_value());
  const scratch goes(*ours);
  const fs::path elsewhere = fs::temp_directory_path() / (prefix + "1-" + std::to_string(owner) + "-abcdef"), link = fs::temp_directory_path() / (prefix + process_space() + "-" + std::to_string(owner) + "-link");
  fs::create_directory(elsewhere); // of another namespace: whether its owner lives cannot be known
  fs::create_directory_symlink(elsewhere, link);
  CHECK(scratch::sweep(prefix) == 1);
  CHECK(!fs::exists(name));
  CHECK(fs::exists(*ours));
  CHECK(fs::exists(elsewhere));
  CHECK(fs::is_symlink(link));
  fs::remove(link);
  fs::remove(elsewhere);
}
