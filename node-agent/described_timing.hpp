// How a described device is timed: by our clock around whole commands, never by what a command says.
//
// A command that takes {iterations} runs the kernel that many times. A sample is (time with 2N - time with N) / N: whatever a command does once
// (starting, reading, writing) falls out. N is so chosen that the difference is well above what starting a process varies by. A command that
// takes no {iterations} is timed as a whole, start included, and whoever reads it is told.
// Blocks of four samples, candidate-anchor-anchor-candidate or the reverse by lot; each sample is of fresh processes, so a block counts as a round
// of measure.hpp: the same evidence, intervals and report.
#pragma once

#include "node-agent/measure.hpp"

#include <functional>
#include <optional>

namespace kevolve::agent {

/// Runs the command once with so many iterations on input set `set`; seconds, or nothing where it went wrong (whoever gave it knows how).
using timed_command = std::function<std::optional<double>(std::uint32_t iterations, std::size_t set)>;

struct command_settings {
  bool iterates = true;            // the command takes {iterations}
  bool verify = false;             // a fixed number of blocks as far as the budget allows
  std::size_t sets = 1;            // input sets to alternate between
  double difference_s = 0.02;      // the least that N more iterations should take
  double longest_s = 2;            // one command is not made longer than this by more iterations
  double budget_s = 10;            // no block is begun after it, once the fewest are done
  double unanimous_budget_s = 30;  // while searching, and every block so far was a gain: nine of them are needed to prove one
  std::uint32_t fewest_blocks = 6; // for a 95% interval of the median
  std::uint32_t most_blocks = 24;
  std::function<double()> clock;   // seconds; for the budget
};

struct command_measurement {
  measurement found;               // `candidate.what` or `anchor.what` is misbehaviour::failed where a command went wrong
  std::uint32_t not_positive = 0;  // samples in which 2N took no longer than N: lost in the noise
};

command_measurement measure_commands(const timed_command& candidate, const timed_command* anchor, const command_settings& settings, rng secret);

} // namespace kevolve::agent
