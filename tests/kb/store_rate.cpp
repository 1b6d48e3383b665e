// How fast the store takes a session's events: `kevolve-store-rate DIR [ITERATIONS [IN_FLIGHT]]`. Each iteration is what the engine appends
// (proposal_made, candidate_added, evaluation_recorded), each waiting for nothing but a bound on how many are in flight. Prints a line per
// tenth, so that a rate that falls with size is seen.
#include "kb/store.hpp"
#include "tests/kb/sample_events.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>

using namespace kevolve;
using namespace kevolve::kb;

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: kevolve-store-rate DIR [ITERATIONS [IN_FLIGHT [SOURCE_BYTES]]]\n");
    return 2;
  }
  const auto iterations = static_cast<node_number>(argc > 2 ? std::atol(argv[2]) : 20'000);
  const auto in_flight = static_cast<std::size_t>(argc > 3 ? std::atol(argv[3]) : 64);
  const auto source_bytes = static_cast<std::size_t>(argc > 4 ? std::atol(argv[4]) : 3'000);
  auto opened = store::open(argv[1], kb::access::read_write);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    return exit_code(opened.error().code);
  }
  store& memory = **opened;
  const session_id session = "rate-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
  memory.append(session, samples::opened(session), {});
  std::mutex mutex;
  std::condition_variable room;
  std::size_t flying = 0, commits_seen = 0;
  std::string failure;
  const auto begin = std::chrono::steady_clock::now();
  auto last = begin;
  for (node_number n = 0; n < iterations; ++n) {
    {
      std::unique_lock lock(mutex);
      room.wait(lock, [&] { return flying < in_flight; });
      ++flying;
    }
    candidate c = samples::made(1, n, source_bytes);
    const candidate_id id = c.id;
    memory.append(session, samples::proposed(n), {});
    memory.append(session, samples::added(n, std::move(c)), {});
    memory.append(session, samples::recorded(n, samples::measured(id)), [&](result<std::uint64_t> done) {
      std::lock_guard lock(mutex);
      if (!done)
        failure = done.error().message;
      --flying;
      ++commits_seen;
      room.notify_one();
    });
    if (const node_number tenth = iterations / 10; tenth && (n + 1) % tenth == 0) {
      const auto now = std::chrono::steady_clock::now();
      std::printf("%9u iterations: %9.0f appends/s\n", n + 1, 3.0 * tenth / std::chrono::duration<double>(now - last).count());
      last = now;
    }
  }
  if (auto done = memory.flush(); !done)
    failure = done.error().message;
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!failure.empty()) {
    std::fprintf(stderr, "%s\n", failure.c_str());
    return 1;
  }
  std::printf("%.0f appends/s, %.1f us of CPU per append, %.0f bytes of disk per event\n", 3.0 * iterations / wall,
              1e6 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC / (3.0 * iterations),
              static_cast<double>(std::filesystem::file_size(std::filesystem::path(argv[1]) / "data.mdb")) / (3.0 * iterations));
  return 0;
}
