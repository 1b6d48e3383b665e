#include "node-agent/measure.hpp"

#include "node-agent/process.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::agent {
namespace {

constexpr std::uint32_t most_calls = 1u << 20;
constexpr double handshakes_per_sample = 50;
constexpr double alike = 4;              // sides whose calls differ by less make equally many a sample
constexpr double promising = 4;          // evidence of a first look that is worth rounds: one in four equal candidates gets that far
constexpr double hopeless = 1.0 / 20;    // evidence below which no further round is begun
constexpr double slow_anchor_s = 0.2;
constexpr double far_ahead = 4;
constexpr double too_slow_to_repeat_s = 1;
constexpr double slow_call_s = 0.05;     // calls this slow need neither repeating nor a second set of data
constexpr double long_sample_s = 4e-3;   // rounds of kernels this slow have one block

/// One side with what calibration found.
struct side {
  contestant* who = nullptr;
  call_end* end = nullptr;
  std::vector<double>* samples = nullptr;
  std::uint32_t calls = 1;
  double handshake_s = 1;
  double call_s = 0;
  double touch_s = 0; // how long the last first call took

  bool take(const call_end& e) {
    if (!e.good())
      *end = e;
    return e.good();
  }

  bool sample(std::uint32_t slot, double& per_call_s) {
    if (who->before)
      who->before(slot);
    const call_end e = who->call(slot, calls);
    if (!take(e))
      return false;
    if (who->after)
      if (std::string wrong = who->after(slot); !wrong.empty())
        return end->what = misbehaviour::cheated, end->detail = wrong, false;
    per_call_s = std::max(e.seconds - handshake_s, 1e-9) / calls;
    samples->push_back(per_call_s);
    return true;
  }

  /// The first call of a process on a slot fills its page tables: never a timed one.
  bool touch(std::uint32_t slot) {
    if (who->touched)
      if (const auto known = who->touched->find(slot); known != who->touched->end())
        return touch_s = known->second, true;
    call_end e = who->call(slot, 1);
    touch_s = e.seconds;
    if (e.good() && touch_s > slow_call_s && touch_s < too_slow_to_repeat_s) { // slow, or only its page faults were
      e = who->call(slot, 1);
      touch_s = std::min(touch_s, e.seconds);
    }
    if (who->touched && e.good())
      (*who->touched)[slot] = touch_s;
    return take(e);
  }

  bool renew(std::uint32_t slot) { return !who->renew || (take(who->renew(slot)) && touch(slot)); }

  bool find_handshake(std::uint32_t slot) {
    for (int i = 0; i < 12; ++i) {
      const call_end e = who->call(slot, 0);
      if (!take(e))
        return false;
      handshake_s = std::min(handshake_s, e.seconds);
    }
    return true;
  }

  /// How many calls fill a sample.
  bool find_calls(std::uint32_t slot, double sample_s) {
    if (touch_s > slow_call_s)
      return call_s = touch_s, true;
    const double wanted = std::max(sample_s, handshakes_per_sample * handshake_s);
    for (std::uint32_t n = 1;;) {
      const call_end e = who->call(slot, n);
      if (!take(e))
        return false;
      const double spent = std::max(e.seconds - handshake_s, 1e-8);
      if (spent * 1.5 >= wanted || n >= most_calls) {
        calls = static_cast<std::uint32_t>(std::clamp(std::ceil(wanted * n / spent), 1.0, double{most_calls}));
        call_s = spent / n;
        return true;
      }
      n = static_cast<std::uint32_t>(std::min({double{most_calls}, n * 8.0, std::ceil(wanted * n / spent)}));
    }
  }
};

bool clearly_slower(const std::vector<double>& log_ratios, double factor) {
  return log_ratios.size() >= 2 && std::all_of(log_ratios.begin(), log_ratios.end(), [&](double r) { return r < -std::log(factor); });
}

/// One measurement as its steps: prepare, look, rounds.
class comparison_course {
public:
  comparison_course(contestant& candidate, contestant* anchor, const measure_settings& settings, rng secret)
      : settings_(settings), secret_(secret), began_s_(now_s()), a_{&candidate, &m_.candidate, &m_.candidate_s}, b_{anchor, &m_.anchor, &m_.anchor_s},
        paired_(anchor != nullptr) {}

  measurement run() {
    if (!prepare())
      return std::move(m_);
    if (paired_ && b_.touch_s > slow_anchor_s && a_.call_s * far_ahead < b_.touch_s)
      return against_one_call();
    if (!paired_)
      look();
    else if (settings_.verify)
      rounds();
    else if (look())
      rounds();
    return std::move(m_);
  }

private:
  const measure_settings& settings_;
  rng secret_;
  double began_s_;
  measurement m_;
  side a_, b_;
  bool paired_;
  std::vector<std::uint32_t> slots_; // those in use

  bool prepare() {
    const std::uint32_t slot = settings_.slots.at(0);
    for (const std::uint32_t each : settings_.slots) {
      if (!a_.touch(each) || (paired_ && !b_.touch(each)))
        return false;
      slots_.push_back(each);
      if (std::max(a_.touch_s, b_.touch_s) > slow_call_s)
        break; // one slot will do
    }
    if (!a_.find_handshake(slot) || (paired_ && !b_.find_handshake(slot)))
      return false;
    if (paired_)
      a_.handshake_s = b_.handshake_s = std::min(a_.handshake_s, b_.handshake_s);
    if (!a_.find_calls(slot, settings_.sample_s) || (paired_ && !b_.find_calls(slot, settings_.sample_s)))
      return false;
    if (paired_ && std::max(a_.calls, b_.calls) < alike * std::min(a_.calls, b_.calls))
      a_.calls = b_.calls = std::max(a_.calls, b_.calls);
    m_.calls = a_.calls;
    m_.handshake_s = a_.handshake_s;
    return true;
  }

