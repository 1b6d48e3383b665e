// The judge's timing: a candidate against its anchors, the baselines and the yardstick, workload by workload; what is watched meanwhile; and the
// audit of a leader.
#include "node-agent/attempt.hpp"

#include "node-agent/channel.hpp"
#include "node-agent/process.hpp"

#include <algorithm>
#include <cstdio>

namespace kevolve::agent {
namespace {

constexpr double cached_bytes = 64e6; // data of a workload below this may be warm in some cache when a block begins
constexpr double idle_share = 0.05, clock_slack_s = 0.02; // threads that go to sleep, and what the kernel counts late
constexpr int audited_calls = 2, doubted_calls = 6, most_audited_calls = 30;
constexpr double audit_patience_s = 3; // an expectation may take long: beyond it no more than `doubted_calls`
constexpr double audit_factor = 4, audit_slack_s = 150e-6, cold_bytes_per_s = 2e9; // waking threads; memory that is in no cache and in no page table
constexpr double most_audited_bytes = 1e9;

} // namespace

/// A fresh process with the same program in a hosted one's place, one case mapped.
call_end judge::renew(hosted& h, const judge_program& what, case_set& cases, test_case& c) {
  const unsigned cell = h.cell;
  const double spent = h.cpu_s;
  if (h.process) {
    h.clock += h.process->clock();
    h.process->end();
    h.cpu_s = spent + h.process->cpu_s();
  }
  const double before = h.cpu_s;
  const work_clock counted = h.clock;
  auto started = launch_candidate(what, cell);
  if (!started)
    return {misbehaviour::unavailable, started.error().message};
  if (!started->process)
    return {misbehaviour::crashed, started->why_not};
  h = std::move(*started);
  h.cpu_s = before;
  h.clock = counted;
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
  std::uint64_t pokes = 0;          // of the sample at hand
  std::uint32_t poked = 0;
  const auto set_of = [&](std::uint32_t slot) -> test_case& {
    return *std::find_if(sets.begin(), sets.end(), [&](const test_case& c) { return c.slot == slot; });
  };
  const auto prepare_spots = [&](std::uint32_t slot) {
    spots = case_set::draw_spots(set_of(slot), secret_);
    if (on(defence::spots))
      case_set::poison_spots(set_of(slot), spots, secret_);
  };
  outcome wrong = outcome::passed;
  const auto inspect = [&](std::uint32_t slot) {
    if (!on(defence::spots))
      return std::string();
    case_set::add_poked(set_of(slot), spots, pokes, poked);
    const case_verdict v = a.cases.inspect_spots(set_of(slot), spots);
    if (v.result != outcome::passed)
      wrong = v.result;
    return v.result == outcome::passed ? std::string() : "gave another result in a timed call than when it was checked: " + v.detail;
  };
  // Not what is left of the attempt's time: others' calls are not held against the candidate.
  const auto call = [&](program& p, std::uint32_t slot, std::uint32_t n, double limit_s, bool computes) {
    pokes = on(defence::spots) && computes ? secret_() : 0, poked = n;
    return p.call(slot, n, limit_s, pokes);
  };
  contestant candidate{[&](std::uint32_t slot, std::uint32_t n) { return call(*a.candidate.process, slot, n, a.what.call_limit_s * a.patience, true); }, prepare_spots, inspect,
                       [&](std::uint32_t slot) { return renew(a.candidate, a.what.what, a.cases, set_of(slot)); }, &a.candidate.touched};
  contestant opponent{[&](std::uint32_t slot, std::uint32_t n) { return call(*against.host.process, slot, n, a.what.call_limit_s * 4, against.computes); }, prepare_spots, inspect, nullptr, &against.host.touched};
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
      measure_against(a, w, {p.name, *h, &p, a.what.how == effort::verify}, timing);
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

/// The second clock: CPU time of the candidate's processes against ours. They work while they are called, on their cores, and at no other time.
void judge::watch_clock(attempt& a) {
  if (!a.good() || !on(defence::second_clock))
    return;
  work_clock all = a.candidate.clock;
  all += a.candidate.process->clock();
  char text[200] = "";
  if (all.idle_cpu_s > idle_share * all.called_s + clock_slack_s)
    std::snprintf(text, sizeof text, "the candidate's process computed for %.1f ms while it had not been called (%.1f ms of calls)", all.idle_cpu_s * 1e3, all.called_s * 1e3);
  else if (const double cores = static_cast<double>(std::max<std::size_t>(setup_.cores.size(), 1)); all.called_cpu_s > cores * all.called_s * 1.1 + clock_slack_s)
    std::snprintf(text, sizeof text, "the candidate's process used %.1f ms of CPU time in %.1f ms of calls on %g cores", all.called_cpu_s * 1e3, all.called_s * 1e3, cores);
  if (text[0])
    a.fail(outcome::reward_hack, text);
}

/// Another measurement of what a leader claims: single calls on inputs that no process of it has ever seen, compared in full. What remembers
/// results, or does many calls' work in one, is many times slower here than it claimed; an honest kernel only by what cold memory costs.
void judge::audit(attempt& a, std::size_t w) {
  test_case& known = a.cases.timed(w)[0];
  const double claimed_s = a.verdict.timings[w].latency_s, bytes = static_cast<double>(known.inputs->bytes() + known.outputs->bytes());
  const double possible_s = audit_factor * claimed_s + audit_slack_s + bytes / cold_bytes_per_s;
  if (bytes > most_audited_bytes)
    return;
  double least_s = 0;
  // More calls where they seem slow: on a busy host honest ones may be, of what is measured in microseconds several in a row.
  const double patient_until = now_s() + audit_patience_s;
  const auto goes_on = [&](int i) { return i < audited_calls || (least_s > possible_s && i < (now_s() < patient_until ? most_audited_calls : doubted_calls)); };
  for (int i = 0; goes_on(i); ++i) {
    auto fresh = a.cases.unseen(w, secret_());
    if (!fresh)
      return a.fail(outcome::infrastructure, fresh.error().message);
    a.deadline = std::max(a.deadline, now_s() + a.what.call_limit_s); // the oracle's time is not the candidate's
    test_case& c = **fresh;
    a.candidate.mapped.erase(c.slot);
    for (test_case* each : {&c, &known})
      if (!a.accept(ensure_mapped(a.candidate, a.cases, *each, a.limit()), each->name))
        return;
    if (!a.accept(a.candidate.process->call(known.slot, 1, a.limit()), known.name)) // wakes its threads
      return;
    c.outputs->poison();
    const call_end e = a.candidate.process->call(c.slot, 1, a.limit(), secret_());
    if (!a.accept(e, c.name) || !a.accept(a.cases.compare(c), c))
      return;
    least_s = i == 0 ? e.seconds : std::min(least_s, e.seconds);
  }
  if (least_s <= possible_s)
    return;
  char text[240];
  std::snprintf(text, sizeof text, "workload %s: single calls on inputs it had never seen took %.3g us at the least, %.3g us were measured in repeated calls: results are remembered",
                a.cases.of(w).uuid.c_str(), least_s * 1e6, claimed_s * 1e6);
  a.fail(outcome::reward_hack, text);
}

} // namespace kevolve::agent
