#include "tests/node-agent/rms_norm.hpp"

#include <chrono>
#include <thread>

using namespace kevolve;
using namespace kevolve::agent;

namespace {

/// By the kernel itself: sleep() is no symbol that a candidate may use.
const std::string sleep_20_s = R"(
  const long span[2] = {20, 0};
  long result = 35; // nanosleep
  asm volatile("syscall" : "+a"(result) : "D"(span), "S"(0L) : "rcx", "r11", "memory");
)";

} // namespace

TEST_CASE("four candidates that sleep for twenty seconds, limit two, on two slots, all end as timeouts") {
  // A watchdog, not a measurement: unstopped, one of them would sleep through every case of the check and take minutes.
  host(2);
  std::vector<outcome> outcomes(4, outcome::infrastructure);
  std::vector<std::thread> threads;
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    threads.emplace_back([&outcomes, i] {
      evaluate_work w = work_on(kernel("// " + std::to_string(i) + "\n" + rows_of(plain_row, "", sleep_20_s), {"-O1"}));
      w.limit_s = 2;
      std::atomic<bool> cancelled{false};
      if (auto e = host().evaluate(w, cancelled))
        outcomes[i] = e->result;
    });
  for (auto& t : threads)
    t.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  MESSAGE("done in ", seconds, " s");
  for (const outcome o : outcomes)
    CHECK(o == outcome::timeout);
  CHECK(seconds < 20);
}
