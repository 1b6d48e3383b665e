#include "actors/synthesis/cost.hpp"
#include "actors/synthesis/blocks.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace kevolve::synthesis {

namespace {

constexpr double cycles_per_s = 2.5e9;
constexpr double operations_per_cycle = 2;    // vector or scalar, of one core
constexpr double threads = 4;                 // a usual slot; only ratios matter
constexpr double chain_cycles = 4;            // latency of an addition
constexpr double near_bytes = 1e6, near_rate = 60e9; // per core: what stays in the second cache
constexpr double far_rate = 12e9;             // one core's share of the memory
constexpr double far_gain = 2;                // of all threads over one
constexpr double start_s = 4e-6;              // a parallel region
constexpr double gather_penalty = 8;          // of a load whose lanes lie apart

double weight_of(op code) {
  switch (code) {
    case op::number: case op::position: case op::to_real: case op::to_boolean: case op::to_integer: return 0;
    case op::div: return 4;
    case op::sqrt: case op::rsqrt: return 6;
    case op::exp: case op::expm1: return 12;
    case op::log: case op::log1p: return 16;
    case op::tanh: case op::erf: return 24;
    case op::sin: case op::cos: case op::power: return 60;
    case op::lower_bound: case op::upper_bound: return 100;
    default: return 1;
  }
}

/// What one evaluation of an expression costs, in operations of the loop's width.
double operations_of(const expr_ref& body, const std::string& vector_loop) {
  double sum = 0;
  walk(body, [&](const expr& e) {
    if (e.code != op::load) {
      sum += weight_of(e.code);
      return;
    }
    const bool varies = !vector_loop.empty() && !e.at.empty() && e.at[0].depends_on(vector_loop);
    const auto step = varies ? e.at[0].coefficient(vector_loop) : std::nullopt;
    const bool apart = varies && !(step && step->is(1));
    sum += (apart ? gather_penalty : 0.7) + (e.guards.empty() ? 0 : 1.5);
  });
  return sum;
}

class pricing {
public:
  pricing(const outlook& o, const plan& how) : o_(o), how_(how) {}

  double total() const {
    double seconds = 0;
    for (const auto& n : how_.nests)
      seconds += of(n);
    return seconds;
  }

private:
  const outlook& o_;
  const plan& how_;

  double product(const std::vector<dimension>& dims) const { return elements(o_, dims); }
  double bytes_of(int value) const {
    const auto& v = o_.subject->values[static_cast<std::size_t>(value)];
    return product(v.dims) * static_cast<double>(size_of(v.type));
  }

  double of(const nest& n) const {
    const double rows = product(n.rows) * (n.team < 0 ? 1 : product({how_.teams[static_cast<std::size_t>(n.team)].loop}));
    double cycles = 0;
    std::map<int, double> moved; // bytes by value, in this nest
    for (const auto& ph : n.phases) {
      const double inner = product(ph.loops);
      double row_bytes = 0;
      std::set<int> touched;
      for (const auto& st : ph.statements) {
        cycles += cycles_of(n, ph, st, rows * inner);
        for (const int v : loads_of(st.body))
          touched.insert(v);
        touched.insert(st.value);
      }
      for (const int v : touched)
        if (stored(v))
          row_bytes += std::min(bytes_of(v), inner * 8);
      // A row that outgrows the near cache is fetched again by each phase.
      for (const int v : touched)
        if (stored(v)) {
          const double once = bytes_of(v) * write_factor(v, n);
          double& sum = moved[v];
          sum = row_bytes > near_bytes ? sum + once : std::max(sum, once);
        }
    }
    double bytes = 0;
    const double steps = n.recurrence < 0 ? 1 : static_cast<double>(o_.estimate(o_.subject->recurrences[static_cast<std::size_t>(n.recurrence)].steps));
    for (const auto& [v, b] : moved)
      bytes += moves_by_step(n, v) ? b / steps : b;
    const bool spread = n.team >= 0 || how_.divided.contains(n.recurrence) || (n.parallel && (rows > 1 || n.split_reduction || n.blocked));
    const double rate = bytes < near_bytes ? near_rate * (spread ? threads : 1) : far_rate * (spread ? far_gain : 1) * prefetch_gain(n);
    double sums_s = 0; // of threads' own rows of sums: zeroed, and added in the end
    for (const auto& ph : n.phases)
      for (const auto& st : ph.statements)
        sums_s += st.carried ? 3 * bytes_of(st.value) / near_rate + start_s / 4 : 0;
    const double compute_s = cycles / cycles_per_s / (spread ? std::min(threads, std::max(1.0, rows)) : 1);
    const double memory_s = bytes / rate;
    return steps * (std::max(compute_s, memory_s) + 0.3 * std::min(compute_s, memory_s)) + sums_s + (spread ? start_s : 0);
  }

