#include "actors/synthesis/plan.hpp"
#include "actors/synthesis/bounded.hpp"
#include "actors/synthesis/carried.hpp"
#include "actors/synthesis/emit.hpp"
#include "actors/synthesis/fusion.hpp"
#include "actors/synthesis/lower.hpp"
#include "actors/synthesis/schedule_edit.hpp"
#include "actors/synthesis/together.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace kevolve::synthesis {

std::string parameter(const schedule_step& s, const std::string& name, const std::string& otherwise) {
  for (const auto& [n, v] : s.parameters)
    if (n == name)
      return v;
  return otherwise;
}

std::int64_t integer_parameter(const schedule_step& s, const std::string& name, std::int64_t otherwise) {
  const auto text = parameter(s, name);
  return text.empty() ? otherwise : std::strtoll(text.c_str(), nullptr, 10);
}

namespace {

/// The nests that a step's subject names: "*", a nest or value by name, or (loops) those that have a loop of that name.
std::vector<nest*> subjects(plan& out, const program& p, const schedule_step& s) {
  std::vector<nest*> found;
  for (auto& n : out.nests) {
    bool named = s.subject == "*" || s.subject == n.name;
    for (const auto& r : n.rows)
      named = named || r.name == s.subject;
    for (const auto& ph : n.phases) {
      for (const auto& st : ph.statements)
        named = named || p.values[static_cast<std::size_t>(st.value)].name == s.subject;
      for (const auto& l : ph.loops)
        named = named || l.name == s.subject;
    }
    if (named)
      found.push_back(&n);
  }
  return found;
}

/// The variable of the loop called `name` in this nest; an inner loop before a row loop of the same name.
std::string loop_called(const nest& n, const std::string& name) {
  for (const auto& ph : n.phases)
    for (const auto& l : ph.loops)
      if (l.name == name && l.var == ph.loops.back().var)
        return l.var.single_name();
  if (!n.rows.empty() && n.rows.back().name == name)
    return n.rows.back().var.single_name();
  return "";
}

bool reduces(const program& p, const nest& n) {
  for (const auto& ph : n.phases)
    for (const auto& st : ph.statements)
      if (p.values[static_cast<std::size_t>(st.value)].kind == value::kind_t::reduce)
        return true;
  return false;
}

using applied = std::string; // why it did not apply; empty: it did

applied apply_vectorize(const program& p, plan& out, const schedule_step& s) {
  const auto width = integer_parameter(s, "width", 16);
  if (width != 2 && width != 4 && width != 8 && width != 16 && width != 32)
    return "width must be 2, 4, 8, 16 or 32";
  bool any = false;
  for (auto* n : subjects(out, p, s)) {
    auto loop = loop_called(*n, s.subject);
    if (loop.empty())
      loop = contiguous_loop(p, out, *n);
    if (loop.empty())
      continue;
    const bool over_rows = !n->rows.empty() && n->rows.back().var.single_name() == loop;
    bool buffered = false;
    for (const auto& ph : n->phases)
      for (const auto& st : ph.statements)
        buffered = buffered || out.stored[static_cast<std::size_t>(st.value)] == storage::row_buffer;
    if (over_rows && buffered) // a buffer holds one row
      continue;
    n->vector_loop = loop;
    n->width = static_cast<int>(width);
    any = true;
  }
  return any ? "" : "no loop with neighbours side by side in memory";
}

applied apply_parallel(const program& p, plan& out, const schedule_step& s) {
  bool any = false;
  for (auto* n : subjects(out, p, s)) {
    if (n->recurrence >= 0) {
      const bool all = std::all_of(out.nests.begin(), out.nests.end(), [&](const nest& other) { return other.recurrence != n->recurrence || other.apart; });
      if (all)
        out.divided.insert(n->recurrence);
      any = any || all;
      continue;
    }
    if (n->rows.empty() && !(n->phases.size() == 1 && reduces(p, *n)))
      continue;
    n->parallel = true;
    n->grain = integer_parameter(s, "grain", 0);
    any = true;
  }
  return any ? "" : "no loop whose iterations are independent";
}

template <class F>
applied on_each(const program& p, plan& out, const schedule_step& s, F&& f) {
  bool any = false;
  for (auto* n : subjects(out, p, s))
    any = f(*n) || any;
  return any ? "" : "nothing of that name";
}

applied apply_register_block(const program& p, plan& out, const schedule_step& s) {
  const auto m = integer_parameter(s, "m", 0);
  const auto n = integer_parameter(s, "n", 0);
  const auto width = integer_parameter(s, "width", 16);
  if (m < 1 || n < width || n % width != 0 || m * (n / width) > 30)
    return "needs m >= 1, n a multiple of the vector width, and at most 30 accumulators";
  bool any = false;
  for (auto* each : subjects(out, p, s)) {
    if (!is_contraction(p, *each))
      continue;
    each->blocked = blocking{};
    each->blocked->m = static_cast<int>(m);
    each->blocked->n = static_cast<int>(n);
    if (parameter(s, "direct") == "1") {
      const auto loops = loops_of_product(*each);
      if (!loops || !fits_directly(*loops, m, n)) {
        each->blocked.reset();
        continue;
      }
      each->blocked->direct = true;
    }
    each->width = static_cast<int>(width);
    any = true;
  }
  return any ? "" : "no product summed over a shared loop";
}

applied apply_blocked(const program& p, plan& out, const schedule_step& s) {
  bool any = false;
  for (auto* each : subjects(out, p, s)) {
    if (!each->blocked)
      continue;
    any = true;
    auto& b = *each->blocked;
    if (s.verb == "cache_block") {
      b.mc = std::max<std::int64_t>(0, integer_parameter(s, "mc", b.mc));
      b.nc = std::max<std::int64_t>(0, integer_parameter(s, "nc", b.nc));
      b.kc = std::max<std::int64_t>(0, integer_parameter(s, "kc", b.kc));
    } else {
      b.share_rows = parameter(s, "among", "columns") == "rows";
    }
  }
  return any ? "" : "needs register_block first";
}

applied apply_stream(const program& p, plan& out, const schedule_step& s) {
  bool any = false;
  for (std::size_t v = 0; v < p.values.size(); ++v)
    if ((s.subject == "*" || p.values[v].name == s.subject) && out.stored[v] == storage::output) {
      out.streamed.insert(static_cast<int>(v));
      any = true;
    }
  return any ? "" : "no output of that name";
}

applied apply_step(const program& p, plan& out, const schedule_step& s) {
  if (s.verb == "vectorize")
    return apply_vectorize(p, out, s);
  if (s.verb == "parallel")
    return apply_parallel(p, out, s);
  if (s.verb == "register_block")
    return apply_register_block(p, out, s);
  if (s.verb == "cache_block" || s.verb == "share")
    return apply_blocked(p, out, s);
  if (s.verb == "stream_stores")
    return apply_stream(p, out, s);
  if (s.verb == "unroll")
    return on_each(p, out, s, [&](nest& n) {
      n.unroll = static_cast<int>(std::clamp<std::int64_t>(integer_parameter(s, "factor", 2), 1, 16));
      return true;
    });
  if (s.verb == "accumulators")
    return on_each(p, out, s, [&](nest& n) {
      if (!reduces(p, n))
        return false;
      n.accumulators = static_cast<int>(std::clamp<std::int64_t>(integer_parameter(s, "n", 4), 1, 16));
      return true;
    });
  if (s.verb == "prefetch")
    return on_each(p, out, s, [&](nest& n) {
      n.prefetch_rows = std::clamp<std::int64_t>(integer_parameter(s, "rows", 0), 0, 16);
      n.prefetch = std::clamp<std::int64_t>(integer_parameter(s, "bytes", n.prefetch_rows > 0 ? 0 : 1024), 0, 1 << 20);
      if (n.prefetch_rows > 0 && (n.rows.empty() || n.rows.back().var.single_name() == n.vector_loop))
        n.prefetch_rows = 0; // the next row is not somewhere else
      return !n.vector_loop.empty() && (n.prefetch_rows > 0 || parameter(s, "rows").empty());
    });
  if (s.verb == "approximate") {
    out.approximate.insert(s.subject);
    return "";
  }
  if (s.verb == "compiler") {
    if (s.subject != "g++" && s.subject != "clang++")
      return "knows g++ and clang++";
    out.compiler = s.subject;
    return "";
  }
  if (s.verb == "flag") {
    out.flags.push_back(s.subject);
    return "";
  }
  return "unknown verb";
}

} // namespace

