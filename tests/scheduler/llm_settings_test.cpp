#include "scheduler/llm_settings.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

result<model_configuration> read(const std::string& text) { return read_llm_settings({{"config.toml", text}}); }
std::string told(const std::string& text) {
  const auto r = read(text);
  return r ? "no error" : r.error().message;
}
const llm::provider_settings* provider(const model_configuration& in, const std::string& name) {
  for (const auto& p : in.providers)
    if (p.name == name)
      return &p;
  return nullptr;
}
std::string model(const std::string& line) { return "[llm.providers.p]\nkind = \"openai-chat\"\n[[llm.models]]\nname = \"m\"\nprovider = \"p\"\n" + line + "\n"; }

} // namespace

TEST_CASE("providers, models and budget as engineers write them") {
  const auto all = read(R"(
time = "60s"
[llm.providers.openai]
kind = "openai-chat"
base_url = "https://api.openai.com/v1"
api_key_env = "OPENAI_API_KEY"
headers = { "X-Team" = "kernels" }
timeout_s = 600
max_retries = 8
requests_per_minute = 0
[llm.providers.local]
kind = "openai-chat"
base_url = "http://127.0.0.1:8000/v1"
max_in_flight = 4
[llm.providers.agent]
kind = "exec"
command = ["codex", "exec", "-m", "{model}", "-o", "{output_file}", "-"]
answer_from = "file"
environment = ["TERM"]
record = "/tmp/answers.jsonl"
[[llm.models]]
name = "gpt-x"
provider = "openai"
weight = 0.8
roles = ["propose", "repair", "summarise"]
max_output_tokens = 32000
reasoning_effort = "high"
temperature = 1.0
extra_body = { service_tier = "flex", metadata = { team = ["a", 1, true] } }
price = { input = 1.25, cached_input = 0.125, output = 10.0 }
[[llm.models]]
name = "qwen"
provider = "local"
price = { input = 0, output = 0 }
legacy_limit = true
[llm.budget]
max_cost_usd = 200.0
max_tokens = 0
max_tokens_per_day = 5000000
)");
  if (!all)
    FAIL(all.error().message);
  REQUIRE(all->providers.size() == 3);
  const auto* openai = provider(*all, "openai");
  REQUIRE(openai);
  CHECK(openai->base_url == "https://api.openai.com/v1");
  CHECK(openai->api_key_env == "OPENAI_API_KEY");
  CHECK(openai->headers.at("X-Team") == "kernels");
  CHECK(provider(*all, "local")->api_key_env.empty());
  CHECK(provider(*all, "local")->max_in_flight == 4);
  CHECK(provider(*all, "agent")->command.arguments.size() == 7);
  CHECK(provider(*all, "agent")->record == "/tmp/answers.jsonl");
  REQUIRE(all->models.size() == 2);
  const llm::model_settings& m = all->models[0];
  CHECK(m.weight == 0.8);
  CHECK(m.roles.size() == 3);
  CHECK(m.temperature == 1.0);
  CHECK(m.price == llm::token_price{1.25, 0.125, 1.25, 10});
  CHECK(m.extra_body.dump() == R"({"metadata":{"team":["a",1,true]},"service_tier":"flex"})");
  CHECK(all->models[1].legacy_limit);
  CHECK(all->synthesizers() == std::vector<std::string>{"gpt-x", "qwen", "agent"});
  CHECK(all->session_usd == 200);
  CHECK(all->day_tokens == 5'000'000);
}

TEST_CASE("vendors' own addresses and variables are the defaults") {
  const auto all = read("[llm.providers.a]\nkind = \"anthropic\"\n[llm.providers.b]\nkind = \"openai-responses\"\n[llm.providers.c]\nkind = \"openai-chat\"\nbase_url = \"http://h/v1\"\n");
  REQUIRE(all);
  CHECK(provider(*all, "a")->base_url == "https://api.anthropic.com");
  CHECK(provider(*all, "a")->api_key_env == "ANTHROPIC_API_KEY");
  CHECK(provider(*all, "b")->base_url == "https://api.openai.com/v1");
  CHECK(provider(*all, "c")->api_key_env.empty());
}

TEST_CASE("no file with models means none, and the nearest file wins by provider, list and limit") {
  CHECK(read("time = \"60s\"\n")->models.empty());
  CHECK(read_llm_settings({})->providers.empty());
  const auto all = read_llm_settings({{"near", "[llm.providers.p]\nkind = \"openai-chat\"\nbase_url = \"http://near\"\n[llm.budget]\nmax_tokens = 5\n"},
                                      {"far", "[llm.providers.p]\nkind = \"openai-chat\"\nbase_url = \"http://far\"\n[llm.providers.q]\nkind = \"anthropic\"\n"
                                              "[[llm.models]]\nname = \"m\"\nprovider = \"p\"\n[llm.budget]\nmax_tokens = 6\nmax_tokens_per_day = 7\n"}});
  if (!all)
    FAIL(all.error().message);
  CHECK(provider(*all, "p")->base_url == "http://near");
  CHECK(provider(*all, "q"));
  CHECK(all->models.size() == 1);
  CHECK(all->session_tokens == 5);
  CHECK(all->day_tokens == 7);
}

