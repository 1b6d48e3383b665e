#include "tests/llm/asking.hpp"
#include "actors/synthesis/llm/json_text.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::llm;

TEST_CASE("cost counts cached and written input at their own prices, and reasoning as output") {
  const token_price price{1.0, 0.1, 1.25, 10.0};
  CHECK(cost_usd({1'000'000, 0, 0, 0, 0}, price) == doctest::Approx(1.0));
  CHECK(cost_usd({1'000'000, 400'000, 200'000, 100'000, 90'000}, price) == doctest::Approx(0.4 + 0.04 + 0.25 + 1.0));
}

TEST_CASE("the most that a request can use bounds every tokeniser") {
  request r = asking("x = \xf0\x9f\x98\x80;"); // bytes, not characters
  r.max_output_tokens = 77;
  CHECK(most_input_tokens(r) >= r.system.size() + r.messages[0].content.size());
  CHECK(most_usage(r).output == 77);
  r.max_output_tokens = 0;
  CHECK(most_usage(r).output == r.model.max_output_tokens);
  r.model.price = token_price{3, 0.3, 3.75, 15};
  CHECK(most_usage(r).cache_write == most_usage(r).input); // the dearest way to read a prompt
}

TEST_CASE("a prompt's hash covers model, system text and messages, and nothing moves between them") {
  const request a = asking("do it");
  CHECK(prompt_hash(a) == "6192b79c12cca9de3bba8706639539215718b03d15aea3b68cdcafff36072d1f");
  request b = a;
  b.system += "\n", b.messages[0].content = "do it";
  CHECK(prompt_hash(b) != prompt_hash(a));
  b = a, b.model.name = "made-up-2";
  CHECK(prompt_hash(b) != prompt_hash(a));
  b = a, b.messages = {{speaker::user, "do"}, {speaker::user, " it"}};
  CHECK(prompt_hash(b) != prompt_hash(a));
  b = a, b.idempotency_key = "k", b.max_output_tokens = 5;
  CHECK(prompt_hash(b) == prompt_hash(a));
}

TEST_CASE("a prompt as text names whose words are whose once there are several") {
  request r = asking("first");
  CHECK(prompt_text(r) == "You write kernels.\n\nfirst\n");
  r.messages.push_back({speaker::assistant, "second"});
  r.messages.push_back({speaker::user, "third"});
  CHECK(prompt_text(r) == "You write kernels.\n\n# Request\n\nfirst\n\n# Your earlier answer\n\nsecond\n\n# Request\n\nthird\n");
}

TEST_CASE("an answer survives JSON") {
  answer a;
  a.text = "int x;\n", a.reasoning = "because", a.used = {10, 4, 1, 7, 3}, a.stopped = stop_reason::length;
  a.provider = "p", a.model = "m", a.request_id = "req_1", a.cost_usd = 0.25, a.attempts = 3, a.unseen_attempts = 1, a.seconds = 1.5;
  const auto back = answer_from_json(to_json(a));
  REQUIRE(back);
  CHECK(*back == a);
  CHECK_FALSE(answer_from_json(json{{"text", 7}}));
  CHECK_FALSE(answer_from_json(json{{"text", "x"}, {"stop", "tired"}}));
  CHECK_FALSE(answer_from_json(json{{"text", "x"}, {"usage", {{"input_tokens", -1}}}}));
}

TEST_CASE("JSON from outside is bounded in depth") {
  CHECK(parse_json("{\"a\": [1, 2]}"));
  CHECK_FALSE(parse_json("{\"a\": "));
  CHECK(parse_json(std::string(64, '[') + std::string(64, ']')));
  CHECK_FALSE(parse_json(std::string(65, '[') + std::string(65, ']')));
  CHECK_FALSE(parse_json(std::string(1'000'000, '[')));
  CHECK(parse_json("\"" + std::string(1000, '[') + "\"")); // text is not nesting
}

TEST_CASE("failures keep their kind and map to the exit codes of the contract") {
  const reply late = failure{failure_kind::timeout, "too late", 1, 1};
  CHECK(late.error().code == errc::timeout);
  CHECK(reply(failure{failure_kind::authentication, "no", 1, 0}).error().code == errc::synthesizer);
  CHECK(exit_code(reply(failure{failure_kind::network, "no", 1, 0}).error().code) == 5);
}
