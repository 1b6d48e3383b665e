#include "actors/synthesis/carried.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace kevolve::synthesis {
namespace {

const value& value_of(const program& p, const statement& st) { return p.values[static_cast<std::size_t>(st.value)]; }

bool alike(const std::vector<dimension>& a, const std::vector<dimension>& b) {
  return !a.empty() && a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const dimension& x, const dimension& y) { return x.extent == y.extent; });
}

std::vector<index> variables(const std::vector<dimension>& loops) {
  std::vector<index> all;
  for (const auto& l : loops)
    all.push_back(l.var);
  return all;
}

/// Nothing but sums over its one phase's loops, each row of it an element of the sums as they lie in memory.
bool only_sums_columns(const program& p, const nest& n) {
  return n.recurrence < 0 && !n.rows.empty() && n.phases.size() == 1 && !n.phases[0].loops.empty() && n.phases[0].bounds.empty() && n.phases[0].scanned.empty() &&
         std::all_of(n.phases[0].statements.begin(), n.phases[0].statements.end(), [&](const statement& st) {
           const auto& v = value_of(p, st);
           return !st.carried && v.kind == value::kind_t::reduce && v.combine == combiner::sum && v.type != dtype::boolean && st.spatial == 0 && st.target == offset_of(n.rows, variables(n.rows));
         });
}

/// What a nest computes: where, and in which phase.
struct made {
  index at;
  std::size_t phase;
  bool local; // one number of the row
};

std::map<int, made> made_by(const nest& n) {
  std::map<int, made> all;
  for (std::size_t ph = 0; ph < n.phases.size(); ++ph)
    for (const auto& st : n.phases[ph].statements)
      all.emplace(st.value, made{st.target, st.carried ? n.phases.size() : ph, st.spatial == 0});
  return all;
}

/// The expression inside the pass that computes `here`: numbers of the row are at hand. Nothing where it reads something that is not there yet at `phase`.
expr_ref at_hand(const expr_ref& e, const std::map<int, made>& here, std::size_t phase, bool& good) {
  expr x = *e;
  for (auto& a : x.args)
    a = at_hand(a, here, phase, good);
  for (auto& a : x.looked_up)
    a = at_hand(a, here, phase, good);
  if (const auto found = x.code == op::load || x.code == op::lower_bound || x.code == op::upper_bound ? here.find(x.value) : here.end(); found != here.end()) {
    const auto& [at, made_in, local] = found->second;
    good = good && x.code == op::load && x.guards.empty() && x.looked_up.empty() && x.at.size() == 1 && x.at[0] == at && (local ? made_in < phase : made_in <= phase);
    if (local)
      x.at.clear();
  }
  return std::make_shared<const expr>(std::move(x));
}

bool reads(const nest& n, int value, bool from_memory = false) {
  bool found = false;
  for (const auto& ph : n.phases)
    for (const auto& st : ph.statements)
      walk(st.body, [&](const expr& e) { found = found || (e.value == value && (!from_memory || !e.at.empty())); });
  return found;
}

/// An element-wise nest with one loop over what the sums take as rows of columns, in their loops.
std::optional<nest> with_columns_inside(const program& p, const nest& n, const nest& sums) {
  if (n.rows.size() != 1 || n.phases.size() != 1 || !n.phases[0].loops.empty() || !n.phases[0].bounds.empty())
    return std::nullopt;
  auto all = sums.phases[0].loops;
  all.insert(all.end(), sums.rows.begin(), sums.rows.end());
  index elements(1);
  for (const auto& l : all)
    elements = elements * l.extent;
  if (!(elements == n.rows[0].extent))
    return std::nullopt;
  const std::map<std::string, index> names{{n.rows[0].var.single_name(), offset_of(all, variables(all))}};
  nest split = n;
  split.rows = sums.phases[0].loops;
  auto& inside = split.phases[0];
  inside.loops = sums.rows;
  for (auto& st : inside.statements) {
    bool good = value_of(p, st).kind == value::kind_t::map;
    walk(st.body, [&](const expr& e) { good = good && (e.code != op::load || !e.at.empty()); }); // none reads another as a number of the row
    if (!good)
      return std::nullopt;
    st.body = substitute(st.body, names);
    st.target = st.target.substitute(names);
    st.spatial = inside.loops.size();
  }
  return split;
}

