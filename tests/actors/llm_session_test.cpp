// Whole sessions against the made-up model server, over real HTTP: 200 candidates from answers that are right, wrong, cut, malicious and huge,
// and a session whose process is killed 20 times. Measuring is made up, too.
#include "actors/agent_service.hpp"
#include "actors/engine.hpp"
#include "actors/made_up.hpp"
#include "actors/session_state.hpp"
#include "actors/synthesis/llm/json_text.hpp"
#include "actors/synthesis/llm/made_up_server.hpp"
#include "engine_world.hpp"
#include "protocol/rng.hpp"

#include <atomic>
#include <csignal>
#include <doctest/doctest.h>
#include <fstream>
#include <mutex>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using kevolve::test::made_up_host;

namespace {

constexpr const char* planted_key = "sk-planted-0123456789abcdef";

std::string kernel(std::uint64_t number, const std::string& more = "") {
  return "IDEA: version " + std::to_string(number) +
         "\n```cpp\n#include \"kevolve.h\"\nextern \"C\" int kevolve_run(const kevolve_tensor*, kevolve_tensor*, const kevolve_int64*, void*, void*) {\n  return 0 * " +
         std::to_string(number) + ";\n}\n" + more + "```\n";
}

/// Seats by HTTP, everything else made up: a source that says WRONG does not compile.
class http_desk final : public model_desk {
public:
  http_desk(const std::string& url, std::chrono::milliseconds compile_time) : compile_time_(compile_time) {
    llm::provider_settings s;
    s.name = "made-up", s.kind = llm::provider_kind::openai_chat, s.base_url = url + "/v1", s.api_key_env = "MADE_UP_KEY";
    s.max_retries = 3, s.max_answer_bytes = 1u << 20;
    llm::surroundings around;
    around.env = [](const std::string& name) { return name == "MADE_UP_KEY" ? std::optional<std::string>(planted_key) : std::nullopt; };
    auto made = llm::make_provider(s, around);
    REQUIRE_MESSAGE(made, made.error().message);
    seat_.provider = *made;
    seat_.model.name = "made-up", seat_.model.max_output_tokens = 3000;
    seat_.model.price = llm::token_price{1, 0.1, 1, 10};
  }
  result<model_seat> find(const std::string&) override { return seat_; }
  std::vector<synthesis::reading> read(const lookup&) override { return {}; }
  void compile(const candidate& what, const target&, std::function<void(std::string)> then) override {
    std::string messages = what.sources[0].content.find("WRONG") != std::string::npos ? "kernel.cpp:5: error: made up" : "";
    if (compile_time_.count() == 0)
      return then(std::move(messages));
    std::thread([messages = std::move(messages), then = std::move(then), this] { // only in a process that ends by _exit
      std::this_thread::sleep_for(compile_time_);
      then(messages);
    }).detach();
  }
  bool reserve(std::uint64_t, double) override { return true; }
  void settle(std::uint64_t, double, std::uint64_t, double) override {}

private:
  const std::chrono::milliseconds compile_time_;
  model_seat seat_;
};

/// An engine in a given directory, as one process has it.
struct process_world {
  zmq::context_t context{1};
  std::unique_ptr<kb::store> memory;
  made_up_host host;
  std::unique_ptr<agent_service> agent;
  std::unique_ptr<runtime> engine;
  process_world(const std::filesystem::path& directory, const std::string& url, std::chrono::milliseconds compile_time = {}) {
    auto opened = kb::store::open(directory / "kb", kb::access::read_write);
    REQUIRE_MESSAGE(opened, opened.error().message);
    memory = std::move(*opened);
    engine_parts parts;
    parts.make_generator = made_up::generator();
    parts.open_link = [this](const link_callbacks& callbacks) { return test::open_test_link(context.handle(), callbacks); };
    parts.models = std::make_shared<http_desk>(url, compile_time);
    auto started = start_engine(*memory, 2, parts);
    REQUIRE_MESSAGE(started, started.error().message);
    engine = std::move(*started);
    auto served = agent_service::start(host, "inproc://kevolve-test", context.handle(), "here");
    REQUIRE_MESSAGE(served, served.error().message);
    agent = std::move(*served);
  }
  ~process_world() {
    engine.reset();
    agent.reset();
    memory.reset();
  }
};

session_settings by_model(std::uint32_t evaluations, std::uint64_t tokens) {
  auto how = test::short_search(evaluations);
  how.synthesizers = {"small"};
  how.in_flight = 8;
  how.model_tokens = tokens;
  return how;
}

/// What a provider would bill for: what the request says, in tokens of four bytes, and the answer.
llm::token_usage usage_of(const llm::made_up_request& asked, const std::string& text) { return {asked.body.size() / 4, 0, 0, text.size() / 4, 0}; }

/// Answers in every bad way there is; bills what it says and what it cuts.
struct bad_model {
  std::mutex mutex;
  std::uint64_t number = 0, billed = 0;
  std::map<std::string, unsigned> kinds;

