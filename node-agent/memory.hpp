// The judge's buffers: the tensors of one call, in shared memory that a harness maps. Inputs can be opened read-only only; each tensor has
// pages of its own and ends within 64 bytes of a page's end, so that the harness's guard page stops an overrun; what lies between a tensor
// and its pages' borders holds a canary. Outputs are poisoned before a checked call. 4 KiB pages, as the memory of a process that does not
// ask for others. One thread.
#pragma once

#include "node-agent/channel.hpp"
#include "protocol/dtype.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::agent {

struct buffer_layout {
  dtype type = dtype::float32;
  bool scalar = false;
  std::vector<std::int64_t> shape;

  [[nodiscard]] std::size_t elements() const;
  [[nodiscard]] std::size_t bytes() const { return elements() * size_of(type); }
};

/// A memfd with one page-separated region per tensor.
class buffer_set {
public:
  static result<std::unique_ptr<buffer_set>> make(std::vector<buffer_layout> tensors);
  ~buffer_set();
  buffer_set(const buffer_set&) = delete;
  buffer_set& operator=(const buffer_set&) = delete;

  [[nodiscard]] std::size_t size() const { return tensors_.size(); }
  [[nodiscard]] const buffer_layout& layout(std::size_t i) const { return tensors_[i]; }
  [[nodiscard]] std::size_t offset(std::size_t i) const { return offsets_[i]; }
  [[nodiscard]] unsigned char* data(std::size_t i) { return base_ + offsets_[i]; }
  [[nodiscard]] const unsigned char* data(std::size_t i) const { return base_ + offsets_[i]; }
  [[nodiscard]] std::size_t bytes() const;              // of all tensors' data
  [[nodiscard]] int writable() const { return fd_; }
  [[nodiscard]] int read_only() const { return read_only_; } // cannot be mapped writable

  /// Fills every tensor with bytes that no honest result has often: NaN for floating types.
  void poison();
  void write_canaries();
  /// Empty, or which tensor has been written beside.
  [[nodiscard]] std::string damaged_canary() const;

private:
  buffer_set() = default;
  template <class F>
  void each_margin(F f) const;
  std::vector<buffer_layout> tensors_;
  std::vector<std::size_t> offsets_;
  unsigned char* base_ = nullptr;
  std::size_t span_ = 0;
  int fd_ = -1, read_only_ = -1;
};

using channel::poison_byte;
inline constexpr unsigned char canary_byte = 0xC5;

} // namespace kevolve::agent
