#include "kb/fold.hpp"

#include "protocol/codec.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

namespace kevolve::kb {
namespace {

bool is_candidate(const std::string& anchor) { return !bytes_of_id(anchor).empty(); }

void changed(session_summary& summary, std::int64_t at_ms) { summary.changed_ms = std::max(summary.changed_ms, at_ms); }

void fold_verification(session_row& row, const leader_verified& e) {
  auto known = std::find_if(row.verified.begin(), row.verified.end(),
                            [&](const verified_node& v) { return v.candidate == e.what.candidate; });
  if (known == row.verified.end())
    known = row.verified.insert(row.verified.end(), verified_node{e.what.candidate, 0, false});
  *known = {e.what.candidate, e.speedup, e.holds};
  row.summary.best_speedup = 0;
  row.summary.best.clear();
  for (const verified_node& v : row.verified)
    if (v.holds && v.speedup > row.summary.best_speedup) {
      row.summary.best_speedup = v.speedup;
      row.summary.best = v.candidate;
    }
  changed(row.summary, e.what.at_ms);
}

/// The comparison against the fastest baseline; without any baseline against the anchor that the event names.
const comparison* best_comparison(const workload_timing& timing, const std::string& named) {
  const comparison* best = nullptr;
  for (const comparison& c : timing.comparisons)
    if ((!is_candidate(c.anchor) || c.anchor == named) && c.anchor_s > 0 && (!best || c.anchor_s < best->anchor_s))
      best = &c;
  return best;
}

/// Rows per workload and for the operator as a whole, for the candidate and each baseline.
std::vector<leader> measured_by(const leader_verified& e, const leader& common) {
  std::vector<leader> rows;
  std::vector<std::string> workloads;
  std::map<std::string, std::pair<double, std::size_t>> baselines; // sum of log latency, workloads
  double candidate_log = 0;
  for (const workload_timing& timing : e.what.timings) {
    if (!(timing.latency_s > 0))
      continue;
    workloads.push_back(timing.workload);
    candidate_log += std::log(timing.latency_s);
    const comparison* best = best_comparison(timing, e.best_baseline);
    leader row = common;
    row.workload = timing.workload;
    row.latency_s = timing.latency_s;
    if (best) {
      row.speedup = best->ratio;
      row.speedup_ci95 = best->ratio_ci95;
    }
    rows.push_back(row);
    for (const comparison& c : timing.comparisons) {
      if (is_candidate(c.anchor) || !(c.anchor_s > 0))
        continue;
      leader baseline = common;
      baseline.workload = timing.workload;
      baseline.candidate = c.anchor;
      baseline.latency_s = c.anchor_s;
      baseline.speedup = best->anchor_s / c.anchor_s;
      baseline.speedup_ci95 = {baseline.speedup, baseline.speedup};
      rows.push_back(baseline);
      auto& [sum, count] = baselines[c.anchor];
      sum += std::log(c.anchor_s);
      ++count;
    }
  }
  if (workloads.empty())
    return rows;
  const auto count = workloads.size();
  std::sort(workloads.begin(), workloads.end());
  leader whole = common;
  whole.workloads = workloads;
  whole.latency_s = std::exp(candidate_log / static_cast<double>(count));
  whole.speedup = e.speedup;
  whole.speedup_ci95 = e.speedup_ci95;
  rows.push_back(whole);
  for (const auto& [name, sums] : baselines) {
    if (sums.second != count)
      continue;
    whole.candidate = name;
    whole.latency_s = std::exp(sums.first / static_cast<double>(count));
    whole.speedup = 1;
    whole.speedup_ci95 = {1, 1};
    rows.push_back(whole);
  }
  return rows;
}

void derive_verifications(const leader_verified& e, const event_place& at, const session_row& row, std::vector<fact>& out) {
  leader common;
  common.definition = e.what.definition.empty() ? row.summary.definition : e.what.definition;
  common.hardware = e.what.where.hardware.empty() ? row.hardware : e.what.where.hardware;
  common.candidate = e.what.candidate;
  common.session = at.session;
  common.number = e.number;
  common.at_ms = e.what.at_ms;
  std::vector<leader> rows = e.holds ? measured_by(e, common) : std::vector<leader>{common};
  for (std::size_t part = 0; part < rows.size() && part < 65'536; ++part) {
    std::string key = key_part(common.definition) + '\0' + key_part(common.hardware) + '\0';
    append_u64(key, at.sequence);
    key += static_cast<char>(part >> 8);
    key += static_cast<char>(part);
    out.push_back({table::verifications, std::move(key), encode(verification_row{rows[part], e.holds})});
  }
}

} // namespace

const candidate_id* candidate_of(const event& e) {
  if (const auto* added = std::get_if<candidate_added>(&e))
    return &added->what.id;
  if (const auto* evaluated = std::get_if<evaluation_recorded>(&e))
    return &evaluated->what.candidate;
  return nullptr;
}

void fold_session(session_row& row, const event& e) {
  session_summary& summary = row.summary;
  if (const auto* opened = std::get_if<session_opened>(&e)) {
    summary.session = opened->session;
    summary.definition = opened->subject.op.name;
    summary.on = opened->on;
    summary.state = "running";
    summary.opened_ms = summary.changed_ms = opened->at_ms;
    row.hardware = opened->hardware;
  } else if (std::holds_alternative<proposal_made>(e)) {
    ++summary.proposals;
  } else if (const auto* evaluated = std::get_if<evaluation_recorded>(&e)) {
    summary.evaluations += evaluated->what.result != outcome::infrastructure;
    changed(summary, evaluated->what.at_ms);
  } else if (const auto* verified = std::get_if<leader_verified>(&e)) {
    fold_verification(row, *verified);
  } else if (const auto* paused = std::get_if<session_paused>(&e)) {
    summary.state = "paused";
    summary.stopped_by = paused->reason;
    changed(summary, paused->at_ms);
  } else if (const auto* resumed = std::get_if<session_resumed>(&e)) {
    summary.state = "running";
    summary.stopped_by.clear();
    changed(summary, resumed->at_ms);
  } else if (const auto* asked = std::get_if<model_asked>(&e)) {
    changed(summary, asked->at_ms);
  } else if (const auto* learnt = std::get_if<skills_learnt>(&e)) {
    row.features = learnt->features;
    row.skills = learnt->what;
  } else if (const auto* finished = std::get_if<session_finished>(&e)) {
    summary.state = finished->error.empty() ? "finished" : "failed";
    summary.stopped_by = finished->stopped_by;
    changed(summary, finished->at_ms);
  }
}

void derive_facts(const event& e, const event_place& at, const session_row& row, std::optional<std::uint64_t> candidate_number,
                  std::vector<fact>& out) {
  if (const auto* added = std::get_if<candidate_added>(&e); added && candidate_number) {
    out.push_back({table::occurrences, number_key(*candidate_number, at.sequence), encode(use_row{at.session, added->number})});
  } else if (const auto* evaluated = std::get_if<evaluation_recorded>(&e); evaluated && candidate_number) {
    const evaluation& what = evaluated->what;
    evaluation_row found{at.session, at.position, what.result, what.where.hardware, what.where.toolchain, what.where.judge_version,
                         what.where.oracle_version, to_string(row.summary.on), !what.timings.empty()};
    out.push_back({table::evaluations, number_key(*candidate_number, at.sequence), encode(found)});
  } else if (const auto* verified = std::get_if<leader_verified>(&e)) {
    derive_verifications(*verified, at, row, out);
  }
}

std::vector<leader> leaders_of(const std::vector<verification_row>& verifications) {
  using subject = std::tuple<std::string, std::string, std::string>; // definition, hardware, candidate
  using place = std::tuple<std::string, std::string, std::string, std::vector<std::string>>; // definition, hardware, workload, workloads
  std::set<subject> invalid;
  std::map<place, leader> best;
  for (auto row = verifications.rbegin(); row != verifications.rend(); ++row) { // newest first: invalidations are met before what they undo
    const leader& found = row->found;
    if (!row->holds) {
      invalid.insert({found.definition, found.hardware, found.candidate});
    } else if (!invalid.count({found.definition, found.hardware, found.candidate})) {
      auto [at, added] = best.try_emplace({found.definition, found.hardware, found.workload, found.workloads}, found);
      if (!added && found.latency_s <= at->second.latency_s) // of equals the oldest
        at->second = found;
    }
  }
  std::vector<leader> out;
  for (auto& [where, found] : best)
    out.push_back(std::move(found));
  return out;
}

} // namespace kevolve::kb
