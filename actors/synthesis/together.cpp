#include "actors/synthesis/together.hpp"

#include <algorithm>
#include <map>
#include <optional>

namespace kevolve::synthesis {
namespace {

/// Where iteration `loop` of a loop begins in a tensor, as a multiple of it; empty where the access leaves that part or does not walk evenly.
std::optional<index> share_of(const index& offset, const std::string& loop) {
  const auto stride = offset.coefficient(loop);
  if (!stride || stride->is(0))
    return std::nullopt;
  return offset.substitute({{loop, index(0)}}).within(*stride) ? stride : std::nullopt;
}

/// The nest with an outermost loop of this extent, where it has one or its own is that many times something; else nothing.
std::optional<nest> with_outermost(const nest& n, const index& extent) {
  if (n.rows.empty() || n.rows[0].extent == extent)
    return n.rows.empty() ? std::nullopt : std::optional(n);
  const auto whole = n.rows[0];
  const index rest = floor_div(whole.extent, extent);
  const auto name = whole.var.single_name();
  if (!(rest * extent == whole.extent) || n.vector_loop == name)
    return std::nullopt;
  const dimension outer{index::loop(name + "_outer", extent), extent, whole.name}, inner{index::loop(name, rest), rest, whole.name};
  nest split = n;
  split.rows[0] = inner;
  split.rows.insert(split.rows.begin(), outer);
  const std::map<std::string, index> names{{name, outer.var * rest + inner.var}};
  for (auto& ph : split.phases)
    for (auto& st : ph.statements) {
      st.body = substitute(st.body, names);
      st.target = st.target.substitute(names);
    }
  return split;
}

/// Steps follow each other. Loops that data bound name the outermost loop in their bounds; sums that are carried along end with all their rows; a product that asks whether a whole tensor is finite asks once, not each iteration.
bool stays_alone(const nest& n) {
  const auto product = n.blocked ? loops_of_product(n) : std::nullopt;
  return n.recurrence >= 0 || (product && !product->finite.empty()) || std::any_of(n.phases.begin(), n.phases.end(), [](const phase& ph) {
           return !ph.bounds.empty() || std::any_of(ph.statements.begin(), ph.statements.end(), [](const statement& st) { return st.carried; });
         });
}

/// What a run of nests computes, and how much of each value belongs to one iteration of the loop around.
class run_of_nests {
public:
  run_of_nests(const plan& how, index extent) : how_(&how), extent_(std::move(extent)) {}

  /// May this nest go on the run? Takes it up if so.
  bool take(const nest& next) {
    if (stays_alone(next))
      return false;
    const auto found = with_outermost(next, extent_);
    if (!found || next.team >= 0 || !next.parallel || next.grain > 0 || found->rows[0].var.single_name() == next.vector_loop)
      return false;
    const nest& n = *found;
    const auto loop = n.rows[0].var.single_name();
    std::map<int, index> made;
    for (const auto& ph : n.phases)
      for (const auto& st : ph.statements) {
        const auto where = how_->stored[static_cast<std::size_t>(st.value)];
        bool good = true;
        walk(st.body, [&](const expr& e) {
          if (e.code != op::load || !shares_.contains(e.value))
            return;
          const auto share = e.at.size() == 1 && e.looked_up.empty() ? share_of(e.at[0], loop) : std::nullopt;
          good = good && share && *share == shares_.at(e.value);
        });
        if (!good)
          return false;
        if (where != storage::workspace && where != storage::output)
          continue;
        const auto share = share_of(st.target, loop);
        if (!share)
          return false;
        made.emplace(st.value, *share);
      }
    shares_.insert(made.begin(), made.end());
    nests_.push_back(n);
    return true;
  }

