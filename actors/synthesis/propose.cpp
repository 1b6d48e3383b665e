#include "actors/synthesis/propose.hpp"
#include "actors/synthesis/blocks.hpp"
#include "actors/synthesis/carried.hpp"
#include "actors/synthesis/fusion.hpp"
#include "actors/synthesis/learned.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

namespace kevolve::synthesis {

namespace {

bool uses(const program& p, op code) {
  bool found = false;
  for (const auto& v : p.values)
    if (v.body)
      walk(v.body, [&](const expr& e) { found = found || e.code == code; });
  return found;
}

/// Collects the moves of one neighbourhood.
class neighbours {
public:
  neighbours(const outlook& o, const schedule& from, const std::optional<attempt>& parent)
      : o_(o), p_(*o.subject), from_(from), how_(make_plan(*o.subject, from, o.compiler)) {
    limited_ = parent ? parent->diagnosed.limited_by : bound::unknown;
    if (parent && limited_ != bound::unknown) {
      char percent[16];
      std::snprintf(percent, sizeof percent, "%.0f", 100 * parent->diagnosed.roofline_fraction);
      because_ = "bound by " + std::string(to_string(limited_)) + " at " + percent + "% of the roof: ";
    }
  }

  std::vector<move> all() {
    basics();
    fusion_moves();
    for (const auto& n : how_.nests)
      nest_moves(n);
    team_moves();
    carry_moves();
    store_moves();
    function_moves();
    flag_moves();
    return std::move(moves_);
  }

private:
  const outlook& o_;
  const program& p_;
  const schedule& from_;
  plan how_;
  bound limited_;
  std::string because_;
  std::vector<move> moves_;

  double when(double memory, double compute, double latency) const {
    switch (limited_) {
      case bound::memory: return memory;
      case bound::compute: return compute;
      case bound::latency: return latency;
      default: return (memory + compute + latency) / 3;
    }
  }

  void add(schedule to, const std::string& verb, const std::string& summary, const std::string& why, double weight) {
    if (to == from_)
      return;
    moves_.push_back({std::move(to), {verb, summary, because_ + why}, weight});
  }
  void step(const std::string& verb, const std::string& subject, parameters p, const std::string& why, double weight) {
    const auto to = with(from_, verb, subject, p);
    add(to, verb, text_of({verb, subject, p}), why, weight);
  }

  void basics() {
    if (!has(from_, "fuse", "*"))
      step("fuse", "*", {}, "element-wise values that are stored and read again cost a trip to memory each", 8);
    if (!has(from_, "rows", "*"))
      step("rows", "*", {}, "a reduction and what follows it can share a row while it is in the cache", 6);
    if (!has(from_, "vectorize", "*"))
      step("vectorize", "*", {{"width", std::to_string(o_.width)}}, "the loops are scalar", 8);
    if (!has(from_, "parallel", "*"))
      step("parallel", "*", {}, "one thread works, the others wait", 8);
  }

  void fusion_moves() {
    for (std::size_t v = 0; v < p_.values.size(); ++v) {
      const auto& x = p_.values[v];
      if (x.kind == value::kind_t::input)
        continue;
      const bool stored = std::any_of(how_.nests.begin(), how_.nests.end(), [&](const nest& n) {
        return std::any_of(n.phases.begin(), n.phases.end(), [&](const phase& ph) {
          return std::any_of(ph.statements.begin(), ph.statements.end(), [&](const statement& st) { return st.value == static_cast<int>(v); });
        });
      });
      if (x.kind == value::kind_t::map && x.outputs.empty() && why_not_inline(p_, static_cast<int>(v)).empty()) {
        if (stored)
          step("fuse", x.name, {}, "recomputing " + x.name + " in its readers saves storing it", when(3, 1, 1));
        else if (readers(p_, static_cast<int>(v)) > 1 || expense(x.body) >= 4)
          step("keep", x.name, {}, "storing " + x.name + " saves recomputing it in each reader", when(1, 2, 2));
      }
      if (stored && has(from_, "rows", "*") && !has(from_, "split", x.name))
        step("split", x.name, {}, "a nest of its own gives " + x.name + " a loop order of its own", 0.3);
      if (has(from_, "split", x.name))
        add(without(from_, "split", x.name), "rows", "rows(" + x.name + ")", "sharing a row keeps it in the cache", when(3, 1, 1));
      if (has(from_, "keep", x.name))
        add(without(from_, "keep", x.name), "fuse", "recompute " + x.name, "recomputing " + x.name + " saves storing it", when(2, 0.7, 1));
    }
  }

