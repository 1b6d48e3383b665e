// Random draws keyed by (seed, proposal number, purpose): the same key gives the same draw whatever ran before it, so a resumed session
// continues exactly. SplitMix64 over a hash of the key (Steele, Lea, Flood 2014). Pure; one generator per thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

namespace kevolve {

class rng {
public:
  using result_type = std::uint64_t;
  explicit constexpr rng(std::uint64_t seed) noexcept : state_(seed) {}
  constexpr rng(std::uint64_t seed, std::uint64_t number, std::string_view purpose) noexcept : state_(mix(seed) ^ mix(number + 1)) {
    std::uint64_t h = 14695981039346656037ull; // FNV-1a
    for (char c : purpose)
      h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    state_ = mix(state_ ^ h);
  }

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<std::uint64_t>::max(); }
  constexpr result_type operator()() noexcept { return mix(state_ += 0x9e3779b97f4a7c15ull); }
  /// Uniform in [0, 1).
  constexpr double uniform() noexcept { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }
  /// Uniform in [0, n); n > 0. The bias of the multiply-shift is below n / 2^64.
  constexpr std::uint64_t below(std::uint64_t n) noexcept {
    __extension__ using wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<wide>((*this)()) * n) >> 64);
  }
  constexpr bool chance(double p) noexcept { return uniform() < p; }

private:
  static constexpr std::uint64_t mix(std::uint64_t z) noexcept {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

} // namespace kevolve
