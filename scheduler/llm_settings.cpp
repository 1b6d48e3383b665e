#include "scheduler/llm_settings.hpp"

#include "scheduler/toml_fields.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <set>

namespace kevolve::scheduler {
namespace {

using llm::provider_kind;

bool is_http(provider_kind kind) { return kind == provider_kind::openai_chat || kind == provider_kind::openai_responses || kind == provider_kind::anthropic; }

/// What extra_body may not touch: the bound on what a request costs, and the form of the answer.
constexpr std::array reserved_fields{"model", "messages", "input", "system", "instructions", "stream", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of"};

bool is_key_header(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name == "authorization" || name == "proxy-authorization" || name == "x-api-key" || name == "api-key" || name == "cookie";
}

void defaults_of(llm::provider_settings& p) {
  const bool anthropic = p.kind == provider_kind::anthropic;
  if (!is_http(p.kind) || !p.base_url.empty())
    return;
  p.base_url = anthropic ? "https://api.anthropic.com" : "https://api.openai.com/v1";
  if (p.api_key_env.empty() && p.api_key_file.empty())
    p.api_key_env = anthropic ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY";
}

result<llm::provider_settings> read_provider(toml_fields at, std::string name) {
  llm::provider_settings p;
  p.name = std::move(name);
  std::string kind;
  KEVOLVE_TRY_VOID(at.text("kind", kind));
  const auto known = llm::provider_kind_from_string(kind);
  if (!known)
    return at.wrong("kind", kind.empty() ? "nothing" : "'" + kind + "'", "openai-chat, openai-responses, anthropic, exec, manual or replay");
  p.kind = *known;
  if (at.has("api_key"))
    return at.wrong("api_key", "a key in a file", "api_key_env with the name of an environment variable, or api_key_file");
  if (p.kind == provider_kind::manual)
    p.timeout_s = 7 * 86'400; // people sleep
  KEVOLVE_TRY_VOID(at.text("record", p.record));
  KEVOLVE_TRY_VOID(at.positive("timeout_s", p.timeout_s));
  KEVOLVE_TRY_VOID(at.count("max_in_flight", p.max_in_flight, 1));
  KEVOLVE_TRY_VOID(at.count("max_queued", p.max_queued, 1));
  KEVOLVE_TRY_VOID(at.count("max_answer_bytes", p.max_answer_bytes, 1));
  if (is_http(p.kind)) {
    KEVOLVE_TRY_VOID(at.text("base_url", p.base_url));
    KEVOLVE_TRY_VOID(at.text("api_key_env", p.api_key_env));
    KEVOLVE_TRY_VOID(at.text("api_key_file", p.api_key_file));
    KEVOLVE_TRY_VOID(at.flag("bearer", p.bearer));
    KEVOLVE_TRY_VOID(at.texts("headers", p.headers));
    KEVOLVE_TRY_VOID(at.positive("connect_timeout_s", p.connect_timeout_s));
    KEVOLVE_TRY_VOID(at.positive("idle_timeout_s", p.idle_timeout_s));
    KEVOLVE_TRY_VOID(at.count("max_retries", p.max_retries, 0));
    KEVOLVE_TRY_VOID(at.count("requests_per_minute", p.requests_per_minute, 0));
    KEVOLVE_TRY_VOID(at.text("ca_file", p.ca_file));
    for (const auto& [header, value] : p.headers)
      if (is_key_header(header))
        return at.wrong("headers." + header, "a key in a file", "api_key_env with the name of an environment variable, or api_key_file");
    if (const std::size_t user = p.base_url.find('@'); user != std::string::npos && user < p.base_url.find('/', p.base_url.find("://") + 3))
      return at.wrong("base_url", "a user or password in it", "a plain URL; keys go into api_key_env or api_key_file");
    if (!p.base_url.empty() && !p.base_url.starts_with("http://") && !p.base_url.starts_with("https://"))
      return at.wrong("base_url", "'" + p.base_url + "'", "https://… or http://…");
    if (!p.api_key_env.empty() && !p.api_key_file.empty())
      return at.wrong("api_key_file", "both this and api_key_env", "one of them");
  } else if (p.kind == provider_kind::exec) {
    KEVOLVE_TRY_VOID(at.texts("command", p.command.arguments));
    KEVOLVE_TRY_VOID(at.text("answer_from", p.command.answer_from));
    KEVOLVE_TRY_VOID(at.text("answer_pointer", p.command.answer_pointer));
    KEVOLVE_TRY_VOID(at.text("input_tokens_pointer", p.command.input_tokens_pointer));
    KEVOLVE_TRY_VOID(at.text("cached_input_tokens_pointer", p.command.cached_input_tokens_pointer));
    KEVOLVE_TRY_VOID(at.text("output_tokens_pointer", p.command.output_tokens_pointer));
    KEVOLVE_TRY_VOID(at.text("cost_pointer", p.command.cost_pointer));
    KEVOLVE_TRY_VOID(at.texts("environment", p.command.environment));
    if (p.command.arguments.empty())
      return at.wrong("command", "nothing", "a list: a program and its arguments");
    if (p.command.answer_from != "stdout" && p.command.answer_from != "file")
      return at.wrong("answer_from", "'" + p.command.answer_from + "'", "stdout or file");
  } else if (p.kind == provider_kind::manual) {
    KEVOLVE_TRY_VOID(at.text("folder", p.folder));
    if (p.folder.empty())
      return at.wrong("folder", "nothing", "the folder that prompts are written to and answers are picked up from");
  } else {
    KEVOLVE_TRY_VOID(at.text("file", p.file));
    if (p.file.empty())
      return at.wrong("file", "nothing", "a file of recorded answers");
  }
  KEVOLVE_TRY_VOID(at.nothing_else());
  defaults_of(p);
  return p;
}

result<llm::token_price> read_price(toml_fields at, bool anthropic) {
  llm::token_price price;
  double cached = -1, write = -1;
  KEVOLVE_TRY_VOID(at.not_negative("input", price.input));
  KEVOLVE_TRY_VOID(at.not_negative("output", price.output));
  KEVOLVE_TRY_VOID(at.not_negative("cached_input", cached));
  KEVOLVE_TRY_VOID(at.not_negative("cache_write", write));
  for (const char* name : {"input", "output"})
    if (!at.has(name))
      return at.wrong(name, "nothing", "USD per million tokens (0 where they cost nothing)");
  KEVOLVE_TRY_VOID(at.nothing_else());
  price.cached_input = cached < 0 ? price.input : cached;
  price.cache_write = write >= 0 ? write : anthropic ? 1.25 * price.input : price.input; // Anthropic's for five minutes
  return price;
}

result<llm::model_settings> read_model(toml_fields at, const std::vector<llm::provider_settings>& providers) {
  llm::model_settings m;
  KEVOLVE_TRY_VOID(at.text("name", m.name));
  KEVOLVE_TRY_VOID(at.text("provider", m.provider));
  if (m.name.empty())
    return at.wrong("name", "nothing", "the model's name as its provider knows it");
  const auto sold_by = std::find_if(providers.begin(), providers.end(), [&](const llm::provider_settings& p) { return p.name == m.provider; });
  if (sold_by == providers.end()) {
    std::string names;
    for (const llm::provider_settings& p : providers)
      names += (names.empty() ? "" : ", ") + p.name;
    return at.wrong("provider", m.provider.empty() ? "nothing" : "'" + m.provider + "'", names.empty() ? "the name of a [llm.providers.X], of which there are none" : "one of " + names);
  }
  KEVOLVE_TRY_VOID(at.not_negative("weight", m.weight));
  KEVOLVE_TRY_VOID(at.texts("roles", m.roles));
  KEVOLVE_TRY_VOID(at.count("max_output_tokens", m.max_output_tokens, 1));
  KEVOLVE_TRY_VOID(at.count("context_tokens", m.context_tokens, 1024));
  KEVOLVE_TRY_VOID(at.text("reasoning_effort", m.reasoning_effort));
  KEVOLVE_TRY_VOID(at.count("thinking_tokens", m.thinking_tokens, 1024));
  KEVOLVE_TRY_VOID(at.number("temperature", m.temperature));
  KEVOLVE_TRY_VOID(at.number("top_p", m.top_p));
  KEVOLVE_TRY_VOID(at.flag("stream", m.stream));
  KEVOLVE_TRY_VOID(at.flag("prompt_caching", m.prompt_caching));
  KEVOLVE_TRY_VOID(at.flag("legacy_limit", m.legacy_limit));
  KEVOLVE_TRY_VOID(at.value("extra_body", m.extra_body));
  KEVOLVE_TRY_VOID(at.count("prompt_tokens", m.prompt_tokens, 1024));
  KEVOLVE_TRY_VOID(at.count("repairs", m.repairs, 0));
  KEVOLVE_TRY_VOID(at.flag("blank_feedback", m.blank_feedback));
  for (const std::string& role : m.roles)
    if (role != "propose" && role != "repair" && role != "summarise")
      return at.wrong("roles", "'" + role + "'", "propose, repair or summarise");
  static const std::set<std::string> efforts{"", "none", "minimal", "low", "medium", "high", "xhigh", "max"};
  if (!efforts.contains(m.reasoning_effort))
    return at.wrong("reasoning_effort", "'" + m.reasoning_effort + "'", "none, minimal, low, medium, high, xhigh or max");
  if (m.thinking_tokens >= m.max_output_tokens)
    return at.wrong("thinking_tokens", std::to_string(m.thinking_tokens), fmt::format("less than max_output_tokens, {}", m.max_output_tokens));
  if (!m.extra_body.is_object())
    return at.wrong("extra_body", m.extra_body.type_name(), "a table");
  for (const char* field : reserved_fields)
    if (m.extra_body.contains(field))
      return at.wrong(std::string("extra_body.") + field, "a field that kevolve sets itself", "only fields that change neither cost nor form of an answer");
  if (const auto price = at.table("price"); price) {
    KEVOLVE_TRY(parsed, read_price(*price, sold_by->kind == provider_kind::anthropic));
    m.price = parsed;
  } else if (sold_by->kind == provider_kind::manual || sold_by->kind == provider_kind::replay) {
    m.price = llm::token_price{};
  }
  KEVOLVE_TRY_VOID(at.nothing_else());
  return m;
}

result<void> read_budget(toml_fields at, model_configuration& into, std::set<std::string>& seen) {
  const auto once = [&](const char* name, auto&& read) -> result<void> {
    return !at.has(name) || seen.insert(name).second ? read() : at.skip(name);
  };
  KEVOLVE_TRY_VOID(once("max_cost_usd", [&] { return at.not_negative("max_cost_usd", into.session_usd); }));
  KEVOLVE_TRY_VOID(once("max_tokens", [&] { return at.count("max_tokens", into.session_tokens, 0); }));
  KEVOLVE_TRY_VOID(once("max_cost_usd_per_day", [&] { return at.not_negative("max_cost_usd_per_day", into.day_usd); }));
  KEVOLVE_TRY_VOID(once("max_tokens_per_day", [&] { return at.count("max_tokens_per_day", into.day_tokens, 0); }));
  return at.nothing_else();
}

/// A limit in USD holds only where every model's cost is known.
result<void> check_prices(const model_configuration& all) {
  if (all.session_usd == 0 && all.day_usd == 0)
    return {};
  for (const llm::model_settings& m : all.models)
    if (!m.price)
      return error{errc::configuration, fmt::format("[[llm.models]] '{}': price: found nothing, expected price = {{ input = …, output = … }} in USD per million tokens (0 for a local model): "
                                                    "[llm.budget] limits USD", m.name)};
  return {};
}

/// A command must not be given a provider's key.
result<void> check_environment(const model_configuration& all) {
  for (const llm::provider_settings& p : all.providers)
    for (const std::string& name : p.command.environment)
      for (const llm::provider_settings& other : all.providers)
        if (!name.empty() && name == other.api_key_env)
          return error{errc::configuration, fmt::format("llm.providers.{}: environment: found {}, which holds the key of provider '{}'; expected no key among what a command is given",
                                                        p.name, name, other.name)};
  return {};
}

} // namespace

result<model_configuration> read_llm_settings(const std::vector<config_text>& files) {
  model_configuration all;
  std::vector<toml_file> parsed;
  for (const config_text& file : files) {
    KEVOLVE_TRY(one, parse_toml(file.file, file.text));
    parsed.push_back(std::move(one));
  }
  std::set<std::string> limits;
  std::optional<std::vector<toml_fields>> models;
  for (const toml_file& file : parsed) {
    toml_fields root(file);
    auto llm = root.table("llm");
    if (!llm) {
      KEVOLVE_TRY_VOID(root.must_be_table("llm"));
      continue;
    }
    KEVOLVE_TRY(providers, llm->tables("providers"));
    for (auto& [name, at] : providers)
      if (std::none_of(all.providers.begin(), all.providers.end(), [&](const llm::provider_settings& p) { return p.name == name; })) {
        KEVOLVE_TRY(p, read_provider(at, name));
        all.providers.push_back(std::move(p));
      }
    KEVOLVE_TRY(listed, llm->list("models"));
    if (!models && !listed.empty())
      models = std::move(listed);
    if (const auto budget = llm->table("budget"))
      KEVOLVE_TRY_VOID(read_budget(*budget, all, limits));
    KEVOLVE_TRY_VOID(llm->must_be_table("budget"));
    KEVOLVE_TRY_VOID(llm->nothing_else());
  }
  for (toml_fields& at : models.value_or(std::vector<toml_fields>{})) {
    KEVOLVE_TRY(m, read_model(at, all.providers));
    all.models.push_back(std::move(m));
  }
  KEVOLVE_TRY_VOID(check_prices(all));
  KEVOLVE_TRY_VOID(check_environment(all));
  return all;
}

} // namespace kevolve::scheduler