  void number(const std::string& verb, const std::string& subject, const std::string& parameter_name, std::int64_t now, std::vector<std::int64_t> choices, const std::string& why,
              double weight) {
    for (const auto c : choices)
      if (c != now) {
        const double distance = std::abs(std::log2(static_cast<double>(c + 1) / static_cast<double>(now + 1)));
        step(verb, subject, {{parameter_name, std::to_string(c)}}, why, weight / (1 + distance));
      }
  }

  void nest_moves(const nest& n) {
    if (n.blocked || is_contraction(p_, n))
      block_moves(n);
    if (n.blocked)
      return;
    bool reduction = false;
    for (const auto& ph : n.phases)
      for (const auto& st : ph.statements)
        reduction = reduction || p_.values[static_cast<std::size_t>(st.value)].kind == value::kind_t::reduce;
    if (!n.vector_loop.empty()) {
      if (reduction)
        number("accumulators", n.name, "n", n.accumulators, {1, 2, 4, 8}, "independent partial sums hide the latency of the additions", when(1, 2.5, 3));
      number("unroll", n.name, "factor", n.unroll, sums_columns(p_, n) ? std::vector<std::int64_t>{1, 2, 4, 8, 16} : std::vector<std::int64_t>{1, 2, 4, 8}, "fewer loop instructions for each vector, more accesses in flight", when(2, 2, 2));
      number("prefetch", n.name, "bytes", n.prefetch, {0, 1024, 4096, 8192, 16384, 32768}, "asking for data before it is needed hides the memory's latency", when(2.5, 0.3, 1.5));
      if (!n.rows.empty() && n.prefetch_rows != 1)
        step("prefetch", n.name, {{"rows", "1"}}, "while a row is computed the next one can already arrive", when(3, 1, 2));
      if (o_.width >= 8)
        number("vectorize", n.name, "width", n.width, {o_.width, o_.width / 2}, "narrower vectors may run at a higher clock or fill up better", 0.6);
      if (!n.rows.empty()) {
        const auto& last = n.rows.back();
        if (last.var.single_name() != n.vector_loop)
          step("vectorize", last.name, {{"width", std::to_string(o_.width)}}, "vectors along the rows need no sums across lanes", when(0.5, 0.8, 1));
      }
    }
    if (n.parallel)
      number("parallel", n.name, "grain", n.grain, {0, 1, 4, 16, 64}, "other shares of the rows for each thread change how evenly they finish and what they read together", when(0.8, 0.6, 3));
  }

  void block_moves(const nest& n) {
    const auto [rows, columns] = shape_of(o_, n);
    const auto b = n.blocked.value_or(blocking{});
    for (const auto& shape : block_shapes(o_.width))
      if (shape.m != b.m || shape.n != b.n)
        step("register_block", n.name, block_parameters(o_, shape), "a block of " + std::to_string(shape.m) + " x " + std::to_string(shape.n) + " sums in registers reads each operand less often",
             (n.blocked ? when(1, 2.5, 1) : 8) * shape.efficiency / (waste(rows, shape.m) * waste(columns, shape.n)));
    if (const auto direct = direct_block(o_, n); direct.m > 0 && !b.direct) {
      auto chosen = block_parameters(o_, direct);
      chosen.emplace_back("direct", "1");
      step("register_block", n.name, chosen, "operands that are read where they lie need no packing", is_small_product(o_, n) ? 8 : 0.5);
    }
    if (!n.blocked || b.direct)
      return;
    const auto cache = [&](const std::string& which, std::int64_t now, std::vector<std::int64_t> choices, const std::string& why, double weight) {
      for (const auto c : choices)
        if (c != now) {
          parameters all;
          const auto put = [&](const std::string& name, std::int64_t x) {
            if (x > 0)
              all.emplace_back(name, std::to_string(x));
          };
          put("mc", which == "mc" ? c : b.mc);
          put("nc", which == "nc" ? c : b.nc);
          put("kc", which == "kc" ? c : b.kc);
          step("cache_block", n.name, all, why, weight);
        }
    };
    cache("kc", b.kc, {0, 192, 256, 384, 512}, "panels of this depth stay in the first cache", when(1.5, 1.5, 0.5));
    cache("mc", b.mc, {0, static_cast<std::int64_t>(b.m) * 4, static_cast<std::int64_t>(b.m) * 8, static_cast<std::int64_t>(b.m) * 16, static_cast<std::int64_t>(b.m) * 32},
          "a block of rows of this size stays in the second cache", when(1.5, 1.5, 0.5));
    cache("nc", b.nc, {0, b.n * 4L, b.n * 8L, b.n * 16L}, "smaller shares of columns spread more evenly over the threads", when(1, 1, 1.5));
    if (n.parallel)
      step("share", n.name, {{"among", b.share_rows ? "columns" : "rows"}}, "threads that share the other operand pack less of it twice", when(1, 1, 1));
    number("prefetch", n.name, "bytes", n.prefetch, {0, 512, 1024, 2048}, "the next rows of the panel arrive before they are needed", when(0.7, 0.5, 0.5));
  }

