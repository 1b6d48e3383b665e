// What a session does with synthesizers that migrate: how their requests are reserved and logged, and when an agent may forget.
#include "actors/session_logic.hpp"

#include <algorithm>
#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::search;

namespace {

template <class Kind>
std::vector<Kind> only(const std::vector<effect>& effects) {
  std::vector<Kind> found;
  for (const auto& e : effects)
    if (const auto* x = std::get_if<Kind>(&e))
      found.push_back(*x);
  return found;
}

std::vector<event> appended(const std::vector<effect>& effects) {
  std::vector<event> events;
  for (const auto& e : only<append_event>(effects))
    events.push_back(e.what);
  return events;
}

candidate some(char digit) {
  candidate c;
  c.id = std::string(64, digit);
  return c;
}

model_asked request_for(node_number n, std::uint64_t tokens) {
  model_asked asked;
  asked.number = n;
  asked.synthesizer = "small";
  asked.reserved_tokens = tokens;
  return asked;
}

model_exchange exchange(std::uint32_t step, std::uint64_t tokens) {
  model_exchange e;
  e.asked.step = e.said.step = step;
  e.asked.reserved_tokens = 2000;
  e.said.used.input = tokens;
  return e;
}

/// A session whose root has passed, and that asks for a proposal of a model's on agents; everything is durable at once.
struct world {
  session logic;
  std::vector<event> log;
  node_number number = 0; // of a proposal that the model is asked for

  explicit world(std::uint64_t model_tokens) {
    session_opened opening;
    opening.session = "s";
    opening.subject.workloads.resize(1);
    opening.subject.workloads[0].uuid = "w0";
    opening.settings.synthesizers = {"generator", "small"};
    opening.settings.written_on = {"", "any"};
    opening.settings.evaluations = 100;
    opening.settings.time_s = 0;
    opening.settings.in_flight = 4;
    opening.settings.model_tokens = model_tokens;
    opening.settings.baselines.clear();
    (void)step(opened{opening});
    const auto asks = step(synthesized{0, some('a'), {"root", "", ""}});
    REQUIRE(only<ask_evaluation>(asks).size() == 1);
    evaluation passed;
    passed.candidate = std::string(64, 'a');
    passed.result = outcome::passed;
    passed.timings.resize(1);
    passed.timings[0].workload = "w0";
    passed.timings[0].latency_s = 1e-3;
    for (const auto& each : only<ask_synthesis>(step(evaluated{0, only<ask_evaluation>(asks)[0].attempt, passed})))
      if (each.synthesizer == "small")
        number = each.number;
    REQUIRE(number > 0);
  }
  std::vector<effect> step(input in) {
    auto effects = logic.step(std::move(in), {1, 1});
    for (const auto& e : appended(effects))
      log.push_back(e);
    for (auto& e : logic.step(stored{logic.appended()}, {1, 1})) {
      if (const auto* also = std::get_if<append_event>(&e))
        log.push_back(also->what);
      effects.push_back(std::move(e));
    }
    return effects;
  }
};

} // namespace

TEST_CASE("all that a proposal may cost is reserved once, or as much as the limit leaves") {
  world w(3000);
  const auto first = only<permit_asking>(w.step(asking{request_for(w.number, 2000), model_spending{1000, 0}}));
  REQUIRE(first.size() == 1);
  CHECK(first[0].reserved.tokens == 2000);
  // Its host died: that counts, and what is left is reserved for another.
  const auto again = only<permit_asking>(w.step(asking{request_for(w.number, 2000), model_spending{1000, 0}}));
  REQUIRE(again.size() == 1);
  CHECK(again[0].reserved.tokens == 1000);
  CHECK(w.logic.state().spent_on_models().tokens == 3000);
  const auto over = w.step(asking{request_for(w.number, 2000), model_spending{1000, 0}});
  CHECK(only<permit_asking>(over).empty());
  CHECK(only<refuse_asking>(over).size() == 1);
}

TEST_CASE("what was asked on an agent is logged so that no beginning of the log says less than was spent") {
  world w(0);
  (void)w.step(asking{request_for(w.number, 4000), model_spending{2000, 0}});
  const std::size_t before = w.log.size();
  wrote came{w.number, {}, "fleet.one", 2};
  came.what.what = some('b');
  came.what.said = {exchange(0, 600), exchange(1, 700)};
  const auto effects = w.step(came);
  CHECK(only<acknowledge_writing>(effects).size() == 1);
  CHECK(w.logic.state().spent_on_models().tokens == 1300);
  session_state folded;
  for (std::size_t i = 0; i < w.log.size(); ++i) {
    folded.apply(w.log[i]);
    if (i >= before)
      CHECK(folded.spent_on_models().tokens >= 1300);
  }
  CHECK(folded.digest() == w.logic.state().digest());
  std::vector<std::string> kinds;
  for (std::size_t i = before; i < before + 4; ++i)
    kinds.emplace_back(kind_of(w.log[i]));
  CHECK(kinds == std::vector<std::string>{"model_asked", "model_answered", "model_answered", "candidate_added"});
  const auto& added = std::get<candidate_added>(w.log[before + 3]);
  CHECK(added.agent == "fleet.one");
  CHECK(added.moves == 2);
  CHECK(only<ask_evaluation>(effects).size() == 1);
  CHECK(appended(w.step(came)).empty()); // delivered twice
}

