#include "tests/kb/crash_images.hpp"

#include <algorithm>
#include <functional>

namespace kevolve::power_cut {
namespace {

constexpr std::uint64_t sector_bytes = 512; // what a disk writes as a whole

/// Whether a sector of the `number`th of `all` pending operations survives.
using survival = std::function<bool(std::size_t number, std::size_t all, rng& draw)>;

survival drawn_survival(rng& draw) {
  const std::uint64_t chosen = draw();
  switch (draw.below(8)) {
    case 0: return [](std::size_t, std::size_t, rng&) { return false; };
    case 1: return [](std::size_t, std::size_t, rng&) { return true; };
    case 2: return [](std::size_t, std::size_t, rng& d) { return d.chance(0.5); };
    case 3: return [](std::size_t, std::size_t, rng& d) { return d.chance(0.95); };
    case 4: return [](std::size_t, std::size_t, rng& d) { return d.chance(0.05); };
    case 5: return [chosen](std::size_t n, std::size_t all, rng&) { return n < chosen % (all + 1); };         // the earlier ones
    case 6: return [chosen](std::size_t n, std::size_t all, rng&) { return n >= chosen % (all + 1); };        // the later ones, overtaking
    default: return [chosen](std::size_t n, std::size_t all, rng& d) { return n != chosen % all || d.chance(0.5); }; // one of them torn
  }
}

void put(std::string& into, std::uint64_t offset, std::string_view bytes) {
  if (into.size() < offset + bytes.size())
    into.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), into.begin() + static_cast<std::ptrdiff_t>(offset));
}

void put_whole(std::string& into, const recorded& op) {
  if (op.what == recorded::kind::truncate)
    into.resize(op.offset);
  else
    put(into, op.offset, op.bytes);
}

void put_sectors(std::string& into, const recorded& op, const std::function<bool()>& survives) {
  const std::string_view bytes = op.bytes;
  for (std::uint64_t at = op.offset; at < op.offset + bytes.size();) {
    const std::uint64_t next = std::min((at / sector_bytes + 1) * sector_bytes, op.offset + bytes.size());
    if (survives())
      put(into, at, bytes.substr(at - op.offset, next - at));
    at = next;
  }
}

} // namespace

void disk::apply(const recorded& next) {
  switch (next.what) {
    case recorded::kind::promise: promised_[next.bytes] = next.count; return;
    case recorded::kind::sync: {
      auto& file = files_[next.file];
      for (const auto& op : file.since)
        put_whole(file.durable, op);
      return file.since.clear();
    }
    default: {
      auto& file = files_[next.file];
      if (next.through && file.since.empty())
        put_whole(file.durable, next);
      else
        file.since.push_back(next);
    }
  }
}

std::size_t disk::pending(const std::string& file) const {
  const auto found = files_.find(file);
  if (found == files_.end())
    return 0;
  return static_cast<std::size_t>(std::count_if(found->second.since.begin(), found->second.since.end(), [](const recorded& op) { return !op.through; }));
}

std::map<std::string, std::string> disk::image(rng draw) const {
  std::map<std::string, std::string> found;
  for (const auto& [name, file] : files_) {
    std::string bytes = file.durable;
    std::uint64_t longest = bytes.size();
    const survival survives = drawn_survival(draw);
    for (std::size_t i = 0; i < file.since.size(); ++i) {
      const recorded& op = file.since[i];
      if (op.through)
        put_whole(bytes, op);
      else if (op.what == recorded::kind::write)
        put_sectors(bytes, op, [&] { return survives(i, file.since.size(), draw); });
      else if (survives(i, file.since.size(), draw))
        put_whole(bytes, op);
      longest = op.what == recorded::kind::truncate ? op.offset : std::max<std::uint64_t>(longest, op.offset + op.bytes.size());
    }
    if (bytes.size() < longest && draw.chance(0.5))
      bytes.resize(longest); // the length came through, the bytes did not
    found[name] = std::move(bytes);
  }
  return found;
}

} // namespace kevolve::power_cut