plan make_plan(const program& p, const schedule& s, const std::string& default_compiler) {
  plan out;
  out.compiler = default_compiler;
  fusion f = fuse(p, s);
  out.nests = std::move(f.nests);
  for (auto& n : out.nests)
    bound_loops(p, n);
  out.stored = std::move(f.stored);
  out.skipped = std::move(f.skipped);
  out.taken = std::move(f.taken);
  std::vector<schedule_step> steps;
  std::copy_if(s.steps.begin(), s.steps.end(), std::back_inserter(steps), [](const schedule_step& step) { return !is_fusion_verb(step.verb); });
  std::stable_partition(steps.begin(), steps.end(), [](const schedule_step& step) { return step.verb == "carry"; });    // before anything is said of the nests
  std::stable_partition(steps.begin(), steps.end(), [](const schedule_step& step) { return step.verb != "together"; }); // of nests as they are in the end
  for (const auto& step : steps) {
    const auto why = step.verb == "together" ? put_together(out, step.subject) : step.verb == "carry" ? carry_sums(p, out, step.subject) : apply_step(p, out, step);
    if (why.empty())
      out.taken.push_back(text_of(step));
    else
      out.skipped.push_back(text_of(step) + ": " + why);
  }
  return out;
}

namespace {

/// The factors of a product; `finite`: values of which every element must be finite for these to give the same sum.
struct factors {
  expr_ref a, b;
  std::set<int> finite;
};

bool reads_along(const index& address, const index& guard) {
  std::vector<std::string> names;
  guard.names(names);
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) { return address.depends_on(name); });
}