  void team_moves() {
    if (has(from_, "together", "*"))
      return add(without(from_, "together", "*"), "together", "nests apart", "each nest divides its own loops among the threads", when(0.5, 0.5, 2));
    if (how_.nests.size() > 1)
      step("together", "*", {}, "what passes from one nest to the next stays in the cache of the thread that computed it", when(5, 2, 2));
  }

  void carry_moves() {
    if (has(from_, "carry", "*"))
      return add(without(from_, "carry", "*"), "carry", "sums apart", "sums of columns in strips keep their sums in registers", when(0.5, 1, 1));
    auto carried = how_;
    if (has(from_, "rows", "*") && carry_sums(p_, carried, "*").empty())
      step("carry", "*", {}, "sums of columns can ride in the pass that goes through the same rows: everything is read once less", when(5, 1, 2));
  }

  void store_moves() {
    const bool large = traffic(o_) > stream_from_bytes / 4;
    if (has(from_, "stream_stores", "*"))
      add(without(from_, "stream_stores", "*"), "stream_stores", "plain stores", "the results may still be in the cache when they are read", when(1, 0.3, 1));
    else
      step("stream_stores", "*", {}, "storing past the cache saves reading each line before it is overwritten", when(large ? 4 : 0.5, 0.3, 0.3));
  }

  void function_moves() {
    if (may_approximate(o_, "exp")) {
      if (has(from_, "approximate", "exp"))
        add(without(from_, "approximate", "exp"), "approximate", "exact exp", "the shorter polynomial gained nothing", 0.2);
      else
        step("approximate", "exp", {}, "a shorter polynomial for exp is within the tolerance", when(1, 2.5, 1));
    }
  }

