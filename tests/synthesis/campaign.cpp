// The random campaign: every operator of cases.hpp, its plain loop nest, its analytic schedule and N random schedules, compiled and compared
// with the float64 interpreter at odd sizes. Exit code 1 when any compile fails or any result is wrong.
//   synthesis_campaign [--schedules N] [--seed S] [--only NAME] [--optimise -O1] [--special] [--print] [--small] [OPERATOR.json | FOLDER …]
// --small: sizes of 1, 3 and 7 only, for operators whose constants are real models'. Of files the workloads must bind, too.
#include "actors/synthesis/generator.hpp"
#include "protocol/trace_format.hpp"
#include "tests/synthesis/cases.hpp"
#include "tests/synthesis/workbench.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

using namespace kevolve;

namespace {

bool print = false;
bool small = false;
bool special = false; // NaN, infinities and subnormal numbers among the inputs

struct totals {
  int candidates = 0, compile_errors = 0, wrong = 0, refused = 0;
};

std::vector<candidate> schedules_of(const synthesis::generator& g, int n, std::uint64_t seed) {
  std::vector<candidate> out;
  synthesis::context c;
  const auto root = g.root();
  if (!root)
    return out;
  out.push_back(root->what);
  c.refused.push_back(root->what.id);
  for (int i = 0; i <= n; ++i) {
    auto p = g.propose(c, rng(seed, static_cast<std::uint64_t>(i), "campaign"));
    if (!p)
      break;
    out.push_back(p->what);
    c.refused.push_back(p->what.id);
    c.parent = synthesis::attempt{};
    c.parent->printed_from = i % 4 == 3 ? schedule{} : *p->what.printed_from; // a walk that starts over now and then
    if (i % 3 == 0)
      c.parent.reset();
  }
  return out;
}

void run(const operator_definition& op, int schedules, std::uint64_t seed, const std::string& level, totals& t) {
  problem subject{op, {}};
  auto g = synthesis::generator::make(subject, target{}, "g++");
  if (!g) {
    std::printf("%s\n", g.error().message.c_str());
    ++t.refused;
    return;
  }
  auto all = schedules_of(**g, schedules, seed);
  std::map<std::string, std::vector<candidate>> by_flags;
  for (auto& c : all) {
    if (!level.empty())
      c.build.flags[0] = level;
    std::string key;
    for (const auto& f : c.build.flags)
      key += f + " ";
    by_flags[key].push_back(c);
  }
  std::vector<axis_binding> sizes;
  const std::vector<std::pair<int, int>> all_sizes{{1, 1}, {3, 17}, {19, 5}, {2, 67}, {33, 32}}, small_sizes{{1, 1}, {3, 7}, {7, 3}};
  for (const auto& [a, b] : small ? small_sizes : all_sizes) {
    axis_binding one;
    int k = 0;
    for (const auto& axis : op.axes)
      if (axis.kind == axis_kind::variable)
        one.emplace_back(axis.name, k++ == 0 ? a : b);
    sizes.push_back(one);
  }
  for (const auto& [flags, group] : by_flags) {
    std::string log;
    const auto kernels = workbench::compile(group, log);
    t.candidates += static_cast<int>(group.size());
    if (kernels.empty()) {
      for (const auto& c : group) { // which one
        std::string own;
        if (workbench::compile({c}, own).empty()) {
          ++t.compile_errors;
          std::printf("COMPILE ERROR %s: %s\n%s\n", op.name.c_str(), to_string(*c.printed_from).c_str(), own.substr(0, 1500).c_str());
        }
      }
      continue;
    }
    for (std::size_t i = 0; i < kernels.size(); ++i) {
      const auto wrong = workbench::verify(op, group[i], kernels[i], sizes, seed, 2e-4, special);
      if (print)
        std::printf("%s\n", group[i].sources[0].content.c_str());
      if (!wrong.empty()) {
        ++t.wrong;
        std::printf("WRONG %s\n", wrong.c_str());
      }
    }
  }
}

} // namespace

int main(int argc, char** argv) {
  int schedules = 20;
  std::uint64_t seed = 1;
  std::string only, level;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const auto next = [&] { return std::string(i + 1 < argc ? argv[++i] : ""); };
    if (a == "--schedules") schedules = std::atoi(next().c_str());
    else if (a == "--seed") seed = std::strtoull(next().c_str(), nullptr, 10);
    else if (a == "--only") only = next();
    else if (a == "--print") print = true;
    else if (a == "--special") special = true;
    else if (a == "--small") small = true;
    else if (a == "--optimise") level = next();
    else if (std::filesystem::is_directory(a)) {
      for (const auto& entry : std::filesystem::directory_iterator(a))
        if (entry.path().extension() == ".json")
          files.push_back(entry.path().string());
    } else files.push_back(a);
  }
  std::sort(files.begin(), files.end());
  totals t;
  if (files.empty()) {
    for (const auto& op : cases::all())
      if (only.empty() || op.name.find(only) != std::string::npos)
        run(op, schedules, seed, level, t);
  }
  for (const auto& f : files) {
    auto p = read_problem(f);
    if (!p)
      return std::fprintf(stderr, "%s\n", p.error().message.c_str()), 2;
    if (p->workloads.empty())
      return std::fprintf(stderr, "%s: no workloads\n", f.c_str()), 2;
    for (const auto& w : p->workloads)
      if (const auto axes = bind_axes(p->op, w.axes); !axes)
        return std::fprintf(stderr, "%s: workload %s: %s\n", f.c_str(), w.name.c_str(), axes.error().message.c_str()), 2;
    run(p->op, schedules, seed, level, t);
  }
  std::printf("%d candidates, %d compile errors, %d wrong, %d operators refused (seed %llu)\n", t.candidates, t.compile_errors, t.wrong, t.refused,
              static_cast<unsigned long long>(seed));
  return t.compile_errors + t.wrong + t.refused == 0 ? 0 : 1;
}