/// A guard that both factors have stays with the one whose address moves with it: where that one is 0 for being outside, so is the product
/// with any finite number. The other factor depends on fewer loops then (a transposed convolution is a product after all).
/// Only where the shared loops appear in no division: they are joined to one, and C divides the negative numbers that this brings towards zero.
factors factors_of(const phase& ph) {
  const expr_ref& product = ph.statements[0].body;
  factors f{product->args[0], product->args[1], {}};
  const auto even = [&](const index& i) {
    return std::all_of(ph.loops.begin(), ph.loops.end(), [&](const dimension& d) { return i.coefficient(d.var.single_name()).has_value(); });
  };
  const auto relieve = [&](expr_ref& of, const expr_ref& other) {
    if (of->code != op::load || other->code != op::load || of->at.size() != 1 || other->at.size() != 1 || !of->looked_up.empty())
      return;
    auto lighter = *of;
    std::erase_if(lighter.guards, [&](const index& g) {
      const bool shared = std::find(other->guards.begin(), other->guards.end(), g) != other->guards.end();
      return shared && even(g) && even(other->at[0]) && !reads_along(of->at[0], g) && reads_along(other->at[0], g);
    });
    if (lighter.guards.size() == of->guards.size())
      return;
    f.finite.insert(of->value);
    of = std::make_shared<const expr>(std::move(lighter));
  };
  relieve(f.a, f.b);
  relieve(f.b, f.a);
  return f;
}

} // namespace

bool is_contraction(const program& p, const nest& n) {
  if (n.phases.empty() || n.phases[0].statements.size() != 1 || n.phases[0].statements[0].spatial != 0)
    return false;
  for (std::size_t i = 1; i < n.phases.size(); ++i)
    if (!n.phases[i].loops.empty())
      return false;
  const auto& st = n.phases[0].statements[0];
  const auto& v = p.values[static_cast<std::size_t>(st.value)];
  if (v.kind != value::kind_t::reduce || v.combine != combiner::sum || st.body->code != op::mul || n.phases[0].loops.empty() || v.type != dtype::float32)
    return false;
  const auto f = factors_of(n.phases[0]);
  for (const int each : f.finite)
    if (p.values[static_cast<std::size_t>(each)].type != dtype::float32)
      return false;
  bool a_only = false;
  bool b_only = false;
  for (const auto& r : n.rows) {
    const bool in_a = depends_on(f.a, r.var.single_name());
    const bool in_b = depends_on(f.b, r.var.single_name());
    a_only = a_only || (in_a && !in_b);
    b_only = b_only || (in_b && !in_a);
  }
  return a_only && b_only;
}

