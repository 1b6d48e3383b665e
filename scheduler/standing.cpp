#include "scheduler/standing.hpp"

#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace kevolve::scheduler {
namespace {

constexpr double headroom_unknown = 1.6;   // log: a fifth of the roof, as plain loops are
constexpr double headroom_least = 0.02;
constexpr double progress_untried = 0.7;   // log: a first session usually doubles the speed
constexpr double progress_least = 0.02;
constexpr double gain_that_counts = 0.01;  // log
constexpr std::int64_t first_rest_ms = 600'000;
constexpr std::uint32_t rests_at_most = 10; // doublings: a week
constexpr double facts_tolerance = 0.22;    // log
constexpr const char* ending = ".standing";

} // namespace

bool same_facts(const std::string& a, const std::string& b) {
  std::istringstream left(a), right(b);
  std::string x, y;
  for (;;) {
    const bool more = static_cast<bool>(left >> x);
    if (more != static_cast<bool>(right >> y))
      return false;
    if (!more)
      return true;
    if (x == y)
      continue;
    char *x_end = nullptr, *y_end = nullptr;
    const double p = std::strtod(x.c_str(), &x_end), q = std::strtod(y.c_str(), &y_end);
    const bool numbers = *x_end == '\0' && *y_end == '\0' && p > 0 && q > 0;
    if (!numbers || std::abs(std::log(p / q)) > facts_tolerance)
      return false;
  }
}

double worth_of(const standing_item& item, const std::string& facts, std::int64_t now_ms) {
  const standing_progress& p = item.so_far;
  const bool new_ground = p.sessions == 0 || !same_facts(p.facts, facts);
  if (!new_ground && p.without_gain > 0) {
    const auto rest_ms = first_rest_ms << std::min(p.without_gain - 1, rests_at_most);
    if (now_ms - p.last_ms < rest_ms)
      return 0;
  }
  const double headroom = p.roofline_fraction > 0 ? std::max(headroom_least, -std::log(std::min(1.0, p.roofline_fraction))) : headroom_unknown;
  const double progress = new_ground ? progress_untried : std::max(progress_least, p.recent_gain);
  return item.weight * headroom * progress;
}

void add_session(standing_progress& to, double seconds, double speedup, double roofline_fraction, const std::string& facts, std::int64_t now_ms) {
  ++to.sessions;
  to.seconds += seconds;
  const bool changed = !same_facts(to.facts, facts); // speedups of another device are no yardstick
  const double before = changed ? 0 : to.speedup;
  const double gain = speedup > 0 ? std::log(speedup / (before > 0 ? before : 1)) : 0;
  const bool better = speedup > 0 && (before == 0 || gain > gain_that_counts);
  to.recent_gain = 0.5 * (changed ? 0 : to.recent_gain) + 0.5 * std::max(0.0, gain);
  to.without_gain = better ? 0 : to.without_gain + 1;
  if (better || changed) {
    to.speedup = speedup;
    to.roofline_fraction = roofline_fraction;
  }
  to.facts = facts;
  to.last_ms = now_ms;
}

std::filesystem::path standing_list::file_of(const std::string& name) const {
  std::string safe;
  for (char c : name)
    safe += std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ? c : '_';
  return folder_ / (safe + ending);
}

result<standing_list> standing_list::open(const std::filesystem::path& data) {
  standing_list list(data / "standing");
  std::error_code failed;
  std::filesystem::create_directories(list.folder_, failed);
  if (failed)
    return error{errc::io, fmt::format("{}: cannot be made: {}", list.folder_.string(), failed.message())};
  for (const auto& entry : std::filesystem::directory_iterator(list.folder_, failed)) {
    if (entry.path().extension() != ending)
      continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf()))
      return error{errc::io, fmt::format("{}: cannot be read", entry.path().string())};
    auto item = decode<standing_item>(text.str());
    if (!item)
      return error{errc::damaged, fmt::format("{}: {}; expected an item of the standing list (remove the file to go on without it)", entry.path().string(), item.error().message)};
    list.items_.push_back(std::move(*item));
  }
  std::sort(list.items_.begin(), list.items_.end(), [](const standing_item& a, const standing_item& b) { return a.name < b.name; });
  return list;
}

standing_item* standing_list::find(const std::string& name) {
  auto at = std::find_if(items_.begin(), items_.end(), [&](const standing_item& i) { return i.name == name; });
  return at == items_.end() ? nullptr : &*at;
}

result<void> standing_list::save(const standing_item& item) const {
  const auto file = file_of(item.name), partial = std::filesystem::path(file.string() + ".part");
  const std::string bytes = encode(item);
  const int fd = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = fd >= 0;
  for (std::size_t done = 0; good && done < bytes.size();) {
    const auto wrote = ::write(fd, bytes.data() + done, bytes.size() - done);
    good = wrote > 0;
    done += good ? static_cast<std::size_t>(wrote) : 0;
  }
  good = good && ::fsync(fd) == 0;
  const int why = errno;
  if (fd >= 0)
    ::close(fd);
  if (!good || ::rename(partial.c_str(), file.c_str()) != 0)
    return error{why == ENOSPC ? errc::full : errc::io, fmt::format("{}: cannot be written: {}", file.string(), std::strerror(good ? errno : why))};
  if (const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return {};
}

result<void> standing_list::put(standing_item item) {
  if (auto* known = find(item.name)) {
    item.so_far = known->so_far;
    KEVOLVE_TRY_VOID(save(item));
    *known = std::move(item);
    return {};
  }
  KEVOLVE_TRY_VOID(save(item));
  items_.insert(std::upper_bound(items_.begin(), items_.end(), item, [](const standing_item& a, const standing_item& b) { return a.name < b.name; }), std::move(item));
  return {};
}

result<void> standing_list::remove(const std::string& name) {
  if (!find(name))
    return error{errc::not_found, fmt::format("standing: found '{}', expected one of those that kevolve standing list shows", name)};
  std::error_code failed;
  std::filesystem::remove(file_of(name), failed);
  if (failed)
    return error{errc::io, fmt::format("{}: cannot be removed: {}", file_of(name).string(), failed.message())};
  std::erase_if(items_, [&](const standing_item& i) { return i.name == name; });
  return {};
}

} // namespace kevolve::scheduler
