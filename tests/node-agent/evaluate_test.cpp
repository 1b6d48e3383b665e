#include "tests/node-agent/rms_norm.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

using namespace kevolve;
using namespace kevolve::agent;

TEST_CASE("an honest candidate passes, is timed against its anchor and diagnosed") {
  // The anchor does the same work a hundred times, so that no noise of the host can turn the ratio round.
  const candidate slow = kernel(rows_of("for (int again = 0; again < 100; ++again) {\nasm volatile(\"\" ::: \"memory\");" + plain_row + "}"), {"-O2"});
  const auto e = evaluated(work_on(kernel(rows_of(plain_row), {"-O2"}), {slow}));
  CAPTURE(e.log);
  REQUIRE(e.result == outcome::passed);
  CHECK(e.correct.cases > 5);
  REQUIRE(e.timings.size() == 1);
  CHECK(e.timings[0].latency_s > 0);
  REQUIRE(e.timings[0].comparisons.size() == 1);
  CHECK(e.timings[0].comparisons[0].ratio > 1);
  CHECK(e.diagnosed.bytes > 64 * 4096 * 8);
  CHECK(e.diagnosed.limited_by != bound::unknown);
  CHECK(e.where.toolchain.starts_with("g++ "));
}

namespace {

/// The kernel against one that does the same work twenty times, on two workloads: three rounds fit into a search's time on a busy host, too.
evaluate_work two_workloads() {
  const candidate slow = kernel(rows_of("for (int again = 0; again < 20; ++again) {\nasm volatile(\"\" ::: \"memory\");" + plain_row + "}"), {"-O2"});
  evaluate_work w = work_on(kernel(rows_of(plain_row), {"-O2"}), {slow});
  workload other = w.subject.workloads.front();
  other.uuid = "00000000-0000-5000-8000-000000000002";
  other.axes.front().second = 17;
  w.subject.workloads.push_back(other);
  return w;
}

} // namespace

TEST_CASE("a large gain is proven on every workload") {
  const auto e = evaluated(two_workloads());
  CAPTURE(e.log);
  REQUIRE(e.result == outcome::passed);
  REQUIRE(e.timings.size() == 2);
  for (const auto& t : e.timings) {
    REQUIRE(t.comparisons.size() == 1);
    CHECK(t.comparisons[0].ratio > 1);
    CHECK(t.comparisons[0].e_value >= 200);
  }
}

TEST_CASE("what was found before is answered again only where it still holds") {
  evaluate_work w = two_workloads();
  const auto first = evaluated(w);
  REQUIRE(first.result == outcome::passed);
  CHECK(!first.cached);
  w.known = {first};
  const auto again = evaluated(w);
  CHECK(again.cached);
  CHECK(again.timings == first.timings);
  CHECK(again.stages.measure_s == 0);

  const auto measured_anew = [&](auto change) {
    evaluate_work other = w;
    change(other);
    return !evaluated(other).cached;
  };
  CHECK(measured_anew([](evaluate_work& o) { o.how = effort::verify; }));
  CHECK(measured_anew([](evaluate_work& o) { o.subject.workloads.pop_back(); }));
  CHECK(measured_anew([](evaluate_work& o) { o.known[0].where.toolchain = "g++ 1.0"; }));
  CHECK(measured_anew([](evaluate_work& o) { o.known[0].where.oracle_version = "0"; }));
  CHECK(measured_anew([](evaluate_work& o) { o.known[0].where.judge_version = "0"; }));
  CHECK(measured_anew([](evaluate_work& o) { o.known[0].where.hardware = "another"; }));
  CHECK(measured_anew([](evaluate_work& o) { o.known[0].timings[1].comparisons.clear(); }));
  CHECK(measured_anew([](evaluate_work& o) { o.known[0].candidate = o.anchors[0].id; }));

  evaluate_work wrong = work_on(kernel("not C++", {"-O1"}));
  const auto refused = evaluated(wrong);
  REQUIRE(refused.result == outcome::compile_error);
  wrong.known = {refused};
  wrong.known[0].where.hardware = "another"; // what does not compile for a target does so nowhere
  CHECK(evaluated(wrong).cached);
}

