#include "node-agent/disk_room.hpp"

#include <sys/statvfs.h>

namespace kevolve::agent {

bool disk_room::is_full() {
  struct statvfs disk {};
  return ::statvfs(folder_.c_str(), &disk) == 0 ? is_full_with(std::uint64_t{disk.f_bavail} * disk.f_frsize) : full_;
}

bool disk_room::is_full_with(std::uint64_t free_bytes) {
  free_bytes_ = free_bytes;
  full_ = free_bytes < (full_ ? roomy_from_bytes : full_below_bytes);
  return full_;
}

std::string disk_room::trouble() const {
  return "the disk of '" + folder_.string() + "' is full (" + std::to_string(free_bytes_ >> 20) + " MiB are free): no work is taken until " + std::to_string(roomy_from_bytes >> 20) + " MiB are";
}

} // namespace kevolve::agent
