// What -march=native means on this CPU, in flags that a compiler elsewhere can be given: it would take its own host's otherwise. Read from
// /proc/cpuinfo. Any thread.
#pragma once

#include "protocol/message.hpp"

#include <string>
#include <vector>

namespace kevolve::agent {

/// This host as programs made elsewhere must fit it: machine, glibc, instruction sets.
const program_host& this_host();

/// The same from the text of one processor in /proc/cpuinfo, whose microarchitecture level ("x86-64-v3") is `level`. Empty for other machines than
/// x86-64: a candidate that says -march=native is then compiled for the machine's base.
std::vector<std::string> native_flags(const std::string& cpuinfo, const std::string& level);

/// `flags` with `native` in the place of -march=native, -mtune=native and -mcpu=native.
std::vector<std::string> without_native(const std::vector<std::string>& flags, const std::vector<std::string>& native);

} // namespace kevolve::agent
