#include "node-agent/measure.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace kevolve;
using namespace kevolve::agent;

namespace {

/// A machine whose timings are skewed, heavy-tailed and drift, as real ones are. Seconds of one call of a kernel that takes 1 ms undisturbed.
class noisy_machine {
public:
  noisy_machine(std::uint64_t seed, double drift = 0, double correlation = 0) : draw_(seed), drift_(drift), correlation_(correlation) {}
  double disturbance() {
    const double normal = std::sqrt(-2 * std::log(draw_.uniform() + 1e-300)) * std::cos(6.283185307179586 * draw_.uniform());
    wander_ = correlation_ * wander_ + std::sqrt(1 - correlation_ * correlation_) * normal;
    const double spike = draw_.chance(0.05) ? 0.5 * draw_.uniform() : 0; // preempted
    return std::exp(0.01 * wander_) * (1 + spike) * (1 + drift_ * static_cast<double>(samples_++));
  }

private:
  rng draw_;
  double drift_, correlation_, wander_ = 0;
  std::uint64_t samples_ = 0;
};

contestant simulated(noisy_machine& machine, double seconds, double handshake = 20e-6) {
  contestant c;
  c.call = [&machine, seconds, handshake](std::uint32_t, std::uint32_t n) {
    call_end e;
    e.seconds = handshake + (n ? seconds * n * machine.disturbance() : 0);
    return e;
  };
  return c;
}

measurement compared(noisy_machine& machine, double candidate_s, double anchor_s, std::uint64_t seed, measure_settings s = {}) {
  contestant candidate = simulated(machine, candidate_s), anchor = simulated(machine, anchor_s);
  s.slots = {1, 2};
  s.budget_s = 60;
  return measure(candidate, &anchor, s, rng(seed));
}

} // namespace

TEST_CASE("rank correlation is Spearman's, ties sharing their rank") {
  const std::vector<double> up{1, 2, 3, 4, 5}, squares{1, 4, 9, 16, 25}, down{9, 7, 5, 3, 1}, swapped{2, 1, 3, 4, 5}, flat{7, 7, 7, 7, 7}, tied{1, 1, 3, 4, 5};
  CHECK(rank_correlation(up, squares) == doctest::Approx(1));
  CHECK(rank_correlation(up, down) == doctest::Approx(-1));
  CHECK(rank_correlation(up, swapped) == doctest::Approx(0.9)); // 1 - 6 * 2 / (5 * 24)
  CHECK(rank_correlation(up, tied) == doctest::Approx(0.97468).epsilon(1e-4));
  CHECK(rank_correlation(up, flat) == 0);
  CHECK(rank_correlation({}, {}) == 0);
}

TEST_CASE("the median and its interval are those of order statistics") {
  const double v[] = {5, 1, 4, 2, 3};
  CHECK(median(v) == 3);
  const double even[] = {1, 2, 3, 10};
  CHECK(median(even) == 2.5);
  CHECK(median({}) == 0);
  CHECK(std::isinf(median_interval(v).high)); // five values cannot give 95%
  const double six[] = {1, 2, 3, 4, 5, 6};
  CHECK(median_interval(six) == interval{1, 6}); // 1 - 2/64 = 96.9%
  std::vector<double> twenty;
  for (int i = 1; i <= 20; ++i)
    twenty.push_back(i);
  CHECK(median_interval(twenty) == interval{6, 15}); // 95.9%, the table's ranks
  CHECK(std::isinf(median_interval(v).low));
  CHECK(median_interval(v).low < 0);
}

