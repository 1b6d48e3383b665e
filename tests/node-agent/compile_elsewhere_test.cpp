// A host that compiles nothing itself: what it asks another for, what that one makes, and what becomes of an evaluation.
#include "node-agent/compile.hpp"
#include "node-agent/hardware.hpp"
#include "node-agent/instruction_sets.hpp"
#include "node-agent/workspace.hpp"
#include "protocol/digest.hpp"
#include "protocol/limits.hpp"
#include "tests/node-agent/lacking.hpp"
#include "tests/node-agent/rms_norm.hpp"

#include <doctest/doctest.h>

#include <set>
#include <sstream>

using namespace kevolve;
using namespace kevolve::agent;
using namespace kevolve::test;
namespace fs = std::filesystem;

namespace {

struct folder {
  fs::path at = *scratch::make("kevolve-elsewhere-test-");
  scratch gone_afterwards{at};
};

/// Two hosts in one process: `bare` compiles nothing, `whole` compiles for it.
struct two_hosts {
  folder here;
  pause_gate gate;
  compile_pool whole{here.at / "whole", 0, 2, gate}, bare{here.at / "bare", 0, 2, gate, {}, true};
  std::atomic<bool> never{false};
  std::vector<compile_work> asked;
  std::map<std::string, fs::path> made;
  int fetched = 0, to_lose = 0;       // fetches, and how many of the next find nothing
  bool damages = false;
  std::string only_toolchain;         // what the host that compiles has; "": its own

  two_hosts() {
    bare.use({[this](const compile_work& what, const std::atomic<bool>& cancelled) { return compile(what, cancelled); },
              [this](const blob_reference& what, const std::atomic<bool>&) { return fetch(what); }});
  }
  result<compile_made> compile(const compile_work& what, const std::atomic<bool>& cancelled) {
    asked.push_back(what);
    if (!only_toolchain.empty() && what.toolchain.find(' ') != std::string::npos && what.toolchain != only_toolchain)
      return error{errc::infrastructure, "no agent compiles with " + what.toolchain};
    KEVOLVE_TRY(done, whole.compile_for(what, cancelled));
    made[done.answer.artifact.hash] = done.file;
    if (!only_toolchain.empty())
      done.answer.toolchain = only_toolchain;
    return done.answer;
  }
  result<std::string> fetch(const blob_reference& what) {
    ++fetched;
    if (to_lose > 0 && to_lose-- > 0)
      return error{errc::infrastructure, "nobody has it"};
    KEVOLVE_TRY(bytes, read_made(made.at(what.hash), limits::artifact_bytes));
    if (damages)
      bytes[bytes.size() / 2] ^= 1;
    return bytes;
  }
};

bool compiler_is_missing() {
  if (!find_command("g++").empty())
    return false;
  lacking("no g++ here");
  return true;
}

/// Instruction sets as predefined macros: __AVX2__ and the like.
std::set<std::string> instruction_sets(const std::vector<std::string>& flags) {
  command ask;
  ask.arguments = {"g++"};
  ask.arguments.insert(ask.arguments.end(), flags.begin(), flags.end());
  for (const char* rest : {"-dM", "-E", "-x", "c", "/dev/null"})
    ask.arguments.emplace_back(rest);
  ask.environment = plain_environment();
  ask.output_bytes = 1u << 20;
  const auto end = run(ask);
  REQUIRE(end);
  REQUIRE_MESSAGE(end->good(), end->errors);
  std::set<std::string> sets;
  std::istringstream lines(end->output);
  for (std::string line; std::getline(lines, line);)
    for (const char* family : {"__SSE", "__AVX", "__FMA", "__BMI", "__F16C", "__GFNI", "__VAES", "__VPCLMUL", "__AES", "__PCLMUL", "__SHA", "__LZCNT", "__POPCNT", "__MOVBE", "__ADX", "__AMX"})
      if (line.starts_with(std::string("#define ") + family))
        sets.insert(line);
  return sets;
}

} // namespace

TEST_CASE("what is asked for in the place of -march=native is what g++ here takes it for") {
  if (compiler_is_missing())
    return;
  const auto& flags = this_host().native;
  if (flags.empty())
    return lacking("no x86-64");
  folder here;
  pause_gate gate;
  compile_pool pool(here.at, 0, 1, gate);
  candidate c = naive_rms_norm();
  c.build.flags = {"-O1", "-march=native"};
  c.id = candidate_hash(c);
  // Newer tunings than this compiler knows are left out: otherwise nothing would compile here.
  std::atomic<bool> never{false};
  const auto made = pool.compile_for({c, "g++", this_host(), 20}, never);
  REQUIRE(made);
  CHECK_MESSAGE(made->answer.good, made->answer.log);
  std::vector<std::string> known;
  for (const auto& flag : flags)
    if (!flag.starts_with("-mtune="))
      known.push_back(flag);
  CHECK(instruction_sets(known) == instruction_sets({"-march=native"}));
}

