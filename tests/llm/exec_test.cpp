#include "actors/synthesis/llm/exec.hpp"
#include "tests/llm/asking.hpp"

#include <doctest/doctest.h>
#include <fstream>
#include <signal.h>
#include <thread>

using namespace kevolve;
using namespace kevolve::llm;

namespace {

provider_settings command(std::vector<std::string> arguments) {
  provider_settings s;
  s.name = "agent", s.kind = provider_kind::exec, s.command.arguments = std::move(arguments);
  return s;
}

std::shared_ptr<provider> make(const provider_settings& s, surroundings around = surroundings_with()) {
  auto made = make_provider(s, around);
  if (!made)
    FAIL(made.error().message);
  return *made;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

} // namespace

TEST_CASE("a command gets the prompt on stdin and its stdout is the answer") {
  const auto p = make(command({"cat"}));
  const reply r = ask(*p, asking("write a kernel"));
  REQUIRE(r);
  CHECK(r->text == "You write kernels.\n\nwrite a kernel\n");
  CHECK(r->provider == "agent");
  CHECK(r->model == "made-up-1");
}

TEST_CASE("a command that names {prompt_file} and {output_file} works by files, and its arguments meet no shell") {
  provider_settings s = command({"sh", "-c", "cp \"$1\" \"$2\"; printf '%s|%s' \"$3\" \"$4\" >> \"$2\"; echo noise", "sh", "{prompt_file}", "{output_file}", "{model}", "$(id) {other}"});
  s.command.answer_from = "file";
  const reply r = ask(*make(s), asking("p"));
  REQUIRE(r);
  CHECK(r->text == "You write kernels.\n\np\nmade-up-1|$(id) {other}");
}

TEST_CASE("answer, tokens and cost by JSON pointer, also from the last of several lines") {
  provider_settings s = command({"printf", "%s\\n", R"({"type":"progress"})", R"({"result":"int x;","usage":{"input_tokens":12,"output_tokens":5},"total_cost_usd":0.5})"});
  s.command.answer_pointer = "/result", s.command.input_tokens_pointer = "/usage/input_tokens", s.command.output_tokens_pointer = "/usage/output_tokens";
  s.command.cost_pointer = "/total_cost_usd";
  const reply r = ask(*make(s), asking("p"));
  REQUIRE(r);
  CHECK(r->text == "int x;");
  CHECK(r->used.input == 12);
  CHECK(r->used.output == 5);
  CHECK(r->cost_usd == 0.5);
  s.command.answer_pointer = "/nothing";
  const reply wrong = ask(*make(s), asking("p"));
  REQUIRE_FALSE(wrong);
  CHECK(wrong.failure().kind == failure_kind::malformed);
  CHECK(wrong.failure().message == "provider 'agent': answer_pointer /nothing: found nothing, expected text");
}

TEST_CASE("a command's environment is PATH, HOME, LANG, TMPDIR and what is allowed") {
  provider_settings s = command({"env"});
  s.command.environment = {"ALLOWED"};
  const reply r = ask(*make(s, surroundings_with({{"ALLOWED", "yes"}, {"OPENAI_API_KEY", "sk-planted"}, {"HOME", "/root"}})), asking("p"));
  REQUIRE(r);
  CHECK(r->text.find("ALLOWED=yes\n") != std::string::npos);
  CHECK(r->text.find("PATH=") != std::string::npos);
  CHECK(r->text.find("planted") == std::string::npos);
}

TEST_CASE("a command that fails says how, with its last complaint") {
  const reply r = ask(*make(command({"sh", "-c", "echo first >&2; echo no credit >&2; exit 3"})), asking("p"));
  REQUIRE_FALSE(r);
  CHECK(r.failure().kind == failure_kind::unavailable);
  CHECK(r.failure().message == "provider 'agent': 'sh' exited with status 3; it said: no credit");
  const reply none = ask(*make(command({"kevolve-no-such-command"})), asking("p"));
  REQUIRE_FALSE(none);
  CHECK(none.failure().message.find("'kevolve-no-such-command' was not found in PATH") != std::string::npos);
  const reply dead = ask(*make(command({"sh", "-c", "kill -SEGV $$"})), asking("p"));
  REQUIRE_FALSE(dead);
  CHECK(dead.failure().message.find("was killed by signal 11") != std::string::npos);
}

TEST_CASE("at the deadline the whole process group is killed") {
  const folder at;
  provider_settings s = command({"sh", "-c", "sleep 1000 & echo $! > " + (at / "pid").string() + "; wait"});
  s.timeout_s = 0.5;
  const reply r = ask(*make(s), asking("p"));
  REQUIRE_FALSE(r);
  CHECK(r.failure().kind == failure_kind::timeout);
  const int grandchild = std::stoi(text_of(at / "pid"));
  // SIGKILL was sent; until init reaps it, it is a zombie at most.
  std::ifstream status("/proc/" + std::to_string(grandchild) + "/stat");
  std::string all((std::istreambuf_iterator<char>(status)), {});
  const bool gone = all.empty() || all.find(") Z ") != std::string::npos || all.find(") X ") != std::string::npos;
  if (!gone) // the kernel has not got round to it yet: it must die without our doing anything more
    while (::kill(grandchild, 0) == 0 && text_of("/proc/" + std::to_string(grandchild) + "/stat").find(") Z ") == std::string::npos)
      std::this_thread::yield();
}

TEST_CASE("a command that leaves a child behind with its output open still ends") {
  const reply r = ask(*make(command({"sh", "-c", "echo done; sleep 1000 &"})), asking("p"));
  REQUIRE(r);
  CHECK(r->text == "done\n");
}

TEST_CASE("a flood is cut off and killed") {
  provider_settings s = command({"yes"});
  s.max_answer_bytes = 100'000;
  const reply r = ask(*make(s), asking("p"));
  REQUIRE_FALSE(r);
  CHECK(r.failure().kind == failure_kind::too_large);
}

TEST_CASE("many commands run at once on one thread, more wait, and too many are refused") {
  provider_settings s = command({"sh", "-c", "cat; sleep 0.05"});
  s.max_in_flight = 8;
  std::vector<request> all;
  for (int i = 0; i < 40; ++i)
    all.push_back(asking(std::to_string(i)));
  const auto p = make(s);
  const auto replies = ask_all(*p, all);
  for (int i = 0; i < 40; ++i) {
    REQUIRE(replies[i]);
    CHECK(replies[i]->text == "You write kernels.\n\n" + std::to_string(i) + "\n");
  }
  s = command({"sleep", "1000"});
  s.max_in_flight = 1, s.max_queued = 2;
  std::vector<std::promise<reply>> told(6);
  {
    const auto small = make(s);
    for (auto& t : told)
      small->ask(asking("p"), [&t](reply r) { t.set_value(std::move(r)); });
    const reply last = told[5].get_future().get(); // the queue is full before anything ends
    REQUIRE_FALSE(last);
    CHECK(last.failure().kind == failure_kind::queue_full);
  }
  CHECK(told[0].get_future().get().failure().kind == failure_kind::cancelled); // its provider has gone
}

TEST_CASE("a cancelled request ends its command, a waiting one never starts") {
  provider_settings s = command({"sleep", "1000"});
  s.max_in_flight = 1;
  const auto p = make(s);
  std::promise<reply> first, second;
  const handle a = p->ask(asking("p"), [&](reply r) { first.set_value(std::move(r)); });
  const handle b = p->ask(asking("p"), [&](reply r) { second.set_value(std::move(r)); });
  p->cancel(b);
  p->cancel(a);
  p->cancel(12345);
  CHECK(first.get_future().get().failure().kind == failure_kind::cancelled);
  CHECK(second.get_future().get().failure().kind == failure_kind::cancelled);
}

TEST_CASE("settings of commands that cannot work are refused by name") {
  surroundings around = surroundings_with();
  CHECK(make_provider(command({}), around).error().message == "provider 'agent': command is empty, expected a program and its arguments");
  provider_settings s = command({"cat"});
  s.command.answer_from = "file";
  CHECK(make_provider(s, around).error().message.find("found no {output_file}") != std::string::npos);
  s.command.answer_from = "stdout", s.command.answer_pointer = "result";
  CHECK(make_provider(s, around).error().message == "provider 'agent': found 'result', expected a JSON pointer such as /result");
}
