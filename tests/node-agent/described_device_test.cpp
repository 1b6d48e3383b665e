// Devices that an operator describes: what their commands are given, what comes back, and that candidates get no further than their jail. The
// candidates are shell scripts that a run command hands to a shell; no such device exists.
#include "node-agent/described_device.hpp"
#include "node-agent/described_timing.hpp"
#include "tests/node-agent/graph_builder.hpp"
#include "tests/node-agent/lacking.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::agent;
using namespace kevolve::test;
namespace fs = std::filesystem;

namespace {

/// y[M] = -(-x[M]): what `cp` computes.
problem copied() {
  problem p;
  p.op.name = "copied";
  p.op.axes = {{"M", axis_kind::variable, 0, {}, {}}};
  p.op.inputs = {{"x", false, {"M"}, dtype::float32, {}}};
  p.op.outputs = {{"y", false, {"M"}, dtype::float32, {}}};
  graph g;
  g.inputs = {{"x", dtype::float32, {"M"}}};
  g.nodes = {{"aten.mul.Tensor", {{"self", of("x")}, {"other", number(1)}}, {{"y", dtype::float32, {"M"}}}}};
  g.outputs = {"y"};
  p.op.traced = g;
  p.workloads.push_back({"rows-50", "rows_50", {{"M", 50}}, {}, std::nullopt, {}});
  return p;
}

struct bench {
  fs::path at;
  bench() {
    std::string name = (fs::temp_directory_path() / "kevolve-described-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    at = name;
    ::chmod(at.c_str(), 0755);
    fs::create_directories(at / "tools");
    std::ofstream(at / "tools/known") << "a tool\n";
  }
  ~bench() {
    std::error_code ignored;
    fs::remove_all(at, ignored);
  }
};

struct workplace {
  bench here;
  pause_gate gate;
  compile_pool compilers{here.at / "cache", 0, 2, gate};
  std::unique_ptr<described_device> device;
  result<void> began = {};

