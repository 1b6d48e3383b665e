// What the kernel counts of one program while it is called: instructions, cycles, cache misses and the like where the hardware's counters are
// allowed (perf_event_open), page faults, context switches and CPU time everywhere. Opened before the program starts threads, since only those
// that come later are counted with it. Counting stays off outside of `begin` .. `end`. One thread.
#pragma once

#include "protocol/evaluation.hpp"

#include <utility>
#include <vector>

namespace kevolve::agent {

class event_counters {
public:
  event_counters() = default;
  explicit event_counters(int process);
  ~event_counters();
  event_counters(event_counters&& other) noexcept : open_(std::exchange(other.open_, {})) {}
  event_counters& operator=(event_counters&& other) noexcept {
    std::swap(open_, other.open_);
    return *this;
  }
  event_counters(const event_counters&) = delete;

  void begin();
  /// Counts since `begin`, in the program and its threads, user mode only. A counter that shared the hardware with others is scaled to the whole time.
  /// "cpu_seconds" is in seconds; all others are numbers of events. Empty where the kernel allows none.
  std::vector<counter> end();

private:
  struct reading { std::uint64_t value = 0, enabled = 0, running = 0; };
  struct opened {
    const char* name;
    int descriptor;
    double unit;
    reading before;
  };
  static bool read(const opened& from, reading& r);
  std::vector<opened> open_;
};

} // namespace kevolve::agent
