#include "actors/synthesis/llm/manual.hpp"
#include "tests/llm/asking.hpp"

#include <doctest/doctest.h>
#include <fstream>
#include <thread>

using namespace kevolve;
using namespace kevolve::llm;

namespace {

std::shared_ptr<provider> make(const std::filesystem::path& folder, double timeout_s = 3600) {
  provider_settings s;
  s.name = "me", s.kind = provider_kind::manual, s.folder = folder, s.timeout_s = timeout_s;
  surroundings around = surroundings_with();
  auto made = make_provider(s, around);
  if (!made)
    FAIL(made.error().message);
  return *made;
}

std::string read(const std::filesystem::path& from) {
  std::ifstream in(from);
  return {std::istreambuf_iterator<char>(in), {}};
}
void wait_for(const std::filesystem::path& file) {
  while (!std::filesystem::exists(file))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}
void answer_with(const std::filesystem::path& file, const std::string& text) { std::ofstream(file) << text; }

} // namespace

TEST_CASE("a prompt appears as a file, its answer is picked up; two at once keep their own") {
  const folder at;
  const auto p = make(at.path());
  std::promise<reply> one, two;
  p->ask(asking("first"), [&](reply r) { one.set_value(std::move(r)); });
  p->ask(asking("second"), [&](reply r) { two.set_value(std::move(r)); });
  wait_for(at / "0002.prompt.md");
  CHECK(read(at / "0001.prompt.md") == manual_first_line("0001", prompt_hash(asking("first")), "") + "\nYou write kernels.\n\nfirst\n");
  answer_with(at / "0002.answer.md", "int two;\n");
  const reply second = two.get_future().get();
  REQUIRE(second);
  CHECK(second->text == "int two;\n");
  CHECK(second->request_id == "0002");
  CHECK(second->cost_usd == 0.0);
  answer_with(at / "0001.answer.md", "int one;\n");
  CHECK(one.get_future().get()->text == "int one;\n");
}

TEST_CASE("a restarted process finds its prompt, and the answer that was written meanwhile") {
  const folder at;
  std::promise<reply> told;
  {
    const auto p = make(at.path());
    p->ask(asking("first", "s-1/3/0"), [&](reply r) { told.set_value(std::move(r)); });
    wait_for(at / "0001.prompt.md");
  }
  CHECK(told.get_future().get().failure().kind == failure_kind::cancelled);
  answer_with(at / "0001.answer.md", "int x;\n");
  const auto p = make(at.path());
  const reply again = ask(*p, asking("first", "s-1/3/0"));
  REQUIRE(again);
  CHECK(again->text == "int x;\n");
  CHECK_FALSE(std::filesystem::exists(at / "0002.prompt.md"));
  std::promise<reply> other;
  p->ask(asking("first", "s-1/4/0"), [&](reply r) { other.set_value(std::move(r)); }); // another step with the same words
  wait_for(at / "0002.prompt.md");
  answer_with(at / "0002.answer.md", "int y;\n");
  CHECK(other.get_future().get()->text == "int y;\n");
}

TEST_CASE("what is cancelled or too late is withdrawn, so that nobody answers it in vain") {
  const folder at;
  const auto p = make(at.path());
  std::promise<reply> told;
  const handle which = p->ask(asking("first"), [&](reply r) { told.set_value(std::move(r)); });
  wait_for(at / "0001.prompt.md");
  p->cancel(which);
  CHECK(told.get_future().get().failure().kind == failure_kind::cancelled);
  CHECK(std::filesystem::exists(at / "0001.withdrawn.md"));
  const reply late = ask(*make(at.path(), 0.05), asking("second"));
  REQUIRE_FALSE(late);
  CHECK(late.failure().kind == failure_kind::timeout);
  CHECK(std::filesystem::exists(at / "0002.withdrawn.md"));
}

TEST_CASE("a folder that cannot be is refused by name") {
  provider_settings s;
  s.name = "me", s.kind = provider_kind::manual, s.folder = "/proc/nowhere";
  surroundings around = surroundings_with();
  CHECK(make_provider(s, around).error().message == "provider 'me': folder: found '/proc/nowhere', expected a folder that prompts can be written to");
}
