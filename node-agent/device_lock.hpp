// One measurement at a time on a host's cores or described device, whichever process makes it: agents, `kevolve optimize` and benches of any user exclude each other where they use the same
// cores. Locks on ranges of bytes of a file that everybody may open, one byte per core; the kernel takes them back from whoever dies. Advisory: who does not ask is not held back.
#pragma once

#include "protocol/result.hpp"

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace kevolve::agent {

class pause_gate;

/// The file of these locks; closed with it. Not thread-safe: one for each that locks.
class device_lock {
public:
  /// `device` names the file; `units` are core numbers, or {0} for a device that is one thing. `folder`: for tests; else /run/lock, or where that is missing /tmp.
  device_lock(const std::string& device, std::vector<int> units, std::filesystem::path folder = {});
  device_lock(const device_lock&) = delete;
  device_lock& operator=(const device_lock&) = delete;
  ~device_lock();

  /// Waits for its turn, in order of arrival but for who comes in the same hundredth of a second. False where it was not granted: after `patience_s`, with no file to lock, or cancelled.
  bool take(double patience_s, const std::atomic<bool>& cancelled);
  void release();
  /// Between `take` and `release`: said to other processes' compilers, which stand still meanwhile.
  void measuring(bool on);
  /// Somebody measures on one of the units; not who holds it through this file.
  [[nodiscard]] bool another_measures() const;
  /// Why nothing can be locked; empty where it can.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

private:
  enum class part : int { turn, device, measuring };
  struct range { int first = 0, count = 0; };
  [[nodiscard]] bool lock(part what, range units, short type) const;
  [[nodiscard]] bool await(part what, double until_s, const std::atomic<bool>& cancelled) const;
  void unlock(part what) const;

  std::vector<range> ranges_; // ascending, and every process locks them in that order: nobody waits in a circle
  std::filesystem::path file_;
  std::string trouble_;
  int fd_ = -1;
  bool held_ = false;
};

/// Holds this process's compilers still while another process measures on its cores, for five minutes at a time at most: a process that was stopped in the middle of it must not stop everybody.
class neighbour_watch {
public:
  neighbour_watch(pause_gate& compilers, const std::string& device, std::vector<int> units, std::filesystem::path folder = {});
  neighbour_watch(const neighbour_watch&) = delete;
  neighbour_watch& operator=(const neighbour_watch&) = delete;
  ~neighbour_watch();
  /// What is measured here is none of the neighbours'. Nests: one for each device slot.
  void our_own(bool on);

private:
  void run();
  pause_gate& compilers_;
  device_lock look_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  int own_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

} // namespace kevolve::agent
