#include "actors/answer_spool.hpp"

#include "protocol/message.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <stdlib.h>

using namespace kevolve;
namespace fs = std::filesystem;

namespace {

struct folder {
  fs::path path;
  folder() {
    char made[] = "/tmp/kevolve-spool-XXXXXX";
    REQUIRE(::mkdtemp(made));
    path = made;
  }
  ~folder() { fs::remove_all(path); }
};

evaluation answer_of(const std::string& candidate) {
  evaluation e;
  e.candidate = candidate;
  e.result = outcome::passed;
  e.log = "the log of " + candidate;
  return e;
}

std::unique_ptr<answer_spool> opened(const folder& in, const spool_bounds& bounds = {}) {
  std::string remark;
  auto got = open_spool(in.path / "spool", remark, bounds);
  REQUIRE(got);
  CHECK(remark.empty());
  return std::move(*got);
}

evaluate_work some_work() {
  evaluate_work w;
  w.on = *target_from_string("cpu/x86-64-v4/cpp");
  w.what.id = "abc";
  w.seed = 7;
  return w;
}

} // namespace

TEST_CASE("what was written is kept like what was measured, with what it cost") {
  folder in;
  written writing;
  writing.print = "w";
  writing.what.emplace();
  writing.what->author = "small";
  writing.said.resize(1);
  writing.said[0].said.cost_usd = 0.25;
  REQUIRE(opened(in)->keep("w", writing));
  const auto got = opened(in)->find("w");
  REQUIRE(got);
  const auto* same = std::get_if<written>(&*got);
  REQUIRE(same);
  CHECK(same->what->author == "small");
  CHECK(same->said.at(0).said.cost_usd == 0.25);
}

TEST_CASE("an answer is there after the agent started again, until it is forgotten") {
  folder in;
  {
    auto spool = opened(in);
    REQUIRE(spool->keep("first", answer_of("a")));
    REQUIRE(spool->keep("second", answer_of("b")));
    CHECK(spool->prints() == std::vector<std::string>{"second", "first"});
  }
  {
    auto spool = opened(in);
    CHECK(spool->prints() == std::vector<std::string>{"second", "first"});
    auto got = spool->find("first");
    REQUIRE(got);
    CHECK(std::get<evaluation>(*got).candidate == "a");
    CHECK(std::get<evaluation>(*got).log == "the log of a");
    CHECK_FALSE(spool->find("third"));
    spool->forget("first");
    CHECK_FALSE(spool->find("first"));
  }
  auto spool = opened(in);
  CHECK(spool->prints() == std::vector<std::string>{"second"});
  CHECK_FALSE(spool->find("first"));
}

TEST_CASE("the oldest answers make room, and what is too old goes") {
  folder in;
  spool_bounds few;
  few.answers = 3;
  {
    auto spool = opened(in, few);
    for (const char* print : {"a", "b", "c", "d", "e"})
      REQUIRE(spool->keep(print, answer_of(print)));
    CHECK(spool->prints() == std::vector<std::string>{"e", "d", "c"});
  }
  spool_bounds fresh;
  fresh.age_s = -1; // everything is older
  CHECK(opened(in, fresh)->prints().empty());
  CHECK(opened(in)->prints().empty()); // and is gone from the disk
}

TEST_CASE("an answer that does not fit is refused as full and leaves the others") {
  folder in;
  spool_bounds small;
  small.map_bytes = 256 << 10;
  auto spool = opened(in, small);
  REQUIRE(spool->keep("small", answer_of("a")));
  evaluation large = answer_of("b");
  large.log.assign(1 << 20, 'x');
  auto kept = spool->keep("large", large);
  REQUIRE_FALSE(kept);
  CHECK(kept.error().code == errc::full);
  CHECK(spool->find("small"));
  CHECK_FALSE(spool->find("large"));
  REQUIRE(spool->keep("another", answer_of("c")));
}

TEST_CASE("a spool belongs to one agent at a time") {
  folder in;
  auto spool = opened(in);
  std::string remark;
  auto second = open_spool(in.path / "spool", remark);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == errc::busy);
  CHECK(second.error().message.find("another agent") != std::string::npos);
}

TEST_CASE("several agents of one name have a spool each, and one that starts again finds its own") {
  folder in;
  std::string remark;
  auto first = open_free_spool(in.path, "fleet.../host", remark);
  REQUIRE(first);
  REQUIRE((*first)->keep("a", answer_of("a")));
  auto second = open_free_spool(in.path, "fleet.../host", remark);
  REQUIRE(second);
  CHECK((*second)->prints().empty());
  first->reset();
  auto again = open_free_spool(in.path, "fleet.../host", remark);
  REQUIRE(again);
  CHECK((*again)->prints() == std::vector<std::string>{"a"});
}

TEST_CASE("a damaged spool is put aside and said, and a new one is begun") {
  folder in;
  { CHECK(opened(in)->keep("a", answer_of("a"))); }
  { std::ofstream(in.path / "spool" / "data.mdb", std::ios::binary) << std::string(8192, 'j'); }
  std::string remark;
  auto got = open_spool(in.path / "spool", remark);
  REQUIRE(got);
  CHECK(remark.find("put aside") != std::string::npos);
  CHECK((*got)->prints().empty());
  REQUIRE((*got)->keep("b", answer_of("b")));
  bool aside = false;
  for (const auto& file : fs::directory_iterator(in.path / "spool"))
    aside |= file.path().filename().string().starts_with("damaged-");
  CHECK(aside);
}

TEST_CASE("work has one print whatever was known when it was asked for, and another for other inputs") {
  evaluate_work w = some_work();
  const std::string print = work_print(w);
  CHECK(print.size() == 64);
  w.known.push_back(answer_of("abc"));
  CHECK(work_print(w) == print);
  w.seed = 8;
  CHECK(work_print(w) != print);
  w = some_work();
  w.how = effort::verify;
  CHECK(work_print(w) != print);
  w = some_work();
  w.what.id = "abd";
  CHECK(work_print(w) != print);
  CHECK(work_print(trace_work{"x.py", ""}).empty());
}
