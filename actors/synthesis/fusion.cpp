#include "actors/synthesis/fusion.hpp"
#include "actors/synthesis/lower.hpp"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <optional>

namespace kevolve::synthesis {

bool is_fusion_verb(const std::string& verb) { return verb == "fuse" || verb == "keep" || verb == "rows" || verb == "split"; }

int expense(const expr_ref& e) {
  int n = 0;
  walk(e, [&](const expr& x) {
    n += x.code == op::exp || x.code == op::tanh || x.code == op::erf || x.code == op::log || x.code == op::power || x.code == op::log1p ||
                 x.code == op::expm1 || x.code == op::sin || x.code == op::cos
             ? 4
             : x.code == op::number || x.code == op::load ? 0 : 1;
  });
  return n;
}

bool rereads(const value& v) {
  if (v.kind != value::kind_t::reduce || v.body->code != op::mul || v.dims.empty())
    return false;
  for (const auto& operand : v.body->args)
    for (const auto& d : v.dims)
      if (!depends_on(operand, d.var.single_name()))
        return true;
  return false;
}

/// Its loads may take positions that are themselves read: nothing else in it looks at a loop.
static bool only_plain_loads(const expr_ref& e) {
  bool ok = true;
  walk(e, [&](const expr& x) { ok = ok && x.code != op::position && x.code != op::in_range && x.guards.empty() && x.looked_up.empty(); });
  return ok;
}

std::string why_not_inline(const program& p, int which) {
  const auto& v = p.values[static_cast<std::size_t>(which)];
  if (v.kind != value::kind_t::map)
    return "only element-wise values can be computed inside their readers";
  if (!v.outputs.empty())
    return "it is an output";
  if (v.next_of >= 0)
    return "it is handed to the next step";
  for (const auto& reader : p.values)
    if (reader.body) {
      const auto reads = loads_of(reader.body);
      if (computed_in(reader) != computed_in(v) && computed_in(reader) >= 0 && std::find(reads.begin(), reads.end(), which) != reads.end())
        return "every step of a loop would compute it again";
      bool gathered = false;
      walk(reader.body, [&](const expr& e) { gathered = gathered || (e.code == op::load && e.value == which && !e.looked_up.empty()); });
      if (gathered && !only_plain_loads(v.body))
        return "it is read through indices";
    }
  return "";
}

namespace {

/// A value that keeps a loop nest of its own or with others.
struct stage {
  int value = -1;
  std::vector<dimension> dims, over;
  expr_ref body;
  std::vector<std::size_t> row_dims; // for each row of its nest: which of dims
  std::size_t home = 0;              // nest
};

class fuser {
public:
  fuser(const program& p, const schedule& s) : p_(p), s_(s) {}

  fusion run() {
    read_steps();
    inline_values();
    group();
    place();
    build();
    return std::move(out_);
  }

private:
  const program& p_;
  const schedule& s_;
  fusion out_;
  std::set<int> inlined_;
  std::set<int> joined_;
  std::vector<stage> stages_;
  std::map<int, std::size_t> stage_of_;
  std::vector<std::vector<std::size_t>> groups_; // stages by nest

  int value_named(const std::string& name) const {
    for (std::size_t i = 0; i < p_.values.size(); ++i)
      if (p_.values[i].name == name && p_.values[i].kind != value::kind_t::input)
        return static_cast<int>(i);
    return -1;
  }

  void note(const schedule_step& s, const std::string& why) {
    schedule one;
    one.steps = {s};
    if (why.empty())
      out_.taken.push_back(to_string(one));
    else
      out_.skipped.push_back(to_string(one) + ": " + why);
  }

  bool read_by_product(int which) const {
    for (const auto& v : p_.values)
      if (v.body && rereads(v)) {
        const auto reads = loads_of(v.body);
        if (std::find(reads.begin(), reads.end(), which) != reads.end())
          return true;
      }
    return false;
  }