  llm::made_up_response operator()(const llm::made_up_request& asked) {
    std::lock_guard lock(mutex);
    const std::uint64_t n = ++number;
    llm::made_up_answer a;
    a.chunk_bytes = 512;
    const auto say = [&](const std::string& kind, std::string text) {
      ++kinds[kind];
      a.text = std::move(text);
      a.used = usage_of(asked, a.text);
      a.used.output = std::min<std::uint64_t>(a.used.output, 3000);
      billed += a.used.input + a.used.output;
      return llm::made_up_model(asked, a);
    };
    const auto refuse = [&](const std::string& kind, int status, const std::string& body) {
      ++kinds[kind];
      return llm::made_up_status(status, body, {"retry-after-ms: 1"});
    };
    switch (n % 20) {
      case 1: return say("does not compile", kernel(n, "// WRONG\n"));
      case 2: return say("no code", "I would rather talk about the weather.");
      case 3: {
        auto whole = say("cut", kernel(n));
        whole.pieces.resize(3);
        whole.close = true, whole.reset = n % 40 == 3;
        return whole;
      }
      case 4: return say("malicious", kernel(n, "#include \"/etc/passwd\"\n#include <cstdlib>\nstatic int x = system(\"rm -rf /\");\nasm(\"syscall\");\n"));
      case 5: return say("malicious", "FILE: ../../../../etc/cron.d/x\n```\n* * * * * root true\n```\n" + kernel(n));
      case 6: return say("malicious", std::string("\0\x1b[2J\xff\xfe\r\b", 9) + kernel(n) + std::string(2000, '`') + "```cpp\n" + std::string(5000, '{'));
      case 7: return say("malicious", "<<<<<<< SEARCH\n\n=======\n" + std::string(3000, '>') + "\n>>>>>>> REPLACE\n<<<<<<< SEARCH\nreturn 0\n=======\nreturn " + std::to_string(n) + "\n>>>>>>> REPLACE\n");
      case 8: return say("huge", kernel(n, std::string(3u << 20, 'x')));
      case 9: return refuse("429", 429, R"({"error":{"message":"slow down","code":"rate_limit_exceeded"}})");
      case 10: return refuse("500", 500, std::string("the key was ") + planted_key);
      case 11: billed += usage_of(asked, "").input; ++kinds["malformed"]; return llm::made_up_status(200, "{\"choices\": [{\"message\": {\"content\": \"int");
      case 12: ++kinds["dropped"]; return {{{0, ""}}, true, true};
      case 13: return say("says the key", kernel(n, "// " + asked.headers.at("authorization") + "\n"));
      case 14: a.stop = "length"; return say("out of room", kernel(n).substr(0, 120));
      case 15: a.stop = "content_filter"; return say("filtered", "");
      default: return say("right", kernel(n));
    }
  }
};

/// Every byte of every file below a directory.
bool holds(const std::filesystem::path& directory, const std::string& what) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file())
      continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    if (bytes.find(what) != std::string::npos)
      return true;
  }
  return false;
}

} // namespace

TEST_CASE("200 candidates from a model that errs in every way: none crashes, no cap is passed, no key is kept") {
  test::scratch_directory at;
  auto model = std::make_shared<bad_model>();
  llm::made_up_server server([model](const llm::made_up_request& r) { return (*model)(r); });
  constexpr std::uint64_t cap = 40'000'000;
  session_outcome end;
  {
    process_world world(at.path, server.url());
    auto session = world.engine->submit(made_up::subject(), {"cpu", "", "cpp"}, by_model(200, cap));
    REQUIRE_MESSAGE(session, session.error().message);
    end = world.engine->wait(*session, {});
    std::string why = end.failure ? end.failure->message : "";
    CHECK_MESSAGE(!end.failure, why);
    CHECK(end.finished.stopped_by == "evaluations");
    auto log = world.memory->events(*session);
    REQUIRE(log);
    std::uint64_t spent = 0, evaluations = 0;
    std::map<std::pair<node_number, std::uint32_t>, std::uint64_t> reserved;
    for (const event& e : *log) {
      if (const auto* asked = std::get_if<model_asked>(&e))
        spent += reserved[{asked->number, asked->step}] = asked->reserved_tokens;
      else if (const auto* said = std::get_if<model_answered>(&e))
        spent += said->used.input + said->used.output - reserved[{said->number, said->step}];
      evaluations += std::holds_alternative<evaluation_recorded>(e);
      REQUIRE(spent <= cap);
    }
    CHECK(evaluations >= 200);
    CHECK(model->billed <= spent);
    CHECK(model->kinds.size() == 13);
    MESSAGE(model->number << " requests, " << evaluations << " evaluations, billed " << model->billed << " tokens, counted " << spent);
  }
  CHECK_FALSE(holds(at.path, planted_key));
  CHECK(holds(at.path, "[key]")); // it was said back, and taken out
}

