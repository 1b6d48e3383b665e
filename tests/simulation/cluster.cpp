#include "tests/simulation/cluster.hpp"

#include "tests/simulation/simulated_agent.hpp"
#include "tests/simulation/simulated_scheduler.hpp"

#include <algorithm>
#include <memory>

namespace kevolve::simulation {
namespace {

constexpr double ends_within_s = 900; // simulated, after the last fault was healed
constexpr std::uint64_t most_steps = 5'000'000;

class cluster {
public:
  cluster(std::uint64_t seed, const simulation_options& options)
      : options_(options), w_(seed, options.agents + 1, options.keeps_trace), fate_(seed, 0, "faults"),
        scheduler_(w_, books_, seed, options.bug, [this](const std::string& agent, message what) { return to_agent(agent, std::move(what)); }) {
    report_.seed = seed;
    const std::size_t bare = std::min<std::size_t>(seed % 4, options.agents - 1);
    for (std::size_t n = 1; n <= options.agents; ++n)
      agents_.push_back(std::make_unique<simulated_agent>(
        w_, books_, n, n > bare, options.bug, [this](std::size_t from, const std::string& identity, message what) { to_scheduler(from, identity, std::move(what)); },
        [this](const std::string& session, std::uint64_t tokens) { scheduler_.paid(session, tokens); }));
    for (std::uint32_t i = 0; i < options.faults; ++i)
      due_.push_back(fate_.below(std::max<std::uint64_t>(1, options.leases * 9 / 10)));
    std::sort(due_.begin(), due_.end());
    w_.drops = 0.03 * fate_.uniform();
    w_.doubles = 0.05 * fate_.uniform();
    w_.delays = 0.03 * fate_.uniform();
  }

  simulation_report run() {
    try {
      guarded([&] {
        scheduler_.start();
        for (int i = 0; i < 2; ++i)
          scheduler_.submit();
      });
      for (std::size_t n = 1; n < w_.nodes.size(); ++n)
        w_.later(n, 0.1 * fate_.uniform(), [this, n] { agents_[n - 1]->start(); });
      while (!is_done())
        go_on();
    } catch (const violated& found) {
      report_.violation = found.what;
      w_.note("VIOLATED " + found.what);
    }
    report_.trace_hash = w_.hash;
    report_.steps = w_.steps;
    report_.leases = books_.leases;
    report_.writings = books_.writings;
    report_.counted = books_.counted;
    report_.compilations = books_.compilations;
    report_.sessions = static_cast<std::uint32_t>(scheduler_.sessions());
    report_.scheduler_lives = static_cast<std::uint32_t>(w_.nodes[0].life);
    for (std::size_t n = 1; n < w_.nodes.size(); ++n)
      report_.agent_lives += static_cast<std::uint32_t>(w_.nodes[n].life);
    report_.simulated_s = w_.now_s;
    report_.trace = std::move(w_.trace);
    return std::move(report_);
  }

private:
  bool is_done() {
    if (!w_.nodes[0].up || !scheduler_.all_ended())
      return false;
    if (books_.leases >= options_.leases && report_.faults >= options_.faults) // and nobody says again what nobody waits for
      return std::all_of(agents_.begin(), agents_.end(), [](const auto& each) { return each->held() == 0; });
    guarded([&] { scheduler_.submit(); });
    return false;
  }

  void go_on() {
    while (report_.faults < due_.size() && books_.leases >= due_[report_.faults])
      inject();
    if (report_.faults >= due_.size() && w_.now_s > healed_at_s_ && w_.drops + w_.doubles + w_.delays > 0) {
      w_.drops = w_.doubles = w_.delays = 0;
      w_.note("healed");
      for (node& n : w_.nodes)
        n.dies_in = 0;
      for (auto& agent : agents_)
        agent->hangs_next = agent->lies_next = 0;
      quiet_since_s_ = w_.now_s;
    }
    bool more = true;
    guarded([&] { more = w_.step(); });
    if (!more || w_.steps > most_steps || (books_.leases >= options_.leases && quiet_since_s_ > 0 && w_.now_s > std::max(quiet_since_s_, submitted_at_s_) + ends_within_s) ||
        w_.now_s > 20 * ends_within_s)
      throw violated{"I10 liveness: work is left " + std::to_string(static_cast<int>(w_.now_s - quiet_since_s_)) + " s after the last fault was healed" + left()};
  }

  std::string left() const {
    std::string what = !w_.nodes[0].up ? "; the scheduler is down" : scheduler_.all_ended() ? "; all sessions ended" : "";
    for (const auto& agent : agents_)
      if (agent->held() > 0)
        what += "; " + agent->identity() + " holds " + agent->holds();
    return what;
  }

