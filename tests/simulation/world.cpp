#include "tests/simulation/world.hpp"

#include <cstdio>

namespace kevolve::simulation {

void world::send(std::size_t from, std::size_t to, action arrive) {
  if (is_cut_off(from) || is_cut_off(to) || draw.chance(drops))
    return;
  for (int copies = draw.chance(doubles) ? 2 : 1; copies > 0; --copies) {
    const double delay_s = draw.chance(delays) ? longest_delay_s * draw.uniform() : 0.001 + 0.02 * draw.uniform();
    whatever(delay_s, [this, to, arrive] {
      if (nodes[to].up && !is_cut_off(to))
        later(to, 0, arrive); // a paused process finds it when it goes on
    });
  }
}

bool world::step() {
  if (queue_.empty())
    return false;
  due next = std::move(const_cast<due&>(queue_.top())); // popped at once; the order looks at numbers only
  queue_.pop();
  now_s = std::max(now_s, next.at_s);
  if (next.of != no_node) {
    const node& n = nodes[next.of];
    if (n.life != next.life || !n.up)
      return true;
    if (now_s < n.paused_until) {
      next.at_s = n.paused_until;
      queue_.push(std::move(next)); // keeps its number, so the order stays
      return true;
    }
  }
  ++steps;
  next.what();
  return true;
}

void world::note(std::string line) {
  char at[32];
  std::snprintf(at, sizeof at, "%11.4f  ", now_s);
  line.insert(0, at);
  for (const char c : line)
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  if (keeps_trace_)
    trace.push_back(std::move(line));
}

} // namespace kevolve::simulation