TEST_CASE("events of a call are counted, as far as the kernel lets us") {
  const auto e = evaluated(two_workloads());
  REQUIRE(e.result == outcome::passed);
  const auto value = [&](const std::string& name) {
    const auto at = std::find_if(e.diagnosed.counters.begin(), e.diagnosed.counters.end(), [&](const counter& c) { return c.name == name; });
    return at == e.diagnosed.counters.end() ? -1.0 : at->value;
  };
  if (e.diagnosed.counters.empty())
    MESSAGE("skipped: this kernel counts nothing for us (perf_event_open)");
  double latency_s = 0;
  for (const auto& t : e.timings)
    latency_s += t.latency_s;
  CAPTURE(latency_s);
  if (value("cpu_seconds") >= 0) {
    CHECK(value("cpu_seconds") > 0.2 * latency_s);
    CHECK(value("cpu_seconds") < 50 * latency_s);
  }
  if (value("instructions") >= 0) // at the least one for each sixteen of its elements
    CHECK(value("instructions") > e.diagnosed.bytes / 64);
}

TEST_CASE("a leader is measured in fresh processes on every workload, and its memory roof beside it") {
  evaluate_work w = two_workloads();
  w.how = effort::verify;
  w.limit_s = 60;
  const auto e = evaluated(w);
  CAPTURE(e.log);
  REQUIRE(e.result == outcome::passed);
  REQUIRE(e.timings.size() == 2);
  for (const auto& t : e.timings) {
    CHECK(t.comparisons.size() == 1); // the yardstick is no baseline
    CHECK(t.comparisons[0].blocks >= 2);
    CHECK(t.roof_s > 0);
  }
}

namespace {

/// The outcome of one candidate alone.
evaluation outcome_of(const candidate& c, double limit_s = 20) {
  evaluate_work w = work_on(c);
  w.limit_s = limit_s;
  return evaluated(w);
}

candidate whole(const std::string& body, const std::string& before = "", std::vector<std::string> flags = {"-O1"}) {
  return kernel(before + "\nextern \"C\" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {\n"
                         "  const kevolve_int64 m = axes[0], h = axes[1]; (void)m; (void)h; (void)in; (void)out;\n" + body + "\n}\n",
                std::move(flags));
}

/// Correct rows with something else done before or after.
candidate correct_and(const std::string& before, const std::string& after = "", const std::string& globals = "") {
  return whole(before + "\n  for (kevolve_int64 i = 0; i < m; ++i) {\n"
                        "    const float* x = (const float*)in[0].data + i * h; const float* w = (const float*)in[1].data; float* y = (float*)out[0].data + i * h;\n" +
                   plain_row + "  }\n" + after + "\n  return 0;",
               globals);
}

} // namespace

TEST_CASE("either compiler tells what it vectorised") {
  for (const char* compiler : {"g++", "clang++"}) {
    CAPTURE(compiler);
    const auto facts = host().self_test();
    if (std::any_of(facts.begin(), facts.end(), [&](const auto& f) { return f.first == std::string("compiler ") + compiler && f.second == "missing"; })) {
      MESSAGE("skipped: no ", std::string(compiler));
      continue;
    }
    candidate c = kernel(rows_of("for (kevolve_int64 j = 0; j < h; ++j) y[j] = x[j] * w[j];\n" + plain_row), {"-O3", "-ffast-math"});
    c.build.compiler = compiler;
    c.id = candidate_hash(c);
    const auto e = outcome_of(c);
    REQUIRE(e.result == outcome::passed);
    CHECK(std::any_of(e.diagnosed.remarks.begin(), e.diagnosed.remarks.end(), [](const std::string& r) { return r.find("vectorized") != r.npos; }));
    CHECK(e.log.find("remark") == std::string::npos);
  }
}

TEST_CASE("what does not compile is a compile error with the compiler's message") {
  const auto e = outcome_of(whole("return undeclared_name;"));
  CHECK(e.result == outcome::compile_error);
  CHECK(e.log.find("undeclared_name") != std::string::npos);
  CHECK(e.log.find("/tmp") == std::string::npos);
}

TEST_CASE("a function that is nowhere defined is a compile error") {
  CHECK(outcome_of(whole("return elsewhere();", "extern \"C\" int elsewhere();")).result == outcome::compile_error);
}

TEST_CASE("a function that no kernel needs is a compile error that names it") {
  const auto e = outcome_of(correct_and("  exit(0);", "", "#include <cstdlib>"));
  CHECK(e.result == outcome::compile_error);
  CHECK(e.log.find("'exit'") != std::string::npos);
}

