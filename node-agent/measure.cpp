#include "node-agent/measure.hpp"

#include "node-agent/process.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::agent {
namespace {

constexpr std::uint32_t most_calls = 1u << 20;
constexpr double handshakes_per_sample = 50;

/// One side with what calibration found.
struct side {
  contestant* who = nullptr;
  call_end* end = nullptr;
  std::vector<double>* samples = nullptr;
  std::uint32_t calls = 1;
  double handshake_s = 0;

  bool sample(std::uint32_t slot, double& per_call_s) {
    if (who->before)
      who->before(slot);
    const call_end e = who->call(slot, calls);
    if (!e.good())
      return *end = e, false;
    if (who->after)
      if (std::string wrong = who->after(slot); !wrong.empty())
        return end->what = misbehaviour::cheated, end->detail = wrong, false;
    per_call_s = std::max(e.seconds - handshake_s, 1e-9) / calls;
    samples->push_back(per_call_s);
    return true;
  }

  /// Finds the least hand-shake and how many calls fill a sample.
  bool calibrate(std::uint32_t slot, double sample_s) {
    handshake_s = 1;
    for (int i = 0; i < 12; ++i) {
      const call_end e = who->call(slot, 0);
      if (!e.good())
        return *end = e, false;
      handshake_s = std::min(handshake_s, e.seconds);
    }
    const double wanted = std::max(sample_s, handshakes_per_sample * handshake_s);
    for (std::uint32_t n = 1;;) {
      const call_end e = who->call(slot, n);
      if (!e.good())
        return *end = e, false;
      const double spent = std::max(e.seconds - handshake_s, 1e-8);
      if (spent * 1.5 >= wanted || n >= most_calls) {
        calls = static_cast<std::uint32_t>(std::clamp(std::ceil(wanted * n / spent), 1.0, double{most_calls}));
        return true;
      }
      n = static_cast<std::uint32_t>(std::min({double{most_calls}, n * 8.0, std::ceil(wanted * n / spent)}));
    }
  }
};

bool clearly_slower(const std::vector<double>& log_ratios, double factor) {
  return log_ratios.size() >= 2 && std::all_of(log_ratios.begin(), log_ratios.end(), [&](double r) { return r < -std::log(factor); });
}

bool block(side& a, side* b, std::uint32_t slot, bool candidate_first, bool warm, measurement& m) {
  side& first = candidate_first || !b ? a : *b;
  if (warm)
    if (const call_end e = first.who->call(slot, 1); !e.good())
      return *first.end = e, false;
  double candidate_s[2] = {}, anchor_s[2] = {};
  if (!b)
    return a.sample(slot, candidate_s[0]) && a.sample(slot, candidate_s[1]);
  const bool done = candidate_first ? a.sample(slot, candidate_s[0]) && b->sample(slot, anchor_s[0]) && b->sample(slot, anchor_s[1]) &&
                                          a.sample(slot, candidate_s[1])
                                    : b->sample(slot, anchor_s[0]) && a.sample(slot, candidate_s[0]) && a.sample(slot, candidate_s[1]) &&
                                          b->sample(slot, anchor_s[1]);
  if (done)
    m.log_ratios.push_back(std::log((anchor_s[0] + anchor_s[1]) / (candidate_s[0] + candidate_s[1])));
  return done;
}

} // namespace

measurement measure(contestant& candidate, contestant* anchor, const measure_settings& settings, rng secret) {
  measurement m;
  side a{&candidate, &m.candidate, &m.candidate_s}, b{anchor, &m.anchor, &m.anchor_s};
  const double began = now_s();
  if (!a.calibrate(settings.slots.at(0), settings.sample_s) || (anchor && !b.calibrate(settings.slots.at(0), settings.sample_s)))
    return m;
  m.calls = a.calls;
  m.handshake_s = a.handshake_s;
  constexpr double promising = 4;
  gain_evidence faster(std::log1p(least_gain)), slower(0);
  for (std::uint32_t done = 0; done < settings.most_blocks; ++done) {
    const double spent = now_s() - began;
    // Evidence that grows is worth more blocks: a slow kernel's few would never be enough to prove any gain.
    const double patience_s = settings.stop_early && faster.value() >= promising ? settings.hard_budget_s : settings.budget_s;
    if ((done >= settings.fewest_blocks && spent > patience_s) || (done >= 2 && spent > settings.hard_budget_s))
      break;
    const std::uint32_t slot = settings.slots[secret.below(settings.slots.size())];
    if (!block(a, anchor ? &b : nullptr, slot, secret.chance(0.5), settings.warm, m))
      return m;
    if (!anchor)
      continue;
    faster.add(m.log_ratios.back());
    slower.add(-m.log_ratios.back());
    const bool settled = m.log_ratios.size() >= settings.fewest_blocks && (faster.value() >= gain_evidence::better || slower.value() >= 20);
    if (settings.stop_early && (settled || clearly_slower(m.log_ratios, settings.clearly_slower)))
      break;
  }
  m.e_value = faster.value();
  return m;
}

comparison compare_of(const measurement& m, const std::string& anchor) {
  comparison c;
  c.anchor = anchor;
  c.ratio = std::exp(median(m.log_ratios));
  const interval i = median_interval(m.log_ratios);
  c.ratio_ci95 = {std::exp(i.low), std::exp(i.high)};
  c.anchor_s = median(m.anchor_s);
  c.e_value = m.e_value;
  c.blocks = static_cast<std::uint32_t>(m.log_ratios.size());
  return c;
}

workload_timing timing_of(const measurement& m, const std::string& workload) {
  workload_timing t;
  t.workload = workload;
  t.latency_s = median(m.candidate_s);
  const interval i = median_interval(m.candidate_s);
  t.latency_ci95 = {std::max(i.low, 0.0), i.high};
  t.samples_s = thin(m.candidate_s);
  t.samples = static_cast<std::uint32_t>(m.candidate_s.size());
  t.calls_per_sample = m.calls;
  return t;
}

} // namespace kevolve::agent
