// Where this architecture's dynamic loader lies: what a sandbox shows and a package starts its programs with.
#pragma once

namespace kevolve::agent {

#if defined(__x86_64__)
inline constexpr const char* dynamic_loader = "/lib64/ld-linux-x86-64.so.2";
#elif defined(__aarch64__)
inline constexpr const char* dynamic_loader = "/lib/ld-linux-aarch64.so.1";
#else
#error "which dynamic loader does this architecture have?"
#endif

} // namespace kevolve::agent
