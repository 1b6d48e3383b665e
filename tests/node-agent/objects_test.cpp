#include "node-agent/objects.hpp"
#include "node-agent/process.hpp"
#include "protocol/rng.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace kevolve;
using namespace kevolve::agent;

namespace {

/// What g++ makes of a source.
std::string object_of(const std::string& source, const std::vector<std::string>& flags = {}) {
  std::string folder = (std::filesystem::temp_directory_path() / "kevolve-objects-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  std::ofstream(folder + "/a.cpp") << source;
  command c;
  c.arguments = {"g++", "-std=c++20", "-fPIC", "-c", "-o", "a.o", "a.cpp"};
  c.arguments.insert(c.arguments.end(), flags.begin(), flags.end());
  c.environment = plain_environment();
  c.directory = folder;
  const auto end = run(c);
  REQUIRE(end);
  INFO(end->errors);
  REQUIRE(end->good());
  std::ifstream in(folder + "/a.o", std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  std::filesystem::remove_all(folder);
  return std::move(bytes).str();
}

} // namespace

TEST_CASE("math, memory, OpenMP, exceptions and containers are a candidate's own") {
  const std::string source = R"(
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>
extern "C" int kevolve_run(float* x, long n) {
  std::vector<float> copy(x, x + n);
  std::sort(copy.begin(), copy.end());
  std::map<long, float> tree;
  std::unordered_map<long, float> table;
  static const std::vector<double> once(17, 1.0);
  auto scratch = std::make_unique<double[]>(n);
#pragma omp parallel for
  for (long i = 0; i < n; ++i)
    scratch[i] = std::exp(x[i]) + std::erf(x[i]) + std::fma(x[i], 2.0, 1.0) + once[i % 17];
  try {
    tree[n] = copy.at(0), table[n] = 1;
  } catch (const std::exception&) {
    return 1;
  }
  std::memmove(x, copy.data(), n * sizeof *x);
  return static_cast<int>(std::lround(scratch[0])) + static_cast<int>(tree.size() + table.size());
})";
  for (const auto& flags : {std::vector<std::string>{"-O0", "-fopenmp"}, {"-O3", "-fopenmp", "-ffast-math", "-march=native"}})
    CHECK(refuse_objects({object_of(source, flags)}) == "");
}

TEST_CASE("what another object of the candidate defines may be used") {
  const auto one = object_of("int elsewhere(); extern \"C\" int kevolve_run() { return elsewhere(); }"), other = object_of("int elsewhere() { return 0; }");
  CHECK(refuse_objects({one, other}) == "");
  CHECK(refuse_objects({one}).find("'elsewhere()'") != std::string::npos);
}

TEST_CASE("code that runs by being loaded is refused with the section's name") {
  CHECK(refuse_objects({object_of("__attribute__((constructor)) void f() { asm(\"\"); }")}).find(".init_array") != std::string::npos);
  CHECK(refuse_objects({object_of("__attribute__((destructor)) void f() { asm(\"\"); }")}).find(".fini_array") != std::string::npos);
  CHECK(refuse_objects({object_of("struct s { s(); }; s::s() { asm(\"\"); } s object;")}).find("namespace scope") != std::string::npos);
  CHECK(refuse_objects({object_of("asm(\".section .preinit_array,\\\"aw\\\"\\n.quad 0\\n.previous\");")}).find(".preinit_array") != std::string::npos);
  CHECK(refuse_objects({object_of("asm(\".section .ctors,\\\"aw\\\"\\n.quad 0\\n.previous\");")}).find(".ctors") != std::string::npos);
  CHECK(refuse_objects({object_of("extern \"C\" { int one() { return 1; } int (*pick())() { return one; } int chosen() __attribute__((ifunc(\"pick\"))); }")}).find("IFUNC") !=
        std::string::npos);
}

TEST_CASE("symbols of the C library that no kernel needs are refused by name") {
  for (const char* name : {"system", "fork", "open", "socket", "dlopen", "dlsym", "mmap", "mprotect", "pthread_create", "clock_gettime", "getenv", "exit", "_exit", "signal", "kill",
                           "printf", "write", "syscall", "longjmp", "environ", "prctl", "ptrace", "__open_2", "__clone", "execve", "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE",
                           "_ZSt4cout", "_ZNSt14basic_ofstreamIcSt11char_traitsIcEEC1Ev", "__sched_cpualloc", "__libc_start_main", "__cxa_thread_atexit"}) {
    CAPTURE(name);
    CHECK_FALSE(allowed_symbol(name));
  }
  for (const char* name : {"sinf", "expl", "memcpy", "_ZGVdN8v_expf", "GOMP_parallel", "omp_get_thread_num", "__kmpc_fork_call", "__divti3", "__extendhfsf2", "_Znwm", "lgammaf_r"}) {
    CAPTURE(name);
    CHECK(allowed_symbol(name));
  }
}

TEST_CASE("damaged objects are refused or read, and never read past their end") {
  const std::string good = object_of("#include <cmath>\nextern \"C\" double kevolve_run(double x) { return std::sin(x); }");
  CHECK(refuse_objects({""}) != "");
  CHECK(refuse_objects({"not an object"}) != "");
  for (std::size_t size = 0; size < good.size(); size += 7)
    (void)refuse_objects({good.substr(0, size)});
  rng draw(5);
  for (int i = 0; i < 4000; ++i) {
    std::string bad = good;
    for (int k = 0; k < 4; ++k)
      bad[draw.below(i % 2 ? 64 : bad.size())] = static_cast<char>(draw());
    (void)refuse_objects({bad});
  }
}
