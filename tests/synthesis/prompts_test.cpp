// What models are told, and what is made of what they say.
#include "actors/synthesis/prompts/answer.hpp"
#include "actors/synthesis/prompts/lint.hpp"
#include "actors/synthesis/prompts/writing.hpp"
#include "protocol/likeness.hpp"

#include <algorithm>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace kevolve;
using namespace kevolve::synthesis;

namespace {

const language& cpp() { return *language_of({"cpu", "", "cpp"}); }

std::shared_ptr<const problem> rows_problem() {
  auto p = std::make_shared<problem>();
  p->op.name = "rms_norm_h8";
  p->op.op_type = "rmsnorm";
  p->op.description = "root mean square norm of rows";
  p->op.axes = {{"M", axis_kind::variable, 0, "", ""}, {"H", axis_kind::constant, 8, "", ""}};
  p->op.inputs = {{"x", false, {"M", "H"}, dtype::float32, ""}, {"w", false, {"H"}, dtype::float32, "gain"}};
  p->op.outputs = {{"y", false, {"M", "H"}, dtype::float32, ""}};
  p->op.reference = "import torch\n\ndef run(x, w):\n    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w\n";
  p->workloads.resize(1);
  p->workloads[0].uuid = "w0";
  p->workloads[0].name = "small";
  p->workloads[0].axes = {{"M", 4}};
  return p;
}

std::shared_ptr<const candidate> source(std::string text, std::vector<std::string> flags = {"-O3"}) {
  auto c = std::make_shared<candidate>();
  c->author = "local";
  c->build.flags = std::move(flags);
  c->sources = {{"kernel.cpp", std::move(text)}};
  c->id = candidate_hash(*c);
  return c;
}

const char* const kernel = R"(#include "kevolve.h"
extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  return 0;
}
)";

attempt passed_attempt(std::string idea, double gain, std::string text = kernel) {
  attempt a;
  a.edge = {"model", std::move(idea), ""};
  a.result = outcome::passed;
  a.gain = gain;
  a.fitness = 3.5;
  a.diagnosed.limited_by = bound::memory;
  a.diagnosed.roofline_fraction = 0.42;
  a.diagnosed.hints = {"bound by memory at 42% of the host's bandwidth for this working set: move each byte once"};
  a.written = source(std::move(text));
  auto e = std::make_shared<evaluation>();
  e->result = outcome::passed;
  e->timings = {{.workload = "w0", .latency_s = 1.25e-4, .roofline_fraction = 0.42}};
  e->diagnosed = a.diagnosed;
  a.evaluated = e;
  return a;
}

attempt failed_attempt(std::string idea, outcome how, std::string log) {
  attempt a;
  a.edge = {"model", std::move(idea), ""};
  a.result = how;
  a.gain = 0;
  a.written = source(kernel);
  auto e = std::make_shared<evaluation>();
  e->result = how;
  (how == outcome::incorrect_numerical ? e->correct.failed_case : e->log) = std::move(log);
  a.evaluated = e;
  return a;
}

prompt_facts facts_for(context given) {
  prompt_facts f;
  f.subject = rows_problem();
  f.on = {"cpu", "x86-64-v4", "cpp"};
  f.in = &cpp();
  f.hardware = "cpu-made-up";
  f.given = std::move(given);
  f.may_schedule = true;
  f.number = 7;
  return f;
}

std::string as_text(const prompt& p) {
  std::string all = p.instructions + "\n----\n" + p.text;
  for (const std::string& c : p.cut)
    all += "cut: " + c + "\n";
  return all;
}

/// Compares with tests/synthesis/prompts/NAME.txt; KEVOLVE_WRITE_GOLDEN=1 writes it.
void is_pinned(const std::string& name, const prompt& p) {
  const auto file = std::filesystem::path(KEVOLVE_TEST_DATA) / (name + ".txt");
  if (std::getenv("KEVOLVE_WRITE_GOLDEN"))
    std::ofstream(file) << as_text(p);
  std::ifstream in(file);
  std::ostringstream then;
  then << in.rdbuf();
  CHECK_MESSAGE(then.str() == as_text(p), name);
}

} // namespace