TEST_CASE("a small cap stops the session before the provider's bill passes it") {
  for (const std::uint64_t cap : {60'000u, 200'000u, 700'000u}) {
    test::scratch_directory at;
    auto model = std::make_shared<bad_model>();
    llm::made_up_server server([model](const llm::made_up_request& r) { return (*model)(r); });
    process_world world(at.path, server.url());
    auto session = world.engine->submit(made_up::subject(), {"cpu", "", "cpp"}, by_model(500, cap));
    REQUIRE(session);
    const auto end = world.engine->wait(*session, {});
    CHECK(end.finished.stopped_by == "cost");
    CHECK(model->billed <= cap);
    CHECK(model->number > 0);
  }
}

// Run by the test below in a process of its own, to be killed.
TEST_CASE("(child) goes on with a session until it ends" * doctest::skip()) {
  const char* directory = std::getenv("KEVOLVE_TEST_DIRECTORY");
  const char* url = std::getenv("KEVOLVE_TEST_URL");
  REQUIRE(directory);
  REQUIRE(url);
  process_world world(directory, url, std::chrono::milliseconds(50)); // answers lie durable for a while before their candidates do
  auto sessions = world.memory->sessions();
  REQUIRE(sessions);
  session_id which;
  if (sessions->empty()) {
    auto session = world.engine->submit(made_up::subject(), {"cpu", "", "cpp"}, by_model(150, 10'000'000));
    REQUIRE(session);
    which = *session;
  } else {
    which = sessions->front().session;
    auto resumed = world.engine->resume(which);
    REQUIRE_MESSAGE(resumed, resumed.error().message);
  }
  const auto end = world.engine->wait(which, {});
  REQUIRE_FALSE(end.failure);
  ::_exit(0);
}

TEST_CASE("killed at 20 random moments, a session never pays again for an answer that arrived, and its cap holds") {
  test::scratch_directory at;
  std::mutex mutex;
  std::map<std::string, unsigned> asked; // by idempotency key
  std::uint64_t number = 0, billed = 0;
  llm::made_up_server server([&](const llm::made_up_request& r) {
    std::lock_guard lock(mutex);
    ++asked[r.headers.at("idempotency-key")];
    llm::made_up_answer a;
    a.text = kernel(++number);
    a.used = usage_of(r, a.text);
    a.latency_s = 0.02;
    billed += a.used.input + a.used.output;
    return llm::made_up_model(r, a);
  });
  ::setenv("KEVOLVE_TEST_DIRECTORY", at.path.c_str(), 1);
  ::setenv("KEVOLVE_TEST_URL", server.url().c_str(), 1);
  std::map<std::string, unsigned> had; // steps whose answer was durable at a kill -> how often they had been asked for
  std::uint64_t kills = 0, lives = 0, caught = 0; // caught: answers that lay there without a candidate at a kill
  for (bool over = false; !over; ++lives) {
    REQUIRE(lives < 200);
    const pid_t child = ::fork();
    if (child == 0) {
      ::execl("/proc/self/exe", "llm_session_test", "-tc=(child)*", "--no-skip", "-m", static_cast<char*>(nullptr));
      ::_exit(127);
    }
    rng random(11, lives, "kill");
    const std::uint64_t requests = server.requests() + random.below(5);
    const auto moments = std::chrono::microseconds(random.below(60'000));
    int status = 0;
    bool ended = false;
    while (kills < 20 && !(ended = ::waitpid(child, &status, WNOHANG) == child) && server.requests() < requests + 1)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (kills < 20 && !ended) {
      std::this_thread::sleep_for(moments);
      ::kill(child, SIGKILL);
    }
    if (!ended)
      ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
      REQUIRE(WTERMSIG(status) == SIGKILL);
      ++kills;
    } else {
      REQUIRE(WEXITSTATUS(status) == 0);
    }
    std::lock_guard lock(mutex);
    for (const auto& [key, times] : had)
      CHECK_MESSAGE(asked[key] == times, key);
    auto memory = kb::store::open(at.path / "kb", kb::access::read_only);
    if (!memory)
      continue; // killed before there was one
    auto sessions = (*memory)->sessions();
    REQUIRE(sessions);
    if (sessions->empty())
      continue;
    auto log = (*memory)->events(sessions->front().session);
    REQUIRE(log);
    std::uint64_t spent = 0;
    std::map<std::pair<node_number, std::uint32_t>, std::uint64_t> reserved;
    std::set<node_number> without_candidate;
    for (const event& e : *log) {
      if (const auto* added = std::get_if<candidate_added>(&e))
        without_candidate.erase(added->number);
      if (const auto* asking = std::get_if<model_asked>(&e))
        spent += reserved[{asking->number, asking->step}] = asking->reserved_tokens;
      else if (const auto* said = std::get_if<model_answered>(&e)) {
        spent += said->used.input + said->used.output - reserved[{said->number, said->step}];
        const std::string key = sessions->front().session + "/" + std::to_string(said->number) + "/" + std::to_string(said->step);
        had[key] = asked[key];
        without_candidate.insert(said->number);
      }
      over = over || std::holds_alternative<session_finished>(e);
    }
    caught += without_candidate.size();
    CHECK(billed <= spent);
    CHECK(spent <= 10'000'000);
  }
  CHECK(kills == 20);
  CHECK(had.size() >= 20);
  CHECK(caught > 0);
  MESSAGE(kills << " kills, " << number << " requests, " << had.size() << " answers arrived, " << caught << " of them lay there without a candidate at a kill");
}
