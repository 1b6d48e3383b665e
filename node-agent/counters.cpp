#include "node-agent/counters.hpp"

#include <cstdint>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kevolve::agent {
namespace {

struct event_kind {
  const char* name;
  std::uint32_t type;
  std::uint64_t config;
  double unit;
  bool denied = false; // once is enough to ask
};

constexpr std::uint64_t read_misses(std::uint64_t cache) {
  return cache | PERF_COUNT_HW_CACHE_OP_READ << 8 | PERF_COUNT_HW_CACHE_RESULT_MISS << 16;
}

std::vector<event_kind>& kinds() {
  static std::vector<event_kind> all{
    {"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 1},
    {"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 1},
    {"cache_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES, 1},
    {"branch_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES, 1},
    {"l1d_read_misses", PERF_TYPE_HW_CACHE, read_misses(PERF_COUNT_HW_CACHE_L1D), 1},
    {"dtlb_read_misses", PERF_TYPE_HW_CACHE, read_misses(PERF_COUNT_HW_CACHE_DTLB), 1},
    {"page_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 1},
    {"context_switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, 1},
    {"cpu_seconds", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, 1e-9},
  };
  return all;
}

} // namespace

event_counters::event_counters(int process) {
  for (event_kind& kind : kinds()) {
    if (kind.denied)
      continue;
    perf_event_attr what{};
    what.size = sizeof what;
    what.type = kind.type;
    what.config = kind.config;
    what.disabled = 1;
    what.inherit = 1;
    what.exclude_kernel = kind.type != PERF_TYPE_SOFTWARE; // faults and switches happen in the kernel
    what.exclude_hv = 1;
    what.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
    const auto open = [&] { return static_cast<int>(::syscall(SYS_perf_event_open, &what, process, -1, -1, PERF_FLAG_FD_CLOEXEC)); };
    int descriptor = open();
    if (descriptor < 0 && !what.exclude_kernel) {
      what.exclude_kernel = 1; // all that perf_event_paranoid grants to some
      descriptor = open();
    }
    if (descriptor >= 0)
      open_.push_back({kind.name, descriptor, kind.unit, {}});
    else
      kind.denied = true;
  }
}

event_counters::~event_counters() {
  for (const opened& each : open_)
    ::close(each.descriptor);
}

bool event_counters::read(const opened& from, reading& r) { return ::read(from.descriptor, &r, sizeof r) == sizeof r; }

void event_counters::begin() {
  for (opened& each : open_)
    read(each, each.before); // resetting would leave out threads that ended
  for (const opened& each : open_)
    ::ioctl(each.descriptor, PERF_EVENT_IOC_ENABLE, 0);
}

std::vector<counter> event_counters::end() {
  for (const opened& each : open_)
    ::ioctl(each.descriptor, PERF_EVENT_IOC_DISABLE, 0);
  std::vector<counter> found;
  for (const opened& each : open_) {
    reading now;
    if (!read(each, now) || now.running == each.before.running)
      continue; // it never had its turn on the hardware
    const double share = static_cast<double>(now.enabled - each.before.enabled) / static_cast<double>(now.running - each.before.running);
    found.push_back({each.name, static_cast<double>(now.value - each.before.value) * share * each.unit});
  }
  return found;
}

} // namespace kevolve::agent
