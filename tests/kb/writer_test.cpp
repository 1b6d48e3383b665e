#include "kb/store.hpp"
#include "protocol/rng.hpp"
#include "tests/kb/opening.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::kb;

namespace {

/// Runs `body` in a forked process; its return value is the exit code.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0)
    ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1'000 + WTERMSIG(status);
}

/// A small file system of its own, where the tests may mount one.
class small_disk {
public:
  explicit small_disk(std::filesystem::path where) : where_(std::move(where)) {
    std::filesystem::create_directories(where_);
    mounted_ = ::mount("tmpfs", where_.c_str(), "tmpfs", 0, "size=3m") == 0;
  }
  ~small_disk() {
    if (mounted_)
      ::umount2(where_.c_str(), MNT_DETACH);
  }
  bool is_mounted() const { return mounted_; }
  bool grow() const { return ::mount("tmpfs", where_.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0; }
  const std::filesystem::path& path() const { return where_; }

private:
  std::filesystem::path where_;
  bool mounted_ = false;
};

} // namespace

/// Text that zstd makes little smaller.
static std::string noise(std::size_t bytes, rng& draw) {
  std::string text;
  while (text.size() < bytes)
    text += static_cast<char>('!' + draw.below(90));
  return text;
}

static candidate of_source(node_number n, std::string text) {
  candidate c = samples::made(1, n, 0);
  c.sources = {{"kernel.cpp", std::move(text)}};
  c.id = candidate_hash(c);
  return c;
}

/// What this process has mapped of the file, in bytes of address space.
static std::uint64_t mapped(const std::filesystem::path& file) {
  std::ifstream maps("/proc/self/maps");
  std::uint64_t most = 0;
  for (std::string line; std::getline(maps, line);)
    if (line.ends_with(file.string())) {
      char* dash = nullptr;
      const auto from = std::strtoull(line.c_str(), &dash, 16);
      most = std::max<std::uint64_t>(most, std::strtoull(dash + 1, nullptr, 16) - from);
    }
  return most;
}

