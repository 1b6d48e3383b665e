#include "scheduler/hostile_suite.hpp"

#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

struct folder {
  std::filesystem::path at;
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-suite-XXXXXX").string();
    at = mkdtemp(name.data());
  }
  ~folder() { std::filesystem::remove_all(at); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(at / name) << text; }
  [[nodiscard]] std::string problem() const {
    const auto read = read_hostile_programs(at);
    return read ? "" : read.error().message;
  }
};

} // namespace

TEST_CASE("every program that ships says what stops it and what the judge may say") {
  const auto programs = read_hostile_programs(std::filesystem::path(KEVOLVE_SOURCE_DIR) / "tests/hostile/programs");
  REQUIRE_MESSAGE(programs, (programs ? std::string() : programs.error().message));
  CHECK(programs->size() >= 100);
  std::size_t controlled = 0;
  for (const hostile_program& p : *programs) {
    CAPTURE(p.name);
    CHECK_FALSE(p.verdicts.empty());
    controlled += !p.stopped_by.empty();
    const auto filled = candidate_of(p, {{"CANARY", "/here"}, {"PORT", "7"}}, "// shared\n");
    CHECK(filled.sources.size() == 2);
    CHECK(filled.sources[0].content.find("@CANARY@") == std::string::npos);
  }
  CHECK(controlled >= 100);
  const auto kernels = read_honest_kernels(std::filesystem::path(KEVOLVE_SOURCE_DIR) / "tests/hostile/honest");
  REQUIRE(kernels);
  CHECK(kernels->size() >= 400);
}

TEST_CASE("a head that cannot be read is refused with the file, the key and what was found") {
  folder f;
  CHECK(f.problem().find("no programs") != std::string::npos);
  f.write("a.cpp", "// rows: 1\n// what: x\n// verdict: passed\n// stopped by: seccomp landlock\nint x;\n");
  CHECK(f.problem().empty());
  f.write("b.cpp", "// rows: 1\n// what: x\n// verdict: passed\n// stopped by: prayer\nint x;\n");
  CHECK(f.problem().find("b.cpp: 'stopped by': 'prayer' is no defence") != std::string::npos);
  f.write("b.cpp", "// rows: 1\n// what: x\n// verdict: splendid\nint x;\n");
  CHECK(f.problem().find("b.cpp: 'verdict': 'splendid' is no outcome") != std::string::npos);
  f.write("b.cpp", "// what: x\n// verdict: passed\nint x;\n");
  CHECK(f.problem().find("expected 'rows'") != std::string::npos);
  f.write("b.cpp", "");
  CHECK(f.problem().find("b.cpp: cannot be read, or is empty") != std::string::npos);
}

TEST_CASE("signs of success are looked for where the head says") {
  evaluation e;
  e.result = outcome::runtime_error;
  e.log = "the candidate returned 77 (M=7)";
  CHECK(success_sign{}.shown(e, "canary"));
  CHECK_FALSE(success_sign{success_sign::kind::canary, ""}.shown(e, "canary"));
  CHECK(success_sign{success_sign::kind::outcome, "runtime_error"}.shown(e, "canary"));
  CHECK_FALSE(success_sign{success_sign::kind::not_outcome, "runtime_error"}.shown(e, "canary"));
  e.log = "a canary sings";
  CHECK(success_sign{success_sign::kind::canary, ""}.shown(e, "canary"));
  CHECK_FALSE(success_sign{}.shown(e, "canary"));
}

TEST_CASE("variants of an honest kernel are kernels of their own") {
  folder f;
  f.write("k.cpp", "// what: x\n// flags: -O2 -DA\n// variants: -DB=1 | -DB=2 -Ofast\nint x;\n");
  f.write("l.c", "// what: y\nint y;\n");
  const auto read = read_honest_kernels(f.at);
  REQUIRE(read);
  REQUIRE(read->size() == 3);
  CHECK((*read)[1].name == "k/2");
  CHECK((*read)[1].flags == std::vector<std::string>{"-O2", "-DA", "-DB=2", "-Ofast"});
  CHECK((*read)[2].path == "candidate.c");
  CHECK((*read)[2].flags == std::vector<std::string>{"-O2"});
}
