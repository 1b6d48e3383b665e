// Aligned text tables and the few attributes we use. Pure; any thread. Widths count code points, so that "µ" takes one column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::scheduler {

/// Attributes on or off: off with NO_COLOR, in pipes and in tests.
struct style {
  bool colour = false;
  [[nodiscard]] std::string strong(std::string_view text) const;
  [[nodiscard]] std::string faint(std::string_view text) const;
  [[nodiscard]] std::string good(std::string_view text) const;
  [[nodiscard]] std::string bad(std::string_view text) const;
};

enum class align : std::uint8_t { left, right };

class table {
public:
  struct column {
    std::string title;
    align to = align::left;
  };
  explicit table(std::vector<column> columns);
  /// Missing cells are empty; surplus cells are our bug.
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  /// Each line indented, columns two spaces apart, no trailing spaces.
  [[nodiscard]] std::string render(const style& how, std::string_view indent = "  ") const;

private:
  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Breaks text at spaces to lines of at most `width`; continuation lines get `indent`.
std::string wrap(std::string_view text, std::size_t width, std::string_view indent);

} // namespace kevolve::scheduler