bool crosses_rows(const nest& n) {
  if (n.rows.size() < 2)
    return false;
  const auto outer = n.rows[n.rows.size() - 2].var.single_name();
  const auto last = n.rows.back().var.single_name();
  bool crosses = false;
  for (const auto& ph : n.phases) {
    if (!ph.loops.empty())
      return false;
    for (const auto& st : ph.statements)
      walk(st.body, [&](const expr& e) {
        if (e.code != op::load || e.at.empty())
          return;
        const auto a = e.at[0].coefficient(outer);
        const auto b = e.at[0].coefficient(last);
        crosses = crosses || (a && a->is(1) && b && !b->is(0) && !b->is(1));
      });
  }
  return crosses;
}

std::vector<crossing_read> crossing_reads(const program& p, const nest& n) {
  if (!crosses_rows(n))
    return {};
  const auto outer = n.rows[n.rows.size() - 2].var.single_name();
  const auto last = n.rows.back().var.single_name();
  std::map<std::string, crossing_read> found;
  for (const auto& ph : n.phases)
    for (const auto& st : ph.statements)
      walk(st.body, [&](const expr& e) {
        if (e.code != op::load || e.at.empty() || !e.guards.empty() || !e.looked_up.empty())
          return;
        const auto& v = p.values[static_cast<std::size_t>(e.value)];
        const auto a = e.at[0].coefficient(outer), b = e.at[0].coefficient(last);
        if (v.type == dtype::float32 && a && a->is(1) && b && !b->is(0) && !b->is(1))
          found.try_emplace(v.name + " " + e.at[0].text(), crossing_read{e.value, e.at[0]});
      });
  std::vector<crossing_read> all;
  for (auto& [key, read] : found)
    all.push_back(std::move(read));
  return all;
}

bool sums_columns(const program& p, const nest& n) {
  return !n.blocked && !n.rows.empty() && n.rows.back().var.single_name() == n.vector_loop && n.phases.size() == 1 && !n.phases[0].loops.empty() &&
         std::all_of(n.phases[0].statements.begin(), n.phases[0].statements.end(), [&](const statement& st) {
           const auto& v = p.values[static_cast<std::size_t>(st.value)];
           return v.kind == value::kind_t::reduce && st.spatial == 0 &&
                  (v.combine == combiner::sum || v.combine == combiner::maximum || v.combine == combiner::minimum || v.combine == combiner::product);
         });
}

namespace {

/// Loops taken as one move every read of e by a fixed step.
bool join_affinely(const expr_ref& e, const std::vector<dimension>& loops) {
  bool ok = true;
  walk(e, [&](const expr& x) {
    for (const auto* all : {&x.at, &x.guards})
      for (const auto& i : *all)
        for (std::size_t l = 0; l + 1 < loops.size(); ++l) {
          const auto outer = i.coefficient(loops[l].var.single_name()), inner = i.coefficient(loops[l + 1].var.single_name());
          ok = ok && outer && inner && *outer == *inner * loops[l + 1].extent;
        }
  });
  return ok;
}

} // namespace

std::optional<product_loops> loops_of_product(const nest& n) {
  if (n.phases.empty() || n.phases[0].statements.size() != 1 || n.phases[0].statements[0].body->code != op::mul || n.rows.empty())
    return std::nullopt;
  auto f = factors_of(n.phases[0]);
  product_loops p{std::move(f.a), std::move(f.b), {}, {}, {}, std::move(f.finite)};
  const auto in = [](const expr_ref& e, const dimension& d) { return depends_on(e, d.var.single_name()); };
  if (!in(p.b, n.rows.back()))
    std::swap(p.a, p.b);
  if (in(p.a, n.rows.back()) || !in(p.b, n.rows.back()))
    return std::nullopt;
  for (const auto& r : n.rows) {
    if (!in(p.a, r) && !in(p.b, r))
      return std::nullopt;
    (in(p.a, r) && in(p.b, r) ? p.batch : in(p.a, r) ? p.rows : p.columns).push_back(r);
  }
  if (p.columns.size() > 1 && !join_affinely(p.b, p.columns)) {
    p.batch.insert(p.batch.end(), p.columns.begin(), p.columns.end() - 1);
    p.columns.erase(p.columns.begin(), p.columns.end() - 1);
  }
  return p;
}

