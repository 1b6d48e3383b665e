// How two programs are timed against each other.
//
// Clock: the judge's CLOCK_MONOTONIC around one request and its reply; a sample is `calls` calls of the entry point made by one request. The
// least hand-shake (a request for 0 calls) of two dozen, with both programs just before, is subtracted from both alike: never more than a call
// really spent, so no disturbance makes a time too short. `calls` is so chosen that a sample lasts at least 200 us and 50 hand-shakes: what
// a usual hand-shake costs beyond the least one is then below 1%. Programs of like speed make equally many calls a sample.
// Order: blocks of four samples, candidate-anchor-anchor-candidate or the reverse, drawn at random for each block. A drift that is linear
// over a block cancels in the block's ratio; the random order makes "who profits from what is left" a fair coin.
// Alike: both sides make an untimed call on each slot first, and whatever is done around one side's samples is done around the other's.
// Memory: both programs map the same pages, hence the same physical memory, caches and TLB entries per page. A sample uses one slot; blocks
// take slots in secret order. The program that opens a block on data that may be cached first makes one untimed call.
// Processes: two processes that run the same code differ by where their stacks, code and buffers lie, by a per cent or more, for as long as
// they live, and by half where the system puts their threads elsewhere. No number of blocks in one pair of processes averages that out, so a gain
// is only called one when it was seen again in rounds of fresh processes: the round is the unit of evidence. Which of the two starts first is
// drawn by lot, so that of two equal programs either is as likely to be ahead in a round, whatever the host is busy with: evidence comes from
// signs alone, and nine rounds that agree are the fewest that prove a gain. (How often equal processes differ by so much cannot be relied on:
// three rounds above 25% sufficed once, and beside two compilers nine of 150 equal candidates were called better.)
// Statistic: a block gives log((anchor1 + anchor2) / (candidate1 + candidate2)), a round the mean of its blocks; the report is the median.
// statistics.hpp says when that is a gain.
// Slow anchors: one whose call lasts 0.2 s or more and which the candidate beats four times over (a plain loop nest of a product) is not called
// again for every candidate: its first call is what the candidate is compared with. No disturbance quarters a time of that length.
// Course, while searching: blocks in the processes at hand, until clearly slower (every one of the first blocks below 1 / 1.3), until a loss
// is proven or the time is used up; where they promise a gain, rounds follow, and they alone count, so that neither evidence nor interval
// comes from samples that chose. While verifying: rounds only, never ended early, so that intervals hold.
#pragma once

#include "node-agent/program.hpp"
#include "node-agent/statistics.hpp"
#include "protocol/rng.hpp"

#include <cmath>
#include <functional>
#include <map>
#include <vector>

namespace kevolve::agent {

/// One side of a comparison. `call(slot, count)` performs one request.
struct contestant {
  std::function<call_end(std::uint32_t slot, std::uint32_t count)> call;
  /// Around each timed sample, outside the clock: prepares spots of the outputs, then inspects them. Empty text: all is well.
  std::function<void(std::uint32_t slot)> before;
  std::function<std::string(std::uint32_t slot)> after;
  /// Puts a fresh process with the same program in this one's place, this slot mapped. Null: this side keeps its process (a baseline host,
  /// which takes seconds to start; a yardstick).
  std::function<call_end(std::uint32_t slot)> renew;
  /// Slots that the process at hand was called on before and what that first call took; kept with the process by whoever owns it. Null: none.
  std::map<std::uint32_t, double>* touched = nullptr;
};

struct measure_settings {
  bool verify = false;              // rounds only, a fixed number of them as far as the budgets allow
  std::uint32_t fewest_blocks = 6;  // of the first look; the fewest for a 95% interval of the median
  std::uint32_t most_blocks = 24;
  double budget_s = 0.12;           // of the first look: no block is begun after it, once the fewest are done
  double hard_budget_s = 2.5;       // nothing is begun after this, once two blocks are done: of kernels this slow the search needs no interval
  std::uint32_t most_rounds = 24;
  std::uint32_t fewest_rounds = 6;  // while verifying: done whatever they take within hard_budget_s; the fewest for a 95% interval
  double rounds_budget_s = 0.8;     // no round is begun after it, once the fewest are done
  double unanimous_budget_s = 6;    // while searching, and every round so far was a gain: slow kernels need it for nine of them
  double sample_s = 200e-6;
  std::vector<std::uint32_t> slots; // same workload, other data; of programs slower than 50 ms only the first is used
  bool warm = true;                 // one untimed call when a block begins
  double clearly_slower = 1.3;
};

struct measurement {
  call_end candidate, anchor;       // how the side that went wrong went wrong
  std::vector<double> candidate_s, anchor_s; // per call, one per sample, in order of time
  std::vector<double> log_ratios;   // one per round; one per block where there were no rounds
  std::uint32_t calls = 1;          // of the candidate per sample
  std::uint32_t rounds = 0;         // pairs of fresh processes
  double handshake_s = 0;
  double e_value = 1;               // of the rounds
  [[nodiscard]] bool good() const { return candidate.good() && anchor.good(); }
};

/// The least gain that is called one: 0.5%.
inline constexpr double least_gain = 0.005;

/// Evidence from rounds of fresh processes. Of two equal programs either is as likely to be ahead in a round, whatever else the host does, so all
/// bets are on signs: half of them careful (statistics.hpp), half nearly everything on the candidate, which nine rounds that agree prove.
class round_evidence {
public:
  void add(double log_ratio) {
    const bool ahead = log_ratio > std::log1p(least_gain);
    usual_.add(log_ratio);
    bold_ *= ahead ? 1 + stake : 1 - stake;
    unanimous_ = unanimous_ && ahead;
  }
  [[nodiscard]] double value() const { return 0.5 * (usual_.value() + bold_); }
  [[nodiscard]] bool unanimous() const { return unanimous_; }

private:
  static constexpr double stake = 0.95; // 0.5 * 1.95^9 = 204
  gain_evidence usual_{std::log1p(least_gain)};
  double bold_ = 1;
  bool unanimous_ = true;
};

/// Times `candidate` against `anchor`, or alone when `anchor` is null. Both have been checked before.
measurement measure(contestant& candidate, contestant* anchor, const measure_settings& settings, rng secret);

/// The comparison and timing that a measurement supports.
comparison compare_of(const measurement& m, const std::string& anchor);
workload_timing timing_of(const measurement& m, const std::string& workload);

} // namespace kevolve::agent
