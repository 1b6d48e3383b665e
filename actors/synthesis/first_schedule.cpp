// The first schedules of a session: the root, and the compound one by rules of thumb.
#include "actors/synthesis/blocks.hpp"
#include "actors/synthesis/carried.hpp"
#include "actors/synthesis/fusion.hpp"
#include "actors/synthesis/propose.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::synthesis {

std::int64_t outlook::estimate(const index& i) const {
  return i.estimate([&](const std::string& name) -> std::int64_t {
    for (std::size_t a = 0; a < subject->axis_values.size(); ++a)
      if (subject->axis_values[a].first == name)
        return axis_values[a];
    return 1;
  });
}

outlook look_at(const program& p, const problem& subject, const target& on, const std::string& compiler) {
  outlook o;
  o.subject = &p;
  o.compiler = compiler;
  o.tolerated = subject.op.tolerated;
  o.width = on.architecture == "x86-64-v3" ? 8 : on.architecture == "x86-64" || on.architecture == "x86-64-v2" ? 4 : 16;
  for (std::size_t a = 0; a < p.axis_values.size(); ++a) {
    double logs = 0;
    int n = 0;
    for (const auto& w : subject.workloads)
      if (const auto bound = find_axis(w.axes, subject.op.axes[a].name); bound && *bound > 0) {
        logs += std::log(static_cast<double>(*bound));
        ++n;
      }
    const auto constant = p.axis_values[a].second.constant();
    o.axis_values.push_back(constant ? *constant : n > 0 ? static_cast<std::int64_t>(std::exp(logs / n) + 0.5) : 256);
  }
  return o;
}

namespace {

constexpr double prefetch_from_bytes = 1e6;  // below this the next row is in the second cache already

bool any_reduction(const program& p) {
  return std::any_of(p.values.begin(), p.values.end(), [](const value& v) { return v.kind == value::kind_t::reduce; });
}

/// Vectors end where lines of the cache do, row after row: a line that is streamed in two parts costs a read of the memory.
bool fills_lines(const nest& n) {
  const auto whole = [&](const dimension& d) {
    const auto extent = d.extent.constant();
    return d.var.single_name() != n.vector_loop || !extent || *extent % 16 == 0 || *extent >= 1024;
  };
  bool all = std::all_of(n.rows.begin(), n.rows.end(), whole);
  for (const auto& ph : n.phases)
    all = all && std::all_of(ph.loops.begin(), ph.loops.end(), whole);
  return all;
}

/// Each team has work for all threads several times over, and its buffers lie in the second cache.
bool fits_together(const outlook& o, const plan& how) {
  constexpr double least_iterations = 8, near_bytes = 1e6;
  for (const auto& t : how.teams) {
    double bytes = 0;
    for (const auto& [value, count] : t.buffers)
      bytes += static_cast<double>(o.estimate(count)) * static_cast<double>(size_of(o.subject->values[static_cast<std::size_t>(value)].type));
    if (bytes > near_bytes || static_cast<double>(o.estimate(t.loop.extent)) < least_iterations)
      return false;
  }
  return std::any_of(how.teams.begin(), how.teams.end(), [](const team& t) { return !t.buffers.empty(); });
}

/// Sums of columns can ride along with rows, and the sums of each thread stay in its first cache.
bool saves_a_pass(const outlook& o, plan how) {
  constexpr double near_bytes = 16e3;
  if (!carry_sums(*o.subject, how, "*").empty())
    return false;
  double bytes = 0;
  for (const auto& n : how.nests)
    for (const auto& ph : n.phases)
      for (const auto& st : ph.statements)
        bytes += st.carried ? elements(o, ph.loops) * static_cast<double>(size_of(o.subject->values[static_cast<std::size_t>(st.value)].type)) : 0;
  return bytes <= near_bytes;
}

/// How far ahead a nest asks for its data, as it was measured on the operators that ship. Who goes through a row more than once has time to fetch the next one; a row that is
/// soon over is not far enough ahead. Empty: the hardware does as well.
parameters prefetch_for(const outlook& o, const nest& n) {
  constexpr double far_bytes = 16384, row_element = 4;
  const bool along_rows = !n.rows.empty() && n.rows.back().var.single_name() == n.vector_loop;
  double row = 0;
  std::size_t passes = 0;
  bool busy = false; // scans, or sums of columns that ride along: more work between two reads
  for (const auto& ph : n.phases) {
    passes += ph.loops.empty() ? 0 : 1;
    row = std::max(row, elements(o, ph.loops) * row_element);
    busy = busy || !ph.scanned.empty() || std::any_of(ph.statements.begin(), ph.statements.end(), [](const statement& st) { return st.carried; });
  }
  if (along_rows && (passes > 0 || crosses_rows(n))) // windows, sums of columns, transpositions
    return {};
  if (passes <= 1 && !busy)
    return {{"bytes", "8192"}};
  return !busy && row < far_bytes ? parameters{{"bytes", "16384"}} : parameters{{"rows", "1"}};
}

schedule with_prefetch(const outlook& o, schedule s) {
  const auto nests = make_plan(*o.subject, s, o.compiler).nests;
  std::vector<parameters> all;
  for (const auto& n : nests)
    all.push_back(prefetch_for(o, n));
  if (!all.empty() && !all.front().empty() && std::all_of(all.begin(), all.end(), [&](const parameters& each) { return each == all.front(); }))
    return with(std::move(s), "prefetch", "*", all.front());
  for (std::size_t i = 0; i < nests.size(); ++i)
    if (!all[i].empty())
      s = with(std::move(s), "prefetch", nests[i].name, all[i]);
  return s;
}

} // namespace

