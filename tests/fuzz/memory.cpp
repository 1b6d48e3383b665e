// operator new and delete that count; below them malloc, so that AddressSanitizer sees every block.
#include "tests/fuzz/fuzz.hpp"

#include <cstdlib>
#include <malloc.h>
#include <new>

namespace {

std::size_t live_bytes = 0, base_bytes = 0, peak_bytes = 0; // one thread fuzzes

void* counted(std::size_t size) {
  void* block = std::malloc(size ? size : 1);
  if (!block)
    throw std::bad_alloc();
  live_bytes += ::malloc_usable_size(block);
  if (live_bytes > base_bytes + peak_bytes)
    peak_bytes = live_bytes - base_bytes;
  return block;
}

void released(void* block) {
  if (!block)
    return;
  live_bytes -= ::malloc_usable_size(block);
  std::free(block);
}

} // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return counted(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* block, const std::nothrow_t&) noexcept { released(block); }
void operator delete(void* block) noexcept { released(block); }
void operator delete[](void* block) noexcept { released(block); }
void operator delete(void* block, std::size_t) noexcept { released(block); }
void operator delete[](void* block, std::size_t) noexcept { released(block); }

namespace kevolve::fuzz {

std::size_t memory::live() { return live_bytes; }
void memory::begin_peak() { base_bytes = live_bytes, peak_bytes = 0; }
std::size_t memory::peak() { return peak_bytes; }

} // namespace kevolve::fuzz
