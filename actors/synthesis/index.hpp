// Symbolic integers: polynomials over axes and loop variables with floor divisions as opaque atoms. Extents, strides, offsets and guards
// are all of this type, so that equality is structural and (i / c) * c + i % c folds back to i. Immutable values; any thread.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::synthesis {

struct atom;
using atom_ref = std::shared_ptr<const atom>;

class index {
public:
  index() = default;
  index(std::int64_t constant); // NOLINT: integers are indices

  static index axis(const std::string& name);
  /// A loop variable; its extent is what range arguments are drawn from.
  static index loop(const std::string& name, const index& extent);

  [[nodiscard]] std::optional<std::int64_t> constant() const;
  [[nodiscard]] bool is(std::int64_t value) const { return constant() == value; }
  [[nodiscard]] bool depends_on(std::string_view name) const;
  /// The name when this is exactly one axis or loop variable, else empty.
  [[nodiscard]] std::string single_name() const;
  /// d(this)/d(name) where this is affine in `name`, empty when `name` also hides in a division or a higher power.
  [[nodiscard]] std::optional<index> coefficient(std::string_view name) const;
  [[nodiscard]] index substitute(const std::map<std::string, index>& values) const;
  /// All loop and axis names read, divisions included.
  void names(std::vector<std::string>& into) const;
  /// C++ text; also the canonical key.
  [[nodiscard]] std::string text() const;
  /// Proven: 0 <= this < bound for all values of loops within their extents (axes are at least 1).
  [[nodiscard]] bool within(const index& bound) const;
  /// Least and greatest value over the loops' ranges, where all extents are constant.
  [[nodiscard]] std::optional<std::pair<std::int64_t, std::int64_t>> range() const;
  /// A number under bound names; used for estimates only.
  [[nodiscard]] std::int64_t estimate(const std::function<std::int64_t(const std::string&)>& value_of) const;

  friend index operator+(const index& a, const index& b);
  friend index operator-(const index& a, const index& b);
  friend index operator*(const index& a, const index& b);
  friend index floor_div(const index& a, const index& b);
  /// a - b * floor_div(a, b)
  friend index modulo(const index& a, const index& b);
  friend bool operator==(const index& a, const index& b) { return a.text() == b.text(); }

private:
  struct term {
    std::vector<atom_ref> factors; // sorted by name
    std::int64_t coefficient = 0;
  };
  std::map<std::string, term> terms_; // by the factors' names; "" is the constant
  void add(const term& t, std::int64_t scale);
  static std::string key_of(const std::vector<atom_ref>& factors);
  [[nodiscard]] std::optional<index> divided_exactly(const index& by, index& rest) const;
};

struct atom {
  enum class kind_t { axis, loop, quotient } kind;
  std::string name; // of a quotient: its C++ text
  index a, b;       // loop: a is the extent; quotient: a / b
};

/// Parses an integer expression of a definition ("M*4096", "(L - 3)//2 + 1"); `names` gives the meaning of each name.
result<index> parse_index(std::string_view text, const std::map<std::string, index>& names);

} // namespace kevolve::synthesis
