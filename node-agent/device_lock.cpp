#include "node-agent/device_lock.hpp"

#include "node-agent/process.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr off_t bytes_of_a_part = 1 << 20; // more cores than any host has
constexpr auto ask_every = std::chrono::milliseconds(10);
constexpr auto look_every = std::chrono::milliseconds(20);
constexpr double longest_stillness_s = 300;

fs::path folder_of_locks() {
  for (const char* each : {"/run/lock", "/tmp"})
    if (::access(each, W_OK | X_OK) == 0)
      return each;
  return "/tmp";
}

} // namespace

device_lock::device_lock(const std::string& device, std::vector<int> units, fs::path folder) {
  std::sort(units.begin(), units.end());
  units.erase(std::unique(units.begin(), units.end()), units.end());
  for (int unit : units)
    if (!ranges_.empty() && ranges_.back().first + ranges_.back().count == unit)
      ++ranges_.back().count;
    else
      ranges_.push_back({unit, 1});
  file_ = (folder.empty() ? folder_of_locks() : std::move(folder)) / ("kevolve-" + device + ".lock");
  // Opened before it is made: in a folder where everybody may write the kernel lets nobody "make" what another user's is.
  constexpr int how = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  fd_ = ::open(file_.c_str(), how);
  if (fd_ < 0 && errno == ENOENT) {
    fd_ = ::open(file_.c_str(), how | O_CREAT | O_EXCL, 0666);
    if (fd_ >= 0)
      (void)::fchmod(fd_, 0666); // other users lock it, too
    else if (errno == EEXIST)    // another was faster
      fd_ = ::open(file_.c_str(), how);
  }
  struct stat found{};
  if (fd_ < 0 || ::fstat(fd_, &found) != 0)
    trouble_ = "cannot open " + file_.string() + ": " + std::strerror(errno);
  else if (!S_ISREG(found.st_mode))
    trouble_ = file_.string() + " is no file";
  else if (!ranges_.empty() && !lock(part::turn, ranges_.front(), F_UNLCK))
    trouble_ = "cannot lock " + file_.string() + ": " + std::strerror(errno);
}

device_lock::~device_lock() {
  if (fd_ >= 0)
    ::close(fd_);
}

bool device_lock::lock(part what, range units, short type) const {
  struct flock how{};
  how.l_type = type;
  how.l_whence = SEEK_SET;
  how.l_start = static_cast<off_t>(what) * bytes_of_a_part + units.first;
  how.l_len = units.count;
  return ::fcntl(fd_, F_OFD_SETLK, &how) == 0;
}

bool device_lock::await(part what, double until_s, const std::atomic<bool>& cancelled) const {
  for (const range& each : ranges_)
    while (!lock(what, each, F_WRLCK)) {
      if (cancelled || now_s() >= until_s || (errno != EAGAIN && errno != EACCES && errno != EINTR))
        return false;
      std::this_thread::sleep_for(ask_every);
    }
  return true;
}

void device_lock::unlock(part what) const {
  for (const range& each : ranges_)
    (void)lock(what, each, F_UNLCK);
}

// Whoever is next holds the turn while it waits, so that a process that releases the device and asks again at once comes after it.
bool device_lock::take(double patience_s, const std::atomic<bool>& cancelled) {
  if (!trouble_.empty())
    return false;
  const double until_s = now_s() + patience_s;
  held_ = await(part::turn, until_s, cancelled) && await(part::device, until_s, cancelled);
  unlock(part::turn);
  if (!held_)
    unlock(part::device);
  return held_;
}

void device_lock::release() {
  if (!std::exchange(held_, false))
    return;
  unlock(part::measuring);
  unlock(part::device);
}

void device_lock::measuring(bool on) {
  if (held_)
    for (const range& each : ranges_)
      (void)lock(part::measuring, each, on ? F_WRLCK : F_UNLCK);
}

bool device_lock::another_measures() const {
  if (!trouble_.empty())
    return false;
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const range& each) {
    struct flock found{};
    found.l_type = F_WRLCK;
    found.l_whence = SEEK_SET;
    found.l_start = static_cast<off_t>(part::measuring) * bytes_of_a_part + each.first;
    found.l_len = each.count;
    return ::fcntl(fd_, F_OFD_GETLK, &found) == 0 && found.l_type != F_UNLCK;
  });
}

neighbour_watch::neighbour_watch(pause_gate& compilers, const std::string& device, std::vector<int> units, fs::path folder)
    : compilers_(compilers), look_(device, std::move(units), std::move(folder)) {
  if (look_.trouble().empty())
    thread_ = std::thread([this] { run(); });
}

neighbour_watch::~neighbour_watch() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable())
    thread_.join();
}

void neighbour_watch::our_own(bool on) {
  std::lock_guard lock(mutex_);
  own_ += on ? 1 : -1;
}

void neighbour_watch::run() {
  bool still = false;
  double since_s = 0; // somebody measures without a break
  std::unique_lock lock(mutex_);
  while (!stopped_.wait_for(lock, look_every, [&] { return stop_; })) {
    const bool measures = own_ == 0 && look_.another_measures();
    if (!measures)
      since_s = 0;
    else if (since_s == 0)
      since_s = now_s();
    const bool wanted = measures && now_s() - since_s < longest_stillness_s;
    if (wanted && !still)
      compilers_.pause();
    else if (!wanted && still)
      compilers_.resume();
    still = wanted;
  }
  if (still)
    compilers_.resume();
}

} // namespace kevolve::agent
