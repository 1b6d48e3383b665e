#include "actors/synthesis/index.hpp"

#include <algorithm>
#include <cctype>

namespace kevolve::synthesis {

index::index(std::int64_t constant) {
  if (constant != 0)
    terms_[""] = term{{}, constant};
}

std::string index::key_of(const std::vector<atom_ref>& factors) {
  std::string key;
  for (const auto& f : factors)
    key += (key.empty() ? "" : "*") + f->name;
  return key;
}

void index::add(const term& t, std::int64_t scale) {
  const auto key = key_of(t.factors);
  auto& mine = terms_.try_emplace(key, term{t.factors, 0}).first->second;
  mine.coefficient += t.coefficient * scale;
  if (mine.coefficient == 0)
    terms_.erase(key);
}

index index::axis(const std::string& name) {
  index x;
  x.add({{std::make_shared<const atom>(atom{atom::kind_t::axis, name, {}, {}})}, 1}, 1);
  return x;
}

index index::loop(const std::string& name, const index& extent) {
  index x;
  x.add({{std::make_shared<const atom>(atom{atom::kind_t::loop, name, extent, {}})}, 1}, 1);
  return x;
}

std::optional<std::int64_t> index::constant() const {
  if (terms_.empty())
    return 0;
  if (terms_.size() == 1 && terms_.begin()->first.empty())
    return terms_.begin()->second.coefficient;
  return std::nullopt;
}

void index::names(std::vector<std::string>& into) const {
  for (const auto& [key, t] : terms_)
    for (const auto& f : t.factors)
      if (f->kind == atom::kind_t::quotient) {
        f->a.names(into);
        f->b.names(into);
      } else if (std::find(into.begin(), into.end(), f->name) == into.end()) {
        into.push_back(f->name);
      }
}

bool index::depends_on(std::string_view name) const {
  std::vector<std::string> all;
  names(all);
  return std::find(all.begin(), all.end(), name) != all.end();
}

std::string index::single_name() const {
  if (terms_.size() != 1)
    return "";
  const auto& t = terms_.begin()->second;
  return t.coefficient == 1 && t.factors.size() == 1 && t.factors[0]->kind != atom::kind_t::quotient ? t.factors[0]->name : "";
}

std::optional<index> index::coefficient(std::string_view name) const {
  index out;
  for (const auto& [key, t] : terms_) {
    term rest{{}, t.coefficient};
    int power = 0;
    for (const auto& f : t.factors) {
      if (f->kind == atom::kind_t::quotient) {
        if (f->a.depends_on(name) || f->b.depends_on(name))
          return std::nullopt;
        rest.factors.push_back(f);
      } else if (f->name == name) {
        ++power;
      } else {
        rest.factors.push_back(f);
      }
    }
    if (power > 1)
      return std::nullopt;
    if (power == 1)
      out.add(rest, 1);
  }
  return out;
}

index operator+(const index& a, const index& b) {
  index out = a;
  for (const auto& [key, t] : b.terms_)
    out.add(t, 1);
  return out;
}

index operator-(const index& a, const index& b) {
  index out = a;
  for (const auto& [key, t] : b.terms_)
    out.add(t, -1);
  return out;
}

index operator*(const index& a, const index& b) {
  index out;
  for (const auto& [ka, ta] : a.terms_)
    for (const auto& [kb, tb] : b.terms_) {
      index::term t{ta.factors, ta.coefficient * tb.coefficient};
      t.factors.insert(t.factors.end(), tb.factors.begin(), tb.factors.end());
      std::sort(t.factors.begin(), t.factors.end(), [](const atom_ref& x, const atom_ref& y) { return x->name < y->name; });
      out.add(t, 1);
    }
  return out;
}

/// Splits this into by * quotient + rest, term by term, where `by` is a single term; empty when it is not.
std::optional<index> index::divided_exactly(const index& by, index& rest) const {
  if (by.terms_.size() != 1)
    return std::nullopt;
  const auto& divisor = by.terms_.begin()->second;
  index quotient;
  rest = index{};
  for (const auto& [key, t] : terms_) {
    term q{{}, t.coefficient / divisor.coefficient};
    bool divides = t.coefficient % divisor.coefficient == 0;
    auto remaining = t.factors;
    for (const auto& d : divisor.factors) {
      const auto at = std::find_if(remaining.begin(), remaining.end(), [&](const atom_ref& f) { return f->name == d->name; });
      if (at == remaining.end()) {
        divides = false;
        break;
      }
      remaining.erase(at);
    }
    q.factors = remaining;
    if (divides)
      quotient.add(q, 1);
    else
      rest.add(t, 1);
  }
  return quotient;
}

index floor_div(const index& a, const index& b) {
  if (b.is(1))
    return a;
  const auto ca = a.constant();
  const auto cb = b.constant();
  if (ca && cb && *cb > 0)
    return index((*ca >= 0 ? *ca : *ca - *cb + 1) / *cb);
  if (a == b)
    return index(1);
  index rest;
  index whole;
  if (auto quotient = a.divided_exactly(b, rest)) {
    if (rest.within(b))
      return *quotient;
    // A constant rest that is not negative never carries when everything else divides.
    if (const auto c = rest.constant(); c && cb && *cb > 0)
      return *quotient + floor_div(index(*c), b);
    whole = *quotient;
  } else {
    rest = a;
    if (rest.within(b))
      return index(0);
  }
  index out;
  const std::string text = "((" + rest.text() + ") / (" + b.text() + "))";
  out.add({{std::make_shared<const atom>(atom{atom::kind_t::quotient, text, rest, b})}, 1}, 1);
  return whole + out;
}

index modulo(const index& a, const index& b) { return a - b * floor_div(a, b); }

index index::substitute(const std::map<std::string, index>& values) const {
  index out;
  for (const auto& [key, t] : terms_) {
    index product(t.coefficient);
    for (const auto& f : t.factors) {
      index factor;
      if (f->kind == atom::kind_t::quotient) {
        factor = floor_div(f->a.substitute(values), f->b.substitute(values));
      } else if (const auto found = values.find(f->name); found != values.end()) {
        factor = found->second;
      } else {
        factor.add({{f}, 1}, 1);
      }
      product = product * factor;
    }
    out = out + product;
  }
  return out;
}

std::string index::text() const {
  if (terms_.empty())
    return "0";
  std::string out;
  const auto append = [&](const std::string& key, std::int64_t coefficient) {
    if (!out.empty())
      out += coefficient < 0 ? " - " : " + ";
    else if (coefficient < 0)
      out += "-";
    const auto magnitude = coefficient < 0 ? -coefficient : coefficient;
    if (key.empty())
      out += std::to_string(magnitude);
    else
      out += key + (magnitude == 1 ? "" : "*" + std::to_string(magnitude));
  };
  for (const auto& [key, t] : terms_)
    if (!key.empty() && t.coefficient > 0)
      append(key, t.coefficient);
  for (const auto& [key, t] : terms_)
    if (!key.empty() && t.coefficient < 0)
      append(key, t.coefficient);
  if (const auto c = terms_.find(""); c != terms_.end())
    append("", c->second.coefficient);
  return out;
}

std::optional<std::pair<std::int64_t, std::int64_t>> index::range() const {
  std::int64_t low = 0;
  std::int64_t high = 0;
  for (const auto& [key, t] : terms_) {
    if (key.empty()) {
      low += t.coefficient;
      high += t.coefficient;
      continue;
    }
    if (t.factors.size() != 1)
      return std::nullopt;
    const auto& f = *t.factors[0];
    std::int64_t top = 0;
    if (f.kind == atom::kind_t::loop && f.a.constant()) {
      top = *f.a.constant() - 1;
    } else if (const auto r = f.a.range(); f.kind == atom::kind_t::quotient && r && r->first >= 0 && f.b.constant().value_or(0) > 0) {
      top = r->second / *f.b.constant();
    } else {
      return std::nullopt;
    }
    (t.coefficient > 0 ? high : low) += t.coefficient * top;
  }
  return std::pair{low, high};
}

bool index::within(const index& bound) const {
  if (terms_.empty())
    return true;
  if (const auto c = bound.constant()) {
    const auto r = range();
    return r && r->first >= 0 && r->second < *c;
  }
  // Symbolic: sum of coefficient * loop with the greatest value (extent - 1) each; the bound minus that must be provably positive.
  index greatest;
  for (const auto& [key, t] : terms_) {
    if (t.coefficient < 0)
      return false;
    index product(t.coefficient);
    for (const auto& f : t.factors) {
      index one;
      one.add({{f}, 1}, 1);
      if (f->kind == atom::kind_t::quotient)
        return false;
      product = product * (f->kind == atom::kind_t::loop ? f->a - 1 : one);
    }
    greatest = greatest + product;
  }
  const auto slack = (bound - greatest).constant();
  return slack && *slack >= 1;
}

std::int64_t index::estimate(const std::function<std::int64_t(const std::string&)>& value_of) const {
  std::int64_t sum = 0;
  for (const auto& [key, t] : terms_) {
    std::int64_t product = t.coefficient;
    for (const auto& f : t.factors)
      product *= f->kind == atom::kind_t::quotient ? f->a.estimate(value_of) / std::max<std::int64_t>(1, f->b.estimate(value_of))
                                                   : value_of(f->name);
    sum += product;
  }
  return sum;
}

namespace {

struct index_parser {
  std::string_view text;
  const std::map<std::string, index>& names;
  std::size_t at = 0;
  std::string problem;

