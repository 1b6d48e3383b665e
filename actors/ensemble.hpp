// Which synthesizer writes next, where several share a tree: by fixed weights, or by a bandit that looks for gains per cost. Thompson sampling:
// each member's chance of a gain is drawn from what it has shown so far (a Beta distribution), divided by what a proposal of it costs; the
// largest wins. What it showed on operators of the same class in other sessions counts as a few trials of this one. Pure: the caller's rng is
// the only source of chance. Any thread.
#pragma once

#include "protocol/event.hpp"
#include "protocol/rng.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace kevolve::search {

struct ensemble_member {
  std::string name;
  double weight = 1;                // of the settings: 0 never, 2 counts a gain twice
  synthesizer_record here;          // in this session
  synthesizer_record elsewhere;     // on operators of this class
};

struct ensemble_rules {
  // What a proposal costs besides its model: compiling and measuring it, about 5 s of a machine at 1.5 USD an hour. Keeps who is free from
  // counting as infinitely good.
  double evaluation_usd = 0.002;
  double elsewhere_trials = 10;     // at most so many count of other sessions
  double least_share = 0.05;        // of each member: what is bad early may be good late, when the easy gains are taken
};

/// Index of the next one; `members` must not be empty. All weights 0: the first.
std::size_t draw_member(const std::vector<ensemble_member>& members, const ensemble_rules& rules, rng& random);
/// By weight alone.
std::size_t draw_by_weight(const std::vector<ensemble_member>& members, rng& random);

/// The record of that name; a new one where there is none yet.
synthesizer_record& record_of(std::vector<known_synthesizer>& of, const std::string& name);
/// All zero where there is none.
synthesizer_record find_record(const std::vector<known_synthesizer>& in, const std::string& name);
void add_records(std::vector<known_synthesizer>& to, const std::vector<known_synthesizer>& more);

} // namespace kevolve::search
