#include "actors/synthesis/llm/json_text.hpp"
#include "actors/synthesis/llm/wire.hpp"
#include "tests/llm/asking.hpp"

#include "protocol/rng.hpp"

#include <array>
#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::llm;

namespace {

constexpr auto chat = provider_kind::openai_chat, responses = provider_kind::openai_responses, anthropic = provider_kind::anthropic;

request conversation() {
  request r = asking("one");
  r.messages.push_back({speaker::assistant, "two"});
  r.messages.push_back({speaker::user, "three"});
  r.max_output_tokens = 1000;
  r.model.stream = false;
  return r;
}

/// Fed in pieces of every size up to the whole, so that no cut of the network matters.
reply streamed(provider_kind format, const std::string& bytes) {
  std::optional<reply> first;
  for (const std::size_t piece : {bytes.size(), std::size_t{1}, std::size_t{7}}) {
    stream_reader reader(format, "p", 100'000);
    for (std::size_t at = 0; at < bytes.size(); at += std::max<std::size_t>(piece, 1))
      reader.feed(std::string_view(bytes).substr(at, std::max<std::size_t>(piece, 1)));
    reply r = reader.finish();
    if (first && r)
      CHECK(*r == **first);
    first = std::move(r);
  }
  return *first;
}

failure_kind kind_of(int status, const std::string& body) { return failure_from_body("p", status, body).kind; }

} // namespace

TEST_CASE("urls take a base with or without slash and version") {
  CHECK(request_url(chat, "http://h:8000/v1/") == "http://h:8000/v1/chat/completions");
  CHECK(request_url(responses, "https://api.openai.com/v1") == "https://api.openai.com/v1/responses");
  CHECK(request_url(anthropic, "https://api.anthropic.com") == "https://api.anthropic.com/v1/messages");
  CHECK(request_url(anthropic, "http://h/v1") == "http://h/v1/messages");
}

TEST_CASE("bodies of a plain request are pinned and hold no optional field") {
  const request r = conversation();
  CHECK(request_body(chat, r) ==
        R"({"max_completion_tokens":1000,"messages":[{"content":"You write kernels.","role":"system"},{"content":"one","role":"user"},{"content":"two","role":"assistant"},{"content":"three","role":"user"}],"model":"made-up-1"})");
  CHECK(request_body(responses, r) ==
        R"({"input":[{"content":"one","role":"user"},{"content":"two","role":"assistant"},{"content":"three","role":"user"}],"instructions":"You write kernels.","max_output_tokens":1000,"model":"made-up-1","store":false})");
  CHECK(request_body(anthropic, r) ==
        R"({"max_tokens":1000,"messages":[{"content":"one","role":"user"},{"content":"two","role":"assistant"},{"content":[{"cache_control":{"type":"ephemeral"},"text":"three","type":"text"}],"role":"user"}],"model":"made-up-1","system":[{"cache_control":{"type":"ephemeral"},"text":"You write kernels.","type":"text"}]})");
}

TEST_CASE("bodies with everything set are pinned") {
  request r = asking("one");
  r.model.reasoning_effort = "high", r.model.temperature = 0.5, r.model.top_p = 0.75, r.model.legacy_limit = true, r.max_output_tokens = 10;
  r.model.extra_body = {{"seed", 7}, {"top_p", nullptr}};
  CHECK(request_body(chat, r) ==
        R"({"max_tokens":10,"messages":[{"content":"You write kernels.","role":"system"},{"content":"one","role":"user"}],"model":"made-up-1","reasoning_effort":"high","seed":7,"stream":true,"stream_options":{"include_usage":true},"temperature":0.5})");
  CHECK(request_body(responses, r) ==
        R"({"input":[{"content":"one","role":"user"}],"instructions":"You write kernels.","max_output_tokens":10,"model":"made-up-1","reasoning":{"effort":"high"},"seed":7,"store":false,"stream":true,"temperature":0.5})");
  r.model.extra_body = json::object(), r.model.prompt_caching = false, r.model.temperature.reset(), r.model.top_p.reset();
  CHECK(request_body(anthropic, r) ==
        R"({"max_tokens":10,"messages":[{"content":"one","role":"user"}],"model":"made-up-1","output_config":{"effort":"high"},"stream":true,"system":[{"text":"You write kernels.","type":"text"}],"thinking":{"type":"adaptive"}})");
  r.model.thinking_tokens = 2048;
  CHECK(request_body(anthropic, r).find(R"("thinking":{"budget_tokens":2048,"type":"enabled"})") != std::string::npos);
  r.model.thinking_tokens = 0, r.model.reasoning_effort = "none";
  CHECK(request_body(anthropic, r).find(R"("thinking":{"type":"disabled"})") != std::string::npos);
}

TEST_CASE("a prompt with bytes that are no UTF-8 still gives a body") {
  request r = asking("compiler said \xff\xfe");
  CHECK(parse_json(request_body(chat, r)));
}

TEST_CASE("chat answers: text, reasoning under both names, usage with cached tokens inside the input") {
  const reply r = answer_from_body(chat, "p", R"({"id":"c1","model":"m-2026","choices":[{"finish_reason":"length","message":{"content":"int x;","reasoning_content":"hm"}}],
    "usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":60},"completion_tokens_details":{"reasoning_tokens":15}}})");
  REQUIRE(r);
  CHECK(r->text == "int x;");
  CHECK(r->reasoning == "hm");
  CHECK(r->used == token_usage{100, 60, 0, 20, 15});
  CHECK(r->stopped == stop_reason::length);
  CHECK(r->model == "m-2026");
  CHECK(answer_from_body(chat, "p", R"({"choices":[{"message":{"content":"x","reasoning":"newer"}}]})")->reasoning == "newer");
  CHECK_FALSE(answer_from_body(chat, "p", R"({"choices":[{"message":{"content":"x"}}]})")->counted);
  CHECK(answer_from_body(chat, "p", R"({"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]})")->text == "ab");
  CHECK(answer_from_body(chat, "p", R"({"choices":[{"finish_reason":"stop","message":{"content":null,"refusal":"I can't."}}]})")->stopped == stop_reason::refusal);
}

TEST_CASE("responses answers: message and reasoning items, incomplete and failed ones") {
  const reply r = answer_from_body(responses, "p", R"({"id":"r1","model":"m","status":"completed","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},
    {"type":"message","content":[{"type":"output_text","text":"int "},{"type":"output_text","text":"x;"}]}],
    "usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":1}}})");
  REQUIRE(r);
  CHECK(r->text == "int x;");
  CHECK(r->reasoning == "hm");
  CHECK(r->used == token_usage{9, 4, 2, 5, 1});
  CHECK(r->stopped == stop_reason::end);
  CHECK(answer_from_body(responses, "p", R"({"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]})")->stopped == stop_reason::length);
  const reply failed = answer_from_body(responses, "p", R"({"status":"failed","error":{"code":"server_error","message":"sorry"},"output":[]})");
  REQUIRE_FALSE(failed);
  CHECK(failed.failure().kind == failure_kind::server);
}

