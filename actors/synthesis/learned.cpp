#include "actors/synthesis/learned.hpp"

#include "actors/synthesis/blocks.hpp"
#include "actors/synthesis/cost.hpp"
#include "protocol/codec.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace kevolve::synthesis {
namespace {

constexpr std::array verbs{"fuse", "keep", "split", "rows", "vectorize", "parallel", "accumulators", "unroll", "prefetch", "register_block",
                           "cache_block", "share", "together", "stream_stores", "approximate"};
constexpr std::array flags{"-funroll-loops", "-mprefer-vector-width=512", "-fno-tree-vectorize", "-O2"};

float log2_of(double x) { return static_cast<float>(std::log2(std::max(1e-3, x) + 1)); }

bool is_dear(op code) {
  switch (code) {
    case op::div: case op::sqrt: case op::rsqrt: case op::exp: case op::expm1: case op::log: case op::log1p: case op::tanh: case op::erf: case op::power: case op::sin: case op::cos: return true;
    default: return false;
  }
}

/// What kind of work the operator is, and how much.
std::vector<float> facts_of(const outlook& o) {
  double operations = 0, dear = 0, largest_reduction = 0, gathers = 0;
  bool product = false, scan = false;
  for (const auto& v : o.subject->values) {
    if (!v.body)
      continue;
    const double reduced = elements(o, v.over), times = elements(o, v.dims) * reduced;
    if (v.kind == value::kind_t::reduce)
      largest_reduction = std::max(largest_reduction, reduced);
    scan = scan || v.kind == value::kind_t::scan;
    walk(v.body, [&](const expr& e) {
      operations += e.code == op::load || e.code == op::number ? 0 : times;
      dear += is_dear(e.code) ? times : 0;
      gathers += e.looked_up.empty() ? 0 : 1;
    });
  }
  const auto how = make_plan(*o.subject, analytic_schedule(o), o.compiler);
  for (const auto& n : how.nests)
    product = product || is_contraction(*o.subject, n);
  const double bytes = traffic(o);
  return {static_cast<float>(product), static_cast<float>(scan), static_cast<float>(gathers > 0), log2_of(bytes), log2_of(operations / std::max(1.0, bytes)), log2_of(largest_reduction), static_cast<float>(dear / std::max(1.0, operations)),
          log2_of(static_cast<double>(how.nests.size())), log2_of(static_cast<double>(o.subject->values.size())), static_cast<float>(o.width),
          static_cast<float>(o.subject->output_types.empty() ? 4 : size_of(o.subject->output_types.front()))};
}

/// How one nest is tuned. The same numbers of the parent and of where the proposal leads.
std::vector<float> tuning_of(const plan& how, const nest* n) {
  if (n == nullptr)
    return std::vector<float>(16, 0);
  const auto b = n->blocked.value_or(blocking{});
  return {log2_of(static_cast<double>(how.nests.size())), static_cast<float>(n->width), log2_of(n->unroll), log2_of(n->accumulators), static_cast<float>(n->parallel), log2_of(static_cast<double>(n->grain)),
          log2_of(static_cast<double>(n->prefetch)), static_cast<float>(n->prefetch_rows), static_cast<float>(b.m), static_cast<float>(b.n), log2_of(static_cast<double>(b.mc)), log2_of(static_cast<double>(b.nc)),
          log2_of(static_cast<double>(b.kc)), static_cast<float>(b.direct), static_cast<float>(!how.streamed.empty()), static_cast<float>(how.teams.size())};
}
constexpr std::array tunings{"nests", "width", "unroll", "accumulators", "parallel", "grain", "prefetch", "prefetch_rows", "block_m", "block_n", "block_mc", "block_nc",
                             "block_kc", "direct", "streamed", "teams"};

const nest* find_nest(const plan& how, const std::string& name) {
  const auto same = std::find_if(how.nests.begin(), how.nests.end(), [&](const nest& n) { return n.name == name; });
  return same != how.nests.end() ? &*same : how.nests.empty() ? nullptr : &how.nests.front();
}

/// The loop or tensor that an edge is about: "unroll(out, factor=4)" -> "out".
std::string subject_of(const std::string& summary) {
  const auto open = summary.find('('), end = summary.find_first_of(",)", open == std::string::npos ? 0 : open);
  return open == std::string::npos || end == std::string::npos ? "" : summary.substr(open + 1, end - open - 1);
}

} // namespace

