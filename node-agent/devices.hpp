// The accelerators of this host, asked of NVIDIA's management library (loaded at run time; no context is made on a device) and of the kernel's own tables
// for AMD. A driver that hangs or crashes must not take the agent with it: the search runs in a process of its own with a deadline. Any thread.
#pragma once

#include "protocol/message.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace kevolve::agent {

struct device_places {
  std::vector<std::string> nvidia_libraries = {"libnvidia-ml.so.1", "/usr/local/nvidia/lib64/libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"}; // the first that loads
  std::filesystem::path nvidia_driver = "/proc/driver/nvidia/version"; // there: a driver is loaded, so the library ought to be
  std::filesystem::path amd_topology = "/sys/class/kfd/kfd/topology/nodes";
};

/// In this process: what is there, each with its facts, or with what is wrong with it. Never an error: a library that cannot be loaded although the driver is there
/// is a device in trouble.
std::vector<found_device> search_devices(const device_places& places = {});

/// The same in a process of its own, ended after `limit_s`; then, and when it crashes, one entry says so. `executable` answers `--find-devices` by
/// answer_device_search (both programs of ours do); empty: this one.
std::vector<found_device> find_devices(double limit_s = 10, const std::filesystem::path& executable = {});

/// For main: true when the arguments ask for the search; it is done then, and written to stdout. A second argument names a library in place of
/// NVIDIA's (tests).
bool answer_device_search(int argc, char** argv);

/// "NVIDIA H100 80GB HBM3, cuda/sm_90, 79.6 GiB, …: found, not used: …"
std::string describe(const found_device& d);

} // namespace kevolve::agent
