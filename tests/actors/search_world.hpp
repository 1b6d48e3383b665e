// A world for sessions to run in: synthesizer, evaluator, store and clock of one seed, without threads. Candidates are points of a landscape
// with interactions, plateaus and holes; what an evaluation says is a function of (world seed, candidate, anchor), so that results are the
// same whenever they are asked for. Faults come with given odds. The log survives `kill`.
#pragma once

#include "actors/fitness.hpp"
#include "actors/session_logic.hpp"
#include "protocol/rng.hpp"

#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <string>
#include <vector>

namespace search_test {

using namespace kevolve;
using namespace kevolve::search;

inline constexpr std::size_t dimensions = 10;
inline constexpr std::size_t levels = 6;
using point = std::array<std::uint8_t, dimensions>;

/// log speed of a point against the origin; some points do not work.
struct landscape {
  std::uint64_t seed = 1;

  [[nodiscard]] double term(std::string_view what, std::size_t a, std::size_t b) const {
    return rng(seed, a * 1000 + b, what).uniform();
  }
  [[nodiscard]] bool works(const point& p) const {
    for (std::size_t i = 0; i + 1 < dimensions; ++i)
      if (p[i] != 0 && p[i + 1] != 0 && term("hole", i * 6 + p[i], p[i + 1]) < 0.12)
        return false;
    return true;
  }
  [[nodiscard]] double log_speed(const point& p) const {
    double sum = 0;
    for (std::size_t i = 0; i < dimensions; ++i)
      if (p[i] != 0)
        sum += 0.5 * term("alone", i, p[i]) - 0.15;
    for (std::size_t i = 0; i + 1 < dimensions; ++i) // what pays together need not pay alone
      if (p[i] != 0 && p[i + 1] != 0)
        sum += 0.6 * term("pair", i * 6 + p[i], p[i + 1]) - 0.3;
    return sum;
  }
};

inline std::string id_of(const point& p) {
  std::string id(64, '0');
  for (std::size_t i = 0; i < 64; ++i)
    id[i] = "0123456789abcdef"[(p[i % dimensions] * 31 + i * 7 + p[(i * 3) % dimensions]) % 16];
  for (std::size_t i = 0; i < dimensions; ++i) // the point itself, so that ids are unique
    id[i] = "0123456789abcdef"[p[i]];
  return id;
}

inline candidate candidate_of(const point& p) {
  candidate c;
  c.id = id_of(p);
  c.author = "generator";
  schedule s;
  for (std::size_t i = 0; i < dimensions; ++i)
    if (p[i] != 0)
      s.steps.push_back({p[i] % 2 ? "tile" : "unroll", "loop" + std::to_string(i), {{"factor", std::to_string(int{p[i]})}}});
  c.printed_from = s;
  return c;
}

struct world_settings {
  std::uint64_t seed = 1;
  double infrastructure = 0;   // odds of a fault per attempt
  double silent = 0;           // odds that an evaluation never answers
  double repeated = 0;         // odds that a result arrives a second time, later
  double synthesizer_fails = 0;
  std::map<std::string, double> fails_by;  // the same of one synthesizer, by name
  std::map<std::string, double> usd_by;    // what a proposal of a model costs
  double slow_factor = 1;      // spread of latencies: 1 means all alike
  double evaluation_s = 0.4;
  double synthesis_s = 0.01;
  double commit_s = 0.002;
  double verification_s = 5;
  double roof = 1e9;           // log speed at which the roofline is reached
  std::set<std::string> does_not_hold; // candidates that a verification refutes
  double baseline = 0.5;       // log speed of the best baseline
  bool answers_verification = true;
};

class world {
public:
  world(world_settings how, session_settings settings, session_options options = {}, landscape land = {})
      : how_(how), options_(std::move(options)), land_(land), session_(options_) {
    opening_.session = "s";
    opening_.settings = std::move(settings);
    opening_.subject.workloads.resize(2);
    opening_.subject.workloads[0].uuid = "w0";
    opening_.subject.workloads[1].uuid = "w1";
  }

  void start() { feed(opened{opening_}); }
  /// Runs until the session says that it ended, `events` were appended or nothing is left to happen.
  void run(std::uint64_t events = ~0ull) {
    while (!ended && !due_.empty() && session_.appended() < events) {
      auto next = due_.top();
      due_.pop();
      clock_ = std::max(clock_, next.at_s);
      feed(next.what());
    }
  }
  /// Everything but the first `events` of the log is gone, with whoever was working; `resume` goes on from there.
  void kill(std::uint64_t events) {
    log.resize(events);
    due_ = {};
    ended.reset();
    session_ = session(options_);
    for (const auto& e : log)
      session_.replay(e);
    points_.clear();
    for (const auto& e : log)
      if (const auto* c = std::get_if<candidate_added>(&e))
        points_[c->number] = point_of_.at(c->what.id);
  }
  void resume(std::optional<budget_changed> budget = std::nullopt) { feed(resumed{budget}); }

  void feed(input in) {
    auto effects = session_.step(std::move(in), {clock_, static_cast<std::int64_t>(clock_ * 1000)});
    if (after_step)
      after_step();
    for (auto& e : effects)
      std::visit([this](auto&& what) { carry_out(std::move(what)); }, std::move(e));
  }

  [[nodiscard]] const session& of() const { return session_; }
  [[nodiscard]] double clock() const { return clock_; }
  void later(double delay, std::function<input()> what) { due_.push({clock_ + delay, sequence_++, std::move(what)}); }
  [[nodiscard]] double best() const { return session_.state().leader() ? session_.state().leader()->fitness : 0; }
  [[nodiscard]] const point& at(node_number n) const { return points_.at(n); }
  evaluation measure(const candidate& what, const candidate* anchor) const;

  std::vector<event> log;
  std::optional<finish> ended;
  std::vector<ask_evaluation> evaluations;
  std::vector<ask_verification> verifications;
  std::vector<show_progress> shown;
  std::function<void()> after_step; // sees the session before its effects are carried out

private:
  struct pending {
    double at_s;
    std::uint64_t sequence;
    std::function<input()> what;
    bool operator<(const pending& other) const { return std::pair(other.at_s, other.sequence) < std::pair(at_s, sequence); }
  };

  void carry_out(append_event&& e);
  void carry_out(ask_synthesis&& ask);
  void carry_out(permit_asking&&) {} // no session of this world asks models
  void carry_out(refuse_asking&&) {}
  void carry_out(ask_evaluation&& ask);
  void carry_out(ask_verification&& ask);
  void carry_out(withdraw&&) {}
  void carry_out(remember&&) {}
  void carry_out(acknowledge&&) {}
  void carry_out(acknowledge_writing&&) {}
  void carry_out(show_progress&& p) { shown.push_back(std::move(p)); }
  void carry_out(finish&& f) { ended = std::move(f); }
  double spread(double s, rng& draw) { return how_.slow_factor <= 1 ? s : s * (1 + (how_.slow_factor - 1) * draw.uniform()); }

  world_settings how_;
  session_options options_;
  landscape land_;
  session session_;
  session_opened opening_;
  double clock_ = 0;
  std::uint64_t sequence_ = 0;
  std::priority_queue<pending> due_;
  std::map<node_number, point> points_;
  std::map<std::string, point> point_of_;
};

} // namespace search_test