  measurement against_one_call() {
    for (std::uint32_t done = 0; done < settings_.fewest_blocks; ++done) {
      double candidate_s = 0;
      if (!a_.sample(slots_.front(), candidate_s))
        return std::move(m_);
      m_.log_ratios.push_back(std::log(b_.touch_s / candidate_s));
    }
    m_.anchor_s = {b_.touch_s};
    const double least = *std::min_element(m_.log_ratios.begin(), m_.log_ratios.end());
    m_.e_value = least > std::log(far_ahead) ? 1e3 : 1;
    return std::move(m_);
  }

  [[nodiscard]] double spent_s() const { return now_s() - began_s_; }

  std::uint32_t any_slot() { return slots_[secret_.below(slots_.size())]; }

  bool block(std::uint32_t slot, double& log_ratio) {
    const bool candidate_first = secret_.chance(0.5) || !paired_;
    side& first = candidate_first ? a_ : b_;
    const bool slow = std::max(a_.call_s, b_.call_s) > slow_call_s; // what the caches hold is no matter then
    if (settings_.warm && !slow && !first.take(first.who->call(slot, 1)))
      return false;
    double candidate_s[2] = {}, anchor_s[2] = {};
    if (!paired_)
      return a_.sample(slot, candidate_s[0]) && a_.sample(slot, candidate_s[1]);
    const bool done = candidate_first ? a_.sample(slot, candidate_s[0]) && b_.sample(slot, anchor_s[0]) && b_.sample(slot, anchor_s[1]) &&
                                            a_.sample(slot, candidate_s[1])
                                      : b_.sample(slot, anchor_s[0]) && a_.sample(slot, candidate_s[0]) && a_.sample(slot, candidate_s[1]) &&
                                            b_.sample(slot, anchor_s[1]);
    if (done)
      log_ratio = std::log((anchor_s[0] + anchor_s[1]) / (candidate_s[0] + candidate_s[1]));
    return done;
  }

  /// Blocks in the processes at hand; true where they promise a gain. They prove none: see "Processes" in the header.
  bool look() {
    gain_evidence faster(std::log1p(least_gain)), slower(0);
    for (std::uint32_t done = 0; done < settings_.most_blocks; ++done) {
      if ((done >= settings_.fewest_blocks && spent_s() > settings_.budget_s) || (done >= (paired_ ? 2u : 1u) && spent_s() > settings_.hard_budget_s))
        break;
      double log_ratio = 0;
      if (!block(any_slot(), log_ratio))
        return false;
      if (!paired_)
        continue;
      m_.log_ratios.push_back(log_ratio);
      faster.add(log_ratio);
      slower.add(-log_ratio);
      if (clearly_slower(m_.log_ratios, settings_.clearly_slower))
        break;
      if (m_.log_ratios.size() >= settings_.fewest_blocks && (faster.value() >= promising || slower.value() >= 1 / hopeless))
        break;
    }
    return faster.value() >= promising;
  }

  /// Pairs of fresh processes; what was measured before them chose, and counts no more.
  void rounds() {
    const double began = now_s();
    const int blocks = a_.call_s * a_.calls > long_sample_s ? 1 : 2;
    round_evidence faster;
    std::vector<double> found;
    m_.candidate_s.clear(), m_.anchor_s.clear();
    while (found.size() < settings_.most_rounds) {
      const double spent = now_s() - began;
      const std::size_t fewest = settings_.verify ? settings_.fewest_rounds : 1;
      const bool on_its_way = !settings_.verify && faster.unanimous(); // a proof that nothing spoke against so far is worth its time
      const double budget = on_its_way ? settings_.unanimous_budget_s : settings_.rounds_budget_s;
      const double hard = on_its_way ? settings_.unanimous_budget_s : settings_.hard_budget_s;
      if ((found.size() >= fewest && spent > budget) || (found.size() >= 2 && spent > hard))
        break;
      const std::uint32_t slot = any_slot();
      const bool candidate_starts = secret_.chance(0.5); // neither side profits from being the older
      if (!(candidate_starts ? a_ : b_).renew(slot) || !(candidate_starts ? b_ : a_).renew(slot))
        return;
      double sum = 0;
      for (int i = 0; i < blocks; ++i) {
        double log_ratio = 0;
        if (!block(slot, log_ratio))
          return;
        sum += log_ratio;
      }
      found.push_back(sum / blocks);
      faster.add(found.back());
      if (!settings_.verify && (faster.value() >= gain_evidence::better || faster.value() < hopeless))
        break;
    }
    m_.rounds = static_cast<std::uint32_t>(found.size());
    m_.log_ratios = std::move(found);
    m_.e_value = faster.value();
  }
};

} // namespace

measurement measure(contestant& candidate, contestant* anchor, const measure_settings& settings, rng secret) {
  return comparison_course(candidate, anchor, settings, secret).run();
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
