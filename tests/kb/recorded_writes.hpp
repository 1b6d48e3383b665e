// What a program does to the files of one directory, in order: writes, truncations, syncs, and the promises that it makes meanwhile. For the
// power-cut test: its executable defines pwrite, fdatasync and their like in front of libc's, so that LMDB's own calls come by here. One
// recording at a time; the writer of each file is one thread, promises come from that thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kevolve::power_cut {

struct recorded {
  enum class kind : std::uint8_t { write, truncate, sync, promise } what = kind::write;
  std::string file;              // its name in the directory
  std::uint64_t offset = 0;      // write: where; truncate: the new length
  std::string bytes;             // write: what; promise: to whom (a session)
  bool through = false;          // write: durable when it returns (O_DSYNC)
  std::uint64_t count = 0;       // promise: so many events of it are safe
};

/// Begins with what is there; `begin` again forgets what was recorded.
void begin(const std::filesystem::path& directory);
/// Records what the program has just told somebody.
void promise(const std::string& session, std::uint64_t events);
std::vector<recorded> end();

/// Flags for every LMDB environment that is opened from now on: MDB_NOSYNC for the control.
void open_environments_with(unsigned flags);

} // namespace kevolve::power_cut
