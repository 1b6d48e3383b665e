// What people call suspended: a device in trouble, not only one without a back end, and an agent that has no other left. An agent tells so of a device that failed its golden
// runs (node-agent/device_health.hpp), too. Pure.
#pragma once

#include "actors/runtime.hpp"

#include <algorithm>

namespace kevolve {

inline bool is_suspended(const found_device& d) { return d.trouble.starts_with("suspended"); }
inline auto suspended_devices(const agent_status& a) {
  return std::count_if(a.found.begin(), a.found.end(), [](const found_device& d) { return is_suspended(d); });
}
inline bool is_suspended(const agent_status& a) { return a.devices.empty() && suspended_devices(a) > 0; }

} // namespace kevolve
