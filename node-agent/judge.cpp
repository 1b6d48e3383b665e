#include "node-agent/attempt.hpp"

#include "node-agent/process.hpp"
#include "protocol/codec.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <random>
#include <sys/prctl.h>

namespace kevolve::agent {
namespace {

constexpr std::uint64_t private_bytes = 8ull << 30; // of a candidate: workspace, stacks, tables

constexpr unsigned candidate_cell = 0; // anchors have 1 and up
constexpr std::size_t most_anchors = 4;
constexpr double exchange_bytes = 64e6; // contents of larger input sets are exchanged when verifying only: copying them costs more than a call

std::vector<std::string> openmp_environment(const judge_setup& setup) {
  const std::string threads = std::to_string(std::max<std::size_t>(setup.cores.size(), 1));
  // Places by number: a candidate sees no /sys, from which libgomp would learn them, and threads that are bound to nothing share a core for their
  // first 10 ms (measured: half of the speed, in some processes and not in others).
  std::string places;
  for (const std::int32_t core : setup.cores)
    places += (places.empty() ? "{" : ",{") + std::to_string(core) + "}";
  return {"OMP_NUM_THREADS=" + threads, "OMP_WAIT_POLICY=passive", "OMP_PROC_BIND=true", places.empty() ? "OMP_PLACES=threads" : "OMP_PLACES=" + places, "OMP_DYNAMIC=false", "LC_ALL=C"};
}

} // namespace

judge::judge(judge_setup setup, judge_line line)
    : setup_(std::move(setup)), line_(std::move(line)), stop_{line_.control, line_.cancelled}, box_(setup_.harness, defences_off(setup_.defences_off), stop_),
      secret_((std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

judge_described judge::describe(const judge_describe& what) const {
  judge_described d{what.number, box_.level(), {}};
  for (const sandbox::layer& l : box_.layers())
    d.layers.push_back({std::string(agent::to_string(l.what)), l.holds, l.detail});
  return d;
}

result<case_set*> judge::cases_of(const problem& subject, std::uint64_t seed) {
  const std::string key = encode(subject) + std::to_string(seed);
  if (auto known = cases_.find(key); known != cases_.end()) {
    cases_order_.erase(std::find(cases_order_.begin(), cases_order_.end(), key));
    cases_order_.push_back(key); // the one used last goes last
    return known->second.get();
  }
  const std::string shared = encode(subject);
  if (problem_key_ != shared) // anchors of another problem are of no use; baselines hold its reference
    forget_programs();
  problem_key_ = shared;
  while (cases_order_.size() >= 2) { // the search's and one that verifies
    const case_set* old = cases_[cases_order_.front()].get();
    for (auto* programs : {&anchors_, &baselines_})
      for (auto& [name, h] : *programs)
        if (h.cases == old)
          h.cases = nullptr, h.mapped.clear(), h.touched.clear();
    cases_.erase(cases_order_.front());
    cases_order_.erase(cases_order_.begin());
  }
  KEVOLVE_TRY(made, case_set::make(subject, seed));
  cases_order_.push_back(key);
  return (cases_[key] = std::move(made)).get();
}

void judge::forget_programs() {
  anchors_.clear();
  baselines_.clear();
  cases_.clear();
  cases_order_.clear();
}

result<judge::hosted> judge::launch_candidate(const judge_program& what, unsigned cell) {
  program_settings s;
  s.environment = openmp_environment(setup_);
  s.cores.assign(setup_.cores.begin(), setup_.cores.end());
  s.private_bytes = private_bytes;
  KEVOLVE_TRY(artifact, sealed_copy(what.artifact));
  hosted h;
  auto started = box_.start(cell, s);
  if (!started) {
    ::close(artifact);
    return started.error();
  }
  h.process = std::move(*started);
  h.cell = cell;
  h.counters = event_counters(h.process->id());
  const call_end loaded = h.process->load(artifact, load_limit_s);
  ::close(artifact);
  if (!loaded.good()) {
    h.why_not = loaded.detail + (loaded.what == misbehaviour::hung ? " from being loaded in time" : "");
    h.process.reset();
  }
  return h;
}

call_end judge::ensure_mapped(hosted& h, case_set& cases, test_case& c, double limit_s) {
  if (h.cases != &cases)
    h.mapped.clear(), h.touched.clear(), h.cases = &cases;
  if (h.mapped.count(c.slot))
    return {};
  call_end e = h.process->map(c.slot, c.axes, *c.inputs, *c.outputs, limit_s);
  if (e.good())
    h.mapped.insert(c.slot);
  return e;
}

judge::hosted* judge::anchor(const judge_program& what) {
  auto known = anchors_.find(what.name);
  if (known != anchors_.end() && known->second.process)
    return &known->second;
  anchors_.erase(what.name);
  while (anchors_.size() >= most_anchors)
    anchors_.erase(anchors_.begin());
  unsigned cell = 1; // one that no live anchor has: ending it ends all in its cell
  while (std::any_of(anchors_.begin(), anchors_.end(), [&](const auto& other) { return other.second.cell == cell; }))
    ++cell;
  auto started = launch_candidate(what, cell);
  if (!started || !started->process)
    return nullptr;
  return &(anchors_[what.name] = std::move(*started));
}

bool judge::check_case(attempt& a, test_case& c) {
  if (auto ready = a.cases.expect(c); !ready)
    return a.fail(outcome::infrastructure, ready.error().message), false;
  if (c.skipped)
    return true;
  if (!a.accept(ensure_mapped(a.candidate, a.cases, c, a.limit()), c.name))
    return false;
  if (on(defence::poison))
    c.outputs->poison();
  if (!a.accept(a.candidate.process->call(c.slot, 1, a.limit(), secret_()), c.name))
    return false;
  if (const std::string beside = c.outputs->damaged_canary(); on(defence::canaries) && !beside.empty()) {
    c.outputs->write_canaries();
    return a.fail(outcome::runtime_error, "the candidate " + beside + " (" + c.name + ")"), false;
  }
  const case_verdict found = a.cases.compare(c);
  a.count(found);
  return !on(defence::comparison) || a.accept(found, c);
}

/// The same pointers with new content: a result remembered by address, shape or call count is wrong now.
bool judge::check_same_memory(attempt& a, std::size_t w) {
  auto& sets = a.cases.timed(w);
  const bool affordable = a.what.how == effort::verify || static_cast<double>(sets[0].inputs->bytes()) <= exchange_bytes;
  if (sets.size() < 2 || !affordable || !on(defence::fresh_content))
    return true;
  if (auto ready = a.cases.expect(sets[1]); !ready)
    return a.fail(outcome::infrastructure, ready.error().message), false;
  case_set::exchange(sets[0], sets[1]);
  return check_case(a, sets[0]);
}

void judge::check(attempt& a) {
  for (test_case& c : a.cases.adversarial())
    if (on(defence::odd_cases) && !check_case(a, c))
      return;
  for (std::size_t w = 0; w < a.cases.workloads(); ++w) {
    if (!check_case(a, a.cases.timed(w)[0]) || !check_same_memory(a, w))
      return;
    for (test_case& c : a.cases.timed(w)) {
      if (auto ready = a.cases.expect(c); !ready)
        return a.fail(outcome::infrastructure, ready.error().message);
      if (!a.accept(ensure_mapped(a.candidate, a.cases, c, a.limit()), c.name))
        return;
    }
  }
}

judge_verdict judge::evaluate(const judge_evaluate& what) {
  const double began = now_s();
  judge_verdict refused;
  refused.number = what.number;
  refused.sandbox = box_.level();
  auto cases = cases_of(what.subject, what.seed);
  if (!cases) {
    refused.log = cases.error().message;
    return refused;
  }
  // What the oracle needs is not the candidate's time.
  for (std::size_t w = 0; w < (*cases)->workloads(); ++w)
    for (test_case& c : (*cases)->timed(w))
      if (auto ready = (*cases)->expect(c); !ready) {
        refused.log = ready.error().message;
        return refused;
      }
  if (what.how == effort::verify)
    anchors_.clear(); // fresh processes
  attempt a{what, **cases, {}, std::move(refused), 0};
  ready_baselines(a);
  a.verdict.prepare_s = now_s() - began;
  a.deadline = now_s() + what.limit_s;
  if (!on(defence::deadline))
    a.patience = 30; // tests/hostile/ shows what the deadline is good for: bounded all the same

  auto candidate = launch_candidate(what.what, candidate_cell);
  if (!candidate)
    return a.fail(outcome::infrastructure, candidate.error().message), a.verdict;
  a.candidate = std::move(*candidate);
  a.verdict.result = outcome::passed;
  const double check_began = now_s();
  if (!a.candidate.process)
    a.fail(outcome::runtime_error, a.candidate.why_not);
  else
    check(a);
  a.verdict.check_s = now_s() - check_began;

  if (a.good() && line_.announce("measuring")) {
    stillness quiet(baselines_);
    const double measure_began = now_s();
    for (std::size_t w = 0; w < a.cases.workloads() && a.good(); ++w)
      measure_workload(a, w);
    count_events(a);
    a.deadline = std::max(a.deadline, now_s() + what.call_limit_s);
    if (a.good() && what.how == effort::verify && on(defence::final_check))
      for (std::size_t w = 0; w < a.cases.workloads() && a.good(); ++w)
        for (test_case& c : a.cases.timed(w))
          if (a.good())
            check_case(a, c); // once more, in full, after all those calls
    if (what.how == effort::verify && on(defence::audit))
      for (std::size_t w = 0; w < a.cases.workloads() && a.good(); ++w)
        audit(a, w);
    a.verdict.measure_s = now_s() - measure_began;
  }
  if (a.verdict.measure_s > 0)
    line_.announce("measured");
  if (a.candidate.process) {
    watch_clock(a);
    a.candidate.process->end();
    a.verdict.cpu_s = a.candidate.cpu_s + a.candidate.process->cpu_s();
  }
  std::vector<int> ours{box_.keeper()};
  for (auto* programs : {&anchors_, &baselines_})
    for (auto& [name, h] : *programs)
      if (h.process)
        ours.push_back(h.process->id());
  sweep_orphans(ours);
  return a.verdict;
}

} // namespace kevolve::agent