TEST_CASE("anthropic answers: cached input is added to the input") {
  const reply r = answer_from_body(anthropic, "p", R"({"id":"msg_1","model":"m","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"int x;"}],"stop_reason":"max_tokens",
    "usage":{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":1000,"output_tokens":7}})");
  REQUIRE(r);
  CHECK(r->text == "int x;");
  CHECK(r->reasoning == "hm");
  CHECK(r->used == token_usage{1110, 100, 1000, 7, 0});
  CHECK(r->stopped == stop_reason::length);
  for (const auto& [word, reason] : {std::pair{"end_turn", stop_reason::end}, {"stop_sequence", stop_reason::end}, {"refusal", stop_reason::refusal},
                                     {"tool_use", stop_reason::tool_use}, {"pause_turn", stop_reason::other}, {"model_context_window_exceeded", stop_reason::length}})
    CHECK(wire::anthropic_stop(word) == reason);
}

TEST_CASE("what is no answer is malformed, and says what was found") {
  for (const auto format : {chat, responses, anthropic})
    for (const char* body : {"", "{", "[]", "{}", "\"text\"", "<html>502</html>", R"({"choices":[],"output":7,"content":{}})", R"({"choices":[{}]})"}) {
      const reply r = answer_from_body(format, "p", body);
      REQUIRE_FALSE(r);
      CHECK(r.failure().kind == failure_kind::malformed);
    }
  CHECK(answer_from_body(chat, "p", "<html>").failure().message == "provider 'p': found '<html>', expected an answer of its format (kind); is base_url right?");
  CHECK_FALSE(answer_from_body(chat, "p", std::string(100'000, '[')));
}

TEST_CASE("errors of every vendor have their kind") {
  CHECK(kind_of(401, R"({"error":{"message":"Incorrect API key","type":"invalid_request_error","code":"invalid_api_key"}})") == failure_kind::authentication);
  CHECK(kind_of(403, R"({"type":"error","error":{"type":"permission_error","message":"no"}})") == failure_kind::authentication);
  CHECK(kind_of(429, R"({"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}})") == failure_kind::rate_limit);
  CHECK(kind_of(429, R"({"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}})") == failure_kind::quota);
  CHECK(kind_of(400, R"({"error":{"message":"too long","code":"context_length_exceeded"}})") == failure_kind::context_too_long);
  CHECK(kind_of(400, R"({"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}})") == failure_kind::context_too_long);
  CHECK(kind_of(400, R"({"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","code":400})") == failure_kind::context_too_long);
  CHECK(kind_of(400, R"({"error":{"code":400,"message":"x","type":"exceed_context_size_error"}})") == failure_kind::context_too_long);
  CHECK(kind_of(413, "") == failure_kind::context_too_long);
  CHECK(kind_of(400, R"({"error":{"message":"Unsupported parameter: 'temperature'","code":"unsupported_parameter"}})") == failure_kind::bad_request);
  CHECK(kind_of(400, R"({"error":{"message":"no","code":"content_policy_violation"}})") == failure_kind::refused);
  CHECK(kind_of(404, R"({"error":"model 'x' not found"})") == failure_kind::bad_request);
  CHECK(kind_of(422, R"({"detail":[{"msg":"field required"}]})") == failure_kind::bad_request);
  CHECK(kind_of(408, "") == failure_kind::timeout);
  CHECK(kind_of(500, "{}") == failure_kind::server);
  CHECK(kind_of(529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})") == failure_kind::server);
  CHECK(kind_of(302, "") == failure_kind::bad_request);
  CHECK(failure_from_body("p", 429, R"({"error":{"message":"slow\ndown","code":"rate_limit_exceeded"}})").message == "provider 'p': rate limit: HTTP 429 rate_limit_exceeded: slow down");
  CHECK(failure_from_body("p", 404, "<html>\r\nnot here").message ==
        "provider 'p': bad request: HTTP 404: <html>  not here; are base_url and the model's name right?");
  CHECK(failure_from_body("p", 500, R"({"error":{"message":")" + std::string(100'000, 'x') + "\"}}").message.size() < 700);
}

