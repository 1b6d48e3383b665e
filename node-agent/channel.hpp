// The control channel between the judge and a harness: fixed-size little-endian records over a SOCK_SEQPACKET socket that the harness finds
// on descriptor 3. Language-neutral: baseline.py speaks the same with `struct` and `recv_fds`. The judge trusts nothing it reads here except
// that a record came; the clock, inputs, expected outputs and verdict never cross it.
//
//   confine count: 1 for Landlock too; body: a BPF program for seccomp (empty: none) -> status 0, or 1 and text
//   load   artifact as an attached descriptor                      -> status 0, or 1 and text
//   map    slot; attached: inputs (read-only), outputs; body: layout -> status 0, or 1 and text
//   call   slot, count; body: a seed or none                       -> status: the first non-zero return of the candidate's entry, else 0
//          with a seed, one element of the outputs is poisoned before each call: poked(seed, call), output by % 256th, element by the rest
//   unmap  slot                                                    -> status 0
//
// A layout is int64s: axes [n, values…], inputs [n, tensors…], outputs [n, tensors…]; a tensor is [dtype, scalar, offset of data in its
// descriptor, bytes of data, rank, extents…]. Data of each tensor lies in pages of its own; see memory.hpp for guards and canaries.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kevolve::agent::channel {

inline constexpr std::uint32_t magic = 0x4b45564f; // "KEVO"
inline constexpr int descriptor = 3;
inline constexpr std::size_t body_bytes = 16384;   // layout or text that follows a header
inline constexpr std::uint32_t slots = 256;

enum verb : std::uint32_t { load = 1, map = 2, call = 3, unmap = 4, confine = 5 };

struct request {
  std::uint32_t mark = magic;
  std::uint32_t what = 0;
  std::uint64_t number = 0; // drawn by the judge, echoed in the reply: a reply that nobody asked for is seen
  std::uint32_t slot = 0;
  std::uint32_t count = 0;
  std::uint64_t length = 0; // bytes of the body
};

struct reply {
  std::uint32_t mark = magic;
  std::int32_t status = 0;
  std::uint64_t number = 0;
  std::uint64_t length = 0; // bytes of text that follow
  std::uint64_t unused = 0;
};

inline constexpr unsigned char poison_byte = 0xFF; // floats: NaN; integers: -1

/// Where call `i` of a sample pokes (splitmix64): output `% outputs`, element `>> 8, % elements`.
constexpr std::uint64_t poked(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t x = seed + (i + 1) * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

static_assert(sizeof(request) == 32 && sizeof(reply) == 32);

} // namespace kevolve::agent::channel