  [[nodiscard]] const std::vector<nest>& nests() const { return nests_; }
  [[nodiscard]] const std::map<int, index>& shares() const { return shares_; }

private:
  const plan* how_;
  index extent_; // of the loop around
  std::vector<nest> nests_;
  std::map<int, index> shares_; // elements of each value that one iteration computes
};

bool reads(const nest& n, int value) {
  for (const auto& ph : n.phases)
    for (const auto& st : ph.statements) {
      const auto all = loads_of(st.body);
      if (std::find(all.begin(), all.end(), value) != all.end())
        return true;
    }
  return false;
}

/// One of them reads what an earlier one computed.
bool hands_on(const run_of_nests& run) {
  return std::any_of(run.nests().begin(), run.nests().end(), [&](const nest& n) {
    return std::any_of(run.shares().begin(), run.shares().end(), [&](const auto& share) { return reads(n, share.first); });
  });
}

run_of_nests longest_run(const plan& how, std::size_t first) {
  run_of_nests best(how, index(0));
  for (std::size_t like = first; like < std::min(first + 2, how.nests.size()); ++like) { // the next one's loop may be the outer part of this one's
    if (how.nests[like].rows.empty())
      continue;
    run_of_nests run(how, how.nests[like].rows[0].extent);
    for (std::size_t n = first; n < how.nests.size() && run.take(how.nests[n]); ++n) {
    }
    if (run.nests().size() > best.nests().size())
      best = std::move(run);
  }
  return best;
}

/// Loads of these values are within their iteration's buffer now.
expr_ref from_buffers(const expr_ref& e, const std::map<int, index>& buffers, const std::string& loop) {
  expr x = *e;
  for (auto& a : x.args)
    a = from_buffers(a, buffers, loop);
  for (auto& a : x.looked_up)
    a = from_buffers(a, buffers, loop);
  if (x.code == op::load && buffers.contains(x.value))
    for (auto& i : x.at)
      i = i.substitute({{loop, index(0)}});
  return std::make_shared<const expr>(std::move(x));
}

void join(plan& out, std::size_t first, const run_of_nests& run) {
  const std::size_t last = first + run.nests().size();
  std::copy(run.nests().begin(), run.nests().end(), out.nests.begin() + static_cast<std::ptrdiff_t>(first));
  team t{out.nests[first].rows[0], {}};
  for (const auto& [value, share] : run.shares()) {
    bool elsewhere = out.stored[static_cast<std::size_t>(value)] != storage::workspace;
    for (std::size_t n = 0; n < out.nests.size(); ++n)
      elsewhere = elsewhere || ((n < first || n >= last) && reads(out.nests[n], value));
    if (!elsewhere) {
      t.buffers.emplace(value, share);
      out.stored[static_cast<std::size_t>(value)] = storage::iteration_buffer;
    }
  }
  const auto around = t.loop.var;
  for (std::size_t n = first; n < last; ++n) {
    auto& one = out.nests[n];
    const auto own = one.rows[0].var.single_name();
    const std::map<std::string, index> names{{own, around}};
    for (auto& ph : one.phases)
      for (auto& st : ph.statements) {
        st.body = substitute(from_buffers(st.body, t.buffers, own), names);
        st.target = t.buffers.contains(st.value) ? st.target.substitute({{own, index(0)}}) : st.target.substitute(names);
      }
    one.rows.erase(one.rows.begin());
    if (one.rows.empty())
      one.prefetch_rows = 0; // its one row is the team's iteration
    one.parallel = false;
    one.team = static_cast<int>(out.teams.size());
  }
  out.teams.push_back(std::move(t));
}

} // namespace

std::string put_together(plan& out, const std::string& subject) {
  bool any = false;
  for (std::size_t first = 0; first < out.nests.size();) {
    const auto run = longest_run(out, first);
    const bool named = subject == "*" || std::any_of(run.nests().begin(), run.nests().end(), [&](const nest& n) { return n.name == subject; });
    const bool good = run.nests().size() >= 2 && named && hands_on(run);
    if (good)
      join(out, first, run);
    any = any || good;
    first += good ? run.nests().size() : 1;
  }
  return any ? "" : "no nests in a row that share their outermost loop and pass on what one iteration of it computes";
}

} // namespace kevolve::synthesis