TEST_CASE("a chat stream: deltas, usage in the last chunk, comments between") {
  const reply r = streamed(chat, ": keep alive\n\n"
                                 "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n"
                                 "data: {\"choices\":[{\"delta\":{\"reasoning\":\"h\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"reasoning_content\":\"m\"}}]}\n\n"
                                 "data: {\"choices\":[{\"delta\":{\"content\":\"int \"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"x;\"},\"finish_reason\":\"stop\"}]}\n\n"
                                 "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n");
  REQUIRE(r);
  CHECK(r->text == "int x;");
  CHECK(r->reasoning == "hm");
  CHECK(r->used == token_usage{3, 0, 0, 2, 0});
  CHECK(r->counted);
  CHECK(r->stopped == stop_reason::end);
  CHECK(r->model == "m");
}

TEST_CASE("a responses stream takes its last event, and its deltas where that has no output") {
  const std::string delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"int x;\"}\n\n";
  const reply whole = streamed(responses, delta + "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\",\"output\":[{\"type\":\"message\","
                                                  "\"content\":[{\"type\":\"output_text\",\"text\":\"int y;\"}]}],\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n");
  REQUIRE(whole);
  CHECK(whole->text == "int y;");
  CHECK(whole->used.output == 2);
  const reply bare = streamed(responses, delta + "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n");
  REQUIRE(bare);
  CHECK(bare->text == "int x;");
  const reply failed = streamed(responses, delta + "data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"x\"}}}\n\n");
  REQUIRE_FALSE(failed);
  CHECK(failed.failure().kind == failure_kind::rate_limit);
  CHECK(streamed(responses, "data: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\"}\n\n").failure().kind == failure_kind::server);
}

