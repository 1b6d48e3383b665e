// What stands between a candidate and everything else: layers that confine its process, and checks that see through what it pretends. All of
// them are on wherever kevolve judges; single ones can be switched off by tests/hostile/, which shows that each attack succeeds without its
// defences and fails with any one of them. Pure data.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kevolve::agent {

enum class defence : std::uint8_t {
  // what a candidate may be
  flags,        // an allow-list of compiler flags and source paths
  symbols,      // its objects: no start-up code, no symbol outside libm, memory and OpenMP
  compile_jail, // compilers see their toolchain and the sources, nothing else
  // what its process may do
  identity,    // a user of its own
  namespaces,  // own mounts (a minimal root), processes, network, IPC, host name
  group,       // a cgroup: memory, tasks, killed as one
  limits,      // rlimits
  seccomp,     // an allow-list of system calls
  landlock,    // a second fence around files, ports and signals
  descriptors, // none but the channel; no environment of ours
  read_only,   // inputs are mapped from a descriptor that cannot be written
  canaries,    // around tensors, within their pages
  // what the judge looks at
  deadline,      // of every call
  reply_numbers, // replies answer questions, in order
  poison,        // outputs hold nothing useful before a call
  fresh_content, // the same memory with other content
  odd_cases,     // sizes and values that the operator's workloads do not show
  comparison,    // against the oracle, in full
  spots,         // secret elements of timed calls, poisoned before each and compared after
  second_clock,  // the process works only while it is called
  final_check,   // all of it once more after timing, when verifying
  audit,         // single calls on inputs never seen, when verifying
  physics,       // no time below the roofs
};
inline constexpr std::size_t defence_count = static_cast<std::size_t>(defence::physics) + 1;

inline constexpr std::array<std::string_view, defence_count> defence_names{
    "flags", "symbols", "compile_jail", "identity", "namespaces", "group", "limits", "seccomp", "landlock", "descriptors", "read_only", "canaries",
    "deadline", "reply_numbers", "poison", "fresh_content", "odd_cases", "comparison", "spots", "second_clock", "final_check", "audit", "physics"};

constexpr std::string_view to_string(defence d) { return defence_names[static_cast<std::size_t>(d)]; }

/// Those that are switched off; none by default.
class defences_off {
public:
  constexpr defences_off() = default;
  constexpr explicit defences_off(std::uint64_t bits) : bits_(bits) {}
  constexpr defences_off& add(defence d) { return bits_ |= std::uint64_t{1} << static_cast<unsigned>(d), *this; }
  constexpr defences_off& remove(defence d) { return bits_ &= ~(std::uint64_t{1} << static_cast<unsigned>(d)), *this; }
  [[nodiscard]] constexpr bool on(defence d) const { return (bits_ >> static_cast<unsigned>(d) & 1) == 0; }
  [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }

private:
  std::uint64_t bits_ = 0;
};

} // namespace kevolve::agent