schedule plain_schedule(const outlook& o) {
  constexpr double patience = 1e8; // multiplications; a tenth of a second at the least
  double most = 0;
  for (const auto& v : o.subject->values)
    if (rereads(v))
      most = std::max(most, elements(o, v.dims) * elements(o, v.over));
  if (most <= patience)
    return {};
  return with(with({}, "vectorize", "*", {{"width", std::to_string(o.width)}}), "parallel", "*");
}

schedule analytic_schedule(const outlook& o) {
  const auto& p = *o.subject;
  schedule s = with(with({}, "fuse", "*"), "rows", "*");
  for (std::size_t v = 0; v < p.values.size(); ++v) {
    const auto& x = p.values[v];
    if (x.kind == value::kind_t::map && x.outputs.empty() && expense(x.body) >= 4 && readers(p, static_cast<int>(v)) > 1 && why_not_inline(p, static_cast<int>(v)).empty())
      s = with(s, "keep", x.name);
  }
  if (traffic(o) > prefetch_from_bytes && saves_a_pass(o, make_plan(p, s, o.compiler)))
    s = with(s, "carry", "*");
  s = with(s, "vectorize", "*", {{"width", std::to_string(o.width)}});
  if (any_reduction(p))
    s = with(s, "accumulators", "*", {{"n", "4"}});
  s = with(s, "parallel", "*");
  bool blocked = false;
  bool lines = true;
  bool crossed = false; // copies would read more lines at once than a set of the first cache holds
  std::vector<std::string> wide; // strips of columns that fill more of a row at once
  for (const auto& n : make_plan(p, s, o.compiler).nests) {
    crossed = crossed || (crosses_rows(n) && crossing_reads(p, n).empty());
    if (sums_columns(p, n) && static_cast<double>(o.estimate(n.rows.back().extent)) >= 32.0 * o.width)
      wide.push_back(n.name);
    lines = lines && fills_lines(n);
    if (is_contraction(p, n)) {
      const auto b = best_block(o, n);
      const auto [rows, columns] = shape_of(o, n);
      if (b.m == 0 || columns < o.width / 2.0 || rows < 2)
        continue;
      auto chosen = block_parameters(o, b);
      if (const auto direct = direct_block(o, n); direct.m > 0 && is_small_product(o, n)) {
        chosen = block_parameters(o, direct);
        chosen.emplace_back("direct", "1");
      }
      s = with(s, "register_block", n.name, chosen);
      blocked = true;
    }
  }
  if (blocked && fits_together(o, make_plan(p, with(s, "together", "*"), o.compiler)))
    s = with(s, "together", "*");
  if (!blocked && !crossed)
    s = with(s, "unroll", "*", {{"factor", "4"}});
  for (const auto& name : wide)
    s = with(s, "unroll", name, {{"factor", "8"}});
  if (!blocked && traffic(o) > prefetch_from_bytes)
    s = with_prefetch(o, std::move(s));
  if (!blocked && lines && traffic(o) > stream_from_bytes)
    s = with(s, "stream_stores", "*");
  return that_apply(o, std::move(s));
}

schedule that_apply(const outlook& o, schedule s) {
  const auto skipped = make_plan(*o.subject, s, o.compiler).skipped;
  std::erase_if(s.steps, [&](const schedule_step& step) {
    return std::any_of(skipped.begin(), skipped.end(), [&](const std::string& why) { return why.rfind(text_of(step) + ":", 0) == 0; });
  });
  return s;
}

} // namespace kevolve::synthesis
