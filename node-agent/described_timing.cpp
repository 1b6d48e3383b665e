#include "node-agent/described_timing.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::agent {
namespace {

constexpr std::uint32_t most_iterations = 1u << 24;
constexpr double least_sample_s = 1e-9;      // of a difference that noise has eaten: some positive number
constexpr double hopeless = 1.0 / 20;        // evidence below which no further block is begun
constexpr double clearly_slower = 1.3;

class command_course {
public:
  command_course(const timed_command& candidate, const timed_command* anchor, const command_settings& settings, rng secret)
      : candidate_(candidate), anchor_(anchor), settings_(settings), secret_(secret), began_s_(settings.clock()) {}

  command_measurement run() {
    if (settings_.iterates && !find_iterations())
      return std::move(m_);
    m_.found.calls = n_;
    round_evidence faster;
    for (std::uint32_t done = 0; done < settings_.most_blocks; ++done) {
      const double budget_s = anchor_ && !settings_.verify && faster.unanimous() ? settings_.unanimous_budget_s : settings_.budget_s;
      if (done >= settings_.fewest_blocks && settings_.clock() - began_s_ > budget_s)
        break;
      const double before = faster.value();
      if (!block(faster))
        return std::move(m_);
      const bool decided = anchor_ && (faster.value() >= gain_evidence::better || (done + 1 >= settings_.fewest_blocks && before < hopeless));
      if (!settings_.verify && (decided || loses_clearly()))
        break;
      if (!anchor_ && done + 1 >= settings_.fewest_blocks)
        break;
    }
    m_.found.rounds = static_cast<std::uint32_t>(m_.found.log_ratios.size());
    m_.found.e_value = faster.value();
    return std::move(m_);
  }

private:
  bool find_iterations() {
    for (;;) {
      const auto once = candidate_(n_, 0), twice = once ? candidate_(2 * n_, 0) : std::nullopt;
      if (!twice)
        return m_.found.candidate.what = misbehaviour::failed, false;
      const double more_s = *twice - *once;
      if (more_s >= settings_.difference_s || *twice > settings_.longest_s || n_ >= most_iterations)
        return true;
      const double wanted = std::clamp(1.2 * settings_.difference_s / std::max(more_s, settings_.difference_s / 16), 2.0, 16.0);
      n_ = static_cast<std::uint32_t>(std::min<double>(most_iterations, std::ceil(n_ * wanted)));
    }
  }

  bool sample(bool of_candidate, std::size_t set, double& seconds) {
    const timed_command& command = of_candidate ? candidate_ : *anchor_;
    std::optional<double> once, twice;
    if (settings_.iterates && secret_.chance(0.5)) { // what drifts must not always fall on the longer one
      twice = command(2 * n_, set);
      once = twice ? command(n_, set) : std::nullopt;
    } else {
      once = command(n_, set);
      twice = !settings_.iterates ? once : once ? command(2 * n_, set) : std::nullopt;
    }
    if (!once || !twice) {
      (of_candidate ? m_.found.candidate : m_.found.anchor).what = misbehaviour::failed;
      return false;
    }
    seconds = settings_.iterates ? (*twice - *once) / n_ : *once;
    m_.not_positive += seconds <= 0;
    seconds = std::max(seconds, least_sample_s);
    (of_candidate ? m_.found.candidate_s : m_.found.anchor_s).push_back(seconds);
    return true;
  }

  bool block(round_evidence& faster) {
    const std::size_t set = secret_.below(settings_.sets);
    double candidate_s[2] = {}, anchor_s[2] = {};
    if (!anchor_)
      return sample(true, set, candidate_s[0]);
    const bool done = secret_.chance(0.5) ? sample(true, set, candidate_s[0]) && sample(false, set, anchor_s[0]) && sample(false, set, anchor_s[1]) && sample(true, set, candidate_s[1])
                                          : sample(false, set, anchor_s[0]) && sample(true, set, candidate_s[0]) && sample(true, set, candidate_s[1]) && sample(false, set, anchor_s[1]);
    if (!done)
      return false;
    m_.found.log_ratios.push_back(std::log((anchor_s[0] + anchor_s[1]) / (candidate_s[0] + candidate_s[1])));
    faster.add(m_.found.log_ratios.back());
    return true;
  }

  bool loses_clearly() const {
    const auto& ratios = m_.found.log_ratios;
    return ratios.size() >= 3 && std::all_of(ratios.begin(), ratios.end(), [](double r) { return r < -std::log(clearly_slower); });
  }

  const timed_command& candidate_;
  const timed_command* anchor_;
  const command_settings& settings_;
  rng secret_;
  double began_s_;
  std::uint32_t n_ = 1;
  command_measurement m_;
};

} // namespace

command_measurement measure_commands(const timed_command& candidate, const timed_command* anchor, const command_settings& settings, rng secret) {
  return command_course(candidate, anchor, settings, secret).run();
}

} // namespace kevolve::agent