/// The sums inside the pass of `into`: its phases with them; nothing where they cannot be there.
std::optional<nest> with_sums(const nest& into, const nest& sums) {
  if (into.recurrence >= 0 || into.blocked || !alike(into.rows, sums.phases[0].loops))
    return std::nullopt;
  const auto here = made_by(into);
  for (std::size_t ph = into.phases.size(); ph-- > 0;) {
    const auto& pass = into.phases[ph];
    if (!alike(pass.loops, sums.rows) || !pass.bounds.empty() || !pass.scanned.empty())
      continue;
    std::map<std::string, index> names;
    for (std::size_t l = 0; l < pass.loops.size(); ++l)
      names[sums.rows[l].var.single_name()] = pass.loops[l].var;
    for (std::size_t r = 0; r < into.rows.size(); ++r)
      names[sums.phases[0].loops[r].var.single_name()] = into.rows[r].var;
    nest joined = into;
    bool good = true;
    for (statement st : sums.phases[0].statements) {
      st.body = at_hand(substitute(st.body, names), here, ph, good);
      st.target = st.target.substitute(names);
      st.spatial = pass.loops.size();
      st.carried = true;
      joined.phases[ph].statements.push_back(std::move(st));
    }
    if (good)
      return joined;
  }
  return std::nullopt;
}

std::string place_in(const workspace_buffer& r) { return r.name + "_at"; }
std::string loop_over(const workspace_buffer& r) { return "for (i64 " + place_in(r) + " = 0; " + place_in(r) + " < " + r.elements + "; ++" + place_in(r) + ")"; }

} // namespace

std::string carry_sums(const program& p, plan& out, const std::string& subject) {
  bool any = false;
  for (std::size_t s = 1; s < out.nests.size(); ++s) {
    const auto& sums = out.nests[s];
    const bool named = subject == "*" || sums.name == subject ||
                       std::any_of(sums.phases.begin(), sums.phases.end(), [&](const phase& ph) {
                         return std::any_of(ph.statements.begin(), ph.statements.end(), [&](const statement& st) { return value_of(p, st).name == subject; });
                       });
    if (!named || !only_sums_columns(p, sums))
      continue;
    for (std::size_t into = s; into-- > 0;) {
      bool between = false; // somebody in between computes what is summed
      for (std::size_t n = into + 1; n < s; ++n)
        for (const auto& [value, unused] : made_by(out.nests[n]))
          between = between || reads(sums, value);
      if (between)
        break;
      const auto inside = with_columns_inside(p, out.nests[into], sums);
      auto joined = with_sums(inside ? *inside : out.nests[into], sums);
      if (!joined)
        continue;
      out.nests[into] = std::move(*joined);
      out.nests.erase(out.nests.begin() + static_cast<std::ptrdiff_t>(s));
      for (const auto& [value, at] : made_by(out.nests[into])) // numbers of a row that nobody else reads stay in the row
        if (at.local && out.stored[static_cast<std::size_t>(value)] == storage::workspace &&
            std::none_of(out.nests.begin(), out.nests.end(), [&, v = value](const nest& n) { return reads(n, v, true); }))
          out.stored[static_cast<std::size_t>(value)] = storage::row_scalar;
      any = true;
      --s;
      break;
    }
  }
  return any ? "" : "no sums of columns whose rows an earlier nest goes through";
}

std::vector<workspace_buffer> carried_rows(const kernel_state& k, const nest& n) {
  std::vector<workspace_buffer> all;
  for (const auto& ph : n.phases)
    for (const auto& st : ph.statements)
      if (st.carried) {
        const auto& v = value_of(k.subject, st);
        index elements(1);
        for (const auto& l : ph.loops)
          elements = elements * l.extent;
        all.push_back({v.name + "_sums", is_floating(v.type) ? k.real : "i64", elements.text(), true});
      }
  return all;
}

std::string carried_begin(const std::vector<workspace_buffer>& rows) {
  std::string code;
  for (const auto& r : rows)
    code += loop_over(r) + "\n  " + r.name + "[" + place_in(r) + "] = 0;\n";
  return code;
}

std::string carried_end(kernel_state& k, const nest& n, const std::vector<workspace_buffer>& rows, bool parallel) {
  std::string code = parallel && !rows.empty() ? "#pragma omp barrier\n" : "";
  std::size_t next = 0;
  for (const auto& ph : n.phases)
    for (const auto& st : ph.statements) {
      if (!st.carried)
        continue;
      const auto& v = value_of(k.subject, st);
      const auto& r = rows[next++];
      emitter e(k, {});
      const auto put = e.store(st.value, place_in(r), {parallel ? "sum" : r.name + "[" + place_in(r) + "]", is_floating(v.type) ? text_type::real : text_type::integer, false}, false);
      if (!parallel) {
        code += loop_over(r) + "\n  " + put + "\n";
        continue;
      }
      code += "#pragma omp for schedule(static) nowait\n" + loop_over(r) + " {\n  " + r.type + " sum = 0;\n  for (int thread = 0; thread < omp_get_num_threads(); ++thread)\n    sum += ((const " +
              r.type + "*)((const char*)" + r.name + "_all + thread * room((" + r.elements + ") * (i64)sizeof(" + r.type + "))))[" + place_in(r) + "];\n  " + put + "\n}\n";
    }
  return code;
}

} // namespace kevolve::synthesis