  void read_steps() {
    for (const auto& s : s_.steps) {
      if (!is_fusion_verb(s.verb))
        continue;
      if (s.subject == "*") {
        bool any = false;
        for (int v = 0; v < static_cast<int>(p_.values.size()); ++v) {
          if (p_.values[static_cast<std::size_t>(v)].kind == value::kind_t::input)
            continue;
          if (s.verb == "fuse" && why_not_inline(p_, v).empty() && !read_by_product(v))
            any = inlined_.insert(v).second || any;
          if (s.verb == "rows")
            any = joined_.insert(v).second || any;
          if (s.verb == "keep")
            any = inlined_.erase(v) > 0 || any;
          if (s.verb == "split")
            any = joined_.erase(v) > 0 || any;
        }
        note(s, any ? "" : "nothing to do");
        continue;
      }
      const int v = value_named(s.subject);
      std::string why = v < 0 ? "no value of that name" : "";
      if (why.empty() && s.verb == "fuse") {
        why = why_not_inline(p_, v);
        if (why.empty())
          inlined_.insert(v);
      } else if (why.empty() && s.verb == "keep") {
        why = inlined_.erase(v) > 0 ? "" : "it is stored already";
      } else if (why.empty() && s.verb == "rows") {
        joined_.insert(v);
      } else if (why.empty()) {
        why = joined_.erase(v) > 0 ? "" : "it has a nest of its own already";
      }
      note(s, why);
    }
  }

  /// Loads of inlined values become their bodies, at the index and under the guards of the load.
  expr_ref expand(const expr_ref& e) {
    expr x = *e;
    for (auto& a : x.args)
      a = expand(a);
    for (auto& a : x.looked_up)
      a = expand(a);
    if (x.code == op::load && inlined_.contains(x.value)) {
      const auto& v = p_.values[static_cast<std::size_t>(x.value)];
      std::map<std::string, index> at;
      for (std::size_t d = 0; d < v.dims.size(); ++d)
        at[v.dims[d].var.single_name()] = x.at[d];
      auto body = substitute(v.body, at, x.guards);
      if (!x.looked_up.empty())
        body = looking_up(body, x.looked_up);
      return expand(guarded(body, x.guards));
    }
    return std::make_shared<const expr>(std::move(x));
  }
  /// The loads of e whose positions name "@n" read those integers.
  static expr_ref looking_up(const expr_ref& e, const std::vector<expr_ref>& integers) {
    expr x = *e;
    for (auto& a : x.args)
      a = looking_up(a, integers);
    for (std::size_t n = 0; n < integers.size(); ++n)
      for (const auto& i : x.at)
        if (i.depends_on("@" + std::to_string(n)))
          x.looked_up = integers;
    return std::make_shared<const expr>(std::move(x));
  }
  /// A guarded read of an inlined value is 0 outside its guards, as a guarded read of a stored one is.
  static expr_ref guarded(const expr_ref& body, const std::vector<index>& guards) {
    return guards.empty() ? body : make(op::select, {in_range(guards), body, number(0)});
  }

  void inline_values() {
    for (int v = 0; v < static_cast<int>(p_.values.size()); ++v) {
      const auto& x = p_.values[static_cast<std::size_t>(v)];
      if (x.kind == value::kind_t::input || inlined_.contains(v))
        continue;
      stage_of_[v] = stages_.size();
      stages_.push_back({v, x.dims, x.over, expand(x.body), {}, 0});
      if (x.kind == value::kind_t::state)
        stages_.back().dims.erase(stages_.back().dims.begin()); // its first value
    }
  }

  /// For each row of the nest: the dimension of `s` that every read of a member uses for it; npos where there is none.
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::vector<std::size_t> align(const stage& s, const std::vector<std::size_t>& group, std::size_t rows) {
    std::vector<std::size_t> match(rows, none);
    std::vector<bool> broken(rows, false);
    walk(s.body, [&](const expr& e) {
      if (e.code != op::load || !stage_of_.contains(e.value) || p_.values[static_cast<std::size_t>(e.value)].kind == value::kind_t::state)
        return;
      const auto producer = stage_of_.at(e.value);
      if (std::find(group.begin(), group.end(), producer) == group.end())
        return;
      for (std::size_t r = 0; r < rows; ++r) {
        const auto name = e.at[stages_[producer].row_dims[r]].single_name();
        std::size_t found = none;
        for (std::size_t d = 0; d < s.dims.size(); ++d)
          if (s.dims[d].var.single_name() == name)
            found = d;
        if (found == none || (match[r] != none && match[r] != found) || !(s.dims[found].extent == stages_[producer].dims[stages_[producer].row_dims[r]].extent))
          broken[r] = true;
        match[r] = found;
      }
    });
    const auto& v = p_.values[static_cast<std::size_t>(s.value)];
    for (std::size_t r = 0; r < rows; ++r)
      if (broken[r] || (v.kind == value::kind_t::scan && match[r] == v.scanned)) // a scan runs along an inner loop
        match[r] = none;
    return match;
  }