  /// A step of the loop around the nest touches its own part of the value.
  bool moves_by_step(const nest& n, int value) const {
    if (n.recurrence < 0)
      return false;
    const auto step = o_.subject->recurrences[static_cast<std::size_t>(n.recurrence)].step.single_name();
    bool moves = false;
    for (const auto& ph : n.phases)
      for (const auto& st : ph.statements) {
        moves = moves || (st.value == value && st.target.depends_on(step));
        walk(st.body, [&](const expr& e) { moves = moves || (e.code == op::load && e.value == value && !e.at.empty() && e.at[0].depends_on(step)); });
      }
    return moves;
  }

  bool stored(int value) const {
    const auto where = how_.stored[static_cast<std::size_t>(value)];
    return where == storage::input || where == storage::output || where == storage::workspace;
  }

  /// A line that is written is read first, unless it is streamed; then nobody finds it in a cache.
  double write_factor(int value, const nest& n) const {
    const bool written = std::any_of(n.phases.begin(), n.phases.end(), [&](const phase& ph) {
      return std::any_of(ph.statements.begin(), ph.statements.end(), [&](const statement& st) { return st.value == value; });
    });
    if (!written)
      return 1;
    if (how_.streamed.contains(value))
      return bytes_of(value) < 4 * near_bytes ? 3 : 1;
    return 2;
  }

  static double prefetch_gain(const nest& n) { return n.prefetch_rows > 0 ? 1.15 : n.prefetch > 0 ? 1.05 : 1; }

  double cycles_of(const nest& n, const phase& ph, const statement& st, double iterations) const {
    const auto& v = o_.subject->values[static_cast<std::size_t>(st.value)];
    const bool along_rows = !n.rows.empty() && n.rows.back().var.single_name() == n.vector_loop;
    bool in_vectors = along_rows;
    for (const auto& l : ph.loops)
      in_vectors = in_vectors || (l.var.single_name() == n.vector_loop && !n.vector_loop.empty());
    const double lanes = in_vectors && n.width > 1 ? n.width : 1;
    double operations = operations_of(st.body, in_vectors ? n.vector_loop : "");
    if (n.blocked) {
      const double sums = static_cast<double>(n.blocked->m) * n.blocked->n / std::max(1, n.width);
      const double loads = n.blocked->m + n.blocked->n / std::max(1.0, static_cast<double>(n.width));
      operations = std::max(1.0, loads / std::max(1.0, sums) * 2) + (sums < 8 ? 8 / std::max(1.0, sums) : 0); // short chains of few sums
    }
    if (st.carried)
      operations += 1.4; // its sum is loaded and stored
    double cycles = iterations * operations / lanes / operations_per_cycle;
    const bool reduced = v.kind == value::kind_t::reduce && ph.loops.size() > st.spatial;
    if (reduced && !n.blocked && !along_rows) {
      const double chains = lanes * std::max(1, n.accumulators);
      cycles = std::max(cycles, iterations * chain_cycles / chains);
    }
    cycles += iterations / lanes / std::max(1, n.unroll) * 0.5; // the loop itself
    return cycles;
  }
};

} // namespace

double estimated_seconds(const outlook& o, const plan& how) { return pricing(o, how).total(); }

} // namespace kevolve::synthesis