TEST_CASE("the sandbox that was achieved stands in the evaluation") {
  const auto e = outcome_of(fast_rms_norm());
  CHECK((e.where.sandbox == "full" || e.where.sandbox.find("reduced: no ") == 0 || e.where.sandbox.find("full; compilers without a jail") == 0));
  for (const auto& [what, finding] : host().self_test())
    if (what.starts_with("sandbox "))
      CHECK_FALSE(finding.empty());
}

TEST_CASE("a host where a layer is missing is refused when the full sandbox is required") {
  host_settings s;
  s.cache = std::filesystem::temp_directory_path() / ("kevolve-required-" + std::to_string(::getpid()));
  s.require_sandbox = true;
  s.off.add(defence::seccomp);
  const auto started = host_evaluator::start(s);
  std::filesystem::remove_all(s.cache);
  REQUIRE(!started);
  CHECK(started.error().message.find("seccomp (switched off)") != std::string::npos);
}

TEST_CASE("flags that load code, read or write files or change tools are refused by name") {
  for (const char* flag : {"-fplugin=x.so", "-B/tmp", "@file", "-specs=x", "-include", "-I/etc", "-Wl,-rpath=/tmp", "-Wa,-a", "-o", "-x", "-fdump-tree-all",
                           "-save-temps", "-fprofile-use=/tmp/x", "-wrapper", "-Xlinker", "-DX=$(id)", "-march=native;id", "/etc/passwd", "-L/tmp", "-lcurl", ""}) {
    CAPTURE(flag);
    const auto e = outcome_of(kernel(rows_of(plain_row), {flag}));
    CHECK(e.result == outcome::compile_error);
    CHECK(e.log.find("list of flags") != std::string::npos);
  }
}

TEST_CASE("source paths that leave their folder are refused") {
  for (const char* path : {"../kernel.cpp", "/tmp/kernel.cpp", "-o.cpp", "a/../../b.cpp", "kevolve.h", "a\nb.cpp", ""}) {
    CAPTURE(path);
    candidate c = fast_rms_norm();
    c.sources[0].path = path;
    c.id = candidate_hash(c);
    CHECK(outcome_of(c).result == outcome::compile_error);
  }
}

TEST_CASE("a flood of compiler messages is capped") {
  std::string body;
  for (int i = 0; i < 3000; ++i)
    body += "undeclared_" + std::to_string(i) + "();\n";
  const auto e = outcome_of(whole(body + "return 0;"));
  CHECK(e.result == outcome::compile_error);
  CHECK(e.log.size() <= (64u << 10));
}

TEST_CASE("a missing entry point is named") {
  const auto e = outcome_of(kernel("int other() { return 0; }"));
  CHECK(e.result == outcome::runtime_error);
  CHECK(e.log.find("kevolve_run") != std::string::npos);
}

TEST_CASE("a crash is a runtime error that names the signal") {
  const auto e = outcome_of(whole("*(volatile int*)8 = 1; return 0;"));
  CHECK(e.result == outcome::runtime_error);
  CHECK(e.log.find("Segmentation fault") != std::string::npos);
}

TEST_CASE("an exception and a non-zero return are runtime errors") {
  CHECK(outcome_of(whole("throw 1;")).log.find("exception") != std::string::npos);
  CHECK(outcome_of(whole("return 7;")).log.find("returned 7") != std::string::npos);
}

TEST_CASE("wrong results are incorrect, and the case is named") {
  const auto e = outcome_of(whole("for (kevolve_int64 i = 0; i < m * h; ++i) ((float*)out[0].data)[i] = 1; return 0;"));
  CHECK(e.result == outcome::incorrect_numerical);
  CHECK(e.correct.failed_case.find("output out") != std::string::npos);
}

TEST_CASE("a kernel that is wrong in odd sizes only is incorrect") {
  const auto e = outcome_of(correct_and("  if (m % 2 == 1) ((float*)out[0].data)[m * h - 1] = 0;", "  if (m % 2 == 1) ((float*)out[0].data)[m * h - 1] = 12345;"));
  CHECK(e.result == outcome::incorrect_numerical);
}

TEST_CASE("outputs that are left unwritten or NaN are incorrect") {
  CHECK(outcome_of(whole("return 0;")).result == outcome::incorrect_numerical);
  CHECK(outcome_of(correct_and("", "  ((float*)out[0].data)[0] = 0.0f / ((float)m - (float)m);")).result == outcome::incorrect_numerical);
}