const std::vector<std::string>& proposal_features() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all{"operator.product", "operator.scan", "operator.gather", "operator.log_bytes", "operator.log_intensity", "operator.log_reduction", "operator.dear_share",
                                 "operator.log_nests", "operator.log_values", "target.vector_width", "operator.element_bytes",
                                 "parent.memory", "parent.compute", "parent.latency", "parent.roof", "parent.flags", "parent.approximate", "parent.skipped"};
    for (const auto* t : tunings)
      all.push_back(std::string("parent.") + t);
    for (const auto* t : tunings)
      all.push_back(std::string("change.") + t);
    all.insert(all.end(), {"nest.log_rows", "nest.log_inner", "nest.share", "edit.everywhere", "edit.no_effect", "edit.removal", "edit.cost_model"});
    for (const auto* v : verbs)
      all.push_back(std::string("edit.") + v);
    for (const auto* f : flags)
      all.push_back(std::string("edit.flag") + f);
    return all;
  }();
  return names;
}

proposal_view::proposal_view(const outlook& o) : o_(o), operator_(facts_of(o)) {}

std::vector<float> proposal_view::row(const attempt& parent, const schedule& to, const transformation& edge) {
  if (!parent_ || !(parent_->of == parent.printed_from)) {
    parent_.emplace(parent_plan{parent.printed_from, make_plan(*o_.subject, parent.printed_from, o_.compiler), 0});
    parent_->seconds = estimated_seconds(o_, parent_->how);
  }
  const plan& before = parent_->how;
  const plan after = make_plan(*o_.subject, to, o_.compiler);
  const auto subject = subject_of(edge.summary);
  const nest *from = find_nest(before, subject), *into = find_nest(after, subject);
  auto row = operator_;
  const auto bound_by = parent.diagnosed.limited_by;
  row.insert(row.end(), {static_cast<float>(bound_by == bound::memory), static_cast<float>(bound_by == bound::compute), static_cast<float>(bound_by == bound::latency),
                         static_cast<float>(parent.diagnosed.roofline_fraction), static_cast<float>(before.flags.size()), static_cast<float>(before.approximate.size()),
                         static_cast<float>(before.skipped.size())});
  const auto then = tuning_of(before, from), now = tuning_of(after, into);
  row.insert(row.end(), then.begin(), then.end());
  for (std::size_t i = 0; i < now.size(); ++i)
    row.push_back(now[i] - then[i]);
  double inner = 1, all_loops = 0, rows = 1;
  const auto loops_of = [&](const nest& n) {
    double sum = 0;
    for (const auto& ph : n.phases)
      sum += elements(o_, ph.loops);
    return sum * elements(o_, n.rows);
  };
  for (const auto& n : before.nests)
    all_loops += loops_of(n);
  if (from != nullptr) {
    rows = elements(o_, from->rows);
    inner = loops_of(*from) / std::max(1.0, rows);
  }
  const double seconds = estimated_seconds(o_, after);
  row.insert(row.end(), {log2_of(rows), log2_of(inner), static_cast<float>(from != nullptr && all_loops > 0 ? loops_of(*from) / all_loops : 0), static_cast<float>(subject == "*"),
                         static_cast<float>(after.skipped.size() > before.skipped.size()), static_cast<float>(to.steps.size() < parent.printed_from.steps.size()),
                         static_cast<float>(seconds > 0 && parent_->seconds > 0 ? std::clamp(std::log(parent_->seconds / seconds), -2.0, 2.0) : 0)});
  for (const auto* v : verbs)
    row.push_back(edge.kind == v);
  for (const auto* f : flags)
    row.push_back(edge.kind == "flag" && subject == f);
  return row;
}

std::string to_bytes(const learned_policy& p) { return encode(p); }

result<learned_policy> policy_from_bytes(const std::string& bytes) {
  KEVOLVE_TRY(p, decode<learned_policy>(bytes));
  if (p.version != learned_policy::current)
    return error{errc::damaged, "learned policy: found version " + std::to_string(p.version) + ", expected " + std::to_string(learned_policy::current)};
  if (!(p.temperature > 0))
    return error{errc::damaged, "learned policy: found temperature " + std::to_string(p.temperature) + ", expected a number above 0"};
  if (auto sound = check_trees(p.value, proposal_features().size()); !sound)
    return sound.error().in("learned policy");
  return p;
}

} // namespace kevolve::synthesis
