// Tracing a PyTorch SPEC: runs node-agent/python/trace.py under hard limits in a process of its own and reads its answer. The only place,
// beside the baselines, where Python runs. Any thread; synchronous.
#pragma once

#include "node-agent/process.hpp"
#include "protocol/message.hpp"

namespace kevolve::agent {

struct trace_settings {
  std::filesystem::path python;      // interpreter; empty: KEVOLVE_PYTHON, then python3 in PATH
  std::filesystem::path tracer;      // trace.py; empty: found beside the executable
  double limit_s = 300;              // importing torch takes 2 s, a large model on two cores minutes
  std::uint64_t memory_bytes = 0;    // address space; 0: unlimited
};

/// The problem with graph and workloads. For a Definition (.json) that has its graph no Python is needed and none is started; without
/// workloads it is an error that says where to put them. Errors: configuration (no Python, no torch), specification (the file's fault, with
/// its place), timeout, interrupted.
result<problem> trace_specification(const trace_settings& settings, const trace_work& what, const std::atomic<bool>* cancelled = nullptr);

} // namespace kevolve::agent
