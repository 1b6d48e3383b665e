// Sessions on recorded evaluations: a host that answers with what a session's log says of each candidate, so that two searches can be compared
// decision by decision. With one proposal in flight the tree is a function of settings and recordings: killed and resumed or not, it is equal.
#pragma once

#include "actors/engine.hpp"
#include "kb/store.hpp"
#include "node-agent/evaluate.hpp"
#include "protocol/result.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace kevolve {

/// Answers by candidate id with the evaluations recorded in `log` (the verification with its verdict's); a candidate that the log does not
/// know is an infrastructure error that says so. `evaluate` waits `each_takes_s` first, so that a kill can land in the middle.
result<std::unique_ptr<agent::host_evaluator>> recorded_host(const std::vector<event>& log, double each_takes_s = 0);

/// The tree that a log folds to, as a number in hex: nodes, parents, candidates, outcomes, fitness. Lives, times and attempts do not enter.
result<std::string> tree_digest(const std::vector<event>& log);

/// Runs the session of `memory` again from its opening, through one slot, on its recorded evaluations, in a store of its own in `scratch`;
/// the digest of the tree that comes out.
result<std::string> replay_session(const kb::store& memory, const session_id& session, const std::filesystem::path& scratch,
                                   generator_factory make_generator);

} // namespace kevolve
