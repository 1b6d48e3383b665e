#include "actors/synthesis/propose.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace kevolve::synthesis {

std::int64_t outlook::estimate(const index& i) const {
  return i.estimate([&](const std::string& name) -> std::int64_t {
    for (std::size_t a = 0; a < subject->axis_values.size(); ++a)
      if (subject->axis_values[a].first == name)
        return axis_values[a];
    return 1;
  });
}

outlook look_at(const program& p, const problem& subject, const target& on, const std::string& compiler) {
  outlook o;
  o.subject = &p;
  o.workloads = subject.workloads;
  o.compiler = compiler;
  o.width = on.architecture == "x86-64-v3" ? 8 : on.architecture == "x86-64" || on.architecture == "x86-64-v2" ? 4 : 16;
  for (std::size_t a = 0; a < p.axis_values.size(); ++a) {
    double logs = 0;
    int n = 0;
    for (const auto& w : subject.workloads)
      if (const auto bound = find_axis(w.axes, subject.op.axes[a].name); bound && *bound > 0) {
        logs += std::log(static_cast<double>(*bound));
        ++n;
      }
    const auto constant = p.axis_values[a].second.constant();
    o.axis_values.push_back(constant ? *constant : n > 0 ? static_cast<std::int64_t>(std::exp(logs / n) + 0.5) : 256);
  }
  return o;
}

schedule analytic_schedule(const outlook& o) {
  schedule s;
  const auto add = [&](const std::string& verb, const std::string& subject, std::vector<std::pair<std::string, std::string>> parameters = {}) {
    s.steps.push_back({verb, subject, std::move(parameters)});
  };
  add("fuse", "*");
  add("rows", "*");
  const auto width = std::to_string(o.width);
  add("vectorize", "*", {{"width", width}});
  add("accumulators", "*", {{"n", "4"}});
  add("parallel", "*");
  return s;
}

std::vector<move> neighbourhood(const outlook&, const schedule&, const std::optional<attempt>&) { return {}; }

std::vector<move> ranked(const outlook& o, const context&, rng&) { return {{analytic_schedule(o), {"analytic", "a", "b"}, 1}}; }

} // namespace kevolve::synthesis
