// The HTTP client against a made-up server that speaks all three formats and misbehaves in every way that vendors and networks do.
#include "actors/synthesis/llm/json_text.hpp"
#include "actors/synthesis/llm/made_up_server.hpp"
#include "tests/llm/asking.hpp"

#include <doctest/doctest.h>
#include <fstream>
#include <mutex>
#include <sys/stat.h>

using namespace kevolve;
using namespace kevolve::llm;

namespace {

constexpr const char* planted_key = "sk-planted-0123456789abcdef";
constexpr std::array formats{provider_kind::openai_chat, provider_kind::openai_responses, provider_kind::anthropic};

provider_settings settings_for(provider_kind kind, const std::string& url) {
  provider_settings s;
  s.name = "made-up", s.kind = kind;
  s.base_url = url + (kind == provider_kind::anthropic ? "" : "/v1");
  s.api_key_env = "MADE_UP_KEY";
  s.max_retries = 3;
  s.timeout_s = 60;
  return s;
}

std::shared_ptr<provider> make(const provider_settings& s, surroundings around = surroundings_with({{"MADE_UP_KEY", planted_key}})) {
  auto made = make_provider(s, around);
  if (!made)
    FAIL(made.error().message);
  return *made;
}

request streaming(bool stream, const std::string& key = "") {
  request r = asking("write", key);
  r.model.stream = stream;
  return r;
}

/// Answers its requests with these, one after the other, the last one again.
struct script {
  std::vector<std::function<made_up_response(const made_up_request&)>> answers;
  std::size_t at = 0;
  std::vector<made_up_request> seen;
  std::mutex mutex;
  made_up_response operator()(const made_up_request& r) {
    std::lock_guard lock(mutex);
    seen.push_back(r);
    const auto& answer = answers[std::min(at++, answers.size() - 1)];
    return answer(r);
  }
};

std::function<made_up_response(const made_up_request&)> right(const std::string& text) {
  return [text](const made_up_request& r) {
    made_up_answer a;
    a.text = text, a.reasoning = "thinking of " + text, a.used = {100, 40, 10, 50, 0};
    return made_up_model(r, a);
  };
}
std::function<made_up_response(const made_up_request&)> status(int code, const std::string& body, const std::vector<std::string>& lines = {"retry-after-ms: 1"}) {
  return [=](const made_up_request&) { return made_up_status(code, body, lines); };
}
std::function<made_up_response(const made_up_request&)> raw(const std::string& bytes, bool reset = false) {
  return [=](const made_up_request&) { return made_up_response{{{0, bytes}}, true, reset}; };
}
/// A right answer that stops after so many of its pieces.
std::function<made_up_response(const made_up_request&)> cut_after(std::size_t pieces, bool reset) {
  return [=](const made_up_request& r) {
    made_up_response whole = right("a long answer, cut off somewhere")(r);
    if (whole.pieces.size() == 1)
      whole.pieces[0].bytes.resize(whole.pieces[0].bytes.size() - 20);
    else
      whole.pieces.resize(std::min(pieces, whole.pieces.size() - 2));
    whole.close = true, whole.reset = reset;
    return whole;
  };
}

struct played {
  reply got;
  std::vector<made_up_request> seen;
};
played play(provider_kind kind, bool stream, std::vector<std::function<made_up_response(const made_up_request&)>> answers,
            const std::function<void(provider_settings&)>& change = [](provider_settings&) {}, request asked = {}) {
  script s;
  s.answers = std::move(answers);
  made_up_server server([&](const made_up_request& r) { return s(r); });
  provider_settings settings = settings_for(kind, server.url());
  change(settings);
  if (asked.messages.empty())
    asked = streaming(stream, "step-1");
  asked.model.stream = stream;
  reply got = ask(*make(settings), asked);
  std::lock_guard lock(s.mutex); // what the socket ordered, a lock must, too
  return {std::move(got), s.seen};
}

/// For each format, streamed and whole.
template <class Check>
void everywhere(Check&& check) {
  for (const auto kind : formats)
    for (const bool stream : {false, true}) {
      CAPTURE(to_string(kind));
      CAPTURE(stream);
      check(kind, stream);
    }
}

} // namespace