  explicit workplace(void (*change)(target_description&) = nullptr, double call_limit_s = 5) {
    target_description d;
    d.name = "Shell 1";
    d.on = {"shell", "1", "sh"};
    d.source = "kernel.sh";
    d.compile = {"/bin/sh", "-c", "grep -q syntax \"$0\" && { echo 'kernel.sh:1: error: syntax' >&2; exit 1; }; cp \"$0\" \"$1\"", "{source}", "{artifact}"};
    d.run = {"/bin/sh", "{artifact}", "{inputs}", "{outputs}", "{iterations}"};
    d.emulated = true;
    d.folders = {here.at / "tools"};
    d.file = here.at / "shell1.toml";
    d.digest = std::string(64, 'd');
    if (change)
      change(d);
    device = std::make_unique<described_device>(std::move(d), compilers, gate, call_limit_s);
    began = device->begin();
  }
  /// False, and said: no jail here.
  bool able() const {
    if (!began)
      lacking(began.error().message);
    return static_cast<bool>(began);
  }
  evaluation judge(const std::string& script, const std::vector<std::string>& anchors = {}) {
    evaluate_work what;
    what.subject = copied();
    what.on = device->description().on;
    what.what = candidate_of(script);
    for (const std::string& each : anchors)
      what.anchors.push_back(candidate_of(each));
    what.seed = 7;
    std::atomic<bool> cancelled{false};
    evaluation e;
    e.result = outcome::infrastructure;
    auto done = device->evaluate(what, cancelled, e);
    REQUIRE_MESSAGE(done, (done ? std::string() : done.error().message));
    return e;
  }
  candidate candidate_of(const std::string& script) const {
    candidate c;
    c.build = {"sh", "kernel.sh", to_string(device->description().on), {}};
    c.sources = {{"kernel.sh", script}};
    c.id = candidate_hash(c);
    return c;
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::string honest = "i=0; while [ $i -lt $3 ]; do cp $1/0.bin $2/0.bin; i=$((i+1)); done\n";

} // namespace

TEST_CASE("a candidate that does what the operator says passes, timed by our clock, and everything says what the device is") {
  workplace w;
  if (!w.able())
    return;
  const evaluation e = w.judge(honest, {honest + "# the anchor\n"});
  REQUIRE_MESSAGE(e.result == outcome::passed, e.log);
  CHECK(e.correct.cases > 5);
  REQUIRE(e.timings.size() == 1);
  CHECK(e.timings[0].latency_s > 0);
  CHECK(e.timings[0].samples >= 2);
  REQUIRE(e.timings[0].comparisons.size() == 1);
  CHECK(e.where.hardware == "emulated-shell-1-dddddddd");
  CHECK(has(e.where.device, "described by shell1.toml, not verified by kevolve; emulated"));
  CHECK(has(e.where.clock, "2N iterations"));
  CHECK(has(w.device->device(0).facts, "emulated"));
  CHECK(w.device->serves({"shell", "", "sh"}));
  CHECK_FALSE(w.device->serves({"shell", "2", "sh"}));
}

TEST_CASE("a command that takes no iterations is timed as a whole, and that is said") {
  workplace w(+[](target_description& d) { d.run = {"/bin/sh", "-c", "cp \"$1/0.bin\" \"$2/0.bin\"", "{artifact}", "{inputs}", "{outputs}"}; });
  if (!w.able())
    return;
  const evaluation e = w.judge("anything\n");
  REQUIRE_MESSAGE(e.result == outcome::passed, e.log);
  CHECK(e.timings[0].calls_per_sample == 1);
  CHECK(has(e.where.clock, "whole commands, their start included"));
}

TEST_CASE("what goes wrong with a candidate is its outcome, with what the commands said") {
  workplace w(nullptr, 1);
  if (!w.able())
    return;
  const auto ends = [&](const std::string& script, outcome expected, const std::string& said) {
    const evaluation e = w.judge(script);
    CHECK_MESSAGE(e.result == expected, script, ": ", to_string(e.result), ": ", e.log);
    CHECK_MESSAGE(has(e.log, said), script, ": ", e.log);
  };
  ends("syntax\n", outcome::compile_error, "kernel.sh:1: error: syntax");
  ends("echo 'no \x1b[31msuch unit' >&2; exit 3\n", outcome::runtime_error, "such unit");
  ends("sh -c 'kill -SEGV $$'\n", outcome::runtime_error, "status 139");
  ends("sleep 1000\n", outcome::timeout, "stopped after");
  ends("sleep 1000 & sleep 1000\n", outcome::timeout, "stopped after");
  ends("true\n", outcome::incorrect_shape, "no file");
  ends("printf abc > $2/0.bin\n", outcome::incorrect_shape, "found 3 bytes");
  ends("ln -s $1/0.bin $2/0.bin\n", outcome::incorrect_shape, "no file");
  ends("mkdir $2/0.bin\n", outcome::incorrect_shape, "no file");
  ends("mkfifo $2/0.bin\n", outcome::incorrect_shape, "no file");
  ends("tr 'a-z' 'A-Z' < $1/0.bin > $2/0.bin\n", outcome::incorrect_numerical, "output y");
  ends("cp $1/0.bin $2/0.bin; [ $3 -eq 1 ] || dd if=/work/kevolve-artifact of=$2/0.bin conv=notrunc bs=4 count=1 2>/dev/null\n", outcome::reward_hack, "timed run");
}

TEST_CASE("a candidate sees its folder, the description's folders and the system's programs, and nothing else") {
  workplace w(nullptr, 2);
  if (!w.able())
    return;
  const auto passes = [&](const std::string& condition) {
    const evaluation e = w.judge("{ " + condition + "; } && " + "cp $1/0.bin $2/0.bin || { echo not so >&2; exit 9; }\n");
    CHECK_MESSAGE(e.result == outcome::passed, condition, ": ", e.log);
  };
  const std::string tools = (w.here.at / "tools").string();
  passes("test -e " + tools + "/known");
  passes("! cp $1/0.bin " + tools + "/known 2>/dev/null");
  passes("! cp $1/0.bin " + tools + "/new 2>/dev/null");
  passes("test ! -e /etc/passwd && test ! -e /root && test ! -e " + w.here.at.string() + "/cache");
  passes("test $(grep -c : /proc/net/dev) -le 1"); // lo at most
  passes("! cp $1/0.bin $1/manifest.json 2>/dev/null");
  passes("test \"$(ls /proc | grep -c '^[0-9]')\" -lt 10"); // processes of its own only
}

TEST_CASE("flags and foreign file names are refused before anything runs") {
  workplace w;
  if (!w.able())
    return;
  std::atomic<bool> cancelled{false};
  candidate c = w.candidate_of(honest);
  c.build.flags = {"-O3"};
  auto made = w.device->compile(c, 10, cancelled);
  REQUIRE(made);
  CHECK_FALSE(made->good);
  CHECK(has(made->log, "flags are not taken here"));
  c = w.candidate_of(honest);
  c.sources.push_back({"../elsewhere", "x"});
  made = w.device->compile(c, 10, cancelled);
  REQUIRE(made);
  CHECK_FALSE(made->good);
  c.sources = {{"other.sh", honest}};
  made = w.device->compile(c, 10, cancelled);
  REQUIRE(made);
  CHECK(has(made->log, "no file 'kernel.sh'"));
}

TEST_CASE("a description whose programs or folders are not there is refused when the agent starts") {
  workplace absent(+[](target_description& d) { d.run[0] = "{here}/tools/runner"; });
  REQUIRE_FALSE(absent.began);
  CHECK(absent.began.error().code == errc::configuration);
  CHECK((has(absent.began.error().message, "tools/runner") || has(absent.began.error().message, "jail")));
  if (::geteuid() == 0) {
    workplace closed(+[](target_description& d) { ::chmod(d.folders[0].c_str(), 0700); });
    REQUIRE_FALSE(closed.began);
    CHECK((has(closed.began.error().message, "folders") || has(closed.began.error().message, "jail")));
  }
}

TEST_CASE("a profile's report becomes what the next prompt shows") {
  workplace w(+[](target_description& d) {
    d.profile = {"/bin/sh", "-c", "printf 'stalls: 12\\n\\nbanks: \\033[1m3\\n' > \"$1\"", "{artifact}", "{report}"};
  });
  if (!w.able())
    return;
  const evaluation e = w.judge(honest);
  REQUIRE_MESSAGE(e.result == outcome::passed, e.log);
  REQUIRE(e.diagnosed.hints.size() >= 2);
  CHECK(e.diagnosed.hints[0] == "profile: stalls: 12");
  CHECK(has(e.diagnosed.hints[1], "banks: "));
  CHECK_FALSE(has(e.diagnosed.hints[1], "\x1b"));
}

namespace {

/// A command that costs `start` and so much for each iteration, with noise of its own.
timed_command costs(double start_s, double call_s, double noise_s, rng& draw, double& clock) {
  return [=, &draw, &clock](std::uint32_t iterations, std::size_t) -> std::optional<double> {
    const double took = start_s + iterations * call_s + noise_s * draw.uniform();
    clock += took;
    return took;
  };
}

command_measurement timed(double mine_s, double theirs_s, bool verify = false, bool iterates = true, std::uint64_t seed = 1) {
  rng draw(seed);
  double clock = 0;
  const timed_command a = costs(0.05, mine_s, 2e-3, draw, clock), b = costs(0.05, theirs_s, 2e-3, draw, clock);
  command_settings s;
  s.iterates = iterates;
  s.verify = verify;
  s.clock = [&clock] { return clock; };
  return measure_commands(a, &b, s, rng(seed + 1));
}

} // namespace

TEST_CASE("what a command spends once falls out of its time, and a gain is one only with evidence") {
  const auto faster = timed(1e-5, 3e-5);
  CHECK(median(faster.found.candidate_s) == doctest::Approx(1e-5).epsilon(0.2));
  CHECK(median(faster.found.anchor_s) == doctest::Approx(3e-5).epsilon(0.2));
  CHECK(faster.found.calls >= 1000);
  const comparison c = compare_of(faster.found, "anchor");
  CHECK(c.ratio == doctest::Approx(3).epsilon(0.2));
  CHECK(c.e_value >= gain_evidence::better);
  const auto slower = timed(3e-5, 1e-5);
  CHECK(slower.found.e_value < 1);
  CHECK(slower.found.log_ratios.size() < 6); // clearly slower: not gone on with
  std::size_t gains = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed)
    gains += timed(1e-5, 1e-5, false, true, seed).found.e_value >= gain_evidence::better;
  CHECK(gains <= 4); // 0.5% of 200 is one
  CHECK(timed(1e-5, 2e-5, true).found.log_ratios.size() >= 6);
}

TEST_CASE("a whole command's time has its start in it") {
  const auto whole = timed(1e-3, 1e-3, true, false);
  CHECK(whole.found.calls == 1);
  CHECK(median(whole.found.candidate_s) > 0.05);
}

TEST_CASE("a command that goes wrong while it is timed ends the measurement on its side") {
  rng draw(1);
  double clock = 0;
  const timed_command good = costs(0.01, 1e-4, 0, draw, clock);
  int left = 9;
  const timed_command bad = [&](std::uint32_t iterations, std::size_t set) { return left-- > 0 ? good(iterations, set) : std::nullopt; };
  command_settings s;
  s.clock = [&clock] { return clock; };
  CHECK_FALSE(measure_commands(bad, &good, s, rng(1)).found.candidate.good());
  left = 3;
  const auto m = measure_commands(good, &bad, s, rng(1));
  CHECK(m.found.candidate.good());
  CHECK_FALSE(m.found.anchor.good());
}