  bool heavy(const std::vector<std::size_t>& group) const {
    for (const auto i : group)
      if (rereads(p_.values[static_cast<std::size_t>(stages_[i].value)]))
        return true;
    return false;
  }

  /// The first nest behind a loop over steps.
  std::size_t end_of(int loop) const {
    std::size_t end = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g)
      if (computed_in(p_.values[static_cast<std::size_t>(stages_[groups_[g][0]].value)]) == loop)
        end = g + 1;
    return end;
  }

  bool try_join(std::size_t which) {
    auto& s = stages_[which];
    const int loop = computed_in(p_.values[static_cast<std::size_t>(s.value)]);
    std::size_t home = 0;
    std::size_t earliest = 0;
    bool reads_any = false;
    for (const int v : loads_of(s.body)) {
      const auto& read = p_.values[static_cast<std::size_t>(v)];
      if (read.kind == value::kind_t::state && read.recurrence != loop)
        earliest = std::max(earliest, end_of(read.recurrence));
      if (!stage_of_.contains(v) || read.kind == value::kind_t::state || computed_in(read) != loop)
        continue;
      home = std::max(home, stages_[stage_of_.at(v)].home);
      reads_any = true;
    }
    if (!reads_any || home < earliest)
      return loop < 0 && join_by_input(which);
    for (std::size_t before = home; loop < 0 && before-- > 0;)
      if (meet(s, before, home))
        --home;
    auto& group = groups_[home];
    const std::size_t rows = stages_[group[0]].row_dims.size();
    if (rows == 0)
      return false;
    const auto match = align(s, group, rows);
    std::vector<std::size_t> kept;
    for (std::size_t r = 0; r < rows; ++r)
      if (match[r] != none)
        kept.push_back(r);
    const bool product = rereads(p_.values[static_cast<std::size_t>(s.value)]);
    if (kept.empty() || (kept.size() < rows && heavy(group)) || product)
      return false;
    for (const auto member : group) {
      std::vector<std::size_t> fewer;
      for (const auto r : kept)
        fewer.push_back(stages_[member].row_dims[r]);
      stages_[member].row_dims = fewer;
    }
    for (const auto r : kept)
      s.row_dims.push_back(match[r]);
    s.home = home;
    group.push_back(which);
    return true;
  }

  bool in_a_loop(std::size_t home) const { return computed_in(p_.values[static_cast<std::size_t>(stages_[groups_[home][0]].value)]) >= 0; }

  /// Two nests whose rows `s` reads in the same way become one, in the later one's place, where nobody between them needs the earlier one and the later one reads of it no row but its own.
  bool meet(const stage& s, std::size_t earlier, std::size_t later) {
    const auto of = [&](int value, std::size_t home) { return stage_of_.contains(value) && std::find(groups_[home].begin(), groups_[home].end(), stage_of_.at(value)) != groups_[home].end(); };
    const auto reads = loads_of(s.body);
    const std::size_t rows = stages_[groups_[earlier][0]].row_dims.size();
    if (std::none_of(reads.begin(), reads.end(), [&](int v) { return of(v, earlier); }) || rows == 0 || rows != stages_[groups_[later][0]].row_dims.size() || heavy(groups_[earlier]) || heavy(groups_[later]))
      return false;
    const auto match = align(s, groups_[earlier], rows);
    if (match != align(s, groups_[later], rows) || std::find(match.begin(), match.end(), none) != match.end())
      return false;
    bool apart = !in_a_loop(earlier);
    for (std::size_t between = earlier + 1; between <= later; ++between) {
      apart = apart && !in_a_loop(between);
      for (const auto member : groups_[between])
        walk(stages_[member].body, [&](const expr& e) {
          if (e.code != op::load || !of(e.value, earlier))
            return;
          const auto& producer = stages_[stage_of_.at(e.value)];
          for (std::size_t r = 0; r < rows; ++r)
            apart = apart && between == later && e.looked_up.empty() && e.at[producer.row_dims[r]].single_name() == stages_[member].dims[stages_[member].row_dims[r]].var.single_name();
        });
    }
    if (!apart)
      return false;
    groups_[later].insert(groups_[later].begin(), groups_[earlier].begin(), groups_[earlier].end());
    for (const auto member : groups_[earlier])
      stages_[member].home = later;
    groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(earlier));
    for (std::size_t home = earlier; home < groups_.size(); ++home)
      for (const auto member : groups_[home])
        stages_[member].home = home;
    return true;
  }

