// A session as people are told about it: one pass over its events, on top of the search's own fold (actors/session_state.hpp), with the
// words that the fold does not keep: edges, reasons, diagnoses. Pure; everything that reports, explains or exports reads this.
#pragma once

#include "protocol/event.hpp"
#include "protocol/model_spending.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kevolve::scheduler {

struct node_account {
  node_number number = 0;
  std::vector<node_number> parents;
  memory_operator memory = memory_operator::inherit;
  std::string prior;
  std::string synthesizer;
  std::string agent;                // that it was written on; "": the scheduler, or this host
  std::uint32_t moves = 0;          // agents that had it before and gave nothing
  candidate_id candidate;           // "": the proposal brought none
  transformation edge;
  std::string strategy;
  std::string schedule_text;
  std::string closed;               // why it brought no candidate or was given up
  std::optional<outcome> result;    // of its counted evaluation
  std::string log;
  bool known_before = false;        // its evaluation is one of an earlier session
  double latency_s = 0;             // geometric mean over workloads; 0 where it did not pass
  double over_root = 0;             // root's time / its time; 0 where it did not pass
  double gain = 0;                  // first parent's time / its time; 0 where unknown
  bool gained = false;              // faster than what it started from by more than the noise of both
  diagnosis diagnosed;
};

/// What a session's models were asked, and what that cost; a request without an answer counts at its reservation.
struct model_account : model_spending {
  std::uint32_t asked = 0;
  std::uint32_t failed = 0;
};

struct session_account {
  session_opened opening;
  std::string state;                // running, paused, finished, failed: what the log says
  std::vector<node_account> nodes;  // by number
  std::uint32_t evaluations = 0;    // counted
  std::vector<std::pair<outcome, std::uint32_t>> outcomes;
  std::uint32_t discarded = 0;      // results that were logged, not counted
  std::uint32_t restarts = 0;       // actors restarted by their supervisor
  std::uint32_t resumed = 0;
  std::optional<node_number> best;  // the leader
  node_number root = 0;             // what speeds are measured from
  bool root_by_model = false;       // no plain loop nest: it is the first candidate that passed

  [[nodiscard]] candidate_id root_candidate() const { return root < nodes.size() ? nodes[root].candidate : candidate_id(); }
  [[nodiscard]] std::string root_name() const { return root_by_model ? "first candidate that passed" : "plain loop nest"; }
  std::optional<leader_verified> verified;
  std::optional<session_finished> finished;
  stage_times spent;                // summed over evaluations and verifications
  model_account models;
  std::map<std::string, std::uint32_t> written_on; // candidates by the agent that they were written on; empty: all were written here
  std::uint32_t moved = 0;          // of them: came from another agent than had them first
  std::vector<known_synthesizer> synthesizers; // what came of each one's proposals
  double wall_s = 0;                // of all lives
  double cpu_s = 0;
};

/// Errors: no events, or a log that does not begin with its opening.
result<session_account> account_of(const std::vector<event>& events);

/// The nodes from the root to `number`, oldest first.
std::vector<const node_account*> lineage(const session_account& of, node_number number);

/// "512x4096": the variable axes' values; the workload's own name where it has one.
std::string label_of(const workload& w);

} // namespace kevolve::scheduler