TEST_CASE("keys in a file are refused wherever they stand, and the error does not repeat them") {
  const std::string openai = "[llm.providers.p]\nkind = \"openai-chat\"\n";
  for (const char* line : {"api_key = \"sk-planted\"", "headers = { Authorization = \"Bearer sk-planted\" }", "headers = { X-API-Key = \"sk-planted\" }",
                                  "base_url = \"https://user:sk-planted@host/v1\""}) {
    const std::string said = told(openai + line + "\n");
    CHECK(said.starts_with("config.toml:3: llm.providers.p."));
    CHECK(said.find("api_key_env") != std::string::npos);
    CHECK(said.find("planted") == std::string::npos);
  }
  CHECK(told("[llm.providers.p]\nkind = \"anthropic\"\n[llm.providers.x]\nkind = \"exec\"\ncommand = [\"a\"]\nenvironment = [\"ANTHROPIC_API_KEY\"]\n").find("which holds the key of provider 'p'") !=
        std::string::npos);
}

TEST_CASE("errors name file, line, field, what was found and what is expected") {
  CHECK(told("[llm.providers.p]\n") == "config.toml:1: llm.providers.p.kind: found nothing, expected openai-chat, openai-responses, anthropic, exec, manual or replay");
  CHECK(told("[llm.providers.p]\nkind = \"opanai\"\n") == "config.toml:2: llm.providers.p.kind: found 'opanai', expected openai-chat, openai-responses, anthropic, exec, manual or replay");
  CHECK(told("[llm.providers.p]\nkind = \"exec\"\n").find("command: found nothing, expected a list") != std::string::npos);
  CHECK(told("[llm.providers.p]\nkind = \"manual\"\n").find("folder: found nothing") != std::string::npos);
  CHECK(told("[llm.providers.p]\nkind = \"replay\"\n").find("file: found nothing") != std::string::npos);
  CHECK(told("[llm.providers.p]\nkind = \"openai-chat\"\ntimeout_s = \"long\"\n") == "config.toml:3: llm.providers.p.timeout_s: found 'long', expected a number");
  CHECK(told("[llm.providers.p]\nkind = \"openai-chat\"\nmax_retries = -1\n") == "config.toml:3: llm.providers.p.max_retries: found -1, expected a whole number that is not negative");
  CHECK(told("[llm.providers.p]\nkind = \"openai-chat\"\nfolder = \"x\"\n").starts_with("config.toml:3: llm.providers.p.folder: found a field that is not known here, expected one of "));
  CHECK(told("[llm.providers.p]\nkind = \"openai-chat\"\nbase_url = \"h:80\"\n").find("found 'h:80', expected https://… or http://…") != std::string::npos);
  CHECK(told("[[llm.models]]\nname = \"m\"\nprovider = \"q\"\n") == "config.toml:3: llm.models[1].provider: found 'q', expected the name of a [llm.providers.X], of which there are none");
  CHECK(told(model("reasoning_effort = \"hard\"")).find("found 'hard', expected none, minimal, low, medium, high, xhigh or max") != std::string::npos);
  CHECK(told(model("roles = [\"think\"]")).find("found 'think', expected propose, repair or summarise") != std::string::npos);
  CHECK(told(model("extra_body = { n = 8 }")).find("extra_body.n: found a field that kevolve sets itself") != std::string::npos);
  CHECK(told(model("extra_body = { max_tokens = 8 }")).find("extra_body.max_tokens") != std::string::npos);
  CHECK(told(model("price = { input = 1 }")).find("price.output: found nothing, expected USD per million tokens") != std::string::npos);
  CHECK(told(model("thinking_tokens = 20000")).find("expected less than max_output_tokens, 16000") != std::string::npos);
  CHECK(told(model("") + "[llm.budget]\nmax_cost_usd = 5\n").find("[[llm.models]] 'm': price: found nothing") != std::string::npos);
  CHECK(told("[llm]\nprovider = 1\n").find("llm.provider: found a field that is not known here, expected one of budget, models, providers") != std::string::npos);
  CHECK(told("llm = 1\n") == "config.toml:1: llm: found 1, expected a table");
  CHECK(told("[llm\n").starts_with("config.toml:1:"));
  CHECK(told(model("price = { input = 1, output = 2 }") + "[llm.budget]\nmax_cost_usd = 5\n") == "no error");
}

TEST_CASE("the other settings leave the tables of models alone") {
  const auto merged = merge_settings({}, [](const std::string& name) { return name == "HOME" ? std::optional<std::string>("/h") : std::nullopt; },
                                     {{"config.toml", "time = \"30s\"\n[llm.providers.p]\nkind = \"anthropic\"\n"}});
  REQUIRE(merged);
  CHECK(merged->time_s == 30);
}