TEST_CASE("instruction sets are those of the CPU that asks, whatever this one has") {
  const std::string zen2 = "model name\t: AMD EPYC 7502\ncpu family\t: 23\nmodel\t\t: 49\nflags\t\t: fpu sse sse2 pni ssse3 fma sse4_1 sse4_2 popcnt avx f16c bmi1 avx2 bmi2 abm\n";
  const auto flags = native_flags(zen2, "x86-64-v3");
  CHECK(flags.front() == "-march=x86-64-v3");
  CHECK(flags.back() == "-mtune=znver2");
  CHECK(std::find(flags.begin(), flags.end(), "-mavx2") != flags.end());
  CHECK(std::none_of(flags.begin(), flags.end(), [](const std::string& flag) { return flag.starts_with("-mavx512") || flag == "-msha"; }));
  const std::string sapphire = "model name\t: Intel(R) Xeon(R) Platinum 8481C\ncpu family\t: 6\nmodel\t\t: 143\nflags\t\t: avx2 adx avx512f avx512_vnni avx512_vbmi2 avx512_bf16 amx_tile\n";
  CHECK(native_flags(sapphire, "x86-64-v4").back() == "-mtune=sapphirerapids");
  CHECK(native_flags("model name\t: QEMU Virtual CPU\nflags\t\t: sse4_2\n", "x86-64-v2").back() == "-mtune=generic");
  CHECK(native_flags("Features\t: asimd", "aarch64").empty());
  for (const auto& flag : native_flags(sapphire, "x86-64-v4"))
    CHECK_MESSAGE(refuse_flag(flag).empty(), flag);
}

TEST_CASE("native is replaced where it stands, and nothing else is touched") {
  CHECK(without_native({"-O3", "-march=native", "-mno-avx512f"}, {"-march=x86-64-v3", "-mavx2", "-mtune=znver2"}) ==
        std::vector<std::string>{"-O3", "-march=x86-64-v3", "-mavx2", "-mtune=znver2", "-mno-avx512f"});
  CHECK(without_native({"-march=x86-64-v4", "-mtune=native"}, {"-march=x86-64-v3", "-mtune=znver2"}) == std::vector<std::string>{"-march=x86-64-v4", "-mtune=znver2"});
}

TEST_CASE("a program comes from elsewhere once, and is kept by its hash") {
  if (compiler_is_missing())
    return;
  two_hosts hosts;
  const candidate c = fast_rms_norm();
  const auto made = hosts.bare.compile(c, 20, hosts.never);
  REQUIRE(made);
  REQUIRE_MESSAGE(made->good, made->log);
  CHECK(sha256_hex(*read_made(made->artifact, limits::artifact_bytes)) == made->artifact.stem().string());
  CHECK(made->toolchain == *hosts.whole.version("g++"));
  CHECK(*hosts.bare.version("g++") == made->toolchain);
  const auto again = hosts.bare.compile(c, 20, hosts.never);
  REQUIRE(again);
  CHECK(again->good);
  CHECK(again->cached);
  CHECK(hosts.fetched == 1);
  REQUIRE(hosts.asked.size() == 2);
  CHECK(hosts.asked[0].toolchain == "g++");
  CHECK(hosts.asked[1].toolchain == made->toolchain); // the same as before
  CHECK(hosts.asked[0].runs_on.native == this_host().native);
  compile_pool next_life(hosts.here.at / "bare", 0, 1, hosts.gate, {}, true);
  CHECK(*next_life.version("g++") == made->toolchain); // known before anybody compiles for it
  CHECK_FALSE(next_life.version("clang++"));
}

TEST_CASE("a candidate that does not compile is told so from elsewhere, as it would be here") {
  if (compiler_is_missing())
    return;
  two_hosts hosts;
  const candidate c = kernel("int kevolve_run( {", {});
  const auto here = hosts.whole.compile(c, 20, hosts.never), elsewhere = hosts.bare.compile(c, 20, hosts.never);
  REQUIRE(here);
  REQUIRE(elsewhere);
  CHECK_FALSE(elsewhere->good);
  CHECK(elsewhere->log == here->log);
  candidate refused = fast_rms_norm();
  refused.build.flags = {"-fplugin=x.so"};
  refused.id = candidate_hash(refused);
  const auto asked = hosts.asked.size();
  CHECK_FALSE(hosts.bare.compile(refused, 20, hosts.never)->good);
  CHECK(hosts.asked.size() == asked); // nobody has to be asked
}