bool fits_directly(const product_loops& loops, std::int64_t m, std::int64_t n) {
  index rows(1), columns(1);
  for (const auto& d : loops.rows)
    rows = rows * d.extent;
  for (const auto& d : loops.columns)
    columns = columns * d.extent;
  if (!rows.constant() || !columns.constant() || *rows.constant() % m != 0 || *columns.constant() % n != 0 || loops.columns.size() != 1)
    return false;
  bool near = true;
  walk(loops.b, [&](const expr& x) {
    for (const auto& i : x.at) {
      const auto c = i.coefficient(loops.columns.back().var.single_name());
      near = near && c && (c->is(0) || c->is(1));
    }
  });
  return near;
}

std::string contiguous_loop(const program& p, const plan& whole, const nest& n) {
  const bool crossed = crosses_rows(n);
  std::map<std::string, int> votes;
  std::vector<std::string> candidates;
  for (const auto& ph : n.phases)
    if (!ph.loops.empty())
      candidates.push_back(ph.loops.back().var.single_name());
  if (!n.rows.empty())
    candidates.push_back(n.rows.back().var.single_name());
  for (const auto& c : candidates) {
    if (votes.contains(c))
      continue;
    const bool over_rows = !n.rows.empty() && n.rows.back().var.single_name() == c;
    const bool possible = std::all_of(n.phases.begin(), n.phases.end(), [&](const phase& ph) {
      const bool has = std::any_of(ph.loops.begin(), ph.loops.end(), [&](const dimension& l) { return l.var.single_name() == c; });
      const bool located = std::any_of(ph.statements.begin(), ph.statements.end(), [&](const statement& st) {
        const auto combine = p.values[static_cast<std::size_t>(st.value)].combine;
        return combine == combiner::argmax || combine == combiner::argmin; // these compare vectors first, in a way of their own
      });
      return !(has || over_rows) || located || can_vectorize(p, whole, ph, c);
    });
    if (!possible) {
      votes[c] = 0;
      continue;
    }
    int vote = 0;
    const auto look = [&](const index& offset, int weight) {
      const auto k = offset.coefficient(c);
      // Half of each line is used, by two loads and a shuffle; or all of it, by a tile of rows.
      const auto near = k && (k->is(2) || (weight == 1 && crossed && c == n.rows.back().var.single_name()));
      vote += k && k->is(1) ? weight : (k && k->is(0)) || near ? 0 : -4 * weight;
    };
    for (const auto& ph : n.phases)
      for (const auto& st : ph.statements) {
        const int weight = 1 + static_cast<int>(ph.loops.size());
        walk(st.body, [&](const expr& e) {
          if (e.code == op::load && !e.at.empty())
            look(e.at[0], weight);
        });
        if (st.spatial == ph.loops.size())
          look(st.target, weight);
        else if (!n.rows.empty() && n.rows.back().var.single_name() == c)
          look(st.target, 1);
        const auto& v = p.values[static_cast<std::size_t>(st.value)];
        const bool located = v.combine == combiner::argmax || v.combine == combiner::argmin;
        const bool along = !ph.loops.empty() && ph.loops.back().var.single_name() == c; // the search compares vectors first
        if ((located && !along) || v.combine == combiner::any || v.combine == combiner::all || (ph.scanned == c && !scans_by_vectors(p, ph)))
          vote -= 100;
      }
    for (const auto& ph : n.phases)
      for (const auto& l : ph.loops)
        if (const auto extent = l.extent.constant(); l.var.single_name() == c && extent && *extent < 4)
          vote -= 100; // it never fills a vector
    votes[c] = vote;
  }
  std::string best;
  for (const auto& c : candidates)
    if (votes[c] > 0 && (best.empty() || votes[c] > votes[best]))
      best = c;
  return best;
}

} // namespace kevolve::synthesis
