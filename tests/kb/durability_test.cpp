#include "kb/store.hpp"
#include "protocol/failpoint.hpp"
#include "protocol/rng.hpp"
#include "tests/kb/opening.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::kb;

namespace {

unsigned rounds(const char* variable, unsigned otherwise) {
  const char* text = std::getenv(variable);
  return text ? static_cast<unsigned>(std::atoi(text)) : otherwise;
}

/// The event that a writer of this session queues at a position.
event event_at(const session_id& session, std::uint64_t seed, std::uint64_t position) {
  if (position == 0)
    return samples::opened(session);
  const auto number = static_cast<node_number>((position - 1) / 3);
  if (position % 3 == 1)
    return samples::proposed(number);
  if (position % 3 == 2)
    return samples::added(number, samples::made(seed, number, 300));
  return samples::recorded(number, samples::measured(samples::made(seed, number, 300).id));
}

struct shared_counts {
  std::atomic<std::uint64_t> acknowledged{0};
};

[[noreturn]] void write_until_killed(const std::filesystem::path& directory, const session_id& session, std::uint64_t seed, shared_counts& counts) {
  auto memory = store::open(directory, kb::access::read_write);
  if (!memory)
    ::_exit(3);
  for (std::uint64_t position = 0;; ++position)
    (*memory)->append(session, event_at(session, seed, position), [&](result<std::uint64_t> at) {
      if (!at)
        ::_exit(4);
      counts.acknowledged = *at + 1;
    });
}

} // namespace

TEST_CASE("a snapshot that was cut short does not pass for a store, and is taken anew") {
  const scratch_directory where;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto memory = store::open(where.path() / "live", kb::access::read_write);
    if (!memory || !arm_failpoint("snapshot.before-rename"))
      ::_exit(3);
    for (std::uint64_t position = 0; position < 30; ++position)
      (*memory)->append("s", event_at("s", 1, position), {});
    if (!(*memory)->flush())
      ::_exit(4);
    (void)(*memory)->snapshot(where.path() / "copy");
    ::_exit(5);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
  CHECK_FALSE(std::filesystem::exists(where.path() / "copy" / "data.mdb"));
  auto memory = open_store(where.path() / "live", kb::access::read_only);
  REQUIRE(memory->snapshot(where.path() / "copy").has_value());
  CHECK_FALSE(std::filesystem::exists(where.path() / "copy" / "data.mdb.part"));
  auto copy = open_store(where.path() / "copy");
  REQUIRE(copy->events("s").has_value());
  CHECK(copy->events("s")->size() == 30);
  CHECK(*copy->digest("s", 30) == *memory->digest("s", 30));
}

TEST_CASE("a writer killed at any moment leaves all it acknowledged and nothing out of order") {
  const unsigned kills = rounds("KEVOLVE_STORE_KILLS", 8);
  const scratch_directory where;
  auto* counts = static_cast<shared_counts*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(counts != MAP_FAILED);
  rng draw(20261121);
  std::uint64_t kept = 0;
  for (unsigned round = 0; round < kills; ++round) {
    const session_id session = "killed-" + std::to_string(round);
    counts->acknowledged = 0;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
      write_until_killed(where.path(), session, round, *counts);
    const std::uint64_t enough = draw.below(200); // some die before anything is durable
    int status = 0;
    while (counts->acknowledged < enough && ::waitpid(child, &status, WNOHANG) == 0)
      ::usleep(200);
    ::usleep(static_cast<useconds_t>(draw.below(3'000)));
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));

    const std::uint64_t acknowledged = counts->acknowledged;
    auto memory = open_store(where.path());
    const auto events = memory->events(session);
    if (!events) {
      CHECK(acknowledged == 0);
      CHECK(events.error().code == errc::not_found);
      continue;
    }
    CHECK(events->size() >= acknowledged);
    for (std::uint64_t position = 0; position < events->size(); ++position)
      CHECK(encode((*events)[position]) == encode(event_at(session, round, position)));
    kept += events->size();
    const auto next = put(*memory, session, session_resumed{1}); // and it goes on where the log ends
    REQUIRE(next.has_value());
    CHECK(*next == events->size());
  }
  auto memory = open_store(where.path());
  const auto report = memory->check(false);
  REQUIRE(report.has_value());
  CHECK(report->damage == std::vector<std::string>{});
  MESSAGE(kills << " kills, " << kept << " events kept");
  ::munmap(counts, 4096);
}