TEST_CASE("a right answer in every format, streamed and whole") {
  everywhere([](provider_kind kind, bool stream) {
    const played p = play(kind, stream, {right("int x = 1; // \xe2\x86\x92")});
    if (!p.got)
      FAIL(p.got.failure().message);
    CHECK(p.got->text == "int x = 1; // \xe2\x86\x92");
    CHECK(p.got->reasoning == "thinking of int x = 1; // \xe2\x86\x92");
    CHECK(p.got->used == token_usage{100, 40, 10, 50, 0});
    CHECK(p.got->stopped == stop_reason::end);
    CHECK(p.got->model == "made-up-1");
    CHECK(p.got->provider == "made-up");
    CHECK(p.got->attempts == 1);
    CHECK(p.got->unseen_attempts == 0);
    REQUIRE(p.seen.size() == 1);
    const auto& head = p.seen[0].headers;
    CHECK(p.seen[0].method == "POST");
    CHECK(head.at("idempotency-key") == "step-1");
    CHECK(head.at("content-type") == "application/json");
    if (kind == provider_kind::anthropic) {
      CHECK(p.seen[0].path == "/v1/messages");
      CHECK(head.at("x-api-key") == planted_key);
      CHECK(head.at("anthropic-version") == "2023-06-01");
      CHECK_FALSE(head.contains("authorization"));
    } else {
      CHECK(p.seen[0].path == (kind == provider_kind::openai_chat ? "/v1/chat/completions" : "/v1/responses"));
      CHECK(head.at("authorization") == std::string("Bearer ") + planted_key);
    }
    CHECK(p.seen[0].body.find("planted") == std::string::npos);
  });
}

TEST_CASE("gateways: Anthropic with a bearer token, extra headers, no key at all") {
  const played bearer = play(provider_kind::anthropic, false, {right("x")}, [](provider_settings& s) { s.bearer = true, s.headers = {{"X-Team", "kernels"}}; });
  CHECK(bearer.seen.at(0).headers.at("authorization") == std::string("Bearer ") + planted_key);
  CHECK(bearer.seen.at(0).headers.at("x-team") == "kernels");
  const played none = play(provider_kind::openai_chat, false, {right("x")}, [](provider_settings& s) { s.api_key_env.clear(); });
  CHECK(none.got);
  CHECK_FALSE(none.seen.at(0).headers.contains("authorization"));
}

TEST_CASE("what passes by itself is tried again with the same idempotency key: 408, 409, 429, 500, 503, 529, a dropped connection") {
  everywhere([](provider_kind kind, bool stream) {
    for (const auto& failing : {status(408, ""), status(409, ""), status(429, R"({"error":{"message":"slow down","code":"rate_limit_exceeded"}})"), status(500, "oops"),
                                status(503, "<html>"), status(529, R"({"type":"error","error":{"type":"overloaded_error","message":"x"}})")}) {
      const played p = play(kind, stream, {failing, right("x")});
      if (!p.got)
        FAIL(p.got.failure().message);
      CHECK(p.got->text == "x");
      CHECK(p.got->attempts == 2);
      CHECK(p.got->unseen_attempts == 0); // a refusal costs nothing
      CHECK(p.seen.at(1).headers.at("idempotency-key") == "step-1");
      CHECK(p.seen.at(1).body == p.seen.at(0).body);
    }
    const played dropped = play(kind, stream, {raw("", true), right("x")});
    REQUIRE(dropped.got);
    CHECK(dropped.got->attempts >= 2);
  });
}

TEST_CASE("what asking again would not change is not asked again") {
  everywhere([](provider_kind kind, bool stream) {
    using f = failure_kind;
    for (const auto& [code, body, expected] : {std::tuple{400, R"({"error":{"message":"bad temperature"}})", f::bad_request},
                                               {401, R"({"error":{"message":"no","code":"invalid_api_key"}})", f::authentication},
                                               {403, "{}", f::authentication},
                                               {404, "nothing here", f::bad_request},
                                               {400, R"({"error":{"message":"x","code":"context_length_exceeded"}})", f::context_too_long},
                                               {413, "", f::context_too_long},
                                               {429, R"({"error":{"message":"x","code":"insufficient_quota"}})", f::quota},
                                               {400, R"({"error":{"message":"x","code":"content_policy_violation"}})", f::refused},
                                               {302, "", f::bad_request},
                                               {200, "{\"half\":", f::malformed},
                                               {200, "", f::malformed},
                                               {200, "<html>captive portal</html>", f::malformed}}) {
      const played p = play(kind, stream, {status(code, body, {"location: http://127.0.0.1:1/elsewhere"}), right("x")});
      REQUIRE_FALSE(p.got);
      CHECK(p.got.failure().kind == expected);
      CHECK(p.seen.size() == 1);
      CHECK(p.got.failure().unseen_attempts == (code == 200 ? 1 : 0));
    }
  });
}

