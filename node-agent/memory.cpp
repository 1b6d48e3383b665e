#include "node-agent/memory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace kevolve::agent {

namespace {
constexpr std::size_t page = 4096;
constexpr std::size_t alignment = 64; // the ABI's promise
} // namespace

std::size_t buffer_layout::elements() const {
  std::size_t n = 1;
  for (const auto extent : shape)
    n *= static_cast<std::size_t>(extent);
  return n;
}

result<std::unique_ptr<buffer_set>> buffer_set::make(std::vector<buffer_layout> tensors) {
  std::unique_ptr<buffer_set> set(new buffer_set);
  set->tensors_ = std::move(tensors);
  for (const auto& t : set->tensors_) {
    const std::size_t rounded = (t.bytes() + alignment - 1) / alignment * alignment;
    const std::size_t pages = std::max<std::size_t>((rounded + page - 1) / page, 1);
    set->offsets_.push_back(set->span_ + pages * page - std::max(rounded, alignment));
    set->span_ += pages * page;
  }
  set->span_ = std::max(set->span_, page);
  set->fd_ = ::memfd_create("kevolve-tensors", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (set->fd_ < 0 || ::ftruncate(set->fd_, static_cast<off_t>(set->span_)) != 0)
    return error{errc::infrastructure, "cannot get " + std::to_string(set->span_) + " bytes of shared memory: " + std::strerror(errno)};
  ::fcntl(set->fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  set->read_only_ = ::open(("/proc/self/fd/" + std::to_string(set->fd_)).c_str(), O_RDONLY | O_CLOEXEC);
  void* base = ::mmap(nullptr, set->span_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, set->fd_, 0);
  if (set->read_only_ < 0 || base == MAP_FAILED)
    return error{errc::infrastructure, "cannot map " + std::to_string(set->span_) + " bytes: " + std::strerror(errno)};
  set->base_ = static_cast<unsigned char*>(base);
  ::madvise(base, set->span_, MADV_DONTFORK); // a harness maps what it is given; forking one need not copy this
  set->write_canaries();
  return set;
}

buffer_set::~buffer_set() {
  if (base_)
    ::munmap(base_, span_);
  for (int fd : {fd_, read_only_})
    if (fd >= 0)
      ::close(fd);
}

std::size_t buffer_set::bytes() const {
  std::size_t n = 0;
  for (const auto& t : tensors_)
    n += t.bytes();
  return n;
}

void buffer_set::poison() {
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    std::memset(data(i), poison_byte, tensors_[i].bytes());
}

template <class F>
void buffer_set::each_margin(F f) const {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::size_t begin = offsets_[i] / page * page, end = offsets_[i] + tensors_[i].bytes();
    f(i, begin, offsets_[i] - begin);
    f(i, end, (end + page - 1) / page * page - end);
  }
}

void buffer_set::write_canaries() {
  each_margin([&](std::size_t, std::size_t at, std::size_t n) { std::memset(base_ + at, canary_byte, n); });
}

std::string buffer_set::damaged_canary() const {
  std::string found;
  each_margin([&](std::size_t i, std::size_t at, std::size_t n) {
    if (found.empty() && std::any_of(base_ + at, base_ + at + n, [](unsigned char b) { return b != canary_byte; }))
      found = "wrote outside of tensor " + std::to_string(i) + " (" + (at < offsets_[i] ? "before its start" : "past its end") + ")";
  });
  return found;
}

} // namespace kevolve::agent
