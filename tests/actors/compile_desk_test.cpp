// The scheduler's side of compiling elsewhere, and of answers that come in pieces.
#include "actors/compile_desk.hpp"
#include "actors/large_answers.hpp"
#include "protocol/codec.hpp"
#include "protocol/digest.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::dispatch;
using namespace std::chrono_literals;

namespace {

compile_wanted wanted(const std::string& request, char candidate = 'a') {
  compile_work w;
  w.what.id = std::string(64, candidate);
  w.toolchain = "g++";
  w.runs_on = {"x86_64", 2036, {}};
  w.limit_s = 20;
  return {request, w};
}

compile_made made(char candidate = 'a', char artifact = 'c') {
  compile_made m;
  m.candidate = std::string(64, candidate);
  m.good = true;
  m.artifact = {std::string(64, artifact), 3000};
  return m;
}

const std::string program(64, 'c');

} // namespace

TEST_CASE("a request is one task however often it is said, and another one once it was answered") {
  compile_desk desk("life");
  const auto opened = desk.wanted("bare/1", wanted("7"));
  REQUIRE(opened.task);
  CHECK(opened.task->toolchain == "g++");
  CHECK(opened.task->machine == "x86_64");
  CHECK(opened.task->libc == 2036);
  CHECK_FALSE(opened.task->needs_device);
  CHECK_FALSE(desk.wanted("bare/1", wanted("7")).task);
  CHECK(desk.wanted("other/1", wanted("7")).task);
  CHECK(desk.work_of(opened.task->task).what.id == std::string(64, 'a'));
  CHECK(desk.answers(opened.task->task, made()));
  CHECK_FALSE(desk.answers(opened.task->task, made('b')));
  const auto answer = desk.delivered(opened.task->task, "whole/1", made());
  CHECK(answer.agent == "bare/1");
  CHECK(std::get<compile_answered>(answer.what).request == "7");
  const auto again = desk.wanted("bare/1", wanted("7")); // its answer was lost
  REQUIRE(again.task);
  CHECK(again.task->task != opened.task->task);
}

TEST_CASE("what nobody waits for is withdrawn: dropped by its agent, or gone with it") {
  compile_desk desk("life");
  const auto one = desk.wanted("bare/1", wanted("1")), two = desk.wanted("bare/1", wanted("2")), other = desk.wanted("bare/10", wanted("1"));
  CHECK(desk.dropped("bare/1", "1") == one.task->task);
  CHECK(desk.dropped("bare/1", "1").empty());
  CHECK(desk.agent_gone("bare/1") == std::vector{two.task->task});
  CHECK(desk.has(two.task->task)); // it may be granted until it is withdrawn
  desk.forget(two.task->task);
  CHECK_FALSE(desk.has(two.task->task));
  CHECK(desk.has(other.task->task));
}

TEST_CASE("a request without a toolchain or a machine is answered at once") {
  compile_desk desk("life");
  auto vague = wanted("1");
  vague.what.toolchain.clear();
  CHECK(desk.wanted("bare/1", std::move(vague)).refusal);
  vague = wanted("1");
  vague.what.runs_on.machine.clear();
  CHECK(desk.wanted("bare/1", std::move(vague)).refusal);
  CHECK(desk.under_way() == 0);
}

TEST_CASE("what killed those who compiled it is not compiled for anybody else") {
  compile_desk desk("life");
  const auto deadly = desk.wanted("bare/1", wanted("1"));
  const auto told = desk.given_up(deadly.task->task, "quarantined: 3 agents died under it");
  CHECK(std::get<std::string>(std::get<compile_answered>(told.what).answer).starts_with("quarantined"));
  const auto again = desk.wanted("other/1", wanted("1"));
  CHECK_FALSE(again.task);
  CHECK(again.refusal);
  CHECK(desk.wanted("other/1", wanted("2", 'b')).task);
  const auto unlucky = desk.wanted("bare/1", wanted("3", 'b'));
  (void)desk.given_up(unlucky.task->task, "given up after 5 attempts");
  CHECK(desk.wanted("bare/1", wanted("4", 'b')).task);
}

TEST_CASE("a task that nobody can run for long is hopeless; one that somebody can is not") {
  compile_desk desk("life");
  const auto task = desk.wanted("bare/1", wanted("1")).task->task;
  const auto nobody = [](const submit&) { return false; };
  CHECK(desk.hopeless(nobody, 1, 15).empty());
  CHECK(desk.hopeless(nobody, 15, 15).empty());
  CHECK(desk.hopeless([](const submit& like) { return like.toolchain == "g++"; }, 15.5, 15).empty());
  CHECK(desk.hopeless(nobody, 17, 15).empty());
  CHECK(desk.hopeless(nobody, 33, 15) == std::vector{task});
}

