// What the engine itself costs: `kevolve bench engine`. Synthesizer and evaluator answer at once with small distinct candidates; everything else
// is real: session, tree nodes, policy, memory operators, evaluator actors, dispatcher, leases, and the durable store. An iteration is proposal
// made -> candidate -> child node -> evaluation durable -> statistics updated. Blocks; needs no other thread.
#pragma once

#include "protocol/event.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

namespace kevolve {

struct engine_bench_settings {
  std::filesystem::path directory;        // for the store; created, left behind
  std::uint32_t candidates = 100'000;
  std::uint32_t in_flight = 128;          // proposals under way; 64 at least for figures that are compared
  policy_kind policy = policy_kind::evolve; // a session's default
  std::uint64_t seed = 1;
  unsigned threads = 0;                   // CAF workers; 0: one per core
};

struct engine_bench_checkpoint {
  std::uint32_t candidates = 0;           // in the tree
  double iterations_per_s = 0;            // over the last fifth before it (at least 1,000)
};

struct engine_bench_report {
  std::uint32_t candidates = 0;           // evaluations recorded
  double wall_s = 0;
  double iterations_per_s = 0;            // over the whole run, start and end included
  double bytes_per_tree_node = 0;         // growth of anonymous resident memory, all of the process's, per node
  double mapped_bytes_per_tree_node = 0;  // growth of resident file pages: the store's map, page cache that the kernel may take back
  double cpu_s = 0;
  std::vector<engine_bench_checkpoint> checkpoints; // 1,000, 10,000, 100,000 … as far as the run went
};

result<engine_bench_report> run_engine_bench(const engine_bench_settings& settings,
                                             const std::function<void(std::uint32_t candidates)>& progress = {});

} // namespace kevolve
