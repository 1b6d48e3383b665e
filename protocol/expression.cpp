#include "protocol/expression.hpp"

#include <algorithm>
#include <cctype>
#include <limits>

namespace kevolve {
namespace {

constexpr std::size_t deepest_nesting = 64; // parentheses, unary minus and ** recurse; a person's expression has a handful

/// Recursive descent over one expression. With `axes` null it only parses and collects names: every operand counts as 1.
class parser {
public:
  parser(std::string_view text, const axis_binding* axes) : text_(text), axes_(axes) {}

  result<std::int64_t> whole() {
    std::int64_t value = sum();
    skip_blanks();
    if (ok() && at_ != text_.size())
      fail("expected an operator, found '" + std::string(1, text_[at_]) + "'");
    if (!ok())
      return error{errc::specification, problem_};
    return value;
  }
  std::vector<std::string> names() && { return std::move(names_); }

private:
  bool ok() const { return problem_.empty(); }
  std::int64_t fail(const std::string& what) {
    if (ok())
      problem_ = "expression \"" + std::string(text_) + "\", position " + std::to_string(at_ + 1) + ": " + what;
    return 0;
  }
  void skip_blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])))
      ++at_;
  }
  bool accept(std::string_view token) {
    skip_blanks();
    if (text_.substr(at_, token.size()) != token)
      return false;
    at_ += token.size();
    return true;
  }
  bool next_is(std::string_view token) {
    skip_blanks();
    return text_.substr(at_, token.size()) == token;
  }

  std::int64_t sum() {
    std::int64_t left = product();
    while (ok()) {
      if (accept("+"))
        left = apply('+', left, product());
      else if (accept("-"))
        left = apply('-', left, product());
      else
        break;
    }
    return left;
  }
  std::int64_t product() {
    std::int64_t left = negation();
    while (ok()) {
      if (accept("//"))
        left = apply('f', left, negation());
      else if (accept("/"))
        left = apply('/', left, negation());
      else if (accept("%"))
        left = apply('%', left, negation());
      else if (!next_is("**") && accept("*"))
        left = apply('*', left, negation());
      else
        break;
    }
    return left;
  }
  std::int64_t negation() {
    if (++depth_ > deepest_nesting)
      return fail("nested deeper than " + std::to_string(deepest_nesting));
    std::int64_t value = accept("-") ? apply('-', 0, negation()) : power();
    --depth_;
    return value;
  }
  std::int64_t power() { // binds tighter than unary minus on its left, as in Python
    std::int64_t base = primary();
    if (ok() && accept("**"))
      return apply('^', base, negation());
    return base;
  }
  std::int64_t primary() {
    skip_blanks();
    if (at_ == text_.size())
      return fail("expected a number, an axis or '(', found the end");
    if (accept("(")) {
      std::int64_t value = sum();
      return ok() && !accept(")") ? fail("expected ')'") : value;
    }
    auto c = static_cast<unsigned char>(text_[at_]);
    if (std::isdigit(c))
      return number();
    if (std::isalpha(c) || c == '_')
      return name();
    return fail("expected a number, an axis or '(', found '" + std::string(1, text_[at_]) + "'");
  }
  std::int64_t number() {
    std::int64_t value = 0;
    for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])); ++at_)
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value))
        return fail("the number passes 2^63");
    return value;
  }
  std::int64_t name() {
    std::size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      ++at_;
    std::string_view found = text_.substr(start, at_ - start);
    if (!axes_) {
      if (std::find(names_.begin(), names_.end(), found) == names_.end())
        names_.emplace_back(found);
      return 1;
    }
    if (auto value = find_axis(*axes_, found))
      return *value;
    at_ = start;
    return fail("axis '" + std::string(found) + "' is not known");
  }

  std::int64_t apply(char op, std::int64_t a, std::int64_t b) {
    if (!ok() || !axes_)
      return 1;
    std::int64_t value = 0;
    bool overflow = false;
    switch (op) {
      case '+': overflow = __builtin_add_overflow(a, b, &value); break;
      case '-': overflow = __builtin_sub_overflow(a, b, &value); break;
      case '*': overflow = __builtin_mul_overflow(a, b, &value); break;
      case '^': return raise(a, b);
      default: return divide(op, a, b);
    }
    return overflow ? fail("the value passes 2^63") : value;
  }
  std::int64_t divide(char op, std::int64_t a, std::int64_t b) {
    if (b == 0)
      return fail("division by zero");
    if (a == std::numeric_limits<std::int64_t>::min() && b == -1)
      return op == '%' ? 0 : fail("the value passes 2^63");
    std::int64_t quotient = a / b, rest = a % b;
    if (op == '/')
      return rest == 0 ? quotient : fail(std::to_string(a) + " / " + std::to_string(b) + " does not divide exactly");
    bool floors_down = rest != 0 && (rest < 0) != (b < 0);
    if (op == '%')
      return floors_down ? rest + b : rest;
    return floors_down ? quotient - 1 : quotient;
  }
  std::int64_t raise(std::int64_t base, std::int64_t exponent) {
    if (exponent < 0)
      return fail("negative exponent " + std::to_string(exponent));
    if (base == 0 || base == 1)
      return exponent == 0 ? 1 : base;
    if (base == -1)
      return exponent % 2 ? -1 : 1;
    std::int64_t value = 1;
    for (; exponent > 0; --exponent) // ends after at most 63 steps
      if (__builtin_mul_overflow(value, base, &value))
        return fail("the value passes 2^63");
    return value;
  }

  std::string_view text_;
  const axis_binding* axes_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::string problem_;
  std::vector<std::string> names_;
};

} // namespace

std::optional<std::int64_t> find_axis(const axis_binding& axes, std::string_view name) noexcept {
  for (const auto& [axis, value] : axes)
    if (axis == name)
      return value;
  return std::nullopt;
}

result<std::int64_t> evaluate(std::string_view text, const axis_binding& axes) { return parser(text, &axes).whole(); }

result<std::vector<std::string>> names_in(std::string_view text) {
  parser names(text, nullptr);
  if (auto parsed = names.whole(); !parsed)
    return parsed.error();
  return std::move(names).names();
}

} // namespace kevolve
