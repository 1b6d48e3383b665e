#include "actors/synthesis/analogy.hpp"

#include "actors/synthesis/blocks.hpp"
#include "actors/synthesis/fusion.hpp"
#include "actors/synthesis/lower.hpp"
#include "actors/synthesis/propose.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace kevolve::synthesis {
namespace {

constexpr double other_kind = 4; // how far apart nests are that do different kinds of work

/// What decides how a nest is best tuned, its tuning apart.
struct traits {
  std::array<bool, 6> kind{}; // product, transposition, sums of columns, reduction, scan, gather
  double log_rows = 0, log_inner = 0, log_bytes = 0, phases = 0, reads = 0, expense = 0;
  double work = 0;            // iterations
};

traits traits_of(const outlook& o, const nest& n) {
  const auto& p = *o.subject;
  traits t;
  bool reduces = false, scans = false, gathers = false;
  double inner = 0, operations = 0;
  std::set<int> touched, read;
  for (const auto& ph : n.phases) {
    const double times = elements(o, ph.loops);
    inner += times;
    scans = scans || !ph.scanned.empty();
    for (const auto& st : ph.statements) {
      const auto& v = p.values[static_cast<std::size_t>(st.value)];
      reduces = reduces || v.kind == value::kind_t::reduce;
      operations += times * expense(st.body);
      touched.insert(st.value);
      walk(st.body, [&](const expr& e) {
        if (e.code != op::load)
          return;
        read.insert(e.value);
        gathers = gathers || !e.looked_up.empty();
      });
    }
  }
  touched.insert(read.begin(), read.end());
  double bytes = 0;
  for (const int v : touched)
    bytes += elements(o, p.values[static_cast<std::size_t>(v)].dims) * static_cast<double>(size_of(p.values[static_cast<std::size_t>(v)].type));
  const double rows = elements(o, n.rows);
  t.kind = {is_contraction(p, n), crosses_rows(n), sums_columns(p, n), reduces, scans, gathers};
  t.log_rows = std::log2(std::max(1.0, rows));
  t.log_inner = std::log2(std::max(1.0, inner));
  t.log_bytes = std::log2(std::max(1.0, bytes));
  t.phases = static_cast<double>(n.phases.size());
  t.reads = static_cast<double>(read.size());
  t.expense = operations / std::max(1.0, inner);
  t.work = rows * inner;
  return t;
}

double unlikeness(const traits& a, const traits& b) {
  double apart = 0;
  for (std::size_t i = 0; i < a.kind.size(); ++i)
    apart += a.kind[i] != b.kind[i] ? other_kind : 0;
  return apart + 0.1 * std::abs(a.log_rows - b.log_rows) + 0.15 * std::abs(a.log_inner - b.log_inner) + 0.2 * std::abs(a.log_bytes - b.log_bytes) + 0.4 * std::abs(a.phases - b.phases) +
         0.2 * std::abs(a.reads - b.reads) + 0.1 * std::abs(a.expense - b.expense);
}

bool reduces(const outlook& o, const nest& n) { return traits_of(o, n).kind[3]; }

std::string text(std::int64_t number) { return std::to_string(number); }

/// The tuning of `as`, said of `n`.
schedule tuned(schedule s, const outlook& o, const nest& n, const nest& as) {
  if (n.blocked && as.blocked) {
    const auto shapes = block_shapes(o.width);
    const auto same = std::find_if(shapes.begin(), shapes.end(), [&](const block_shape& b) { return b.m == as.blocked->m && b.n == as.blocked->n; });
    if (same == shapes.end() || as.blocked->direct != n.blocked->direct || n.blocked->direct) // what is read where it lies has to fit this operator's own extents
      return s;
    s = with(s, "register_block", n.name, block_parameters(o, *same));
    parameters caches;
    for (const auto& [name, size] : {std::pair{"mc", as.blocked->mc}, {"nc", as.blocked->nc}, {"kc", as.blocked->kc}})
      if (size > 0)
        caches.emplace_back(name, text(size));
    if (!caches.empty())
      s = with(s, "cache_block", n.name, caches);
    if (as.blocked->share_rows)
      s = with(s, "share", n.name, {{"among", "rows"}});
  } else {
    if (as.width > 0 && as.width < o.width && !n.vector_loop.empty())
      s = with(s, "vectorize", n.name, {{"width", text(as.width)}});
    s = with(s, "unroll", n.name, {{"factor", text(as.unroll)}});
    if (reduces(o, n))
      s = with(s, "accumulators", n.name, {{"n", text(as.accumulators)}});
    if (as.prefetch_rows > 0)
      s = with(s, "prefetch", n.name, {{"rows", text(as.prefetch_rows)}});
  }
  if (as.prefetch > 0)
    s = with(s, "prefetch", n.name, {{"bytes", text(as.prefetch)}});
  if (as.parallel && as.grain > 0)
    s = with(s, "parallel", n.name, {{"grain", text(as.grain)}});
  return s;
}

const nest& most_alike(const outlook& o, const nest& n, const outlook& other, const plan& won, double& apart) {
  const auto mine = traits_of(o, n);
  const nest* best = nullptr;
  apart = std::numeric_limits<double>::infinity();
  for (const auto& each : won.nests)
    if (const double d = unlikeness(mine, traits_of(other, each)); d < apart) {
      apart = d;
      best = &each;
    }
  return *best;
}

/// What is said of the operator as a whole.
schedule as_a_whole(schedule s, const outlook& o, const outlook& other, const schedule& won) {
  const bool both_stream = traffic(o) > stream_from_bytes && traffic(other) > stream_from_bytes;
  if (both_stream)
    s = has(won, "stream_stores", "*") ? with(s, "stream_stores", "*") : without(s, "stream_stores", "*");
  const bool several = make_plan(*o.subject, s, o.compiler).nests.size() > 1 && make_plan(*other.subject, without(won, "together", "*"), other.compiler).nests.size() > 1;
  if (several)
    s = has(won, "together", "*") ? with(s, "together", "*") : without(s, "together", "*");
  for (const auto& step : won.steps)
    if (step.verb == "flag" || step.verb == "compiler" || (step.verb == "approximate" && may_approximate(o, step.subject)))
      s = with(s, step.verb, step.subject, step.parameters);
  return s;
}

} // namespace

result<analogy> adapt(const problem& to, const problem& from, const schedule& won, const target& on, const std::string& compiler) {
  KEVOLVE_TRY(mine, lower(to.op));
  KEVOLVE_TRY(its, lower(from.op));
  const auto o = look_at(mine, to, on, compiler), other = look_at(its, from, on, compiler);
  const auto won_plan = make_plan(its, won, compiler);
  analogy out{as_a_whole(analytic_schedule(o), o, other, won), 0};
  double work = 0;
  const auto plain = make_plan(mine, out.how, compiler);
  if (plain.nests.empty() || won_plan.nests.empty())
    return out;
  std::erase_if(out.how.steps, [&](const schedule_step& step) { return step.verb == "unroll" || step.verb == "accumulators" || step.verb == "prefetch"; });
  for (const auto& n : plain.nests) {
    double apart = 0;
    const auto& as = most_alike(o, n, other, won_plan, apart);
    const double weight = traits_of(o, n).work;
    out.unlikeness += weight * apart;
    work += weight;
    out.how = tuned(std::move(out.how), o, n, apart < other_kind ? as : n); // nothing like it: as the rules of thumb have it
  }
  out.unlikeness /= std::max(1.0, work);
  out.how = that_apply(o, std::move(out.how));
  return out;
}

} // namespace kevolve::synthesis