TEST_CASE("what came to nothing is paid for, closes its proposal, and may be forgotten by its agent") {
  world w(0);
  (void)w.step(asking{request_for(w.number, 4000), model_spending{2000, 0}});
  wrote came{w.number, {}, "fleet.one", 0};
  came.what.failed = errc::refused;
  came.what.failure = "this was tried already";
  came.what.said = {exchange(0, 600)};
  const auto effects = w.step(came);
  CHECK(only<acknowledge_writing>(effects).size() == 1);
  CHECK(w.logic.state().spent_on_models().tokens == 600);
  CHECK_FALSE(w.logic.state().open().contains(w.number));
}

TEST_CASE("an answer that an earlier life logged in part is logged to its end, and nothing of it twice") {
  world w(0);
  (void)w.step(asking{request_for(w.number, 4000), model_spending{2000, 0}});
  session again;
  for (const event& e : w.log)
    again.replay(e);
  model_answered half;
  half.number = w.number;
  half.used.input = 600;
  again.replay(half);
  std::vector<event> log = w.log;
  log.push_back(half);
  for (const auto& e : again.step(resumed{}, {2, 2}))
    if (const auto* asks = std::get_if<ask_synthesis>(&e))
      CHECK(asks->number != 0);
  CHECK(again.state().open().at(w.number).said == 1);
  wrote came{w.number, {}, "fleet.one", 0};
  came.what.what = some('c');
  came.what.said = {exchange(0, 600), exchange(1, 700)};
  (void)again.step(came, {2, 2});
  CHECK(again.state().spent_on_models().tokens == 1300);
}

TEST_CASE("where a host's provider does not answer, the proposal is asked for again elsewhere, so often and no more") {
  world w(0);
  for (std::uint32_t time = 1; time <= session_options().providers; ++time) {
    (void)w.step(asking{request_for(w.number, 4000), model_spending{2000, 0}});
    wrote came{w.number, {}, "fleet.one", 0};
    came.what.failed = errc::synthesizer;
    came.what.failure = "overloaded";
    came.what.said = {exchange(0, 10)};
    came.what.said[0].said.failure = "overloaded";
    const auto effects = w.step(came);
    REQUIRE(only<acknowledge_writing>(effects).size() == 1);
    CHECK(w.logic.state().spent_on_models().tokens == 10 * time);
    const auto asks = only<ask_synthesis>(effects);
    const bool again = std::any_of(asks.begin(), asks.end(), [&](const auto& each) { return each.number == w.number; });
    CHECK(again == (time < session_options().providers));
    CHECK(w.logic.state().open().contains(w.number) == again);
    if (!again)
      continue;
    CHECK(w.logic.state().open().at(w.number).said == 0); // the same request
    CHECK(w.logic.state().open().at(w.number).unanswered == time);
    const auto first = std::find_if(effects.begin(), effects.end(), [&](const effect& e) { return std::holds_alternative<acknowledge_writing>(e) || std::holds_alternative<ask_synthesis>(e); });
    CHECK(std::holds_alternative<acknowledge_writing>(*first));
  }
  session_state folded;
  for (const event& e : w.log)
    folded.apply(e);
  CHECK(folded.digest() == w.logic.state().digest());
}

TEST_CASE("what a host answered before its provider failed is not asked for again, and what was never asked costs nothing") {
  world w(0);
  (void)w.step(asking{request_for(w.number, 4000), model_spending{2000, 0}});
  wrote half{w.number, {}, "fleet.one", 0};
  half.what.failed = errc::synthesizer;
  half.what.failure = "cut";
  half.what.said = {exchange(0, 600), exchange(1, 5)};
  half.what.said[1].said.failure = "cut";
  (void)w.step(half);
  REQUIRE(w.logic.state().open().contains(w.number));
  CHECK(w.logic.state().open().at(w.number).said == 1);
  auto next = request_for(w.number, 2000);
  next.step = 1;
  REQUIRE(only<permit_asking>(w.step(asking{next, model_spending{2000, 0}})).size() == 1);
  CHECK(w.logic.state().spent_on_models().tokens == 2605);
  wrote none{w.number, {}, "fleet.two", 0};
  none.what.failed = errc::configuration;
  none.what.failure = "no key";
  (void)w.step(none);
  CHECK(w.logic.state().spent_on_models().tokens == 605);
  CHECK(w.logic.state().open().at(w.number).unanswered == 2);
}