TEST_CASE("each memory operator and outcome has its prompt, byte for byte") {
  context inherit{.memory = memory_operator::inherit, .parent = passed_attempt("vectors over H", 1.8)};
  inherit.trajectory = {passed_attempt("the plain loop nest", 1), passed_attempt("rows in one pass", 2.1)};
  is_pinned("inherit_passed", write_prompt(facts_for(inherit), 24'000));

  context siblings{.memory = memory_operator::siblings, .parent = passed_attempt("vectors over H", 1.8)};
  siblings.siblings = {failed_attempt("gather by index", outcome::compile_error, "kernel.cpp:3:1: error: 'foo' was not declared in this scope\n"), passed_attempt("streaming stores", 1.3)};
  is_pinned("siblings_passed", write_prompt(facts_for(siblings), 24'000));

  context both = siblings;
  both.memory = memory_operator::combined;
  both.trajectory = inherit.trajectory;
  both.second_parent = passed_attempt("two accumulators", 1.2);
  is_pinned("combined_crossover", write_prompt(facts_for(both), 24'000));

  is_pinned("clean_slate", write_prompt(facts_for({.memory = memory_operator::clean_slate}), 24'000));
  is_pinned("inherit_compile_error", write_prompt(facts_for({.parent = failed_attempt("wider vectors", outcome::compile_error, "kernel.cpp:9:3: error: cannot convert 'float*' to 'int'\n")}), 24'000));
  is_pinned("inherit_incorrect", write_prompt(facts_for({.parent = failed_attempt("one pass", outcome::incorrect_numerical, "workload 5x8, case zeros, output 0, element 3: found nan, expected 0")}), 24'000));
  is_pinned("inherit_runtime_error", write_prompt(facts_for({.parent = failed_attempt("one pass", outcome::runtime_error, "it was killed by SIGSEGV")}), 24'000));
}

TEST_CASE("a small window keeps the operator and the answer's form, and says what was cut") {
  context given{.parent = passed_attempt("vectors", 1.5, std::string(kernel) + std::string(30'000, '\n'))};
  auto f = facts_for(given);
  f.readings = {{"guidance/memory", std::string(5000, 'x'), "matches bound:memory"}};
  const auto small = write_prompt(f, 3000);
  CHECK(small.text.find("## Operator") != std::string::npos);
  CHECK(small.instructions.find("How to answer") != std::string::npos);
  CHECK_FALSE(small.cut.empty());
  CHECK(small.instructions.size() + small.text.size() <= 3000 * 3 + 200);
  const auto large = write_prompt(f, 100'000);
  CHECK(large.cut.empty());
  CHECK(large.text.find("guidance/memory") != std::string::npos);
}

TEST_CASE("without feedback a prompt shows the parent's source and nothing that was measured or said of it") {
  context given{.parent = passed_attempt("vectors", 1.5)};
  given.siblings = {failed_attempt("gather by index", outcome::compile_error, "error: foo")};
  auto f = facts_for(given);
  f.blank_feedback = true;
  const auto blank = write_prompt(f, 24'000);
  CHECK(blank.text.find("kevolve_run") != std::string::npos);
  for (const char* word : {"Bottleneck", "passed", "bandwidth", "gather by index", "Tried"})
    CHECK_MESSAGE(blank.text.find(word) == std::string::npos, word);
}

TEST_CASE("answers are taken as models write them") {
  const std::vector<source_file> none;
  SUBCASE("a block with prose around it") {
    auto got = read_answer(std::string("IDEA: two accumulators break the chain\n\nHere it is:\n```cpp\n") + kernel + "```\nGood luck!", cpp(), none);
    REQUIRE(got);
    CHECK(got->idea == "two accumulators break the chain");
    REQUIRE(got->files.size() == 1);
    CHECK(got->files[0].path == "kernel.cpp");
    CHECK(got->files[0].content == kernel);
  }
  SUBCASE("a reasoning model's thoughts do not count") {
    auto got = read_answer(std::string("<think>```cpp\nint wrong;\n```</think>\n**IDEA:** x\n```c++\n") + kernel + "```", cpp(), none);
    REQUIRE(got);
    CHECK(got->files[0].content == kernel);
    CHECK(got->idea == "x");
  }
  SUBCASE("a file outside the candidate's folder is refused in words for the model") {
    for (const char* path : {"/etc/tile.h", "../tile.h", "a/../../tile.h"}) {
      auto got = read_answer(std::string("### kernel.cpp\n```cpp\n") + kernel + "```\n```cpp title=" + path + "\nint t;\n```\n", cpp(), none);
      REQUIRE_FALSE(got);
      CHECK(got.error().message.find("expected a relative path") != std::string::npos);
    }
  }
  SUBCASE("several files, named in headings and fences") {
    auto got = read_answer(std::string("### kernel.cpp\n```cpp\n") + kernel + "```\n```cpp title=tile.h\nint t;\n```\n", cpp(), none);
    REQUIRE(got);
    REQUIRE(got->files.size() == 2);
    CHECK(got->files[1].path == "tile.h");
  }
  SUBCASE("fragments beside the whole file") {
    auto got = read_answer(std::string("The old loop was\n```cpp\nfor (;;) {}\n```\nNow:\n```cpp\n") + kernel + "```\nrun it with\n```bash\nmake\n```\n", cpp(), none);
    REQUIRE(got);
    CHECK(got->files[0].content == kernel);
  }
  SUBCASE("flags in the first lines") {
    auto got = read_answer(std::string("```cpp\n// flags: -ffast-math -funroll-loops\n") + kernel + "```", cpp(), none);
    REQUIRE(got);
    CHECK(got->flags == std::vector<std::string>{"-ffast-math", "-funroll-loops"});
  }
  SUBCASE("a schedule") {
    auto got = read_answer("IDEA: as it won elsewhere\n```schedule\nfuse(*); vectorize(*, width=16)\n```\n", cpp(), none);
    REQUIRE(got);
    REQUIRE(got->print);
    CHECK(got->print->steps.size() == 2);
  }
  SUBCASE("Windows line ends") {
    std::string text = std::string("```cpp\n") + kernel + "```";
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2)
      text.replace(at, 1, "\r\n");
    auto got = read_answer(text, cpp(), none);
    REQUIRE(got);
    CHECK(got->files[0].content == kernel);
  }
}

TEST_CASE("what cannot be taken is said in words that a model can act on") {
  const std::vector<source_file> none;
  CHECK(read_answer("I would rather not.", cpp(), none).error().message.find("no code block") != std::string::npos);
  CHECK(read_answer("", cpp(), none).error().message.find("no code block") != std::string::npos);
  CHECK(read_answer("```cpp\nint kevolve_run(", cpp(), none).error().message.find("cut off") != std::string::npos);
  CHECK(read_answer("```cpp\nint main() {}\n```", cpp(), none).error().message.find("kevolve_run") != std::string::npos);
  CHECK(read_answer("```schedule\nfuse(((\n```", cpp(), none).error().message.find("schedule") != std::string::npos);
  CHECK(read_answer("<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE", cpp(), none).error().message.find("no parent") != std::string::npos);
  CHECK_FALSE(read_answer("```cpp\n" + std::string(2 << 20, 'x') + " kevolve_run\n```", cpp(), none));
}

TEST_CASE("edits change what they name, exactly or but for spaces, and refuse what is not clear") {
  const std::string file = "int a;\n  for (;;) {\n    step();\n  }\nint b;\nint b;\n";
  auto edit = [](const std::string& search, const std::string& replace) { return "<<<<<<< SEARCH\n" + search + "=======\n" + replace + ">>>>>>> REPLACE\n"; };
  auto exact = apply_edits(edit("int a;\n", "int c;\n"), file);
  REQUIRE(exact);
  CHECK(exact->starts_with("int c;\n  for"));
  auto loose = apply_edits(edit("for (;;) {\n step();\n}\n", "go();\n"), file);
  REQUIRE(loose);
  CHECK(*loose == "int a;\ngo();\nint b;\nint b;\n");
  CHECK(apply_edits(edit("int b;\n", ""), file).error().message.find("more than once") != std::string::npos);
  CHECK(apply_edits(edit("int z;\n", ""), file).error().message.find("int z;") != std::string::npos);
  CHECK(apply_edits("<<<<<<< SEARCH\nint a;\n", file).error().message.find("no end") != std::string::npos);
  auto two = apply_edits(edit("int a;\n", "int c;\n") + edit("int c;\n", "int d;\n"), file);
  REQUIRE(two);
  CHECK(two->starts_with("int d;\n"));
}

TEST_CASE("the linter names file, line and reason, and leaves honest code alone") {
  CHECK(lint({{"kernel.cpp", kernel}}, cpp()).empty());
  auto faults = lint({{"kernel.cpp", std::string(kernel) + "// fork() in a comment\nconst char* s = \"system(\";\nvoid f() { fopen(\"x\", \"r\"); }\n"}}, cpp());
  REQUIRE(faults.size() == 1);
  CHECK(faults[0] == "kernel.cpp:7: fopen: a candidate computes; it does not call the system");
  CHECK_FALSE(lint({{"kernel.cpp", "#include \"kevolve.h\"\nint kevolve_run(const kevolve_tensor*) { return 0; }\n"}}, cpp()).empty()); // C++ linkage
  CHECK_FALSE(lint({{"kernel.cpp", std::string(kernel) + "void f() {"}}, cpp()).empty());                                           // cut off
  CHECK_FALSE(lint({{"kernel.cpp", std::string(kernel) + "#include <thread>\nvoid f() { std::thread t; }\n"}}, cpp()).empty());
  CHECK(lint({{"kernel.cpp", std::string(kernel) + "struct pool { int fork(int); }; int g(pool& p) { return p.fork(1); }\n"}}, cpp()).size() <= 1);
}

TEST_CASE("each language's own example passes its linter and is read from an answer") {
  REQUIRE(languages().size() >= 8);
  for (const language& l : languages()) {
    const std::string where = l.platform + "/" + l.name;
    auto got = read_answer("IDEA: twice\n```" + l.fence + "\n" + l.example + "```\n", l, {});
    REQUIRE_MESSAGE(got, where);
    REQUIRE_MESSAGE(got->files.size() == 1, where);
    CHECK_MESSAGE(got->files[0].path == l.main_file, where);
    const auto faults = lint(got->files, l);
    CHECK_MESSAGE(faults.empty(), where << ": " << (faults.empty() ? "" : faults[0]));
  }
  CHECK_FALSE(lint({{"kernel.cu", language_of({"cuda", "", "cuda"})->example + "void f() { cudaDeviceSynchronize(); }\n"}}, *language_of({"cuda", "", "cuda"})).empty());
  CHECK_FALSE(lint({{"kernel.py", "import torch\ndef run(x, y):\n    y.copy_(torch.matmul(x, x))\n"}}, *language_of({"cuda", "", "triton"})).empty());
}

TEST_CASE("names, comments and layout make no new try; numbers and functions do") {
  auto like = [](std::string a, std::string b) { return likeness_of(*source(a)) == likeness_of(*source(b)); };
  CHECK(like("int f(int a) { return a + 1; } // one", "int f(int  value)\n{ return value+1; }"));
  CHECK_FALSE(like("int f(int a) { return a + 1; }", "int f(int a) { return a + 2; }"));
  CHECK_FALSE(like("float g(float a) { return exp(a); }", "float g(float a) { return log(a); }"));
  CHECK_FALSE(like("float x;", "double x;"));
  CHECK(likeness_of(*source("int a;", {"-O3"})) != likeness_of(*source("int a;", {"-O2"})));
  CHECK(strategy_of_sources(*source("for (i = 0; i < 32; ++i) f(i);")) == strategy_of_sources(*source("for (k = 0; k < 64; ++k) f(k);")));
}

TEST_CASE("a writing asks, repairs a bounded number of times, and ends with a candidate or a reason") {
  writing_task task;
  task.facts = facts_for({.parent = passed_attempt("vectors", 1.5)});
  task.author = "local";
  task.compiler = "g++";
  const std::string good = std::string("IDEA: better\n```cpp\n") + kernel + "```";
  SUBCASE("the straight way") {
    writing w(task);
    auto first = w.begin();
    REQUIRE(std::holds_alternative<writing::ask>(first));
    CHECK(std::get<writing::ask>(first).turns.size() == 1);
    auto check = w.said(good, false);
    REQUIRE(std::holds_alternative<writing::check_compile>(check));
    auto end = w.compiled("");
    REQUIRE(std::holds_alternative<writing::done>(end));
    const auto& made = std::get<writing::done>(end).what;
    CHECK(made.what.author == "local");
    CHECK(made.what.id == candidate_hash(made.what));
    CHECK(made.edge.kind == "model");
    CHECK(made.edge.summary == "better");
    CHECK(made.edge.reason == "the parent is bound by memory, says local");
  }
  SUBCASE("complaints go back with the conversation so far, and the last one is the reason") {
    writing w(task);
    w.begin();
    auto again = w.said("no", false);
    REQUIRE(std::holds_alternative<writing::ask>(again));
    CHECK(std::get<writing::ask>(again).step == 1);
    REQUIRE(std::get<writing::ask>(again).turns.size() == 3);
    CHECK(std::get<writing::ask>(again).turns[1] == "no");
    CHECK(std::get<writing::ask>(again).turns[2].find("no code block") != std::string::npos);
    CHECK(std::holds_alternative<writing::ask>(w.said("```cpp\nint kevolve_run(", true)));
    auto end = w.said("still no", false);
    REQUIRE(std::holds_alternative<writing::failed>(end));
    CHECK(std::get<writing::failed>(end).why.code == errc::synthesizer);
  }
  SUBCASE("compiler errors go back, and what never compiles is still a try") {
    writing w(task);
    w.begin();
    w.said(good, false);
    auto again = w.compiled("kernel.cpp:1: error: no");
    REQUIRE(std::holds_alternative<writing::ask>(again));
    CHECK(std::get<writing::ask>(again).turns.back().find("kernel.cpp:1: error: no") != std::string::npos);
    w.said(good, false);
    w.compiled("error");
    w.said(good, false);
    CHECK(std::holds_alternative<writing::done>(w.compiled("error")));
  }
  SUBCASE("what is known is refused before it costs anything") {
    task.is_known = [](const candidate&) { return true; };
    task.repairs = 0;
    writing w(task);
    w.begin();
    auto end = w.said(good, false);
    REQUIRE(std::holds_alternative<writing::failed>(end));
    CHECK(std::get<writing::failed>(end).why.code == errc::refused);
  }
}