TEST_CASE("pieces go from whoever has the program to whoever asked, and to nobody else") {
  compile_desk desk("life");
  (void)desk.delivered(desk.wanted("bare/1", wanted("1")).task->task, "whole/1", made());
  const auto asked = desk.asked("bare/1", {program, 0, 1000, "somebody else"});
  CHECK(asked.agent == "whole/1");
  CHECK(std::get<blob_wanted>(asked.what).to == "bare/1");
  CHECK_FALSE(desk.came("whole/1", {program, 0, "x", "other/1"}));
  CHECK_FALSE(desk.came("other/1", {program, 0, "x", "bare/1"}));     // it does not have it
  CHECK_FALSE(desk.came("whole/1", {program, 1000, "x", "bare/1"}));  // not asked for
  const auto passed = desk.came("whole/1", {program, 0, "x", "bare/1"});
  REQUIRE(passed);
  CHECK(passed->agent == "bare/1");
  CHECK(std::get<blob_piece>(passed->what).to.empty());
  CHECK_FALSE(desk.came("whole/1", {program, 0, "x", "bare/1"})); // once
}

TEST_CASE("a program that nobody has, or whose holder went, is missing") {
  compile_desk desk("life");
  const auto unknown = desk.asked("bare/1", {program, 0, 1000, ""});
  CHECK(unknown.agent == "bare/1");
  CHECK(std::holds_alternative<blob_missing>(unknown.what));
  (void)desk.delivered(desk.wanted("bare/1", wanted("1")).task->task, "whole/1", made());
  CHECK(std::holds_alternative<blob_missing>(desk.asked("bare/1", {program, 0, limits::piece_bytes + 1, ""}).what));
  (void)desk.asked("bare/1", {program, 0, 1000, ""});
  CHECK_FALSE(desk.missing("other/1", {program, "bare/1"}));
  const auto told = desk.missing("whole/1", {program, "bare/1"});
  REQUIRE(told);
  CHECK(told->agent == "bare/1");
  CHECK(std::holds_alternative<blob_missing>(desk.asked("bare/1", {program, 0, 1000, ""}).what));
  (void)desk.delivered(desk.wanted("bare/1", wanted("2")).task->task, "whole/1", made());
  (void)desk.agent_gone("whole/1");
  CHECK(std::holds_alternative<blob_missing>(desk.asked("bare/1", {program, 0, 1000, ""}).what));
}

TEST_CASE("an agent that asks for pieces and takes none is held back") {
  compile_desk desk("life");
  (void)desk.delivered(desk.wanted("bare/1", wanted("1")).task->task, "whole/1", made());
  std::size_t passed = 0;
  for (std::uint64_t offset = 0; offset < 5000; ++offset)
    passed += desk.asked("bare/1", {program, offset, 1, ""}).agent == "whole/1";
  CHECK(passed == 1024);
}

TEST_CASE("a large answer is fetched from its agent, once, and counts as if it had come in one frame") {
  const large_answers::time now = large_answers::time{} + 1h;
  evaluation e;
  e.candidate = std::string(64, 'a');
  e.log = std::string(3u << 20, 'l');
  const std::string bytes = encode(decltype(lease_finished::answer)(e));
  large_answers answers;
  const lease_finished said{"s/1/1", 3, blob_reference{sha256_hex(bytes), bytes.size()}};
  CHECK_FALSE(answers.finished("x/1", said, now));
  CHECK_FALSE(answers.finished("x/1", said, now));
  std::optional<lease_finished> whole;
  for (int i = 0; i < 10 && !whole; ++i)
    for (auto& each : answers.due(now)) {
      CHECK(each.agent == "x/1");
      CHECK_FALSE(answers.came("y/1", piece_of(std::get<blob_wanted>(each.what), bytes), now));
      if (auto got = answers.came("x/1", piece_of(std::get<blob_wanted>(each.what), bytes), now))
        whole = std::move(got);
    }
  REQUIRE(whole);
  CHECK(whole->lease == "s/1/1");
  CHECK(whole->epoch == 3);
  CHECK(std::get<evaluation>(whole->answer).log.size() == e.log.size());
  CHECK(answers.due(now + 10s).empty());
}

TEST_CASE("an answer that cannot be one is the agent's failure, whatever it says") {
  const large_answers::time now = large_answers::time{} + 1h;
  large_answers answers;
  const auto huge = answers.finished("x/1", {"s/1/1", 1, blob_reference{std::string(64, 'a'), limits::blob_bytes + 1}}, now);
  REQUIRE(huge);
  CHECK(std::holds_alternative<std::string>(huge->answer));
  for (const std::string& bytes : {std::string("not MessagePack"), encode(decltype(lease_finished::answer)(blob_reference{std::string(64, 'a'), 5}))}) {
    (void)answers.finished("x/1", {"s/1/1", 1, blob_reference{sha256_hex(bytes), bytes.size()}}, now);
    for (auto& each : answers.due(now)) {
      const auto got = answers.came("x/1", piece_of(std::get<blob_wanted>(each.what), bytes), now);
      REQUIRE(got);
      CHECK(std::holds_alternative<std::string>(got->answer));
    }
  }
}