  /// In which index of an input's read each row lies; nothing where a row is in none.
  static std::optional<std::vector<std::size_t>> rows_in(const expr& e, const stage& s, const std::vector<std::size_t>& rows) {
    std::vector<std::size_t> at;
    for (const auto r : rows) {
      const auto found = std::find_if(e.at.begin(), e.at.end(), [&](const index& i) { return i.single_name() == s.dims[r].var.single_name(); });
      if (found == e.at.end())
        return std::nullopt;
      at.push_back(static_cast<std::size_t>(found - e.at.begin()));
    }
    return at;
  }

  /// What reads inputs alone shares the rows of the last nest that goes through one of these inputs in the same way: it is read once for both.
  bool join_by_input(std::size_t which) {
    auto& s = stages_[which];
    const auto& v = p_.values[static_cast<std::size_t>(s.value)];
    const auto all = loads_of(s.body);
    if (rereads(v) || std::any_of(all.begin(), all.end(), [&](int read) { return p_.values[static_cast<std::size_t>(read)].kind != value::kind_t::input; }))
      return false;
    for (std::size_t home = groups_.size(); home-- > 0;) {
      const auto& first = stages_[groups_[home][0]];
      const std::size_t rows = first.row_dims.size();
      if (rows == 0 || rows > s.dims.size() || in_a_loop(home) || heavy(groups_[home]) || (v.kind == value::kind_t::scan && v.scanned < rows))
        continue;
      std::vector<std::size_t> own(rows);
      std::iota(own.begin(), own.end(), std::size_t{0});
      bool fits = true, shared = false;
      for (std::size_t r = 0; r < rows; ++r)
        fits = fits && s.dims[r].extent == first.dims[first.row_dims[r]].extent;
      walk(s.body, [&](const expr& mine) {
        const auto at = fits && !shared && mine.code == op::load && p_.values[static_cast<std::size_t>(mine.value)].kind == value::kind_t::input ? rows_in(mine, s, own) : std::nullopt;
        for (const auto member : at ? groups_[home] : std::vector<std::size_t>{})
          walk(stages_[member].body, [&](const expr& other) {
            shared = shared || (other.code == op::load && other.value == mine.value && rows_in(other, stages_[member], stages_[member].row_dims) == at);
          });
      });
      if (!fits || !shared)
        continue;
      s.row_dims = own;
      s.home = home;
      groups_[home].push_back(which);
      return true;
    }
    return false;
  }