  template <class Action>
  void guarded(Action act) {
    try {
      act();
    } catch (const crashed& c) {
      crash(c.node);
    }
  }

  void crash(std::size_t n) {
    node& dead = w_.nodes[n];
    if (!dead.up)
      return;
    dead.up = false;
    dead.dies_in = 0;
    dead.paused_until = 0;
    if (n == 0) {
      const bool loses = fate_.chance(0.5);
      w_.note(loses ? "scheduler dies, what was not synced is lost" : "scheduler dies");
      scheduler_.die(loses);
    } else {
      w_.note(agents_[n - 1]->identity() + " dies");
    }
    w_.whatever(0.2 + 6 * fate_.uniform() * fate_.uniform(), [this, n] {
      w_.nodes[n].up = true;
      ++w_.nodes[n].life;
      n == 0 ? scheduler_.start() : agents_[n - 1]->start();
    });
  }

  void inject() {
    ++report_.faults;
    const std::size_t agent = 1 + fate_.below(options_.agents);
    const double lasts_s = (fate_.chance(0.4) ? 40 : 8) * fate_.uniform(); // longer than a lease's 15 s, or not
    switch (fate_.below(10)) {
    case 0:
      w_.note("fault: the scheduler is to die");
      w_.nodes[0].dies_in = 1 + static_cast<std::uint32_t>(fate_.below(40));
      break;
    case 1:
    case 2:
      w_.note("fault: agent " + std::to_string(agent) + " is to die");
      w_.nodes[agent].dies_in = 1 + static_cast<std::uint32_t>(fate_.below(6));
      break;
    case 3:
      w_.note("fault: agent " + std::to_string(agent) + " is cut off");
      w_.nodes[agent].cut_off_until = w_.now_s + lasts_s;
      break;
    case 4:
      w_.note("fault: agent " + std::to_string(agent) + " stands still");
      w_.nodes[agent].paused_until = w_.now_s + lasts_s;
      break;
    case 5:
      w_.note("fault: the scheduler stands still");
      w_.nodes[0].paused_until = w_.now_s + lasts_s / 2;
      break;
    case 6:
      w_.note("fault: the disk is full or slow");
      scheduler_.disk_stalls_until = w_.now_s + lasts_s / 2;
      break;
    case 7:
      w_.note("fault: a device of agent " + std::to_string(agent) + " hangs");
      ++agents_[agent - 1]->hangs_next;
      break;
    case 8:
      w_.note("fault: a device of agent " + std::to_string(agent) + " lies");
      ++agents_[agent - 1]->lies_next;
      break;
    default:
      w_.note("fault: the network drops, doubles and delays");
      w_.drops = std::min(0.3, w_.drops + 0.1);
      w_.doubles = std::min(0.3, w_.doubles + 0.1);
      w_.delays = std::min(0.3, w_.delays + 0.1);
      w_.whatever(lasts_s / 4, [this] {
        w_.drops /= 4;
        w_.doubles /= 2;
        w_.delays /= 2;
      });
    }
    healed_at_s_ = std::max(healed_at_s_, w_.now_s + lasts_s);
  }

  void to_scheduler(std::size_t from, const std::string& identity, message what) {
    w_.send(from, 0, [this, identity, what = std::move(what)] { scheduler_.hear(identity, what); });
  }

  bool to_agent(const std::string& identity, message what) {
    for (std::size_t n = 1; n <= agents_.size(); ++n)
      if (agents_[n - 1]->identity() == identity) {
        if (!w_.nodes[n].up)
          return false;
        w_.send(0, n, [this, n, identity, what = std::move(what)] { agents_[n - 1]->hear(identity, what); });
        return true;
      }
    return false;
  }

  const simulation_options options_;
  world w_;
  rng fate_;
  ledger books_;
  simulated_scheduler scheduler_;
  std::vector<std::unique_ptr<simulated_agent>> agents_;
  std::vector<std::uint64_t> due_; // leases granted when each fault comes
  double healed_at_s_ = 0, quiet_since_s_ = 0, submitted_at_s_ = 0;
  simulation_report report_;
};

} // namespace

std::string to_string(planted bug) {
  switch (bug) {
  case planted::none: return "none";
  case planted::acknowledges_early: return "acknowledges_early";
  case planted::counts_late: return "counts_late";
  case planted::reuses_incarnation: return "reuses_incarnation";
  case planted::ignores_deadlines: return "ignores_deadlines";
  case planted::shows_early: return "shows_early";
  case planted::loses_durable: return "loses_durable";
  case planted::pays_unreserved: return "pays_unreserved";
  case planted::forgets_written: return "forgets_written";
  }
  return "?";
}

simulation_report simulate(std::uint64_t seed, const simulation_options& options) { return cluster(seed, options).run(); }

} // namespace kevolve::simulation
