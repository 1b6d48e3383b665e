// Whether the disk of a folder has room for what an agent keeps there (artifacts, answers). Full and roomy are apart, so that an agent does not leave and come
// back with every file. Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace kevolve::agent {

class disk_room {
public:
  static constexpr std::uint64_t full_below_bytes = std::uint64_t{16} << 20;  // some hundred artifacts: what is under way when it is noticed can still be kept
  static constexpr std::uint64_t roomy_from_bytes = std::uint64_t{32} << 20;

  explicit disk_room(std::filesystem::path folder) : folder_(std::move(folder)) {}
  /// Asks the file system; one that does not answer has room: whoever writes finds out.
  bool is_full();
  /// The same, for so many bytes that are free to us.
  bool is_full_with(std::uint64_t free_bytes);
  /// A sentence for people: the folder, what is free, what is waited for.
  [[nodiscard]] std::string trouble() const;

private:
  std::filesystem::path folder_;
  std::uint64_t free_bytes_ = roomy_from_bytes;
  bool full_ = false;
};

} // namespace kevolve::agent