  void group() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      if (joined_.contains(stages_[i].value) && try_join(i))
        continue;
      auto& s = stages_[i];
      s.home = groups_.size();
      const bool scanned = p_.values[static_cast<std::size_t>(s.value)].kind == value::kind_t::scan;
      for (std::size_t d = 0; d < s.dims.size(); ++d)
        if (!(scanned && d == p_.values[static_cast<std::size_t>(s.value)].scanned))
          s.row_dims.push_back(d);
      groups_.push_back({i});
    }
  }

  bool inner(const stage& s, std::size_t d) const { return std::find(s.row_dims.begin(), s.row_dims.end(), d) == s.row_dims.end(); }

  void place() {
    out_.stored.assign(p_.values.size(), storage::workspace);
    for (std::size_t v = 0; v < p_.values.size(); ++v) {
      const auto& x = p_.values[v];
      if (x.kind == value::kind_t::input)
        out_.stored[v] = storage::input;
      else if (!x.outputs.empty())
        out_.stored[v] = storage::output;
    }
    for (const auto& s : stages_) {
      auto& where = out_.stored[static_cast<std::size_t>(s.value)];
      bool elsewhere = false;
      for (const auto& r : stages_) {
        const auto reads = loads_of(r.body);
        elsewhere = elsewhere || (r.home != s.home && std::find(reads.begin(), reads.end(), s.value) != reads.end());
      }
      if (where == storage::workspace && !elsewhere && p_.values[static_cast<std::size_t>(s.value)].next_of < 0)
        where = s.row_dims.size() == s.dims.size() ? storage::row_scalar : storage::row_buffer;
    }
  }

  /// Offset of `at` in the storage of value v.
  index offset_in(int v, const std::vector<index>& at) {
    const auto& x = p_.values[static_cast<std::size_t>(v)];
    if (out_.stored[static_cast<std::size_t>(v)] != storage::row_buffer)
      return place_of(p_, v, at);
    const auto& s = stages_[stage_of_.at(v)];
    index out;
    for (std::size_t d = 0; d < x.dims.size(); ++d)
      if (inner(s, d))
        out = out * x.dims[d].extent + at[d];
    return out;
  }

  /// Loads get their final form: one offset, or nothing where the value is a scalar of this row.
  expr_ref with_offsets(const expr_ref& e, std::size_t home) {
    expr x = *e;
    for (auto& a : x.args)
      a = with_offsets(a, home);
    for (auto& a : x.looked_up)
      a = with_offsets(a, home);
    if (x.code == op::load) {
      const auto found = stage_of_.find(x.value);
      const bool local = found != stage_of_.end() && stages_[found->second].home == home &&
                         stages_[found->second].row_dims.size() == stages_[found->second].dims.size();
      x.at = local ? std::vector<index>{} : std::vector<index>{offset_in(x.value, x.at)};
      if (local)
        x.guards.clear();
    }
    return std::make_shared<const expr>(std::move(x));
  }

  struct inner_loops {
    std::vector<dimension> loops;
    std::size_t spatial = 0;
  };
  inner_loops inner_loops_of(const stage& s) const {
    inner_loops out;
    for (std::size_t d = 0; d < s.dims.size(); ++d)
      if (inner(s, d))
        out.loops.push_back(s.dims[d]);
    out.spatial = out.loops.size();
    out.loops.insert(out.loops.end(), s.over.begin(), s.over.end());
    return out;
  }

  /// `s` may run in the same iteration of the same loops as the element-wise `producer`.
  bool same_iteration(const stage& s, const inner_loops& mine, const stage& producer, const std::map<int, std::pair<int, std::size_t>>& scheduled) const {
    (void)scheduled;
    if (p_.values[static_cast<std::size_t>(producer.value)].kind != value::kind_t::map)
      return false;
    const auto theirs = inner_loops_of(producer);
    if (theirs.loops.size() != mine.loops.size() || theirs.loops.empty())
      return false;
    for (std::size_t l = 0; l < mine.loops.size(); ++l)
      if (!(theirs.loops[l].extent == mine.loops[l].extent))
        return false;
    bool same = true;
    walk(s.body, [&](const expr& e) {
      if (e.code != op::load || e.value != producer.value)
        return;
      std::size_t l = 0;
      for (std::size_t d = 0; d < producer.dims.size(); ++d)
        if (inner(producer, d))
          same = same && e.at[d].single_name() == mine.loops[l++].var.single_name();
    });
    return same;
  }

  void build() {
    for (std::size_t g = 0; g < groups_.size(); ++g)
      out_.nests.push_back(build_nest(groups_[g], g));
  }

  nest build_nest(const std::vector<std::size_t>& group, std::size_t home) {
    nest n;
    std::set<std::string> used;
    for (const auto& v : p_.values)
      used.insert(v.name);
    for (const auto& a : p_.axis_values)
      used.insert(a.first);
    for (const auto& r : p_.recurrences)
      used.insert(r.step.single_name());
    const auto fresh = [&](const dimension& d) {
      std::string base = identifier(d.name);
      std::transform(base.begin(), base.end(), base.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      base = identifier(base);
      std::string name = base;
      for (int i = 2; !used.insert(name).second; ++i)
        name = base + std::to_string(i);
      return dimension{index::loop(name, d.extent), d.extent, d.name};
    };
    const auto& first = stages_[group[0]];
    for (const auto d : first.row_dims)
      n.rows.push_back(fresh(first.dims[d]));
    n.name = p_.values[static_cast<std::size_t>(stages_[group.back()].value)].name;
    n.recurrence = computed_in(p_.values[static_cast<std::size_t>(first.value)]);
    n.apart = n.recurrence >= 0 && p_.recurrences[static_cast<std::size_t>(n.recurrence)].apart &&
              std::all_of(group.begin(), group.end(), [&](std::size_t i) { return !stages_[i].row_dims.empty() && stages_[i].row_dims[0] == 0; });
    std::map<int, std::pair<int, std::size_t>> scheduled; // value -> level, phase
    std::vector<std::pair<int, phase>> phases;            // with level
    for (const auto i : group) {
      const auto& s = stages_[i];
      const auto mine = inner_loops_of(s);
      const auto& v = p_.values[static_cast<std::size_t>(s.value)];
      int level = 0;
      for (const int r : loads_of(s.body))
        if (scheduled.contains(r))
          level = std::max(level, scheduled.at(r).first + (same_iteration(s, mine, stages_[stage_of_.at(r)], scheduled) ? 0 : 1));
      std::size_t at = 0;
      for (; at < phases.size(); ++at) {
        auto& [l, ph] = phases[at];
        bool fits = l == level && ph.loops.size() == mine.loops.size() && !ph.loops.empty() && ph.scanned.empty() && v.kind != value::kind_t::scan;
        for (std::size_t k = 0; fits && k < mine.loops.size(); ++k)
          fits = ph.loops[k].extent == mine.loops[k].extent;
        if (fits)
          break;
      }
      if (at == phases.size()) {
        phase ph;
        for (const auto& l : mine.loops)
          ph.loops.push_back(fresh(l));
        phases.emplace_back(level, std::move(ph));
      }
      scheduled[s.value] = {level, at};
      auto& ph = phases[at].second;
      std::map<std::string, index> names;
      for (std::size_t r = 0; r < n.rows.size(); ++r)
        names[s.dims[s.row_dims[r]].var.single_name()] = n.rows[r].var;
      for (std::size_t k = 0; k < mine.loops.size(); ++k)
        names[mine.loops[k].var.single_name()] = ph.loops[k].var;
      if (v.kind == value::kind_t::scan)
        for (std::size_t k = 0; k < mine.loops.size(); ++k)
          if (mine.loops[k].var.single_name() == s.dims[v.scanned].var.single_name())
            ph.scanned = ph.loops[k].var.single_name();
      std::vector<index> own;
      for (const auto& d : s.dims)
        own.push_back(d.var);
      ph.statements.push_back({s.value, substitute(with_offsets(s.body, home), names), mine.spatial, offset_in(s.value, own).substitute(names)});
    }
    std::stable_sort(phases.begin(), phases.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [level, ph] : phases)
      n.phases.push_back(std::move(ph));
    collapse(n);
    return n;
  }

  /// Two neighbouring loops are one where every access walks them as one and nothing else looks at them.
  template <class Statements>
  static bool mergeable(const Statements& statements, const dimension& outer, const dimension& inner) {
    const auto a = outer.var.single_name();
    const auto b = inner.var.single_name();
    bool ok = true;
    const auto look = [&](const index& offset) {
      const auto ca = offset.coefficient(a);
      const auto cb = offset.coefficient(b);
      ok = ok && ca && cb && *ca == *cb * inner.extent && !ca->depends_on(a) && !ca->depends_on(b) && !cb->depends_on(a);
    };
    const auto absent = [&](const index& i) { ok = ok && !i.depends_on(a) && !i.depends_on(b); };
    for (const auto* st : statements) {
      walk(st->body, [&](const expr& e) {
        for (const auto& i : e.at)
          e.code == op::load ? look(i) : absent(i);
        for (const auto& g : e.guards)
          absent(g);
      });
      look(st->target);
    }
    return ok;
  }

  static void merge(std::vector<statement*>& statements, std::vector<dimension>& loops, std::size_t outer) {
    auto& a = loops[outer];
    auto& b = loops[outer + 1];
    const index extent = a.extent * b.extent;
    const auto name = b.var.single_name();
    dimension one{index::loop(name, extent), extent, a.name == b.name ? a.name : a.name + "." + b.name};
    const std::map<std::string, index> names{{a.var.single_name(), index(0)}, {name, one.var}};
    for (auto* st : statements) {
      st->body = substitute(st->body, names);
      st->target = st->target.substitute(names);
    }
    loops[outer] = one;
    loops.erase(loops.begin() + static_cast<std::ptrdiff_t>(outer) + 1);
  }

  void collapse(nest& n) {
    std::vector<statement*> all;
    for (auto& ph : n.phases)
      for (auto& st : ph.statements)
        all.push_back(&st);
    for (std::size_t r = n.rows.size(); r-- > (n.apart ? 2 : 1);)
      if (mergeable(all, n.rows[r - 1], n.rows[r]))
        merge(all, n.rows, r - 1);
    for (auto& ph : n.phases) {
      std::vector<statement*> here;
      for (auto& st : ph.statements)
        here.push_back(&st);
      for (std::size_t l = ph.loops.size(); l-- > 1;) {
        bool boundary = !ph.scanned.empty();
        for (const auto& st : ph.statements)
          boundary = boundary || st.spatial == l; // one spatial, the other reduced
        if (boundary || !mergeable(here, ph.loops[l - 1], ph.loops[l]))
          continue;
        merge(here, ph.loops, l - 1);
        for (auto& st : ph.statements)
          st.spatial -= st.spatial > l ? 1 : 0;
      }
    }
  }
};

} // namespace

fusion fuse(const program& p, const schedule& s) { return fuser(p, s).run(); }

} // namespace kevolve::synthesis