TEST_CASE("x-should-retry decides, retry-after is obeyed and too long a wait is not") {
  CHECK(play(provider_kind::openai_chat, true, {status(500, "", {"x-should-retry: false"}), right("x")}).got.failure().kind == failure_kind::server);
  CHECK(play(provider_kind::openai_chat, true, {status(400, "", {"x-should-retry: true", "retry-after-ms: 1"}), right("x")}).got);
  CHECK(play(provider_kind::openai_chat, true, {status(429, "", {"retry-after: 0.01"}), right("x")}).got);
  CHECK(play(provider_kind::openai_chat, true, {status(429, "", {"retry-after: Sun, 06 Nov 1994 08:49:37 GMT"}), right("x")}).got); // a date that has passed
  const played long_wait = play(provider_kind::anthropic, true, {status(429, "", {"retry-after: 3600"}), right("x")});
  REQUIRE_FALSE(long_wait.got);
  CHECK(long_wait.got.failure().message.find("it asks to wait 3600 s, which is more than 120 s") != std::string::npos);
  const played none = play(provider_kind::anthropic, true, {status(503, "busy", {"retry-after-ms: 1", "request-id: req_42"})});
  REQUIRE_FALSE(none.got);
  CHECK(none.seen.size() == 4); // max_retries 3
  CHECK(none.got.failure().message == "provider 'made-up': server error: HTTP 503: busy (request req_42)");
}

TEST_CASE("a cut answer may have been billed: it is tried again as often as was reserved for, and counted") {
  everywhere([](provider_kind kind, bool stream) {
    for (const bool reset : {false, true}) {
      const played again = play(kind, stream, {cut_after(4, reset), right("x")});
      if (!again.got)
        FAIL(again.got.failure().message);
      CHECK(again.got->text == "x");
      CHECK(again.got->attempts == 2);
      CHECK(again.got->unseen_attempts == 1);
      request once = streaming(stream);
      once.billable_attempts = 1;
      const played not_again = play(kind, stream, {cut_after(4, reset), right("x")}, [](provider_settings&) {}, once);
      REQUIRE_FALSE(not_again.got);
      CHECK(not_again.got.failure().kind == failure_kind::network);
      CHECK(not_again.got.failure().unseen_attempts == 1);
      CHECK(not_again.seen.size() == 1);
    }
  });
}

TEST_CASE("stop reasons come through in every format") {
  for (const auto& [kind, word, expected] : {std::tuple{provider_kind::openai_chat, "length", stop_reason::length}, {provider_kind::openai_chat, "content_filter", stop_reason::content_filter},
                                             {provider_kind::openai_responses, "max_output_tokens", stop_reason::length}, {provider_kind::anthropic, "max_tokens", stop_reason::length},
                                             {provider_kind::anthropic, "refusal", stop_reason::refusal}})
    for (const bool stream : {false, true}) {
      const auto answer = [word = word](const made_up_request& r) {
        made_up_answer a;
        a.text = "int x", a.stop = word;
        return made_up_model(r, a);
      };
      const played p = play(kind, stream, {answer});
      REQUIRE(p.got);
      CHECK(p.got->stopped == expected);
      CHECK(p.got->text == "int x");
    }
}

