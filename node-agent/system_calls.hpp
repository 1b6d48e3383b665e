// The system call filter of a candidate's process, as a BPF program that the harness installs before it loads anything: what a numerical
// kernel with OpenMP threads needs is allowed, what no kernel can have honest use for ends the process (SIGSYS: evidence), the rest is refused
// with EPERM. Made by libseccomp.
#pragma once

#include "protocol/result.hpp"

#include <string>

namespace kevolve::agent {

/// The program's bytes (an array of sock_filter). Errors: libseccomp cannot make one for this machine.
result<std::string> candidate_filter();

} // namespace kevolve::agent