  void skip() {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])))
      ++at;
  }
  bool eat(std::string_view token) {
    skip();
    if (text.substr(at, token.size()) != token)
      return false;
    at += token.size();
    return true;
  }
  index fail(const std::string& why) {
    if (problem.empty())
      problem = "expression \"" + std::string(text) + "\" at position " + std::to_string(at) + ": " + why;
    at = text.size();
    return {};
  }
  index primary() {
    skip();
    if (eat("(")) {
      auto inside = sum();
      return eat(")") ? inside : fail("expected ')'");
    }
    if (eat("-"))
      return index(0) - primary();
    if (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) {
      std::int64_t n = 0;
      while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])))
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, text[at++] - '0', &n))
          return fail("number past 2^63");
      return index(n);
    }
    std::string name;
    while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_'))
      name += text[at++];
    const auto found = names.find(name);
    return found == names.end() ? fail(name.empty() ? "expected a number, an axis or '('" : "unknown axis \"" + name + "\"") : found->second;
  }
  index power() {
    auto base = primary();
    if (!eat("**"))
      return base;
    const auto exponent = power().constant();
    if (!exponent || *exponent < 0 || *exponent > 62)
      return fail("the exponent must be a constant in 0..62");
    index out(1);
    for (std::int64_t i = 0; i < *exponent; ++i)
      out = out * base;
    return out;
  }
  index product() {
    auto out = power();
    for (;;) {
      skip();
      if (text.substr(at, 2) == "**")
        return out;
      if (eat("//") || eat("/"))
        out = floor_div(out, power());
      else if (eat("*"))
        out = out * power();
      else if (eat("%"))
        out = modulo(out, power());
      else
        return out;
    }
  }
  index sum() {
    auto out = product();
    for (;;) {
      if (eat("+"))
        out = out + product();
      else if (eat("-"))
        out = out - product();
      else
        return out;
    }
  }
};

} // namespace

result<index> parse_index(std::string_view text, const std::map<std::string, index>& names) {
  index_parser p{text, names, 0, {}};
  auto out = p.sum();
  p.skip();
  if (p.problem.empty() && p.at != text.size())
    (void)p.fail("expected the end");
  if (!p.problem.empty())
    return error{errc::specification, p.problem};
  return out;
}

} // namespace kevolve::synthesis
