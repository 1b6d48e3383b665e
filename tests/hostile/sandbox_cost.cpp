// What the sandbox costs: launching a harness with every layer and with none, killing a bomb of 200 tasks that ignores signals, and a complete
// evaluation of a trivial kernel that is compiled already. Prints medians and 99th percentiles; run it on an idle machine.
//   sandbox_cost [ROUNDS]
#include "node-agent/compile.hpp"
#include "node-agent/evaluate.hpp"
#include "node-agent/sandbox.hpp"
#include "node-agent/statistics.hpp"
#include "protocol/trace_format.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/prctl.h>
#include <unistd.h>

namespace fs = std::filesystem;
using namespace kevolve;
using namespace kevolve::agent;

namespace {

const fs::path source = KEVOLVE_SOURCE_DIR;

candidate program_of(const std::string& body) {
  std::ifstream in(source / "tests/hostile/include/hostile.h");
  std::ostringstream shared;
  shared << in.rdbuf();
  candidate c;
  c.definition = "hostile_rows";
  c.build.flags = {"-O2"};
  c.sources = {{"candidate.cpp", "#include \"hostile.h\"\n" + body}, {"hostile.h", shared.str()}};
  c.id = candidate_hash(c);
  return c;
}

void print(const char* what, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double share) { return seconds[std::min(seconds.size() - 1, static_cast<std::size_t>(share * static_cast<double>(seconds.size())))] * 1e3; };
  std::printf("%-62s median %7.2f ms   99%% %7.2f ms   most %7.2f ms   (%zu)\n", what, at(0.5), at(0.99), seconds.back() * 1e3, seconds.size());
}

int failed(const std::string& why) { return std::fprintf(stderr, "sandbox_cost: %s\n", why.c_str()), 1; }

} // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 100;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path(), harness = here / "kevolve-harness";
  std::string folder = (fs::temp_directory_path() / "kevolve-sandbox-cost-XXXXXX").string();
  if (!::mkdtemp(folder.data()))
    return failed("no folder");
  struct remove_later {
    std::string folder;
    ~remove_later() { fs::remove_all(folder); }
  } later{folder};
  pause_gate gate;
  std::atomic<bool> never{false};
  defences_off open_symbols;
  open_symbols.add(defence::symbols);
  compile_pool compilers(folder, 0, 1, gate, open_symbols);
  const auto honest = compilers.compile(program_of("extern \"C\" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) { return "
                                                   "honest_rows(in, out, axes); }\n"), 60, never);
  const auto bomb = compilers.compile(program_of(R"(#include <csignal>
#include <unistd.h>
extern "C" int kevolve_run(const kevolve_tensor*, kevolve_tensor*, const kevolve_int64*, void*, void*) {
  for (int i = 0; i < 200; ++i) {
    const int child = fork();
    if (child < 0)
      return 1;
    if (child == 0) {
      setsid();
      for (int s = 1; s < 64; ++s)
        signal(s, SIG_IGN);
      for (;;)
        pause();
    }
  }
  return 0;
}
)"), 60, never);
  if (!honest || !honest->good || !bomb || !bomb->good)
    return failed("the programs do not compile: " + (honest && bomb ? honest->log + bomb->log : std::string("no compiler")));
  const auto time_launches = [&](defences_off off) -> std::vector<double> {
    sandbox box(harness, off, {});
    if (off.bits() == 0)
      std::printf("sandbox: %s\n", box.level().c_str());
    std::vector<double> seconds;
    for (int i = 0; i < rounds; ++i) {
      auto artifact = sealed_copy(honest->artifact);
      const double began = now_s();
      auto one = box.start(0, {});
      if (!artifact || !one || !(*one)->load(*artifact, 10).good())
        return {};
      seconds.push_back(now_s() - began);
      ::close(*artifact);
    }
    return seconds;
  };
  defences_off none;
  for (const defence d : {defence::identity, defence::namespaces, defence::group, defence::limits, defence::seccomp, defence::landlock, defence::descriptors})
    none.add(d);
  const auto bare = time_launches(none), full = time_launches({});
  if (bare.empty() || full.empty())
    return failed("a harness does not start");
  print("launch and load, no layer", bare);
  print("launch and load, the whole sandbox", full);

  defences_off can_fork;
  can_fork.add(defence::seccomp);
  sandbox box(harness, can_fork, {});
  std::vector<double> kills;
  for (int i = 0; i < rounds; ++i) {
    auto artifact = sealed_copy(bomb->artifact);
    auto one = box.start(0, {});
    auto inputs = buffer_set::make({{dtype::float32, false, {1, 100}}, {dtype::float32, false, {100}}}), outputs = buffer_set::make({{dtype::float32, false, {1, 100}}});
    if (!artifact || !one || !inputs || !outputs || !(*one)->load(*artifact, 10).good() || !(*one)->map(1, {{"M", 1}, {"H", 100}}, **inputs, **outputs, 10).good())
      return failed("the bomb does not load");
    if (const call_end e = (*one)->call(1, 1, 10); !e.good())
      return failed("the bomb " + e.detail);
    ::close(*artifact);
    const double began = now_s();
    (*one)->end();
    kills.push_back(now_s() - began);
  }
  print("kill and reap 200 tasks that ignore signals", kills);

  host_settings settings;
  settings.cache = fs::path(folder) / "cache";
  auto host = host_evaluator::start(settings);
  auto subject = read_problem(source / "tests/hostile/operators/rows.json");
  if (!host || !subject)
    return failed(host ? subject.error().message : host.error().message);
  std::vector<double> whole, check, measure;
  for (int i = 0; i <= rounds; ++i) {
    evaluate_work w;
    w.subject = *subject;
    w.what = program_of("extern \"C\" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) { return honest_rows(in, out, axes); }\n");
    w.seed = 1;
    w.limit_s = 20;
    const double began = now_s();
    auto e = (*host)->evaluate(w, never);
    if (!e || e->result != outcome::passed)
      return failed("the trivial kernel did not pass: " + (e ? e->log : e.error().message));
    if (i == 0)
      continue; // compiles, draws inputs, asks the oracle, measures the roofs
    whole.push_back(now_s() - began), check.push_back(e->stages.check_s), measure.push_back(e->stages.measure_s);
  }
  print("a complete evaluation of a trivial kernel", whole);
  print("  of it: launch is above; check", check);
  print("  of it: measure", measure);
  return 0;
}