TEST_CASE("a program that went before it was fetched is made again; one that is another never runs") {
  if (compiler_is_missing())
    return;
  two_hosts hosts;
  hosts.to_lose = 2;
  const auto made = hosts.bare.compile(fast_rms_norm(), 20, hosts.never);
  REQUIRE(made);
  CHECK(made->good);
  CHECK(hosts.fetched == 3);
  hosts.damages = true;
  const auto damaged = hosts.bare.compile(naive_rms_norm(), 20, hosts.never);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code == errc::infrastructure);
  CHECK(damaged.error().message.find("another hash") != std::string::npos);
}

TEST_CASE("where the toolchain of before is gone another one compiles") {
  if (compiler_is_missing())
    return;
  two_hosts hosts;
  hosts.only_toolchain = "g++ 11.0.0";
  CHECK(hosts.bare.compile(fast_rms_norm(), 20, hosts.never)->toolchain == "g++ 11.0.0");
  hosts.only_toolchain = "g++ 99.0.0";
  CHECK(hosts.bare.compile(naive_rms_norm(), 20, hosts.never)->toolchain == "g++ 99.0.0");
}

TEST_CASE("who compiles for others makes only what is named, with what is asked for, for hosts that can run it") {
  if (compiler_is_missing())
    return;
  two_hosts hosts;
  const candidate c = naive_rms_norm();
  candidate another = c;
  another.sources[0].content += "// something else under the same id";
  CHECK_FALSE(hosts.whole.compile_for({another, "g++", this_host(), 20}, hosts.never));
  CHECK_FALSE(hosts.whole.compile_for({c, "g++ 1.2.3", this_host(), 20}, hosts.never));
  program_host other = this_host();
  other.machine = "riscv64";
  CHECK_FALSE(hosts.whole.compile_for({c, "g++", other, 20}, hosts.never));
  other = this_host();
  --other.libc;
  CHECK_FALSE(hosts.whole.compile_for({c, "g++", other, 20}, hosts.never));
  candidate odd = c;
  odd.build.compiler = "rm";
  odd.id = candidate_hash(odd);
  const auto told = hosts.whole.compile_for({odd, "rm", this_host(), 20}, hosts.never);
  REQUIRE(told);
  CHECK_FALSE(told->answer.good);
  program_host sly = this_host();
  sly.native = {"-march=x86-64", "-fplugin=x.so", "-o", "-mno-such-thing"};
  candidate native = c;
  native.build.flags.push_back("-march=native");
  native.id = candidate_hash(native);
  const auto made = hosts.whole.compile_for({native, "g++", sly, 20}, hosts.never); // what is no instruction set is left out
  REQUIRE(made);
  CHECK_MESSAGE(made->answer.good, made->answer.log);
}

TEST_CASE("a host that compiles nothing evaluates, is calibrated and verifies with programs from elsewhere") {
  if (compiler_is_missing())
    return;
  two_hosts hosts;
  host_settings settings;
  settings.cache = hosts.here.at / "evaluator";
  settings.compile_elsewhere = true;
  settings.call_limit_s = 2;
  auto bare = host_evaluator::start(settings);
  REQUIRE_MESSAGE(bare, (bare ? std::string() : bare.error().message));
  CHECK_FALSE((*bare)->compiles());
  CHECK((*bare)->toolchains().empty());
  CHECK((*bare)->devices().front().facts.find("no compiler") != std::string::npos);
  (*bare)->use({[&](const compile_work& what, const std::atomic<bool>& cancelled) { return hosts.compile(what, cancelled); },
                [&](const blob_reference& what, const std::atomic<bool>&) { return hosts.fetch(what); }});
  auto work = work_on(fast_rms_norm(), {naive_rms_norm()});
  work.how = effort::verify;
  const auto got = (*bare)->evaluate(work, hosts.never);
  REQUIRE_MESSAGE(got, (got ? std::string() : got.error().message));
  CHECK_MESSAGE(got->result == outcome::passed, got->log);
  CHECK(got->where.toolchain == *hosts.whole.version("g++"));
  REQUIRE_FALSE(got->timings.empty());
  CHECK(got->timings[0].comparisons.size() == 1);
  CHECK((*bare)->roofs());
  const std::string facts = (*bare)->devices().front().facts;
  CHECK(facts.find("elsewhere") != std::string::npos);
  bare->reset();
  auto next_life = host_evaluator::start(settings);
  REQUIRE(next_life);
  CHECK((*next_life)->roofs()); // measured before: nobody has to compile
  CHECK((*next_life)->devices().front().facts == facts);
  std::set<std::string> programs; // candidate, anchor, calibration, yardstick
  for (const auto& each : hosts.asked)
    programs.insert(each.what.definition);
  CHECK(programs.contains("kevolve_roofs"));
  CHECK(programs.contains("kevolve_yardstick"));
  CHECK(hosts.made.size() >= 4);
}
