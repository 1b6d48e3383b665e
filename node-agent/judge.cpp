#include "node-agent/attempt.hpp"

#include "node-agent/process.hpp"
#include "protocol/codec.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <random>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kevolve::agent {
namespace {

constexpr std::uint64_t private_bytes = 8ull << 30; // of a candidate: workspace, stacks, tables

constexpr std::size_t most_anchors = 4;
constexpr double cached_bytes = 64e6; // data of a workload below this may be warm in some cache when a block begins
constexpr double exchange_bytes = 64e6; // contents of larger input sets are exchanged when verifying only: copying them costs more than a call

unsigned pick_identity() {
  if (::geteuid() != 0)
    return 0;
  // Unlike any other live judge's, so that sweeping one identity never hits another's programs.
  const unsigned pid = static_cast<unsigned>(::getpid());
  for (const unsigned candidate : {1'000'000u + pid * 8, 60'000u + pid % 600 * 8}) {
    const pid_t probe = ::fork();
    if (probe == 0)
      ::_exit(::syscall(SYS_setresgid, candidate, candidate, candidate) == 0 && ::syscall(SYS_setresuid, candidate, candidate, candidate) == 0 ? 0 : 1);
    int status = 1;
    if (probe > 0)
      while (::waitpid(probe, &status, 0) < 0 && errno == EINTR) {
      }
    if (probe > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
      return candidate;
  }
  return 0;
}

std::vector<std::string> openmp_environment(const judge_setup& setup) {
  const std::string threads = std::to_string(std::max<std::size_t>(setup.cores.size(), 1));
  return {"OMP_NUM_THREADS=" + threads, "OMP_WAIT_POLICY=passive", "OMP_PROC_BIND=true", "OMP_DYNAMIC=false", "LC_ALL=C"};
}

} // namespace

judge::judge(judge_setup setup, judge_line line)
    : setup_(std::move(setup)), line_(std::move(line)), stop_{line_.control, line_.cancelled}, identity_(pick_identity()),
      secret_((std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  sandbox_ = identity_ ? "process+uid" : "process";
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

result<judge::hosted> judge::launch_candidate(const judge_program& what, unsigned identity) {
  program_settings s;
  s.arguments = {setup_.harness};
  s.environment = openmp_environment(setup_);
  s.identity = identity;
  s.cores.assign(setup_.cores.begin(), setup_.cores.end());
  s.private_bytes = private_bytes;
  KEVOLVE_TRY(artifact, sealed_copy(what.artifact));
  hosted h;
  auto started = program::start(s, stop_);
  if (!started) {
    ::close(artifact);
    return started.error();
  }
  h.process = std::move(*started);
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
  unsigned identity = identity_ ? identity_ + 1 : 0; // one that no live anchor has: ending one sweeps its identity
  while (identity && std::any_of(anchors_.begin(), anchors_.end(), [&](const auto& other) { return other.second.identity == identity; }))
    ++identity;
  auto started = launch_candidate(what, identity);
  if (!started || !started->process)
    return nullptr;
  started->identity = identity;
  return &(anchors_[what.name] = std::move(*started));
}

bool judge::check_case(attempt& a, test_case& c) {
  if (auto ready = a.cases.expect(c); !ready)
    return a.fail(outcome::infrastructure, ready.error().message), false;
  if (c.skipped)
    return true;
  if (!a.accept(ensure_mapped(a.candidate, a.cases, c, a.limit()), c.name))
    return false;
  c.outputs->poison();
  if (!a.accept(a.candidate.process->call(c.slot, 1, a.limit()), c.name))
    return false;
  if (const std::string beside = c.outputs->damaged_canary(); !beside.empty()) {
    c.outputs->write_canaries();
    return a.fail(outcome::runtime_error, "the candidate " + beside + " (" + c.name + ")"), false;
  }
  const case_verdict found = a.cases.compare(c);
  a.count(found);
  return a.accept(found, c);
}

/// The same pointers with new content: a result remembered by address, shape or call count is wrong now.
bool judge::check_same_memory(attempt& a, std::size_t w) {
  auto& sets = a.cases.timed(w);
  const bool affordable = a.what.how == effort::verify || static_cast<double>(sets[0].inputs->bytes()) <= exchange_bytes;
  if (sets.size() < 2 || !affordable)
    return true;
  if (auto ready = a.cases.expect(sets[1]); !ready)
    return a.fail(outcome::infrastructure, ready.error().message), false;
  case_set::exchange(sets[0], sets[1]);
  return check_case(a, sets[0]);
}

void judge::check(attempt& a) {
  for (test_case& c : a.cases.adversarial())
    if (!check_case(a, c))
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

/// A fresh process with the same program in a hosted one's place, one case mapped.
call_end judge::renew(hosted& h, const judge_program& what, case_set& cases, test_case& c) {
  const unsigned identity = h.identity;
  const double spent = h.cpu_s;
  if (h.process) {
    h.process->end();
    h.cpu_s = spent + h.process->cpu_s();
  }
  const double before = h.cpu_s;
  auto started = launch_candidate(what, identity);
  if (!started)
    return {misbehaviour::unavailable, started.error().message};
  if (!started->process)
    return {misbehaviour::crashed, started->why_not};
  h = std::move(*started);
  h.identity = identity;
  h.cpu_s = before;
  return ensure_mapped(h, cases, c, load_limit_s);
}

/// Whom a candidate is timed against.
struct judge::opponent {
  std::string name;                     // empty: nobody
  hosted& host;
  const judge_program* native = nullptr; // what fresh processes of it are started with; null: it keeps its process
  bool plain = false;                   // the plain loop nest
  bool computes = true;                 // its results in the shared outputs are the operator's: a baseline host keeps its own to itself
};

void judge::measure_against(attempt& a, std::size_t w, const opponent& against, workload_timing& timing) {
  auto& sets = a.cases.timed(w);
  for (test_case& c : sets) // its process may have been renewed meanwhile, for one slot
    if (!a.accept(ensure_mapped(a.candidate, a.cases, c, a.what.call_limit_s), c.name))
      return;
  std::vector<case_set::spot> spots;
  const auto set_of = [&](std::uint32_t slot) -> test_case& {
    return *std::find_if(sets.begin(), sets.end(), [&](const test_case& c) { return c.slot == slot; });
  };
  const auto prepare_spots = [&](std::uint32_t slot) {
    spots = case_set::draw_spots(set_of(slot), secret_);
    case_set::poison_spots(set_of(slot), spots, secret_);
  };
  outcome wrong = outcome::passed;
  const auto inspect = [&](std::uint32_t slot) {
    const case_verdict v = a.cases.inspect_spots(set_of(slot), spots);
    if (v.result != outcome::passed)
      wrong = v.result;
    return v.result == outcome::passed ? std::string() : "gave another result in a timed call than when it was checked: " + v.detail;
  };
  // Not what is left of the attempt's time: others' calls are not held against the candidate.
  contestant candidate{[&](std::uint32_t slot, std::uint32_t n) { return a.candidate.process->call(slot, n, a.what.call_limit_s); }, prepare_spots, inspect,
                       [&](std::uint32_t slot) { return renew(a.candidate, a.what.what, a.cases, set_of(slot)); }, &a.candidate.touched};
  contestant opponent{[&](std::uint32_t slot, std::uint32_t n) { return against.host.process->call(slot, n, a.what.call_limit_s * 4); }, prepare_spots, inspect, nullptr, &against.host.touched};
  if (against.native)
    opponent.renew = [&](std::uint32_t slot) { return renew(against.host, *against.native, a.cases, set_of(slot)); };
  if (!against.computes) // looking at the spots costs the same
    opponent.after = [&](std::uint32_t slot) { return (void)a.cases.inspect_spots(set_of(slot), spots), std::string(); };

  measure_settings s;
  for (const test_case& c : sets)
    s.slots.push_back(c.slot);
  s.warm = static_cast<double>(sets[0].inputs->bytes() + sets[0].outputs->bytes()) < cached_bytes;
  if (a.what.how == effort::verify) {
    s.verify = true;
    s.hard_budget_s = against.plain ? 1.5 : 6; // that it is much faster than the plain loop nest is soon known
  }
  const bool alone = against.name.empty();
  const measurement m = measure(candidate, alone ? nullptr : &opponent, s, rng(secret_()));
  a.verdict.handshake_s = m.handshake_s;
  if (!m.candidate.good()) {
    a.accept(m.candidate, sets[0].name + ", while measured");
    if (wrong != outcome::passed)
      a.verdict.result = wrong;
    return;
  }
  if (!m.anchor.good()) {
    a.verdict.notes.push_back(against.name + " " + m.anchor.detail + " while measured");
    against.host.process.reset();
    return;
  }
  workload_timing one = timing_of(m, a.cases.of(w).uuid);
  one.comparisons = std::move(timing.comparisons);
  if (!alone)
    one.comparisons.push_back(compare_of(m, against.name));
  timing = std::move(one);
}

/// An anchor with the workload's slots mapped; null, and a note, where it cannot be had.
judge::hosted* judge::ready_anchor(attempt& a, const judge_program& what, std::size_t w) {
  hosted* h = anchor(what);
  call_end mapped;
  for (test_case& c : a.cases.timed(w))
    if (h && mapped.good())
      mapped = ensure_mapped(*h, a.cases, c, a.what.call_limit_s);
  if (h && mapped.good())
    return h;
  a.verdict.notes.push_back("anchor " + what.name.substr(0, 12) + " could not be run: " + (h ? mapped.detail : "it does not load"));
  anchors_.erase(what.name);
  return nullptr;
}

/// Sets `roof_s` to what only reading and writing the workload's bytes takes beside this candidate.
void judge::measure_yardstick(attempt& a, std::size_t w, workload_timing& timing) {
  if (a.what.yardstick.artifact.empty())
    return;
  hosted* h = ready_anchor(a, a.what.yardstick, w);
  if (!h)
    return;
  workload_timing beside;
  measure_against(a, w, {a.what.yardstick.name, *h, nullptr, false, false}, beside);
  if (a.good() && !beside.comparisons.empty())
    timing.roof_s = beside.comparisons.front().ratio * timing.latency_s;
}

void judge::measure_workload(attempt& a, std::size_t w) {
  workload_timing timing;
  timing.workload = a.cases.of(w).uuid;
  for (const judge_program& p : a.what.anchors)
    if (hosted* h = ready_anchor(a, p, w)) {
      // A leader is ten times as fast as the plain loop nest: which of its processes that ran in does not matter.
      measure_against(a, w, {p.name, *h, a.what.how == effort::verify ? nullptr : &p, a.what.how == effort::verify}, timing);
      if (!a.good())
        return;
    }
  for (const std::string& kind : a.what.baselines) {
    hosted& h = baseline(kind, a.what.subject);
    if (!h.process)
      continue;
    h.process->thaw();
    h.process->restore_priority();
    measure_against(a, w, {kind, h, nullptr, false, false}, timing);
    if (h.process)
      h.process->freeze();
    if (!a.good())
      return;
  }
  if (timing.samples == 0) {
    hosted nobody;
    measure_against(a, w, {{}, nobody}, timing);
  }
  if (a.good())
    measure_yardstick(a, w, timing);
  if (a.good())
    a.verdict.timings.push_back(std::move(timing));
}

/// After all timing, which this would disturb: events of one call, summed over workloads.
void judge::count_events(attempt& a) {
  for (std::size_t w = 0; w < a.cases.workloads() && a.good(); ++w) {
    test_case& c = a.cases.timed(w)[0];
    const std::uint32_t calls = a.verdict.timings[w].calls_per_sample;
    if (!a.accept(ensure_mapped(a.candidate, a.cases, c, a.what.call_limit_s), c.name) ||
        !a.accept(a.candidate.process->call(c.slot, 1, a.what.call_limit_s), c.name)) // warm, threads started
      return;
    a.candidate.counters.begin();
    const bool good = a.accept(a.candidate.process->call(c.slot, calls, a.what.call_limit_s), c.name);
    const auto found = a.candidate.counters.end();
    for (const counter& each : found) {
      const auto known = std::find_if(a.verdict.counters.begin(), a.verdict.counters.end(), [&](const counter& k) { return k.name == each.name; });
      const double one = each.value / calls;
      if (known == a.verdict.counters.end())
        a.verdict.counters.push_back({each.name, one});
      else
        known->value += one;
    }
    if (!good)
      return;
  }
}

judge_verdict judge::evaluate(const judge_evaluate& what) {
  const double began = now_s();
  judge_verdict refused;
  refused.number = what.number;
  refused.sandbox = sandbox_;
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

  auto candidate = launch_candidate(what.what, identity_);
  if (!candidate)
    return a.fail(outcome::infrastructure, candidate.error().message), a.verdict;
  a.candidate = std::move(*candidate);
  a.candidate.identity = identity_;
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
    if (a.good() && what.how == effort::verify)
      for (std::size_t w = 0; w < a.cases.workloads() && a.good(); ++w)
        for (test_case& c : a.cases.timed(w))
          if (a.good())
            check_case(a, c); // once more, in full, after all those calls
    a.verdict.measure_s = now_s() - measure_began;
  }
  if (a.verdict.measure_s > 0)
    line_.announce("measured");
  if (a.candidate.process) {
    a.candidate.process->end();
    a.verdict.cpu_s = a.candidate.cpu_s + a.candidate.process->cpu_s();
  }
  std::vector<int> ours;
  for (auto* programs : {&anchors_, &baselines_})
    for (auto& [name, h] : *programs)
      if (h.process)
        ours.push_back(h.process->id());
  sweep_orphans(ours);
  return a.verdict;
}

} // namespace kevolve::agent