TEST_CASE("inputs cannot be written") {
  CHECK(outcome_of(correct_and("  ((float*)in[0].data)[0] = 1;")).result == outcome::runtime_error);
}

TEST_CASE("writing past an output's end or before its start is a runtime error") {
  CHECK(outcome_of(correct_and("", "  for (int i = 0; i < 64; ++i) ((float*)out[0].data)[m * h + i] = 1;")).result == outcome::runtime_error);
  CHECK(outcome_of(correct_and("", "  for (int i = 1; i < 2048; ++i) ((float*)out[0].data)[-i] = 1;")).result == outcome::runtime_error);
}

TEST_CASE("a result remembered by address is incorrect once the content has changed") {
  const auto e = outcome_of(whole("  static const void* seen[64]; static int n;\n"
                                  "  for (int i = 0; i < n; ++i) if (seen[i] == in[0].data) { __builtin_memcpy(out[0].data, kept[i], m * h * 4); return 0; }\n"
                                  "  for (kevolve_int64 i = 0; i < m; ++i) {\n"
                                  "    const float* x = (const float*)in[0].data + i * h; const float* w = (const float*)in[1].data; float* y = (float*)out[0].data + i * h;\n" +
                                      plain_row +
                                      "  }\n  kept[n] = (float*)malloc(m * h * 4); __builtin_memcpy(kept[n], out[0].data, m * h * 4); seen[n++] = in[0].data;\n  return 0;",
                                  "#include <cstdlib>\nstatic float* kept[64];"));
  CHECK(e.result == outcome::incorrect_numerical);
}

TEST_CASE("work that is skipped once timing has begun is a reward hack") {
  const auto e = outcome_of(correct_and("  static int calls; if (++calls > 60) return 0;"));
  CAPTURE(e.log);
  CHECK(e.result == outcome::reward_hack);
}

TEST_CASE("a call that does not return is a timeout") {
  const auto e = outcome_of(whole("for (;;) asm volatile(\"\"); return 0;"), 1);
  CHECK(e.result == outcome::timeout);
}

TEST_CASE("an evaluation that is cancelled ends as interrupted and the next one works") {
  std::atomic<bool> cancelled{false};
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    cancelled = true;
  });
  const auto e = host().evaluate(work_on(whole("for (;;) asm volatile(\"\"); return 0;")), cancelled);
  later.join();
  REQUIRE(!e);
  CHECK(e.error().code == errc::interrupted);
  CHECK(outcome_of(fast_rms_norm()).result == outcome::passed);
}

TEST_CASE("an operator without a graph is an error that says so") {
  evaluate_work w = work_on(fast_rms_norm());
  w.subject.op.traced.reset();
  std::atomic<bool> cancelled{false};
  const auto e = host().evaluate(w, cancelled);
  REQUIRE(!e);
  CHECK(e.error().message.find("no graph") != std::string::npos);
}

TEST_CASE("a baseline that cannot be had is said, and does not stop the verdict") {
  evaluate_work w = work_on(fast_rms_norm());
  w.how = effort::verify;
  w.baselines = {"eager", "nonsense"};
  w.subject.op.reference = "def run(x, weight):\n    raise ValueError('broken reference')\n";
  const auto e = evaluated(w);
  CHECK(e.result == outcome::passed);
  CHECK(e.log.find("baseline nonsense is unavailable") != std::string::npos);
  CHECK(e.log.find("baseline eager is unavailable") != std::string::npos);
}

TEST_CASE("a golden run of a calibrated device is right, on this host's own instructions") {
  REQUIRE(host().roofs());
  const std::atomic<bool> never{false};
  const auto found = host().check_device(never);
  REQUIRE_MESSAGE(found, (found ? std::string() : found.error().message));
  CAPTURE(found->run.detail);
  CHECK(found->run.how == golden_run::end::good);
  CHECK(found->run.found.computes >= found->run.found.computes_throughout);
  CHECK(found->run.found.computes_throughout > 0);
  CHECK(found->run.found.copies > 0);
  CHECK(found->calibrated.computes > 0);
  CHECK(found->calibrated.copies > 0);
}

TEST_CASE("a golden run that nobody wants any more ends without a verdict, and the judge works on") {
  REQUIRE(host().roofs());
  const std::atomic<bool> now{true};
  CHECK_FALSE(host().check_device(now));
  CHECK(evaluated(work_on(naive_rms_norm())).result == outcome::passed);
}
