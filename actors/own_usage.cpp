#include "actors/own_usage.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <sys/resource.h>
#include <system_error>

namespace kevolve {

double own_cpu_s() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto s = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return s(used.ru_utime) + s(used.ru_stime);
}

resident own_resident() {
  std::ifstream status("/proc/self/status");
  resident now;
  std::string field;
  double kilobytes = 0;
  while (status >> field) {
    if (field == "RssAnon:" && status >> kilobytes)
      now.anonymous = kilobytes * 1024;
    else if (field == "RssFile:" && status >> kilobytes)
      now.mapped = kilobytes * 1024;
    status.ignore(256, '\n');
  }
  return now;
}

std::uint32_t own_descriptors() {
  std::uint32_t count = 0;
  std::error_code failed;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd", failed))
    ++count;
  return count;
}

void allow_many_descriptors() {
  rlimit now{};
  if (getrlimit(RLIMIT_NOFILE, &now) != 0)
    return;
  now.rlim_cur = now.rlim_max;
  setrlimit(RLIMIT_NOFILE, &now); // lowering nothing and asking for nothing that is forbidden: it cannot fail
}

} // namespace kevolve
