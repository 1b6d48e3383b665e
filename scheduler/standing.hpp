// The standing list: operators that a scheduler goes on optimising when nobody asks for anything else. What each has come to is kept with it, in
// a file of its own in the data directory, written whole and synced; the sessions themselves are in the store like any others. Choosing is
// pure. Not thread-safe: the daemon's main loop owns it.
#pragma once

#include "protocol/client.hpp"
#include "protocol/event.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::scheduler {

/// What its sessions have come to so far.
struct standing_progress {
  std::uint32_t sessions = 0;
  double seconds = 0;             // of all of them
  double speedup = 0;             // verified, of the best so far; 0: none
  double roofline_fraction = 0;   // of the best so far; 0: not known
  std::uint32_t without_gain = 0; // sessions in a row that brought nothing
  double recent_gain = 0;         // log of what the last sessions gained, older ones by half each
  std::string facts;              // what the device was like, last time
  std::int64_t last_ms = 0;       // end of its last session
};

struct standing_item {
  std::string name;               // its operator's, with the target where that is not the first
  submission what;                // priority and user are the list's own
  double weight = 1;              // how much a gain is worth: calls a day, say
  std::string by;                 // who added it
  standing_progress so_far;
};

/// The gain to be expected from another minute, in units of weight: weight x distance to the roof x recent progress. One that was never tried, or
/// whose device or toolchain has changed since, counts as promising; after sessions without a gain it rests, twice as long each time: 0.
double worth_of(const standing_item& item, const std::string& facts, std::int64_t now_ms);

/// The name of the one to go on with; empty: all rest. `facts(submission)`: what serves it now; "": nobody does.
template <class Facts>
std::string next_of(const std::vector<standing_item>& items, std::int64_t now_ms, Facts facts) {
  std::string best;
  double most = 0;
  for (const standing_item& item : items)
    if (const std::string here = facts(item.what); !here.empty())
      if (const double worth = worth_of(item, here, now_ms); worth > most) {
        most = worth;
        best = item.name;
      }
  return best;
}

/// The same device in the same state: words equal, numbers within a quarter of each other (calibrations differ by noise).
bool same_facts(const std::string& a, const std::string& b);

/// Adds a session's end to what an item has come to.
void add_session(standing_progress& to, double seconds, double speedup, double roofline_fraction, const std::string& facts, std::int64_t now_ms);

class standing_list {
public:
  /// Errors: a file that cannot be read or does not hold an item, by name (errc::damaged).
  static result<standing_list> open(const std::filesystem::path& data);

  [[nodiscard]] const std::vector<standing_item>& items() const { return items_; }
  standing_item* find(const std::string& name);
  /// Adds it, or gives one of its name another weight and settings; what it has come to stays. Durable when this returns.
  result<void> put(standing_item item);
  result<void> remove(const std::string& name);
  result<void> save(const standing_item& item) const;

private:
  explicit standing_list(std::filesystem::path folder) : folder_(std::move(folder)) {}
  [[nodiscard]] std::filesystem::path file_of(const std::string& name) const;
  std::filesystem::path folder_;
  std::vector<standing_item> items_; // by name
};

template <class Inspector>
bool inspect(Inspector& f, standing_progress& x) {
  return f.object(x).fields(f.field("sessions", x.sessions), f.field("seconds", x.seconds), f.field("speedup", x.speedup),
                            f.field("roofline_fraction", x.roofline_fraction), f.field("without_gain", x.without_gain),
                            f.field("recent_gain", x.recent_gain), f.field("facts", x.facts), f.field("last_ms", x.last_ms));
}
template <class Inspector>
bool inspect(Inspector& f, standing_item& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("what", x.what), f.field("weight", x.weight), f.field("by", x.by), f.field("so_far", x.so_far));
}

} // namespace kevolve::scheduler