  void flag_moves() {
    for (const auto* flag : {"-funroll-loops", "-mprefer-vector-width=512", "-fno-tree-vectorize", "-O2"})
      if (!has(from_, "flag", flag))
        step("flag", flag, {}, "the compiler's own choices may be improved by it", 0.15);
  }
};

/// How much more (or less) often than others this transformation won in earlier sessions under the parent's bottleneck.
double credit(const move& m, const context& given) {
  constexpr double usual = 0.2;   // share of edges that win
  constexpr double doubt = 4;     // trials that a prior of the usual share is worth
  if (!given.skills || !given.parent)
    return 1;
  const auto transformation = transformation_of(m.edge.summary);
  for (const auto& s : *given.skills)
    if (s.under == given.parent->diagnosed.limited_by && s.transformation == transformation)
      return std::clamp((s.wins + usual * doubt) / (s.trials + doubt) / usual, 0.25, 4.0);
  return 1;
}

/// What this session's history says of a move: a factor.
double remembered(const move& m, const context& given) {
  double w = 1;
  for (const auto& s : given.siblings) {
    const bool lost = s.result != outcome::passed || s.gain < 0.99;
    if (s.edge.summary == m.edge.summary)
      w *= lost ? 0.1 : 0.5; // tried here already
    else if (s.edge.kind == m.edge.kind)
      w *= s.result != outcome::passed ? 0.4 : lost ? 0.75 : s.gain > 1.02 ? 1.4 : 1;
  }
  for (const auto& t : given.trajectory) {
    if (t.edge.kind != m.edge.kind)
      continue;
    w *= t.result == outcome::passed && t.gain > 1.02 ? 1.5 : t.gain < 0.98 ? 0.6 : 1;
  }
  return w;
}

/// A softmax over what the learned policy expects of each; its reasons say so.
void weigh_by_value(std::vector<move>& moves, const outlook& o, const context& given) {
  proposal_view view(o);
  std::vector<double> expected;
  for (const auto& m : moves)
    expected.push_back(given.learned->value.predict(view.row(*given.parent, m.to, m.edge)));
  const double best = expected.empty() ? 0 : *std::max_element(expected.begin(), expected.end());
  for (std::size_t i = 0; i < moves.size(); ++i) {
    char text[80];
    std::snprintf(text, sizeof text, " (the learned policy expects %.2fx)", std::exp(expected[i]));
    moves[i].edge.reason += text;
    moves[i].weight = std::exp((expected[i] - best) / given.learned->temperature);
  }
}

/// Sampling without replacement, in proportion to the weights (Efraimidis and Spirakis 2006).
void shuffle_by_weight(std::vector<move>& moves, rng& draw) {
  std::vector<std::pair<double, std::size_t>> keys;
  for (std::size_t i = 0; i < moves.size(); ++i)
    keys.emplace_back(-std::log(std::max(draw.uniform(), 1e-300)) / std::max(moves[i].weight, 1e-9), i);
  std::sort(keys.begin(), keys.end());
  std::vector<move> out;
  for (const auto& [key, i] : keys)
    out.push_back(std::move(moves[i]));
  moves = std::move(out);
}

/// Steps of both: where they disagree each is taken with even chance.
schedule crossed(const schedule& a, const schedule& b, rng& draw) {
  schedule out;
  for (const auto& s : a.steps) {
    const auto other = std::find_if(b.steps.begin(), b.steps.end(), [&](const schedule_step& t) { return t.verb == s.verb && t.subject == s.subject; });
    if (other != b.steps.end())
      out.steps.push_back(draw.chance(0.5) ? s : *other);
    else if (draw.chance(0.6))
      out.steps.push_back(s);
  }
  for (const auto& s : b.steps)
    if (!has(a, s.verb, s.subject) && draw.chance(0.6))
      out.steps.push_back(s);
  return out;
}

/// A random walk of single transformations from the analytic or the plain schedule.
schedule wandered(const outlook& o, rng& draw, int steps) {
  schedule s = draw.chance(0.7) ? analytic_schedule(o) : schedule{};
  for (int i = 0; i < steps; ++i) {
    auto moves = neighbourhood(o, s, std::nullopt);
    shuffle_by_weight(moves, draw);
    if (!moves.empty())
      s = moves[0].to;
  }
  return s;
}

} // namespace

bool may_approximate(const outlook& o, const std::string& function) {
  return function == "exp" && uses(*o.subject, op::exp) && o.tolerated.rtol >= 2e-5 && !o.tolerated.bitwise; // an error of 3e-6 must stay well inside the tolerance
}

std::vector<move> neighbourhood(const outlook& o, const schedule& from, const std::optional<attempt>& parent) { return neighbours(o, from, parent).all(); }

std::vector<move> ranked(const outlook& o, const context& given, rng& draw) {
  std::vector<move> first;
  const bool fresh = !given.parent || given.memory == memory_operator::clean_slate;
  const auto* parent = given.parent ? &*given.parent : nullptr;
  if (fresh || parent->printed_from.steps.empty() || parent->edge.kind == "root")
    first.push_back({analytic_schedule(o), {"analytic", to_string(analytic_schedule(o)), "a first schedule by rules of thumb: fuse, share rows, vectors, threads, blocks"}, 1});
  for (const auto& prior : given.priors)
    first.push_back({prior, {"prior", "a schedule that won on a like operator", "it gained elsewhere: " + strategy_of(prior)}, 1});
  if (parent != nullptr && given.second_parent)
    for (int i = 0; i < 4; ++i)
      first.push_back({crossed(parent->printed_from, given.second_parent->printed_from, draw), {"crossover", "steps of two schedules", "both passed; their gains may add up"}, 1});
  std::vector<move> rest;
  if (!fresh) {
    rest = neighbourhood(o, parent->printed_from, given.parent);
    if (given.learned)
      weigh_by_value(rest, o, given);
    for (auto& m : rest)
      m.weight *= remembered(m, given) * (given.learned ? 1 : credit(m, given));
    shuffle_by_weight(rest, draw);
  }
  first.insert(first.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
  return first;
}

std::vector<move> fresh_starts(const outlook& o, rng& draw) {
  std::vector<move> all;
  for (int i = 0; i < 12; ++i)
    all.push_back({wandered(o, draw, 1 + static_cast<int>(draw.below(5))), {"fresh start", "a random legal schedule", "the neighbourhood is known; somewhere else may be better"}, 1});
  return all;
}

} // namespace kevolve::synthesis
