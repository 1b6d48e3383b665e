#include "actors/synthesis/llm/record.hpp"
#include "tests/llm/asking.hpp"

#include <doctest/doctest.h>
#include <fstream>
#include <sys/stat.h>

using namespace kevolve;
using namespace kevolve::llm;

namespace {

void write(const std::filesystem::path& to, const std::string& text) { std::ofstream(to, std::ios::binary) << text; }
std::string read(const std::filesystem::path& from) {
  std::ifstream in(from, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string line(const std::string& prompt, const std::string& key, const std::string& text) {
  answer a;
  a.text = text;
  return to_line({prompt, key, a}) + "\n";
}

std::shared_ptr<provider> replay_of(const std::filesystem::path& file) {
  provider_settings s;
  s.name = "recorded", s.kind = provider_kind::replay, s.file = file;
  surroundings around = surroundings_with();
  auto made = make_provider(s, around);
  REQUIRE(made);
  return *made;
}

/// Counts what it is asked and answers with the number.
class counting final : public provider {
public:
  handle ask(request, reply_handler then) override {
    answer a;
    a.text = "answer " + std::to_string(++asked);
    then(a);
    return static_cast<handle>(asked);
  }
  void cancel(handle) override {}
  int asked = 0;
};

} // namespace

TEST_CASE("a record's line is pinned") {
  answer a;
  a.text = "x", a.provider = "p", a.model = "m", a.used = {3, 1, 0, 2, 0};
  CHECK(to_line({"abc", "s-1", a}) ==
        R"({"answer":{"attempts":1,"model":"m","provider":"p","stop":"end","text":"x","usage":{"cache_write_tokens":0,"cached_input_tokens":1,"input_tokens":3,"output_tokens":2,"reasoning_tokens":0},"wall_s":0.0},"key":"s-1","prompt":"abc"})");
  CHECK(to_line({"abc", "", failure{failure_kind::rate_limit, "slow down", 1, 0}}) == R"({"failure":{"kind":"rate limit","message":"slow down"},"prompt":"abc"})");
}

TEST_CASE("replay answers by prompt: the same key first, then in recorded order, the last again at the end") {
  const folder at;
  const std::string hash = prompt_hash(asking("a"));
  write(at / "r.jsonl", line(hash, "", "one") + line(hash, "k2", "two") + line("*", "", "any") + to_line({prompt_hash(asking("f")), "", failure{failure_kind::refused, "no", 1, 0}}) + "\n");
  const auto p = replay_of(at / "r.jsonl");
  CHECK(ask(*p, asking("a", "k2"))->text == "two");
  CHECK(ask(*p, asking("a"))->text == "one");
  CHECK(ask(*p, asking("a"))->text == "two");
  CHECK(ask(*p, asking("a"))->text == "two");
  CHECK(ask(*p, asking("something else"))->text == "any");
  CHECK(ask(*p, asking("a"))->recorded);
  const reply refused = ask(*p, asking("f"));
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().kind == failure_kind::refused);
}

TEST_CASE("replay says which prompt it does not know, and which line of its file is wrong") {
  const folder at;
  write(at / "r.jsonl", line("abc", "", "one"));
  const reply unknown = ask(*replay_of(at / "r.jsonl"), asking("a"));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.failure().kind == failure_kind::unavailable);
  CHECK(unknown.failure().message.find(prompt_hash(asking("a")).substr(0, 12)) != std::string::npos);
  write(at / "r.jsonl", line("abc", "", "one") + "{\"prompt\": \"x\"}\n");
  provider_settings s;
  s.name = "recorded", s.kind = provider_kind::replay, s.file = at / "r.jsonl";
  surroundings around = surroundings_with();
  const auto wrong = make_provider(s, around);
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().code == errc::configuration);
  CHECK(wrong.error().message.find("r.jsonl:2: field 'answer': missing") != std::string::npos);
}

TEST_CASE("a recording pays once for a step, also after a crash that cut its last line") {
  const folder at;
  const auto file = at / "answers.jsonl";
  {
    const auto inner = std::make_shared<counting>();
    auto p = make_recording(inner, file);
    REQUIRE(p);
    CHECK(ask(**p, asking("a", "s-1"))->text == "answer 1");
    CHECK(ask(**p, asking("b", "s-2"))->text == "answer 2");
    CHECK(ask(**p, asking("a", "s-1"))->recorded); // the same step
    CHECK(ask(**p, asking("a"))->text == "answer 3"); // no key: a new step
    CHECK(inner->asked == 3);
  }
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  const std::string whole = read(file);
  write(file, whole + whole.substr(0, 40)); // a crash while writing
  const auto inner = std::make_shared<counting>();
  {
    auto p = make_recording(inner, file);
    REQUIRE(p);
    CHECK(read(file) == whole);
    const reply again = ask(**p, asking("b", "s-2"));
    REQUIRE(again);
    CHECK(again->text == "answer 2");
    CHECK(again->recorded);
    CHECK(inner->asked == 0);
    CHECK(ask(**p, asking("c", "s-3"))->text == "answer 1");
  }
  CHECK(ask(*replay_of(file), asking("c"))->text == "answer 1");
}
