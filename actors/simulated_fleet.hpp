// A fleet whose evaluations are SIMULATED, for `bench scale` and its test: no candidate is compiled or run. To the scheduler each agent is a real
// one: a DEALER socket with a key of its own (CURVE), the hello, heartbeats, job table and repeated answers of a kevolve-agent. All of them live
// on the caller's thread and in one ZeroMQ context. Names no CAF type.
#pragma once

#include "actors/keys.hpp"
#include "protocol/result.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace kevolve {

struct simulated_fleet_settings {
  std::string endpoint;
  std::vector<key_file> keys;          // one agent each, named after its key
  double mean_evaluation_s = 0;        // exponentially distributed; 0: answered at once
  std::uint64_t seed = 1;              // of those times
};

/// A lease as its agent saw it. Times are of the steady clock, which processes of one host share.
struct simulated_lease {
  std::string lease;
  std::int64_t credit_ns = 0;          // since when the agent had room for it: its answer to an earlier one left (`first`: since its hello)
  std::int64_t received_ns = 0;
  bool first = false;                  // nothing had been answered in this place before: everybody connects at once
};

struct simulated_fleet_report {
  std::uint64_t answers = 0;           // sent for the first time
  std::uint64_t acknowledged = 0;      // of those, counted by the scheduler
  std::uint32_t idle_agents = 0;       // that answered nothing
  std::uint64_t fewest = 0, most = 0;  // answers of one agent
  double cpu_s = 0;                    // of this process, from the first connection to the end
  std::vector<simulated_lease> leases;
};

/// Serves until `stop`, then says goodbye for every agent. Errors: no sockets, or a key that ZeroMQ does not take (configuration).
result<simulated_fleet_report> run_simulated_fleet(const simulated_fleet_settings& settings, const std::atomic<bool>& stop);

template <class Inspector>
bool inspect(Inspector& f, key_file& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("role", x.role), f.field("public_key", x.public_key), f.field("secret_key", x.secret_key),
                            f.field("scheduler", x.scheduler));
}
template <class Inspector>
bool inspect(Inspector& f, simulated_fleet_settings& x) {
  return f.object(x).fields(f.field("endpoint", x.endpoint), f.field("keys", x.keys), f.field("mean_evaluation_s", x.mean_evaluation_s), f.field("seed", x.seed));
}
template <class Inspector>
bool inspect(Inspector& f, simulated_lease& x) {
  return f.object(x).fields(f.field("l", x.lease), f.field("c", x.credit_ns), f.field("r", x.received_ns), f.field("f", x.first));
}
template <class Inspector>
bool inspect(Inspector& f, simulated_fleet_report& x) {
  return f.object(x).fields(f.field("answers", x.answers), f.field("acknowledged", x.acknowledged), f.field("idle_agents", x.idle_agents), f.field("fewest", x.fewest),
                            f.field("most", x.most), f.field("cpu_s", x.cpu_s), f.field("leases", x.leases));
}

} // namespace kevolve