TEST_CASE("the interval's ranks are the table's for every number of values, and the normal approximation's for many") {
  const auto rank = [](int n) { // of the lower end; the upper one is its mirror image
    std::vector<double> values;
    for (int i = n; i >= 1; --i)
      values.push_back(i);
    const interval i = median_interval(values);
    CHECK(i.high == n + 1 - i.low);
    return static_cast<int>(i.low);
  };
  for (const auto& [n, low] : std::vector<std::pair<int, int>>{{6, 1}, {7, 1}, {8, 1}, {9, 2}, {11, 2}, {12, 3}, {14, 3}, {15, 4}, {25, 8}, {50, 18}, {100, 40}, {500, 228}, {501, 229}, {1000, 469}, {1200, 566}, {10'000, 4902}}) {
    CAPTURE(n);
    CHECK(rank(n) == low); // David and Nagaraja, table 7.1; binomial quantiles
  }
}

TEST_CASE("a block's worth in evidence is what five gamblers make of it") {
  gain_evidence one(0.01);
  CHECK(one.value() == doctest::Approx(1));
  CHECK(one.blocks() == 0);
  one.add(0.02);
  CHECK(one.value() == doctest::Approx(2 * (0.10 * 0.60 + 0.15 * 0.70 + 0.20 * 0.80 + 0.25 * 0.90 + 0.30 * 0.98)));
  CHECK(one.blocks() == 1);
  one.add(0.01); // the margin itself is no win
  CHECK(one.value() == doctest::Approx(4 * (0.10 * 0.60 * 0.40 + 0.15 * 0.70 * 0.30 + 0.20 * 0.80 * 0.20 + 0.25 * 0.90 * 0.10 + 0.30 * 0.98 * 0.02)));
  CHECK(one.blocks() == 2);
}

TEST_CASE("the interval of the median covers it in 95% of repetitions, whatever the distribution") {
  int covered = 0;
  constexpr int repetitions = 4000;
  for (int k = 0; k < repetitions; ++k) {
    rng draw(1, static_cast<std::uint64_t>(k), "coverage");
    std::vector<double> v;
    for (int i = 0; i < 25; ++i)
      v.push_back(-std::log(1 - draw.uniform())); // exponential: median ln 2
    const interval i = median_interval(v);
    covered += i.low <= std::log(2.0) && std::log(2.0) <= i.high;
  }
  CHECK(covered >= repetitions * 0.94);
  CHECK(covered <= repetitions * 0.99);
}

TEST_CASE("evidence of a gain is the stake's worth under fair coins and grows on wins") {
  gain_evidence won(0), lost(0);
  for (int i = 0; i < 12; ++i)
    won.add(0.1), lost.add(-0.1);
  CHECK(won.value() > gain_evidence::better);
  CHECK(lost.value() < 0.01);
  gain_evidence tie(0);
  tie.add(0);
  CHECK(tie.value() < 1);
}

TEST_CASE("looking after every block, a fair coin is called a gain in at most 0.5% of trials") {
  int called = 0;
  constexpr int trials = 20'000;
  for (int t = 0; t < trials; ++t) {
    rng coin(2, static_cast<std::uint64_t>(t), "coin");
    gain_evidence e(0);
    for (int i = 0; i < 200 && e.value() < gain_evidence::better; ++i)
      e.add(coin.chance(0.5) ? 1 : -1);
    called += e.value() >= gain_evidence::better;
  }
  CHECK(called <= trials * 0.005);
  CHECK(called > 0); // the test would notice a martingale that never grows
}

TEST_CASE("equal kernels are hardly ever called better, with drift and correlated noise too") {
  for (const double drift : {0.0, 0.002}) {
    int better = 0;
    constexpr int trials = 3000;
    for (int t = 0; t < trials; ++t) {
      noisy_machine machine(rng(3, static_cast<std::uint64_t>(t), "machine")(), drift, 0.7);
      better += compared(machine, 1e-3, 1e-3, static_cast<std::uint64_t>(t)).e_value >= gain_evidence::better;
    }
    CAPTURE(drift);
    CHECK(better <= trials * 0.01);
  }
}

TEST_CASE("what is particular to one pair of processes is not taken for a gain") {
  // Each process is slower or faster by about 2% for as long as it lives.
  const auto called_better = [](bool renewable) {
    int better = 0, promised = 0;
    constexpr int trials = 2000;
    for (int t = 0; t < trials; ++t) {
      rng lives(9, static_cast<std::uint64_t>(t), "lives");
      noisy_machine machine(lives());
      double lot[2];
      contestant sides[2];
      for (int i = 0; i < 2; ++i) {
        const auto born = [&lives, &lot, i](std::uint32_t) { return lot[i] = 1e-3 * (1 + 0.04 * (lives.uniform() - 0.5)), call_end{}; };
        born(1);
        sides[i].call = [&machine, &lot, i](std::uint32_t, std::uint32_t n) {
          call_end e;
          e.seconds = 20e-6 + (n ? lot[i] * n * machine.disturbance() : 0);
          return e;
        };
        if (renewable)
          sides[i].renew = born;
      }
      measure_settings s;
      s.slots = {1, 2};
      s.budget_s = s.rounds_budget_s = 60;
      const measurement m = measure(sides[0], &sides[1], s, rng(10, static_cast<std::uint64_t>(t), "order"));
      promised += m.rounds > 0;
      better += m.e_value >= gain_evidence::better;
    }
    CHECK(promised > trials / 10); // the first look alone would be fooled often
    return static_cast<double>(better) / trials;
  };
  CHECK(called_better(true) <= 0.005);
  CHECK(called_better(false) > 0.05); // the control: without fresh processes it is taken for one
}

TEST_CASE("both sides get the same treatment around their samples and equally many calls") {
  noisy_machine machine(12);
  int prepared[2] = {}, inspected[2] = {};
  std::vector<std::uint32_t> counts[2];
  contestant sides[2];
  for (int i = 0; i < 2; ++i) {
    sides[i] = simulated(machine, i ? 3e-6 : 2e-6);
    sides[i].call = [call = sides[i].call, &counts, i](std::uint32_t slot, std::uint32_t n) { return counts[i].push_back(n), call(slot, n); };
    sides[i].before = [&prepared, i](std::uint32_t) { ++prepared[i]; };
    sides[i].after = [&inspected, i](std::uint32_t) { return ++inspected[i], std::string(); };
  }
  measure_settings s;
  s.slots = {1, 2};
  s.warm = false;
  const measurement m = measure(sides[0], &sides[1], s, rng(12));
  CHECK(m.good());
  CHECK(prepared[0] == prepared[1]);
  CHECK(inspected[0] == inspected[1]);
  CHECK(prepared[0] == inspected[0]);
  CHECK(counts[0].back() == counts[1].back()); // timed samples: the slower side's 3 us do not make fewer calls
  CHECK(counts[0].back() == m.calls);
}

TEST_CASE("a true gain of 3% is found in most comparisons within the blocks of a verification") {
  int found = 0;
  constexpr int trials = 500;
  measure_settings s;
  s.verify = true;
  s.fewest_rounds = s.most_rounds = 40;
  for (int t = 0; t < trials; ++t) {
    noisy_machine machine(rng(4, static_cast<std::uint64_t>(t), "machine")());
    found += compared(machine, 0.97e-3, 1e-3, static_cast<std::uint64_t>(t), s).e_value >= gain_evidence::better;
  }
  CHECK(found >= trials * 0.8);
}

TEST_CASE("the reported ratio and its interval agree with the truth") {
  int covered = 0;
  constexpr int trials = 500;
  measure_settings s;
  s.verify = true;
  s.fewest_rounds = s.most_rounds = 25;
  for (int t = 0; t < trials; ++t) {
    noisy_machine machine(rng(5, static_cast<std::uint64_t>(t), "machine")());
    const comparison c = compare_of(compared(machine, 0.5e-3, 1e-3, static_cast<std::uint64_t>(t), s), "anchor");
    CHECK(c.ratio == doctest::Approx(2).epsilon(0.05));
    covered += c.ratio_ci95.low <= 2 && 2 <= c.ratio_ci95.high;
  }
  CHECK(covered >= trials * 0.92);
}

TEST_CASE("an anchor of a second a call is called once for all candidates that are far ahead") {
  noisy_machine machine(13);
  int calls = 0;
  std::map<std::uint32_t, double> touched;
  const auto against_slow = [&](double candidate_s) {
    contestant candidate = simulated(machine, candidate_s), anchor = simulated(machine, 1.0);
    anchor.call = [call = anchor.call, &calls](std::uint32_t slot, std::uint32_t n) { return calls += n, call(slot, n); };
    anchor.touched = &touched;
    measure_settings s;
    s.slots = {1, 2};
    return measure(candidate, &anchor, s, rng(13));
  };
  const measurement first = against_slow(1e-3), second = against_slow(2e-3);
  CHECK(calls == 1);
  for (const measurement* m : {&first, &second})
    CHECK(m->e_value >= gain_evidence::better);
  CHECK(median(first.log_ratios) == doctest::Approx(std::log(1000)).epsilon(0.05));
  CHECK(against_slow(1.0).e_value < gain_evidence::better); // not far ahead: measured in blocks
  CHECK(calls > 4);
}

TEST_CASE("a candidate that is clearly slower costs two blocks") {
  noisy_machine machine(6);
  CHECK(compared(machine, 2e-3, 1e-3, 6).log_ratios.size() == 2);
}

namespace {

/// Rounds that a search needs to call a candidate better that is always `times` as fast, in fresh processes without any noise; 0: it does not.
std::uint32_t rounds_for(double times, measure_settings s = {}) {
  contestant sides[2];
  for (int i = 0; i < 2; ++i) {
    sides[i].call = [times, i](std::uint32_t, std::uint32_t n) { return call_end{misbehaviour::none, {}, 20e-6 + 1e-3 * n * (i ? times : 1)}; };
    sides[i].renew = [](std::uint32_t) { return call_end{}; };
  }
  s.slots = {1, 2};
  s.budget_s = s.rounds_budget_s = 60;
  const measurement m = measure(sides[0], &sides[1], s, rng(14));
  return m.e_value >= gain_evidence::better ? m.rounds : 0;
}

} // namespace

TEST_CASE("nine rounds that agree prove a gain above half a per cent, however large, and none a smaller one") {
  CHECK(rounds_for(2) == 9);
  CHECK(rounds_for(1.26) == 9);
  CHECK(rounds_for(1.006) == 9);
  CHECK(rounds_for(1.004) == 0);
  CHECK(rounds_for(1) == 0);
  measure_settings few;
  few.most_rounds = 2;
  CHECK(rounds_for(2, few) == 0);
  measure_settings verified;
  verified.verify = true; // never ended early
  CHECK(rounds_for(2, verified) == verified.most_rounds);
}

TEST_CASE("who starts first, who opens a block and on which slot are drawn by lot") {
  int renewed_first = 0, opened = 0, on_first_slot = 0, rounds = 0, blocks = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    contestant sides[2];
    std::vector<int> renewals, samples;
    for (int i = 0; i < 2; ++i) {
      sides[i].call = [](std::uint32_t, std::uint32_t n) { return call_end{misbehaviour::none, {}, 20e-6 + 1e-3 * n}; };
      sides[i].renew = [&, i](std::uint32_t) { return renewals.push_back(i), call_end{}; };
      sides[i].before = [&, i](std::uint32_t slot) { samples.push_back(i), on_first_slot += slot == 1; };
    }
    measure_settings s;
    s.slots = {1, 2};
    s.verify = true;
    s.rounds_budget_s = 60;
    CHECK(measure(sides[0], &sides[1], s, rng(seed)).good());
    REQUIRE(renewals.size() == 2 * s.most_rounds);
    REQUIRE(samples.size() == 8 * s.most_rounds); // two blocks a round
    for (std::size_t i = 0; i < renewals.size(); i += 2) {
      CHECK(renewals[i] != renewals[i + 1]);
      renewed_first += renewals[i] == 0;
      ++rounds;
    }
    for (std::size_t i = 0; i < samples.size(); i += 4) {
      CHECK(samples[i] == samples[i + 3]); // a drift cancels
      CHECK(samples[i + 1] == samples[i + 2]);
      CHECK(samples[i] != samples[i + 1]);
      opened += samples[i] == 0;
      ++blocks;
    }
  }
  for (const double share : {renewed_first / static_cast<double>(rounds), opened / static_cast<double>(blocks), on_first_slot / (4.0 * blocks)}) {
    CHECK(share > 0.4);
    CHECK(share < 0.6);
  }
}

TEST_CASE("the program that opens a block makes one untimed call where data may be warm, and none where it takes long") {
  const auto untimed = [](bool warm, double call_s) { // calls of one more than the hand-shakes, calibration and samples make
    std::vector<std::uint32_t> counts;
    contestant candidate, anchor;
    candidate.call = [&](std::uint32_t, std::uint32_t n) { return counts.push_back(n), call_end{misbehaviour::none, {}, 20e-6 + call_s * n}; };
    anchor.call = candidate.call;
    measure_settings s;
    s.slots = {1};
    s.warm = warm;
    s.fewest_blocks = s.most_blocks = 5;
    s.clearly_slower = 1e9;
    const measurement m = measure(candidate, &anchor, s, rng(15));
    CHECK(m.candidate_s.size() == 10);
    const auto samples = std::count(counts.begin(), counts.end(), m.calls);
    return std::pair(std::count(counts.begin(), counts.end(), 1u) - (m.calls == 1 ? samples : 0), samples);
  };
  const auto cold = untimed(false, 100e-6), warm = untimed(true, 100e-6);
  CHECK(warm.first == cold.first + 5);
  CHECK(warm.second == cold.second);
  CHECK(untimed(true, 0.1).second == untimed(false, 0.1).second);
}

TEST_CASE("the hand-shake is subtracted and short calls are repeated until it is below one in fifty") {
  noisy_machine machine(7);
  contestant candidate = simulated(machine, 1e-6, 30e-6);
  measure_settings s;
  s.slots = {1};
  const measurement m = measure(candidate, nullptr, s, rng(7));
  CHECK(m.handshake_s == doctest::Approx(30e-6));
  CHECK(m.calls >= 1000);
  CHECK(median(m.candidate_s) == doctest::Approx(1e-6).epsilon(0.05));
}

TEST_CASE("a side that fails ends the measurement with its reason") {
  noisy_machine machine(8);
  contestant candidate = simulated(machine, 1e-3), anchor;
  anchor.call = [](std::uint32_t, std::uint32_t) { return call_end{misbehaviour::crashed, "was killed", 0}; };
  measure_settings s;
  s.slots = {1};
  const measurement m = measure(candidate, &anchor, s, rng(8));
  CHECK(m.candidate.good());
  CHECK(m.anchor.what == misbehaviour::crashed);
  candidate.after = [](std::uint32_t) { return std::string("left a row unwritten"); };
  anchor = simulated(machine, 1e-3);
  CHECK(measure(candidate, &anchor, s, rng(8)).candidate.what == misbehaviour::cheated);
}

TEST_CASE("thinning keeps the spread in time and geometric means are those of logarithms") {
  std::vector<double> v;
  for (int i = 0; i < 1000; ++i)
    v.push_back(i);
  const auto kept = thin(v);
  CHECK(kept.size() == 64);
  CHECK(kept.front() == 0);
  CHECK(kept.back() > 980);
  CHECK(thin(std::vector<double>{1, 2}) == std::vector<double>{1, 2});
  CHECK(thin(v, 4) == std::vector<double>{0, 250, 500, 750});
  CHECK(thin(v, 1000) == v);
  CHECK(geometric_mean({}) == 0);
  const double g[] = {1, 4};
  CHECK(geometric_mean(g) == doctest::Approx(2));
}

TEST_CASE("nothing is called any more once a side has failed, whenever it does") {
  // A candidate whose n-th request fails: in its first calls, in a hand-shake, while calls are counted, before a block, in a sample.
  std::size_t complete = 0, failed_at_all = 0;
  for (std::size_t fails_at = 1; fails_at < 60; ++fails_at) {
    std::size_t requests = 0, after = 0;
    bool failed = false;
    contestant sides[2];
    for (int i = 0; i < 2; ++i)
      sides[i].call = [&, i](std::uint32_t, std::uint32_t n) {
        after += failed;
        call_end e;
        e.seconds = 20e-6 + 1e-5 * n;
        if (i == 0 && ++requests == fails_at)
          failed = true, e = call_end{misbehaviour::crashed, "was killed", 0};
        return e;
      };
    measure_settings s;
    s.slots = {1, 2};
    s.fewest_blocks = s.most_blocks = 6;
    s.clearly_slower = 1e9;
    const measurement m = measure(sides[0], &sides[1], s, rng(fails_at));
    CAPTURE(fails_at);
    CHECK(after == 0);
    CHECK(m.candidate.good() == !failed);
    failed_at_all += failed;
    complete += !failed;
  }
  CHECK(failed_at_all > 30);
  CHECK(complete > 0); // the last ones fail after the end
}

TEST_CASE("a loss that is proven ends the first look, as a gain that is promised does") {
  const auto blocks = [](double candidate_s) {
    contestant candidate, anchor;
    candidate.call = [candidate_s](std::uint32_t, std::uint32_t n) { return call_end{misbehaviour::none, {}, 20e-6 + candidate_s * n}; };
    anchor.call = [](std::uint32_t, std::uint32_t n) { return call_end{misbehaviour::none, {}, 20e-6 + 1e-3 * n}; };
    measure_settings s;
    s.slots = {1};
    s.budget_s = s.hard_budget_s = 600;
    s.most_blocks = 200;
    s.most_rounds = 0;
    const measurement m = measure(candidate, &anchor, s, rng(4));
    return m.candidate_s.size() / 2;
  };
  CHECK(blocks(1.1e-3) < 100); // slower, but not by the factor that ends it at once
  CHECK(blocks(1.1e-3) >= 6);
  CHECK(blocks(1e-3) == 200); // equal: neither
}

TEST_CASE("a kernel alone that is slower than any budget is sampled once, a pair twice") {
  for (const bool paired : {false, true}) {
    contestant candidate, anchor;
    candidate.call = anchor.call = [](std::uint32_t, std::uint32_t n) { return call_end{misbehaviour::none, {}, 20e-6 + 1e-3 * n}; };
    measure_settings s;
    s.slots = {1};
    s.budget_s = s.hard_budget_s = 0;
    s.clearly_slower = 1e9;
    const measurement m = measure(candidate, paired ? &anchor : nullptr, s, rng(5));
    CHECK(m.candidate_s.size() == (paired ? 4 : 2)); // two samples a block
  }
}
