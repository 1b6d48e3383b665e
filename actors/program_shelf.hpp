// Programs that this agent compiled for others, by the hash of their bytes: where they lie among its artifacts, so that pieces of them can be given.
// The artifacts' folder is bounded and tidies itself: a program may be gone, and is then compiled again. Any thread.
#pragma once

#include "actors/blob_transfer.hpp"

#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>

namespace kevolve {

class program_shelf {
public:
  void add(const blob_reference& what, std::filesystem::path file);
  /// Empty content where it is not there (any more).
  [[nodiscard]] blob_piece piece(const blob_wanted& what) const;

private:
  struct program {
    std::filesystem::path file;
    std::uint64_t bytes = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, program> known_;
  std::deque<std::string> order_;
};

} // namespace kevolve