TEST_CASE("an anthropic stream: blocks, cumulative usage, errors in the middle") {
  const std::string begin = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg\",\"model\":\"m\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n"
                            "event: ping\ndata: {\"type\":\"ping\"}\n\n"
                            "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n"
                            "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"signature_delta\",\"signature\":\"zzz\"}}\n\n"
                            "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"int x;\"}}\n\n";
  const reply r = streamed(anthropic, begin + "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\ndata: {\"type\":\"message_stop\"}\n\n");
  REQUIRE(r);
  CHECK(r->text == "int x;");
  CHECK(r->reasoning == "hm");
  CHECK(r->used == token_usage{15, 5, 0, 9, 0});
  CHECK(r->stopped == stop_reason::end);
  CHECK(streamed(anthropic, begin + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n").failure().kind == failure_kind::server);
}

TEST_CASE("a stream that stops early is a broken connection, nonsense is malformed, an endless event is too large") {
  for (const auto format : {chat, responses, anthropic}) {
    CHECK(streamed(format, "").failure().kind == failure_kind::network);
    CHECK(streamed(format, "data: {\"type\":\"ping\",\"choices\":[]}\n\ndata: {\"cho").failure().kind == failure_kind::network);
    CHECK(streamed(format, "data: nonsense\n\n").failure().kind == failure_kind::malformed);
    CHECK(streamed(format, "data: " + std::string(200'000, 'x')).failure().kind == failure_kind::too_large);
  }
  CHECK(streamed(chat, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n")->text == "x"); // a gateway without [DONE]
}

// Bytes are changed, cut out and doubled at random in right answers, whole and streamed: whatever comes of it, it is an answer or a failure.
TEST_CASE("3,000 damaged answers and streams crash nothing and stay within bounds") {
  const std::string bodies[] = {
    R"({"id":"c","choices":[{"finish_reason":"stop","message":{"content":"int x;","reasoning":"hm"}}],"usage":{"prompt_tokens":3,"completion_tokens_details":{"reasoning_tokens":1}}})",
    R"({"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"int x;"}]}],"usage":{"input_tokens":9}})",
    R"({"content":[{"type":"text","text":"int x;"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"cache_read_input_tokens":1}})",
    R"({"error":{"message":"no","type":"t","code":"c"}})"};
  const std::string streams[] = {
    "data: {\"choices\":[{\"delta\":{\"content\":\"int x;\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\ndata: [DONE]\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n",
    "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10}}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n"};
  const auto damaged = [](std::string text, rng& random) {
    for (std::uint64_t i = 0, n = 1 + random.below(6); i < n && !text.empty(); ++i) {
      const std::size_t at = random.below(text.size()), length = random.below(12);
      if (random.chance(0.4))
        text[at] = "\"{}[]:,\\\n\0\xff" "0-n"[random.below(13)];
      else if (random.chance(0.5))
        text.erase(at, length);
      else
        text.insert(at, text.substr(at, length));
    }
    return text;
  };
  int answers = 0, failures = 0;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    rng random(seed, 0, "damage");
    const provider_kind format = std::array{chat, responses, anthropic}[seed % 3];
    const reply whole = answer_from_body(format, "p", damaged(bodies[random.below(4)], random));
    stream_reader reader(format, "p", 1000);
    const std::string stream = damaged(streams[seed % 3], random);
    for (std::size_t at = 0; at < stream.size(); at += 5)
      reader.feed(std::string_view(stream).substr(at, 5));
    const reply streamed = reader.finish();
    for (const reply& r : {whole, streamed}) {
      r ? ++answers : ++failures;
      CHECK((r ? r->text.size() <= 1000 : !r.failure().message.empty() && r.failure().message.size() < 800));
    }
    CHECK(failure_from_body("p", static_cast<int>(random.below(600)), damaged(bodies[3], random)).message.size() < 800);
  }
  CHECK(answers > 500);
  CHECK(failures > 500);
}

TEST_CASE("server-sent events follow the standard: several data lines, CR, byte order mark") {
  std::vector<std::pair<std::string, std::string>> got;
  sse_parser parser(1000, [&](const std::string& e, const std::string& d) { got.emplace_back(e, d); });
  parser.feed("\xef\xbb\xbf" "event: a\rdata: 1\rdata:2\r\rdata\n\nid: 7\nretry: 5\n\nevent: no data\n\ndata: last\n");
  parser.finish();
  CHECK(got == std::vector<std::pair<std::string, std::string>>{{"a", "1\n2"}, {"", ""}, {"", "last"}});
}