TEST_CASE("a second writer is told who writes, readers work meanwhile, and the lock goes with its process") {
  const scratch_directory where;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t writer = ::fork();
  REQUIRE(writer >= 0);
  if (writer == 0) {
    auto memory = store::open(where.path(), kb::access::read_write);
    if (!memory || !put(**memory, "s", samples::opened("s")))
      ::_exit(1);
    (void)!::write(ready[1], "1", 1);
    for (node_number n = 0;; ++n) {
      (*memory)->append("s", samples::proposed(n), {});
      ::usleep(1'000);
    }
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const auto second = store::open(where.path(), kb::access::read_write);
  REQUIRE(!second.has_value());
  CHECK(second.error().code == errc::busy);
  CHECK(second.error().message.find("pid " + std::to_string(writer)) != std::string::npos);
  {
    auto reader = open_store(where.path(), kb::access::read_only);
    std::size_t seen = 0;
    for (int i = 0; i < 200 && seen < 20; ++i) {
      const auto events = reader->events("s");
      REQUIRE(events.has_value());
      CHECK(events->size() >= seen);
      seen = events->size();
      ::usleep(2'000);
    }
    CHECK(seen > 1); // what the writer adds becomes visible
    const auto report = reader->check(false);
    REQUIRE(report.has_value());
    CHECK(report->damage == std::vector<std::string>{});
    CHECK(reader->check(true).error().code == errc::refused);
  }
  ::kill(writer, SIGKILL);
  ::waitpid(writer, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  CHECK(store::open(where.path(), kb::access::read_write).has_value());
}

TEST_CASE("a directory is open once per process") {
  const scratch_directory where;
  auto memory = open_store(where.path());
  const auto again = store::open(where.path(), kb::access::read_only);
  REQUIRE(!again.has_value());
  CHECK(again.error().code == errc::busy);
  memory.reset();
  CHECK(store::open(where.path(), kb::access::read_only).has_value());
}

TEST_CASE("a directory that cannot be written refuses a writer and serves readers") {
  const scratch_directory where;
  REQUIRE(put(*open_store(where.path() / "store"), "s", samples::opened("s")).has_value());
  ::chmod(where.path().c_str(), 0755);
  ::chmod((where.path() / "store").c_str(), 0555);
  for (const auto& file : std::filesystem::directory_iterator(where.path() / "store"))
    ::chmod(file.path().c_str(), 0444);
  CHECK(in_child([&] {
          if (::geteuid() == 0 && ::setresuid(65'534, 65'534, 65'534) != 0)
            return 1;
          const auto writer = store::open(where.path() / "store", kb::access::read_write);
          if (writer || writer.error().code != errc::configuration)
            return 2;
          const auto made = store::open(where.path() / "new", kb::access::read_write);
          if (::getuid() == 65'534 && (made || made.error().code != errc::configuration))
            return 3;
          const auto reader = store::open(where.path() / "store", kb::access::read_only);
          if (!reader)
            return 4;
          const auto events = (*reader)->events("s");
          return events && events->size() == 1 ? 0 : 5;
        }) == 0);
  ::chmod((where.path() / "store").c_str(), 0755);
  const auto file = where.path() / "a-file";
  std::fclose(std::fopen(file.c_str(), "w"));
  CHECK(store::open(file, kb::access::read_write).error().code == errc::configuration);
  CHECK(store::open(file / "below", kb::access::read_write).error().code == errc::configuration);
}

TEST_CASE("the map grows under readers without losing or stopping anything") {
  const scratch_directory where;
  store_options options;
  options.map_bytes = 1 << 20;
  auto memory = open_store(where.path(), kb::access::read_write, options);
  REQUIRE(put(*memory, "s", samples::opened("s")).has_value());
  std::atomic<bool> stop{false};
  std::atomic<unsigned> failures{0}, reads{0};
  std::thread reader([&] {
    while (!stop) {
      failures += !memory->sessions().has_value();
      ++reads;
    }
  });
  std::atomic<unsigned> durable{0};
  for (node_number n = 0; n < 3'000; ++n)
    memory->append("s", samples::added(n, samples::made(1, n, 6'000)), [&](result<std::uint64_t> at) { durable += at.has_value(); });
  REQUIRE(memory->flush().has_value());
  stop = true;
  reader.join();
  CHECK(durable == 3'000);
  CHECK(failures == 0);
  CHECK(reads > 0);
  CHECK(std::filesystem::file_size(where.path() / "data.mdb") > options.map_bytes);
  memory.reset();
  memory = open_store(where.path(), kb::access::read_only, options); // smaller than the file: taken over
  const auto events = memory->events("s");
  REQUIRE(events.has_value());
  CHECK(events->size() == 3'001);
  CHECK(std::get<candidate_added>(events->back()).what == samples::made(1, 2'999, 6'000));
}

TEST_CASE("a full disk is reported, loses nothing, and the store goes on once there is space") {
  const scratch_directory where;
  const small_disk disk(where.path() / "disk");
  if (!disk.is_mounted()) {
    MESSAGE("skipped: this user may not mount a tmpfs");
    return;
  }
  store_options options;
  options.full_patience = std::chrono::milliseconds(300);
  auto memory = open_store(disk.path() / "store", kb::access::read_write, options);
  REQUIRE(put(*memory, "s", samples::opened("s")).has_value());
  std::uint64_t durable = 1;
  result<std::uint64_t> last{0};
  node_number n = 0;
  while (last && n < 5'000) {
    last = put(*memory, "s", samples::added(n, samples::made(1, n, 8'000)));
    durable += last.has_value();
    n += last.has_value();
  }
  REQUIRE(!last.has_value());
  CHECK(last.error().code == errc::full);
  CHECK(last.error().message.find("disk is full") != std::string::npos);
  CHECK(memory->health().error().code == errc::full);
  CHECK(put(*memory, "s", session_resumed{1}).error().code == errc::full); // and stays so until somebody looks after it
  CHECK(memory->events("s")->size() == durable);

  REQUIRE(disk.grow());
  REQUIRE(memory->recover().has_value());
  CHECK(memory->health().has_value()); // at once, not only after the next write
  const node_number enough = n + 300;
  for (; n < enough; ++n)
    REQUIRE(put(*memory, "s", samples::added(n, samples::made(1, n, 8'000))).has_value());
  CHECK(memory->health().has_value());
  CHECK(memory->check(false)->damage == std::vector<std::string>{});
  memory.reset();
  memory = open_store(disk.path() / "store");
  const auto events = memory->events("s");
  REQUIRE(events.has_value());
  REQUIRE(events->size() == enough + 1);
  for (node_number i = 0; i < enough; ++i)
    CHECK(std::get<candidate_added>((*events)[i + 1]).number == i);
}

TEST_CASE("a record that a full disk takes only in part is no fault of the disk") {
  const scratch_directory where;
  const small_disk disk(where.path() / "disk");
  if (!disk.is_mounted()) {
    MESSAGE("skipped: this user may not mount a tmpfs");
    return;
  }
  store_options options;
  options.full_patience = std::chrono::milliseconds(0);
  auto memory = open_store(disk.path() / "store", kb::access::read_write, options);
  REQUIRE(put(*memory, "s", samples::opened("s")).has_value());
  rng draw(3);
  std::uint64_t durable = 1;
  result<std::uint64_t> last{0};
  for (node_number n = 0; last && n < 50; ++n) { // large and as good as random: one write of many pages each, the last of which does not fit
    last = put(*memory, "s", samples::added(n, of_source(n, noise(300'000, draw))));
    durable += last.has_value();
  }
  REQUIRE(!last.has_value());
  CHECK(last.error().code == errc::full);
  REQUIRE(disk.grow());
  REQUIRE(memory->recover().has_value());
  CHECK(put(*memory, "s", session_resumed{1}).has_value());
  CHECK(memory->events("s")->size() == durable + 1);
}

TEST_CASE("what is not durable yet is bounded, and one event larger than the bound goes alone") {
  const scratch_directory where;
  store_options options;
  options.queued_events = 2;
  options.queued_bytes = 4'000;
  auto memory = open_store(where.path(), kb::access::read_write, options);
  std::atomic<bool> release{false};
  std::atomic<unsigned> pushed{0};
  memory->append("s", samples::opened("s"), [&](result<std::uint64_t>) { // the writer's thread stands still here: this event is not over
    while (!release)
      std::this_thread::yield();
  });
  std::thread caller([&] {
    for (node_number n = 0; n < 3; ++n) {
      memory->append("s", samples::proposed(n), {});
      ++pushed;
    }
  });
  while (pushed == 0)
    std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(pushed == 1); // one is being written and one waits: the next has to
  release = true;
  caller.join();
  REQUIRE(memory->flush().has_value());
  std::atomic<bool> is_there{false};
  rng draw(4);
  memory->append("s", samples::added(3, of_source(9, noise(20'000, draw))), [&](result<std::uint64_t> at) { is_there = at.has_value(); });
  REQUIRE(memory->flush().has_value());
  CHECK(is_there);
  CHECK(memory->events("s")->size() == 5);
}

TEST_CASE("more than one commit's share is queued: all of it is written once, in order") {
  const scratch_directory where;
  store_options options;
  options.queued_events = 30'000;
  options.map_bytes = 1 << 20;
  auto memory = open_store(where.path(), kb::access::read_write, options);
  std::atomic<bool> release{false};
  memory->append("s", samples::opened("s"), [&](result<std::uint64_t>) {
    while (!release)
      std::this_thread::yield();
  });
  constexpr node_number many = 20'000; // a group takes 8,192
  std::atomic<std::uint64_t> durable{0};
  std::atomic<bool> in_order{true};
  for (node_number n = 0; n < many; ++n)
    memory->append("s", samples::proposed(n), [&, n](result<std::uint64_t> at) {
      ++durable;
      if (!at || *at != n + 1)
        in_order = false;
    });
  release = true;
  REQUIRE(memory->flush().has_value());
  CHECK(durable == many);
  CHECK(in_order);
  const auto events = memory->events("s");
  REQUIRE(events.has_value());
  REQUIRE(events->size() == many + 1);
  for (node_number n = 0; n < many; ++n)
    REQUIRE(std::get<proposal_made>((*events)[n + 1]).number == n);
}

TEST_CASE("the map grows past what one group may take, again and again") {
  const scratch_directory where;
  store_options options;
  options.map_bytes = 1 << 20;
  auto memory = open_store(where.path(), kb::access::read_write, options);
  REQUIRE(put(*memory, "s", samples::opened("s")).has_value());
  rng draw(6);
  const std::string text = noise(600'000, draw);
  std::atomic<unsigned> durable{0};
  constexpr node_number many = 200; // 100 MB
  for (node_number n = 0; n < many; ++n)
    memory->append("s", samples::added(n, of_source(n, std::to_string(n) + text)), [&](result<std::uint64_t> at) { durable += at.has_value(); });
  REQUIRE(memory->flush().has_value());
  CHECK(durable == many);
  const std::uint64_t map = mapped(where.path() / "data.mdb");
  CHECK(map >= std::filesystem::file_size(where.path() / "data.mdb"));
  CHECK(map <= 2 * (std::filesystem::file_size(where.path() / "data.mdb") + (64u << 20)) * 10 / 7); // doubled, no further than it had to be
}

TEST_CASE("a patient store waits out a full disk") {
  const scratch_directory where;
  const small_disk disk(where.path() / "disk");
  if (!disk.is_mounted()) {
    MESSAGE("skipped: this user may not mount a tmpfs");
    return;
  }
  store_options options;
  options.full_patience = std::chrono::hours(1);
  auto memory = open_store(disk.path(), kb::access::read_write, options);
  memory->append("s", samples::opened("s"), {});
  std::atomic<unsigned> durable{0};
  for (node_number n = 0; n < 3'000; ++n)
    memory->append("s", samples::added(n, samples::made(1, n, 8'000)), [&](result<std::uint64_t> at) { durable += at.has_value(); });
  while (memory->health()) // until it says that it waits
    std::this_thread::yield();
  CHECK(memory->health().error().code == errc::full);
  CHECK(durable < 3'000);
  REQUIRE(disk.grow());
  REQUIRE(memory->flush().has_value());
  CHECK(durable == 3'000);
  CHECK(memory->health().has_value());
}

TEST_CASE("a disk that is full from the start refuses to open") {
  const scratch_directory where;
  const small_disk disk(where.path() / "disk");
  if (!disk.is_mounted()) {
    MESSAGE("skipped: this user may not mount a tmpfs");
    return;
  }
  std::FILE* filler = std::fopen((disk.path() / "filler").c_str(), "w");
  const std::string block(4'096, 'x');
  while (std::fwrite(block.data(), 1, block.size(), filler) == block.size() && std::fflush(filler) == 0) {
  }
  std::fclose(filler);
  const auto opened = store::open(disk.path() / "store", kb::access::read_write);
  REQUIRE(!opened.has_value());
  CHECK(opened.error().code == errc::full);
  std::filesystem::remove(disk.path() / "filler");
  CHECK(store::open(disk.path() / "store", kb::access::read_write).has_value()); // what the first try left behind does no harm
}

TEST_CASE("closing the store writes what is queued; a forked child leaves it alone") {
  const scratch_directory where;
  {
    auto memory = open_store(where.path());
    memory->append("s", samples::opened("s"), {});
    for (node_number n = 0; n < 500; ++n)
      memory->append("s", samples::proposed(n), {});
    CHECK(in_child([&] {
            memory.reset();
            return 0;
          }) == 0);
  }
  auto memory = open_store(where.path());
  CHECK(memory->events("s")->size() == 501);
}