TEST_CASE("a huge answer, endless headers and an endless stream are cut off") {
  everywhere([](provider_kind kind, bool stream) {
    const auto small = [](provider_settings& s) { s.max_answer_bytes = 100'000; };
    const played huge = play(kind, stream, {right(std::string(200'000, 'x'))}, small);
    REQUIRE_FALSE(huge.got);
    CHECK(huge.got.failure().kind == failure_kind::too_large);
    CHECK(huge.seen.size() == 1);
    CHECK(play(kind, stream, {right(std::string(20'000, 'x'))}, small).got->text.size() == 20'000);
    std::string head = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 5000; ++i)
      head += "x-filler-" + std::to_string(i) + ": " + std::string(50, 'y') + "\r\n";
    const played headers_without_end = play(kind, stream, {raw(head)});
    REQUIRE_FALSE(headers_without_end.got);
    CHECK(headers_without_end.got.failure().kind == failure_kind::too_large);
    const played deep = play(kind, stream, {status(200, std::string(90'000, '['))}, small);
    CHECK(deep.got.failure().kind == failure_kind::malformed);
  });
}

TEST_CASE("slow loris: no answer, a trickle of headers, a trickle of an answer, silence in the middle") {
  everywhere([](provider_kind kind, bool stream) {
    const auto quick = [](provider_settings& s) { s.timeout_s = 0.5, s.idle_timeout_s = 0.1, s.max_retries = 0; };
    const auto never = [](const made_up_request&) { return made_up_response{{{3600, "HTTP/1.1 200 OK\r\n"}}, false, false}; };
    CHECK(play(kind, stream, {never}, quick).got.failure().kind == failure_kind::timeout);
    const auto trickle = [](const std::string& before) {
      return [before](const made_up_request&) {
        made_up_response r{{{0, before}}, false, false};
        for (int i = 0; i < 10'000; ++i)
          r.pieces.push_back({0.01, "x"});
        return r;
      };
    };
    const auto in_headers = play(kind, stream, {trickle("HTTP/1.1 200 OK\r\nx-long: ")}, quick);
    CHECK(in_headers.got.failure().kind == failure_kind::timeout);
    const auto in_body = play(kind, stream, {trickle("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: ")}, quick);
    REQUIRE_FALSE(in_body.got);
    CHECK(in_body.got.failure().kind == failure_kind::timeout);
    CHECK(in_body.got.failure().message.find("timeout_s") != std::string::npos);
    const auto silent = [](const made_up_request& r) {
      made_up_response whole = right("never complete, sadly")(r);
      if (whole.pieces.size() == 1)
        whole.pieces = {{0, whole.pieces[0].bytes.substr(0, 200)}, {3600, "rest"}};
      else
        whole.pieces[3].after_s = 3600;
      return whole;
    };
    const auto patient = [](provider_settings& s) { s.timeout_s = 3600, s.idle_timeout_s = 0.1, s.max_retries = 0; };
    const played silence = play(kind, stream, {silent}, patient);
    REQUIRE_FALSE(silence.got);
    CHECK(silence.got.failure().kind == failure_kind::timeout);
    CHECK(silence.got.failure().message.find("idle_timeout_s") != std::string::npos);
    CHECK(silence.got.failure().unseen_attempts == 1);
  });
}

TEST_CASE("a deadline ends a request before its time limit; nobody at the port is a network failure") {
  made_up_server server([](const made_up_request&) { return made_up_response{{{3600, ""}}, false, false}; });
  request r = streaming(true);
  r.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
  CHECK(ask(*make(settings_for(provider_kind::openai_chat, server.url())), r).failure().kind == failure_kind::timeout);
  provider_settings nobody = settings_for(provider_kind::openai_chat, "http://127.0.0.1:1");
  nobody.max_retries = 0;
  const reply none = ask(*make(nobody), streaming(true));
  REQUIRE_FALSE(none);
  CHECK(none.failure().kind == failure_kind::network);
  CHECK(none.failure().unseen_attempts == 0);
}

TEST_CASE("https is verified: a server that speaks no TLS gets nothing") {
  made_up_server server(right("x"));
  provider_settings s = settings_for(provider_kind::openai_chat, "https://127.0.0.1:" + std::to_string(server.port()));
  s.max_retries = 0, s.connect_timeout_s = 0.2; // it waits for more of what it takes for a request
  CHECK(ask(*make(s), streaming(true)).failure().kind == failure_kind::network);
  CHECK(server.requests() == 0);
}

TEST_CASE("a proxy is taken from the environment, and not for hosts that no_proxy names") {
  std::mutex mutex;
  std::string path;
  made_up_server proxy([&](const made_up_request& r) {
    std::lock_guard lock(mutex);
    path = r.path;
    return right("by proxy")(r);
  });
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  ::setenv("no_proxy", "127.0.0.1", 1);
  CHECK(ask(*make(settings_for(provider_kind::openai_chat, "http://model.invalid")), streaming(true))->text == "by proxy");
  {
    std::lock_guard lock(mutex);
    CHECK(path == "http://model.invalid/v1/chat/completions");
  }
  made_up_server near(right("direct"));
  CHECK(ask(*make(settings_for(provider_kind::openai_chat, near.url())), streaming(true))->text == "direct");
  ::unsetenv("http_proxy"), ::unsetenv("no_proxy");
}

TEST_CASE("cancelling ends what flies; a provider that goes answers everybody") {
  made_up_server server([](const made_up_request&) { return made_up_response{{{3600, ""}}, false, false}; });
  std::promise<reply> one, two;
  {
    const auto p = make(settings_for(provider_kind::openai_chat, server.url()));
    const handle first = p->ask(streaming(true), [&](reply r) { one.set_value(std::move(r)); });
    p->ask(streaming(true), [&](reply r) { two.set_value(std::move(r)); });
    while (server.requests() < 2)
      std::this_thread::yield();
    p->cancel(first);
    CHECK(one.get_future().get().failure().kind == failure_kind::cancelled);
  }
  const reply second = two.get_future().get();
  CHECK(second.failure().kind == failure_kind::cancelled);
  CHECK(second.failure().unseen_attempts == 1); // it may be billed
}

TEST_CASE("many at once on one thread, from two providers on one loop, each with its own answer") {
  made_up_server server([](const made_up_request& r) {
    made_up_answer a;
    const json body = *parse_json(r.body);
    a.text = "echo " + body["messages"].back()["content"].get<std::string>();
    a.latency_s = 0.05;
    return made_up_model(r, a);
  });
  surroundings around = surroundings_with({{"MADE_UP_KEY", planted_key}});
  provider_settings s = settings_for(provider_kind::openai_chat, server.url());
  s.max_in_flight = 200;
  const auto chat = *make_provider(s, around);
  s.kind = provider_kind::anthropic;
  const auto other = *make_provider(s, around);
  std::vector<request> all;
  for (int i = 0; i < 400; ++i) {
    all.push_back(streaming(i % 2 == 0));
    all.back().messages[0].content = std::to_string(i);
    all.back().model.prompt_caching = false;
  }
  const auto replies = ask_all(*chat, all);
  for (int i = 0; i < 400; ++i) {
    REQUIRE(replies[i]);
    CHECK(replies[i]->text == "echo " + std::to_string(i));
  }
  CHECK(server.most_open() > 100);
  CHECK(ask(*other, all[7])->text == "echo 7");
}

TEST_CASE("a planted key is found in no error, answer or recording, even where a server says it back") {
  const folder at;
  std::string everything;
  const auto keep = [&](const reply& r) { everything += r ? r->text + r->reasoning + r->model + r->request_id : r.failure().message; };
  const std::string key = planted_key;
  everywhere([&](provider_kind kind, bool stream) {
    const auto record = [&](provider_settings& s) { s.record = at / "record.jsonl"; };
    for (const auto& telling : {right("your key is " + key), status(401, R"({"error":{"message":"Incorrect key )" + key + "\"}}"), status(400, key),
                                status(500, key, {"request-id: " + key, "x-should-retry: false"}), status(200, key), status(404, "{\"detail\":[\"" + key + "\"]}")})
      keep(play(kind, stream, {telling}, record).got);
  });
  keep(play(provider_kind::openai_chat, false, {status(200, R"({"choices":[{"message":{"content":"it is \u0073k-planted-0123456789abcdef"}}]})")}).got);
  surroundings around = surroundings_with({{"MADE_UP_KEY", key + "\nInjected: header"}});
  provider_settings s = settings_for(provider_kind::openai_chat, "http://127.0.0.1:1");
  everything += make_provider(s, around).error().message;
  std::ofstream(at / "key") << key << "\n";
  s.api_key_env.clear(), s.api_key_file = at / "key";
  ::chmod((at / "key").c_str(), 0644);
  const auto refused = make_provider(s, around);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("found mode 0644, expected 0600") != std::string::npos);
  everything += refused.error().message;
  ::chmod((at / "key").c_str(), 0600);
  CHECK(make_provider(s, around));
  std::ifstream record(at / "record.jsonl");
  const std::string recorded{std::istreambuf_iterator<char>(record), {}};
  CHECK(recorded.size() > 100);
  everything += recorded;
  CHECK(everything.find("planted") == std::string::npos);
  CHECK(everything.find("[key]") != std::string::npos); // it was there to be found
}

TEST_CASE("keys by a variable that is not set, two keys, a folder: refused by name") {
  surroundings around = surroundings_with();
  provider_settings s = settings_for(provider_kind::openai_chat, "http://127.0.0.1:1");
  CHECK(make_provider(s, around).error().message == "provider 'made-up': api_key_env: the environment variable MADE_UP_KEY is not set, expected it to hold the key");
  s.api_key_file = "/tmp";
  CHECK(make_provider(s, around).error().message == "provider 'made-up': found both api_key_env and api_key_file, expected one of them");
  s.api_key_env.clear();
  CHECK(make_provider(s, around).error().message.find("found something that is not a file") != std::string::npos);
  s.api_key_file = "/nonexistent/key";
  CHECK(make_provider(s, around).error().message.find("/nonexistent/key: cannot be read (No such file or directory)") != std::string::npos);
  s.base_url = "ftp://x";
  CHECK(make_provider(s, around).error().message == "provider 'made-up': base_url: found 'ftp://x', expected https://… or http://…");
}
