// Every state that a disk may be in after the power went, by what was recorded before: what was synced is there; of what was written since, any
// subset of sectors (512 bytes), in any order; a file's length may have grown without its bytes (zeros), or not have grown. Pure.
#pragma once

#include "protocol/rng.hpp"
#include "tests/kb/recorded_writes.hpp"

#include <map>
#include <string>
#include <vector>

namespace kevolve::power_cut {

/// The disk at one moment of a recording. Moves forward only.
class disk {
public:
  void apply(const recorded& next);
  /// One of the states that may be found after a power cut now: the files by name.
  [[nodiscard]] std::map<std::string, std::string> image(rng draw) const;
  /// Events promised so far, by session.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& promised() const { return promised_; }
  /// Writes to a file that no sync covers yet.
  [[nodiscard]] std::size_t pending(const std::string& file) const;

private:
  struct file_state {
    std::string durable;
    std::vector<recorded> since; // writes and truncations
  };
  std::map<std::string, file_state> files_;
  std::map<std::string, std::uint64_t> promised_;
};

} // namespace kevolve::power_cut
