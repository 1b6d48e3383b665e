// The simulated machine room: one clock, one queue of what is due, a network and processes that crash, all drawn from one seed. Node 0 is the
// scheduler, 1.. are agents. A process's own events die with its life; a paused one's wait; a message meets whoever lives when it arrives.
// One thread; equal seed, equal trace (`hash` covers every line).
#pragma once

#include "protocol/message.hpp"
#include "protocol/rng.hpp"

#include <functional>
#include <queue>
#include <string>
#include <vector>

namespace kevolve::simulation {

/// Thrown at an effect boundary of a process that is to die there; caught by the loop.
struct crashed { std::size_t node = 0; };
/// Thrown by a check.
struct violated { std::string what; };

struct node {
  std::uint64_t life = 1;
  bool up = true;
  double paused_until = 0;
  double cut_off_until = 0;       // from the network
  std::uint32_t dies_in = 0;      // effects until it crashes; 0: it does not
};

class world {
public:
  world(std::uint64_t seed, std::size_t nodes, bool keeps_trace) : draw(seed, 0, "world"), nodes(nodes), keeps_trace_(keeps_trace) {}

  using action = std::function<void()>;
  /// Of the life that asks.
  void later(std::size_t of, double delay_s, action what) { push(of, nodes[of].life, delay_s, std::move(what)); }
  /// Of nobody's life: the world's own (faults, messages under way, restarts).
  void whatever(double delay_s, action what) { push(no_node, 0, delay_s, std::move(what)); }
  /// Drops, doubles, delays; `arrive` runs if the receiver lives then.
  void send(std::size_t from, std::size_t to, action arrive);
  /// Runs the next event; false: nothing is due.
  bool step();
  /// Between two effects of `of`.
  void boundary(std::size_t of) {
    if (nodes[of].dies_in > 0 && --nodes[of].dies_in == 0)
      throw crashed{of};
  }
  void note(std::string line);
  [[nodiscard]] bool is_cut_off(std::size_t n) const { return now_s < nodes[n].cut_off_until; }

  rng draw;
  double now_s = 0;
  std::vector<node> nodes;
  double drops = 0, doubles = 0, delays = 0; // odds of each message; a delayed one takes up to `longest_delay_s`
  double longest_delay_s = 8;
  std::uint64_t hash = 14695981039346656037ull;
  std::uint64_t steps = 0;
  std::vector<std::string> trace;

private:
  static constexpr std::size_t no_node = ~std::size_t{0};
  struct due {
    double at_s;
    std::uint64_t sequence;
    std::size_t of;
    std::uint64_t life;
    action what;
    bool operator<(const due& other) const { return std::pair(other.at_s, other.sequence) < std::pair(at_s, sequence); }
  };
  void push(std::size_t of, std::uint64_t life, double delay_s, action what) {
    queue_.push({now_s + delay_s, ++sequence_, of, life, std::move(what)});
  }

  bool keeps_trace_;
  std::uint64_t sequence_ = 0;
  std::priority_queue<due> queue_;
};

} // namespace kevolve::simulation
