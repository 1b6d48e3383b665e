// The judge itself, without the library around it: candidates are compiled here, with any symbols that a test needs.
#include "node-agent/judge.hpp"
#include "node-agent/process.hpp"
#include "protocol/trace_format.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::agent;
namespace fs = std::filesystem;

namespace {

const fs::path source_root = KEVOLVE_SOURCE_DIR;

/// Normalised rows of 100 columns, 64 of them, or one workload for each number of rows.
problem rows(std::vector<std::int64_t> sizes = {64}) {
  auto p = read_problem(source_root / "tests/hostile/operators/rows.json");
  REQUIRE_MESSAGE(p, (p ? std::string() : p.error().message));
  const workload first = p->workloads.at(0);
  p->workloads.clear();
  for (const std::int64_t m : sizes) {
    p->workloads.push_back(first);
    p->workloads.back().axes = {{"M", m}};
    p->workloads.back().uuid = "rows-" + std::to_string(m);
  }
  return *p;
}

class folder {
public:
  folder() {
    std::string name = (fs::temp_directory_path() / "kevolve-judge-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

private:
  fs::path path_;
};

/// A shared object of `body`, which may `return honest();`.
judge_program program_of(const std::string& name, const std::string& body, const std::string& before = "", const std::vector<std::string>& flags = {}) {
  static const folder made;
  static std::map<std::string, judge_program> known;
  const std::string text = "#include \"hostile.h\"\n#include <cstdlib>\n#include <cstring>\n" + before +
                           "\nextern \"C\" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {\n"
                           "  const auto honest = [&] { return honest_rows(in, out, axes); }; (void)honest;\n" +
                           body + "\n}\n";
  auto& one = known[text];
  if (one.artifact.empty()) {
    const fs::path at = made.path() / std::to_string(known.size());
    std::ofstream(at.string() + ".cpp") << text;
    command c;
    c.arguments = {"g++", "-std=c++20", "-O1", "-fPIC", "-shared", "-I" + (source_root / "tests/hostile/include").string(), "-I" + made.path().string(), "-o", at.string() + ".so", at.string() + ".cpp"};
    c.arguments.insert(c.arguments.end(), flags.begin(), flags.end());
    c.environment = plain_environment();
    fs::copy_file(source_root / "protocol/native_abi.h", made.path() / "kevolve.h", fs::copy_options::overwrite_existing);
    const auto end = run(c);
    REQUIRE(end);
    REQUIRE_MESSAGE(end->good(), end->errors);
    one.artifact = at.string() + ".so";
  }
  return {name, one.artifact};
}

judge_program honest() { return program_of("honest", "return honest();"); }
judge_program slow(int times = 30) {
  return program_of("slow", "for (int i = 0; i < " + std::to_string(times) + "; ++i) { __asm__ volatile(\"\" ::: \"memory\"); honest(); }\nreturn 0;");
}

/// A judge with what it has announced.
struct court {
  std::vector<std::string> announced;
  bool agreed = true, cancelled = false;
  judge one;

  explicit court(defences_off off = {}, std::vector<std::int32_t> cores = {0})
      : one(setup(off, std::move(cores)), {-1, [this] { return cancelled; }, [this](const std::string& stage) { return announced.push_back(stage), agreed; }}) {}
  static judge_setup setup(defences_off off, std::vector<std::int32_t> cores) {
    judge_setup s;
    s.harness = (fs::read_symlink("/proc/self/exe").parent_path() / "kevolve-harness").string();
    s.cores = std::move(cores);
    s.defences_off = off.bits();
    return s;
  }
  judge_verdict operator()(const judge_evaluate& what) { return one.evaluate(what); }
};

judge_evaluate asking(const judge_program& what, std::vector<judge_program> anchors = {}, const problem& subject = rows()) {
  judge_evaluate e;
  e.number = 42;
  e.subject = subject;
  e.what = what;
  e.anchors = std::move(anchors);
  e.seed = 7;
  e.limit_s = 60;
  e.call_limit_s = 5;
  return e;
}

/// All that the judge looks at is off but these.
defences_off only(std::vector<defence> on) {
  defences_off off;
  for (const defence d : {defence::reply_numbers, defence::poison, defence::fresh_content, defence::odd_cases, defence::comparison, defence::spots, defence::second_clock, defence::final_check, defence::audit})
    if (std::find(on.begin(), on.end(), d) == on.end())
      off.add(d);
  return off;
}

std::set<int> children() {
  std::set<int> found;
  std::ifstream in("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  for (int pid = 0; in >> pid;)
    found.insert(pid);
  return found;
}

} // namespace

TEST_CASE("a verdict on an honest candidate says what was checked, timed and spent") {
  court judge;
  const judge_verdict v = judge(asking(honest(), {slow()}, rows({64, 16})));
  CAPTURE(v.log);
  REQUIRE(v.result == outcome::passed);
  CHECK(v.number == 42);
  CHECK(v.log == "");
  CHECK(v.sandbox == judge.one.describe({1}).level);
  CHECK(v.correct.cases > 10);
  CHECK(v.correct.max_absolute_error > 0);
  CHECK(v.correct.max_relative_error > 0);
  CHECK(v.correct.max_relative_error < 1e-2);
  CHECK(v.correct.failed_case == "");
  REQUIRE(v.timings.size() == 2);
  for (std::size_t w = 0; w < 2; ++w) {
    const workload_timing& t = v.timings[w];
    CHECK(t.workload == (w ? "rows-16" : "rows-64"));
    CHECK(t.latency_s > 0);
    CHECK(t.samples >= 4);
    CHECK(t.calls_per_sample > 1);
    REQUIRE(t.comparisons.size() == 1);
    CHECK(t.comparisons[0].anchor == "slow");
    CHECK(t.comparisons[0].ratio > 3);
    CHECK(t.roof_s == 0);
  }
  CHECK(v.timings[0].latency_s > v.timings[1].latency_s);
  CHECK(v.notes.empty());
  CHECK(v.handshake_s > 0);
  CHECK(v.handshake_s < 0.1);
  CHECK(v.check_s > 0);
  CHECK(v.measure_s > 0);
  CHECK(v.cpu_s > 0);
  CHECK(judge.announced == std::vector<std::string>{"measuring", "measured"});
}

TEST_CASE("without an anchor a candidate is timed alone") {
  court judge;
  const judge_verdict v = judge(asking(honest()));
  REQUIRE(v.result == outcome::passed);
  REQUIRE(v.timings.size() == 1);
  CHECK(v.timings[0].comparisons.empty());
  CHECK(v.timings[0].latency_s > 0);
  CHECK(v.cpu_s > 0); // of the one process that there was
}

TEST_CASE("several anchors are compared with one after the other, each by its name, and live on for the next candidate") {
  court judge;
  const auto before = children();
  const std::vector<judge_program> anchors{program_of("one", "return honest();"), slow(), program_of("three", "return 0 * 3 + honest();")};
  judge_evaluate ask = asking(honest(), anchors);
  REQUIRE(judge(ask).timings.at(0).comparisons.size() == 3);
  const auto kept = children();
  CHECK(kept.size() == before.size() + 3); // the candidate's process is gone
  const judge_verdict v = judge(ask);
  std::vector<std::string> names;
  for (const comparison& c : v.timings.at(0).comparisons)
    names.push_back(c.anchor);
  CHECK(names == std::vector<std::string>{"one", "slow", "three"});
  ask.anchors = {slow()};
  for (int i = 0; i < 4; ++i)
    ask.anchors.push_back(program_of("more" + std::to_string(i), "return " + std::to_string(i) + " * 0 + honest();"));
  CHECK(judge(ask).timings.at(0).comparisons.size() == 5);
  CHECK(children().size() <= before.size() + 4); // no more than four
  ask.anchors = {};
  ask.subject = rows({32}); // anchors of another problem are of no use
  CHECK(judge(ask).result == outcome::passed);
  CHECK(children() == before);
}

TEST_CASE("an anchor that does not load or that fails is said, and no fault of the candidate's") {
  court judge;
  judge_program broken = honest();
  broken.name = "broken-anchor-of-long-name";
  broken.artifact = (source_root / "README.md").string();
  judge_verdict v = judge(asking(honest(), {broken}));
  CHECK(v.result == outcome::passed);
  REQUIRE(v.notes.size() == 1);
  CHECK(v.notes[0] == "anchor broken-ancho could not be run: it does not load");
  CHECK(v.timings.at(0).comparisons.empty());
  CHECK(v.timings.at(0).latency_s > 0);
  const judge_program crashes = program_of("crashes", "static int calls; if (++calls > 5) abort(); return honest();");
  v = judge(asking(honest(), {crashes, slow()}));
  CHECK(v.result == outcome::passed);
  REQUIRE(v.notes.size() == 1);
  CHECK(v.notes[0].find("crashes was killed by signal 6 (Aborted) while measured") == 0);
  REQUIRE(v.timings.at(0).comparisons.size() == 1);
  CHECK(v.timings[0].comparisons[0].anchor == "slow");
}

TEST_CASE("what a candidate does wrong is told with the case that showed it") {
  court judge;
  const auto verdict = [&](const std::string& body) { return judge(asking(program_of("x", body))); };
  judge_verdict v = verdict("return 7;");
  CHECK(v.result == outcome::runtime_error);
  CHECK(v.log.find("the candidate returned 7 (") == 0);
  CHECK(v.timings.empty());
  CHECK(judge.announced.empty());
  v = verdict("honest(); if (axes[0] != 64) ((float*)out[0].data)[0] += 1; return 0;");
  CHECK(v.result == outcome::incorrect_numerical);
  CHECK(v.log.find("output out: 1 of ") != std::string::npos);
  CHECK(v.correct.failed_case == v.log);
  CHECK(v.correct.max_absolute_error > 0.5);
  v = verdict("honest(); if (axes[0] == 64) ((float*)out[0].data)[0] += 1; return 0;");
  CHECK(v.result == outcome::incorrect_numerical);
  v = verdict("((float*)out[0].data)[axes[0] * 100] = 1; return honest();");
  CHECK(v.result == outcome::runtime_error);
  CHECK(v.log.find("the candidate ") == 0);
  v = verdict("abort();");
  CHECK(v.result == outcome::runtime_error);
  CHECK(v.log.find("signal 6") != std::string::npos);
  judge_program none = honest();
  none.artifact = (source_root / "README.md").string();
  v = judge(asking(none));
  CHECK(v.result == outcome::runtime_error);
  CHECK(v.log.find("cannot load the candidate") != std::string::npos);
  none.artifact = "/no/such/file";
  v = judge(asking(none));
  CHECK(v.result == outcome::infrastructure);
  CHECK(v.log.find("/no/such/file") != std::string::npos);
}

TEST_CASE("a call beyond its limit and calls beyond the attempt's are timeouts, whoever waits") {
  auto one = std::make_unique<court>(); // one at a time: they have the same users
  court& judge = *one;
  const judge_program sleeps = program_of("sleeps", "timespec t{0, 250000000}; nanosleep(&t, nullptr); return honest();", "#include <ctime>"),
                      once = program_of("sleeps once", "static bool slept; timespec t{0, 250000000}; if (!slept) slept = true, nanosleep(&t, nullptr); return honest();", "#include <ctime>");
  judge_evaluate ask = asking(sleeps);
  ask.call_limit_s = 0.05;
  judge_verdict v = judge(ask);
  CHECK(v.result == outcome::timeout);
  CHECK(v.log.find("the candidate did not return in time (") == 0);
  ask.call_limit_s = 5;
  ask.limit_s = 0.6;
  v = judge(ask);
  CHECK(v.result == outcome::timeout);
  CHECK(v.check_s < 20);
  ask.what = once;
  ask.call_limit_s = 0.05;
  ask.limit_s = 60;
  CHECK(judge(ask).result == outcome::timeout);
  one.reset();
  court patient(defences_off().add(defence::deadline));
  CHECK(patient(ask).result == outcome::passed); // thirty times as long
}

TEST_CASE("nobody who asks no longer is answered, and a measurement that is not agreed to is not made") {
  court judge;
  judge.agreed = false;
  judge_verdict v = judge(asking(honest(), {slow()}));
  CHECK(v.result == outcome::passed);
  CHECK(v.timings.empty());
  CHECK(v.measure_s == 0);
  CHECK(judge.announced == std::vector<std::string>{"measuring"});
  judge.cancelled = true;
  const judge_program hangs = program_of("hangs", "for (;;) __asm__ volatile(\"\");");
  v = judge(asking(hangs));
  CHECK(v.result == outcome::infrastructure);
  CHECK(v.log.find("cancelled") != std::string::npos);
  judge.cancelled = false, judge.agreed = true;
  CHECK(judge(asking(honest())).result == outcome::passed);
}

TEST_CASE("a problem that cannot be judged is the infrastructure's, with the reason") {
  court judge;
  problem p = rows();
  p.op.traced.reset();
  const judge_verdict v = judge(asking(honest(), {}, p));
  CHECK(v.result == outcome::infrastructure);
  CHECK(v.log.find("has no graph") != std::string::npos);
  CHECK(v.number == 42);
}

TEST_CASE("the same seed gives the same inputs, another seed and another problem others, however often they alternate") {
  court judge;
  // Adds up what it saw of the workload's size and tells it: 100 and more.
  const judge_program tells = program_of("tells", "if (axes[0] != 64) return honest();\nunsigned sum = 0; for (int i = 0; i < 6400; ++i) sum += (unsigned)(((const float*)in[0].data)[i] * 1000);\n"
                                                  "return 100 + (int)(sum % 100000);");
  judge_evaluate ask = asking(tells);
  const auto told = [&](std::uint64_t seed) { return ask.seed = seed, judge(ask).log; };
  const std::string one = told(1), two = told(2), three = told(3);
  CHECK(one.find("returned ") != std::string::npos);
  CHECK(std::set<std::string>{one, two, three}.size() == 3);
  CHECK(told(1) == one);
  CHECK(told(3) == three);
  CHECK(told(2) == two);
}

TEST_CASE("a candidate runs with as many bound OpenMP threads as its slot has cores, which wait passively, and with nothing else of ours") {
  auto judge = std::make_unique<court>();
  const std::string expect = R"(
    const auto is = [](const char* name, const char* value) { const char* v = getenv(name); return v && !strcmp(v, value); };
    if (omp_get_max_threads() != 1) return 101;
    if (omp_get_num_places() != 1 || omp_get_place_num_procs(0) != 1) return 102;
    if (omp_get_dynamic()) return 103;
    if (omp_get_proc_bind() == omp_proc_bind_false) return 104;
    if (!is("OMP_WAIT_POLICY", "passive") || !is("LC_ALL", "C") || !is("OMP_PLACES", "{0}")) return 105;
    int variables = 0; for (char** v = environ; *v; ++v) ++variables;
    if (variables != 6) return 106;
    return honest();)";
  const judge_verdict v = (*judge)(asking(program_of("omp", expect, "#include <omp.h>\n#include <unistd.h>", {"-fopenmp"})));
  CHECK(v.log == "");
  CHECK(v.result == outcome::passed);
  judge.reset();
  if (::sysconf(_SC_NPROCESSORS_ONLN) > 1) {
    court wide({}, {0, 1});
    const judge_verdict two = wide(asking(program_of("omp", "if (omp_get_max_threads() != 2 || omp_get_num_places() != 2) return 107; return honest();", "#include <omp.h>", {"-fopenmp"})));
    CHECK(two.log == "");
  }
  court unbound({}, {});
  const judge_verdict any = unbound(asking(program_of("omp", "const char* p = getenv(\"OMP_PLACES\"); if (omp_get_max_threads() != 1 || !p || strcmp(p, \"threads\")) return 108; return honest();", "#include <omp.h>", {"-fopenmp"})));
  CHECK(any.log == "");
}

TEST_CASE("the audit by itself sees results that are remembered by content, and honest candidates pass it") {
  const std::string remembers = R"(
    for (int i = 0; i < known; ++i)
      if (!memcmp(inputs[i], in[0].data, 64)) { memcpy(out[0].data, results[i], axes[0] * 400); return 0; }
    timespec t{0, 3000000};
    nanosleep(&t, nullptr);
    honest();
    if (known < 200) { memcpy(inputs[known], in[0].data, 64); results[known] = (float*)malloc(axes[0] * 400); memcpy(results[known++], out[0].data, axes[0] * 400); }
    return 0;)";
  const judge_program cheats = program_of("remembers", remembers, "#include <ctime>\nstatic char inputs[200][64]; static float* results[200]; static int known;");
  judge_evaluate ask = asking(cheats);
  ask.how = effort::verify;
  auto one = std::make_unique<court>(only({defence::audit})); // one at a time: they have the same users
  const judge_verdict v = (*one)(ask);
  CAPTURE(v.log);
  CHECK(v.result == outcome::reward_hack);
  CHECK(v.log.find("workload rows-64: single calls on inputs it had never seen took ") == 0);
  CHECK(v.log.find("results are remembered") != std::string::npos);
  ask.how = effort::search;
  CHECK((*one)(ask).result == outcome::passed); // leaders alone are audited
  ask.how = effort::verify;
  const judge_program cheat = ask.what;
  ask.what = honest();
  CHECK((*one)(ask).result == outcome::passed);
  one.reset();
  court blind(only({}));
  ask.what = cheat;
  CHECK(blind(ask).result == outcome::passed); // the control
}

TEST_CASE("the audit compares single calls in full, too") {
  // Right on the first two inputs that it sees, wrong on any other.
  const judge_program cheats = program_of("guesses", "honest(); unsigned sum; memcpy(&sum, in[0].data, 4); for (int i = 0; i < known; ++i) if (seen[i] == sum) return 0;\n"
                                                     "if (known < 2) seen[known++] = sum; else ((float*)out[0].data)[axes[0] * 100 - 1] += 1; return 0;", "static unsigned seen[2]; static int known;");
  judge_evaluate ask = asking(cheats);
  ask.how = effort::verify;
  defences_off off = only({defence::audit});
  court judge(off);
  const judge_verdict v = judge(ask);
  CHECK(v.result == outcome::incorrect_numerical);
  CHECK(v.log.find("never seen") != std::string::npos);
}

TEST_CASE("the last check by itself sees what goes wrong after many calls") {
  const judge_program tires = program_of("tires", "static long calls; honest(); if (++calls > 300) ((float*)out[0].data)[0] += 1; return 0;");
  judge_evaluate ask = asking(tires);
  ask.how = effort::verify;
  {
    court judge(only({defence::final_check, defence::comparison}));
    const judge_verdict found = judge(ask);
    CHECK(found.result == outcome::incorrect_numerical);
    CHECK(found.log.find("1 of 6400 elements wrong") != std::string::npos);
    ask.how = effort::search;
    CHECK(judge(ask).result == outcome::passed);
  }
  ask.how = effort::verify;
  court blind(only({defence::comparison}));
  CHECK(blind(ask).result == outcome::passed);
}

TEST_CASE("spots by themselves see work that is left out in timed calls, and wrong work") {
  auto one = std::make_unique<court>(only({defence::spots}));
  judge_verdict v = (*one)(asking(program_of("skips", "static long calls; if (++calls > 40) return 0; return honest();"), {slow()}));
  CHECK(v.result == outcome::reward_hack);
  CHECK(v.log.find("gave another result in a timed call than when it was checked") != std::string::npos);
  CHECK(v.log.find("while measured") != std::string::npos);
  CHECK(v.timings.empty());
  v = (*one)(asking(program_of("errs", "static long calls; honest(); if (++calls > 40) for (long i = 0; i < axes[0] * 100; i += 2) ((float*)out[0].data)[i] += 1; return 0;"), {slow()})); // half of it: a busy host times few calls
  CHECK(v.result == outcome::incorrect_numerical);
  one.reset();
  court blind(only({}));
  CHECK(blind(asking(program_of("skips", "static long calls; if (++calls > 40) return 0; return honest();"), {slow()})).result == outcome::passed);
}

TEST_CASE("the second clock by itself sees a thread that goes on working after the call") {
  const judge_program works_on = program_of("works on", "static bool begun; if (!begun) { begun = true; std::thread([] { for (;;) __asm__ volatile(\"\"); }).detach(); } return honest();", "#include <thread>", {"-pthread"});
  judge_evaluate ask = asking(works_on, {slow()}); // which is timed while the candidate ought to rest
  ask.how = effort::verify;
  auto one = std::make_unique<court>(only({defence::second_clock}), std::vector<std::int32_t>());
  const judge_verdict v = (*one)(ask);
  CAPTURE(v.log);
  CHECK(v.result == outcome::reward_hack);
  CHECK(v.log.find("the candidate's process ") == 0);
  CHECK(v.log.find(" ms") != std::string::npos);
  CHECK(std::strtod(v.log.c_str() + v.log.find_first_of("0123456789"), nullptr) > 1); // the thread's milliseconds, not their millionth
  one.reset();
  court blind(only({}), {});
  CHECK(blind(ask).result == outcome::passed);
}

TEST_CASE("a thread that sleeps between calls is no fault, nor is one that works in them") {
  const judge_program sleeps = program_of("sleeps beside", "static bool begun; if (!begun) { begun = true; std::thread([] { for (;;) std::this_thread::sleep_for(std::chrono::milliseconds(5)); }).detach(); } return honest();", "#include <thread>\n#include <chrono>", {"-pthread"});
  court judge({}, {});
  const judge_verdict v = judge(asking(sleeps, {slow()}));
  CHECK(v.log == "");
  CHECK(v.result == outcome::passed);
}

TEST_CASE("beside a leader the yardstick is timed, on its own process, and gives the roof alone") {
  court judge;
  judge_evaluate ask = asking(slow(10), {honest()});
  ask.how = effort::verify;
  ask.yardstick = program_of("yardstick", "return honest();");
  const judge_verdict v = judge(ask);
  REQUIRE(v.result == outcome::passed);
  REQUIRE(v.timings.size() == 1);
  CHECK(v.timings[0].comparisons.size() == 1);
  CHECK(v.timings[0].comparisons[0].anchor == "honest");
  CHECK(v.timings[0].roof_s > 0);
  CHECK(v.timings[0].roof_s < v.timings[0].latency_s / 2); // a tenth of the work
  CHECK(v.timings[0].comparisons[0].blocks >= 2);
  ask.yardstick = {"yardstick", "/no/such/file"};
  const judge_verdict without = judge(ask);
  CHECK(without.result == outcome::passed);
  CHECK(without.timings.at(0).roof_s == 0);
  REQUIRE(without.notes.size() == 1);
  CHECK(without.notes[0].find("anchor yardstick could not be run") == 0);
}

TEST_CASE("events are those of one call, summed over workloads") {
  court judge;
  const judge_verdict one = judge(asking(slow(200))), two = judge(asking(slow(200), {}, rows({64, 64})));
  if (one.counters.empty()) {
    MESSAGE("skipped: this kernel counts nothing for us (perf_event_open)");
    return;
  }
  for (std::size_t i = 0; i < one.counters.size(); ++i) {
    CHECK(one.counters[i].name == two.counters.at(i).name);
    if (one.counters[i].name == "instructions") {
      CHECK(one.counters[i].value > 64 * 100 * 200);
      CHECK(two.counters[i].value == doctest::Approx(2 * one.counters[i].value).epsilon(0.2));
    }
    if (one.counters[i].name == "cpu_seconds") {
      CHECK(one.counters[i].value > 0.3 * one.timings.at(0).latency_s);
      CHECK(one.counters[i].value < 10 * one.timings.at(0).latency_s);
      CHECK(two.counters[i].value > 1.1 * one.counters[i].value);
    }
  }
}

TEST_CASE("whatever a candidate leaves behind is gone with the verdict") {
  court judge(defences_off().add(defence::seccomp).add(defence::namespaces).add(defence::group).add(defence::identity).add(defence::limits));
  const auto before = children();
  const judge_program forks = program_of("forks", "static int child; if (!child && !(child = fork())) { setsid(); for (;;) pause(); } return honest();", "#include <unistd.h>");
  CHECK(judge(asking(forks)).result == outcome::passed);
  CHECK(children() == before);
}

TEST_CASE("each layer of confinement is described by name, and one that is off lowers the level") {
  auto one = std::make_unique<court>();
  const judge_described d = one->one.describe({9});
  CHECK(d.number == 9);
  std::vector<std::string> names;
  for (const judge_layer& l : d.layers) {
    names.push_back(l.name);
    CHECK(!l.detail.empty());
  }
  CHECK(names == std::vector<std::string>{"identity", "namespaces", "group", "limits", "seccomp", "landlock", "descriptors"});
  one.reset();
  court open(defences_off().add(defence::seccomp));
  const judge_described less = open.one.describe({1});
  CHECK(less.level.find("seccomp (switched off)") != std::string::npos);
  CHECK_FALSE(less.layers.at(4).holds);
  CHECK(open(asking(honest())).sandbox == less.level);
}

TEST_CASE("an anchor is looked at in timed calls, too") {
  court judge(only({defence::spots}));
  const judge_program errs = program_of("errs later", "static long calls; honest(); if (++calls > 40) for (long i = 0; i < axes[0] * 100; i += 2) ((float*)out[0].data)[i] += 1; return 0;"); // half of the elements: few calls are timed on a busy host
  const judge_verdict v = judge(asking(honest(), {errs}));
  CHECK(v.result == outcome::passed); // no fault of the candidate's
  REQUIRE(v.notes.size() == 1);
  CAPTURE(v.notes[0]);
  CHECK(v.notes[0].find("errs later") == 0);
  CHECK(v.notes[0].find("while measured") != std::string::npos);
}

namespace {

/// Copies or sums as calibration's kernel would, and ends `wrong`.
judge_program golden_program(const std::string& wrong) {
  return program_of("golden " + wrong, "if (axes[0] == 0) for (long i = 0; i < axes[1]; ++i) ((float*)out[0].data)[i] = ((const float*)in[0].data)[i];\n"
                                      "else for (int core = 0; core < 2; ++core) ((float*)out[1].data)[16 * core] = 2.5f;\n" + wrong + "\nreturn 0;");
}

judge_golden asking_golden(const judge_program& what) {
  judge_golden ask;
  ask.number = 43;
  ask.what = what;
  ask.inputs = {5000};
  ask.outputs = {5000, 1024};
  ask.steps = {{{0, 5000, 1}, true, {}, 5, 10}, {{1, 5000, 1}, false, {1.5f, 2.5f}, 7, 10}};
  ask.seed = 11;
  return ask;
}

} // namespace

TEST_CASE("a golden run times every step and finds right results right") {
  court judge({}, {0, 1});
  const auto done = judge.one.golden(asking_golden(golden_program("")));
  CHECK(done.number == 43);
  CHECK(done.began);
  CHECK(done.problem == "");
  CHECK(done.wrong == "");
  REQUIRE(done.steps.size() == 2);
  for (const golden_seconds& each : done.steps) {
    CHECK(each.least_s > 0);
    CHECK(each.mean_s >= each.least_s);
  }
}

TEST_CASE("a golden run finds one wrong bit of a copy, a wrong sum of any core, and what is left undone") {
  court judge({}, {0, 1});
  const auto wrong = [&](const std::string& body) { return judge.one.golden(asking_golden(golden_program(body))).wrong; };
  const std::string bit = wrong("if (axes[0] == 0) ((unsigned char*)out[0].data)[4 * 1234] ^= 1;");
  CHECK(bit.find("a copy differs from its source in 1 of 5000 elements, first in 1234: ") == 0);
  CHECK(wrong("if (axes[0] == 0) ((float*)out[0].data)[4999] = 0;").find("in 1 of 5000 elements, first in 4999: ") != std::string::npos);
  CHECK(wrong("if (axes[0] == 1) ((float*)out[1].data)[16] = 2.25f;") == "core 1 of the slot summed up to 2.25 instead of 1.5");
  const auto undone = judge.one.golden(asking_golden(program_of("does nothing", "return 0;")));
  CHECK(undone.wrong.find("in 5000 of 5000 elements") != std::string::npos);
}

TEST_CASE("a golden kernel that crashes began, and one that cannot be loaded did not") {
  court judge;
  const auto crashed = judge.one.golden(asking_golden(golden_program("__builtin_trap();")));
  CHECK(crashed.began);
  CHECK(crashed.problem.find("the golden kernel ") == 0);
  CHECK_FALSE(crashed.hung);
  const auto missing = judge.one.golden(asking_golden({"missing", "/nowhere/at/all.so"}));
  CHECK_FALSE(missing.began);
  CHECK_FALSE(missing.problem.empty());
}
