#include "actors/synthesis/ir.hpp"

#include <algorithm>
#include <cstdio>

namespace kevolve::synthesis {

expr_ref number(double x) {
  expr e;
  e.constant = x;
  return std::make_shared<const expr>(std::move(e));
}

expr_ref make(op code, std::vector<expr_ref> args) {
  expr e;
  e.code = code;
  e.args = std::move(args);
  return std::make_shared<const expr>(std::move(e));
}

expr_ref load(int value, std::vector<index> at) {
  expr e;
  e.code = op::load;
  e.value = value;
  e.at = std::move(at);
  return std::make_shared<const expr>(std::move(e));
}

expr_ref position(const index& at) {
  expr e;
  e.code = op::position;
  e.at = {at};
  return std::make_shared<const expr>(std::move(e));
}

expr_ref in_range(std::vector<index> conditions) {
  std::erase_if(conditions, [](const index& c) {
    const auto r = c.range();
    return r && r->first >= 0;
  });
  if (conditions.empty())
    return make(op::to_boolean, {number(1)});
  expr e;
  e.code = op::in_range;
  e.at = std::move(conditions);
  return std::make_shared<const expr>(std::move(e));
}

expr_ref substitute(const expr_ref& e, const std::map<std::string, index>& values, const std::vector<index>& guards) {
  expr out = *e;
  for (auto& a : out.args)
    a = substitute(a, values, guards);
  for (auto& a : out.looked_up)
    a = substitute(a, values, guards);
  for (auto& i : out.at)
    i = i.substitute(values);
  for (auto& g : out.guards)
    g = g.substitute(values);
  if (out.code == op::load)
    for (const auto& g : guards)
      if (std::find(out.guards.begin(), out.guards.end(), g) == out.guards.end())
        out.guards.push_back(g);
  return std::make_shared<const expr>(std::move(out));
}

const std::string& key_of(const expr_ref& e, std::map<const expr*, std::string>& cache) {
  if (const auto found = cache.find(e.get()); found != cache.end())
    return found->second;
  std::string key = std::to_string(static_cast<int>(e->code));
  if (e->code == op::number) {
    char text[40];
    std::snprintf(text, sizeof text, "#%a", e->constant);
    key += text;
  }
  if (e->code == op::load || e->value >= 0)
    key += "v" + std::to_string(e->value);
  for (const auto& i : e->at)
    key += "[" + i.text() + "]";
  for (const auto& g : e->guards)
    key += "{" + g.text() + "}";
  for (const auto& a : e->args)
    key += "(" + key_of(a, cache) + ")";
  for (const auto& a : e->looked_up)
    key += "<" + key_of(a, cache) + ">";
  return cache[e.get()] = key;
}

std::vector<int> loads_of(const expr_ref& e) {
  std::vector<int> out;
  walk(e, [&](const expr& x) {
    if (x.value >= 0 && std::find(out.begin(), out.end(), x.value) == out.end())
      out.push_back(x.value);
  });
  return out;
}

bool depends_on(const expr_ref& e, const std::string& loop) {
  bool found = false;
  walk(e, [&](const expr& x) {
    for (const auto& i : x.at)
      found = found || i.depends_on(loop);
    for (const auto& g : x.guards)
      found = found || g.depends_on(loop);
  });
  return found;
}

index offset_of(const std::vector<dimension>& dims, const std::vector<index>& at) {
  index out;
  for (std::size_t d = 0; d < dims.size(); ++d)
    out = out * dims[d].extent + at[d];
  return out;
}

const value& holder_of(const program& p, int v) {
  const auto& x = p.values[static_cast<std::size_t>(v)];
  return x.next_of < 0 ? x : p.values[static_cast<std::size_t>(x.next_of)];
}

index slot_of(bool history, const index& step) { return history ? step : modulo(step, index(2)); }

index place_of(const program& p, int v, const std::vector<index>& at) {
  const auto& x = p.values[static_cast<std::size_t>(v)];
  const auto& where = holder_of(p, v);
  if (at.size() == where.dims.size())
    return offset_of(where.dims, at);
  std::vector<index> whole{x.next_of < 0 ? index(0) : slot_of(where.history, p.recurrences[static_cast<std::size_t>(x.recurrence)].step + 1)};
  whole.insert(whole.end(), at.begin(), at.end());
  return offset_of(where.dims, whole);
}

} // namespace kevolve::synthesis
