// The text that a printed kernel may need besides its loops: vector types, loads and stores, elementary functions with their error bounds,
// horizontal sums. Only what is used is printed. Pure; any thread.
#pragma once

#include <set>
#include <string>

namespace kevolve::synthesis {

/// Names a kernel used: "exp", "maximum", "stream", … with the vector width ("exp@16") or none for scalar code ("maximum").
struct used_functions {
  std::set<std::string> names;
  std::set<int> widths;
  void scalar(const std::string& name) { names.insert(name); }
  void vector(const std::string& name, int width) {
    widths.insert(width);
    if (!name.empty())
      names.insert(name + "@" + std::to_string(width));
  }
};

/// Everything used, in dependence order.
std::string functions_text(const used_functions& used);
/// Has a vector form here (others are computed lane by lane).
bool has_vector_form(const std::string& name);

} // namespace kevolve::synthesis
