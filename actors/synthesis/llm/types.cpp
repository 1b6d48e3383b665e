#include "actors/synthesis/llm/types.hpp"

#include "protocol/digest.hpp"

#include <algorithm>
#include <array>
#include <memory>

namespace kevolve::llm {
namespace {

// What chat templates put around a message (role markers, separators) and around a prompt: below ten tokens everywhere that was looked at.
constexpr std::uint64_t tokens_around_message = 16;
constexpr std::uint64_t tokens_around_prompt = 64;

constexpr std::array<std::pair<stop_reason, const char*>, 6> stop_names{{{stop_reason::end, "end"},
                                                                         {stop_reason::length, "length"},
                                                                         {stop_reason::refusal, "refusal"},
                                                                         {stop_reason::content_filter, "content_filter"},
                                                                         {stop_reason::tool_use, "tool_use"},
                                                                         {stop_reason::other, "other"}}};

errc code_of(failure_kind kind) {
  switch (kind) {
    case failure_kind::timeout: return errc::timeout;
    case failure_kind::cancelled: return errc::interrupted;
    case failure_kind::queue_full: return errc::busy;
    default: return errc::synthesizer;
  }
}

/// Each field with its length, so that no two prompts give the same bytes.
void add_field(std::string& to, std::string_view field) {
  to += std::to_string(field.size());
  to += ':';
  to += field;
}

} // namespace

double cost_usd(const token_usage& used, const token_price& price) {
  const std::uint64_t fresh = used.input - std::min(used.input, used.cached_input + used.cache_write);
  return (static_cast<double>(fresh) * price.input + static_cast<double>(used.cached_input) * price.cached_input +
          static_cast<double>(used.cache_write) * price.cache_write + static_cast<double>(used.output) * price.output) *
         1e-6;
}

std::uint64_t most_input_tokens(const request& asked) {
  std::uint64_t most = asked.system.size() + tokens_around_prompt;
  for (const message& m : asked.messages)
    most += m.content.size() + tokens_around_message;
  return most;
}

token_usage most_usage(const request& asked) {
  token_usage most;
  most.input = most_input_tokens(asked);
  if (asked.model.price && asked.model.price->cache_write > asked.model.price->input)
    most.cache_write = most.input; // the dearest way to read it
  most.output = asked.output_limit();
  return most;
}

kevolve::error reply::error() const { return {code_of(failure().kind), failure().message}; }

const char* to_string(speaker who) noexcept { return who == speaker::user ? "user" : "assistant"; }

const char* to_string(stop_reason why) noexcept {
  for (const auto& [reason, name] : stop_names)
    if (reason == why)
      return name;
  return "other";
}

std::optional<stop_reason> stop_reason_from_string(std::string_view text) {
  for (const auto& [reason, name] : stop_names)
    if (text == name)
      return reason;
  return std::nullopt;
}

const char* to_string(failure_kind kind) noexcept {
  switch (kind) {
    case failure_kind::authentication: return "authentication";
    case failure_kind::quota: return "quota";
    case failure_kind::rate_limit: return "rate limit";
    case failure_kind::context_too_long: return "context too long";
    case failure_kind::bad_request: return "bad request";
    case failure_kind::refused: return "refused";
    case failure_kind::network: return "network";
    case failure_kind::server: return "server error";
    case failure_kind::timeout: return "timeout";
    case failure_kind::malformed: return "malformed answer";
    case failure_kind::too_large: return "answer too large";
    case failure_kind::queue_full: return "queue full";
    case failure_kind::cancelled: return "cancelled";
    case failure_kind::unavailable: return "unavailable";
  }
  return "unknown";
}

json to_json(const answer& a) {
  json value{{"text", a.text}, {"stop", to_string(a.stopped)}, {"provider", a.provider}, {"model", a.model},
             {"usage",
              {{"input_tokens", a.used.input}, {"cached_input_tokens", a.used.cached_input}, {"cache_write_tokens", a.used.cache_write},
               {"output_tokens", a.used.output}, {"reasoning_tokens", a.used.reasoning}}},
             {"attempts", a.attempts}, {"wall_s", a.seconds}};
  if (!a.reasoning.empty())
    value["reasoning"] = a.reasoning;
  if (!a.request_id.empty())
    value["request_id"] = a.request_id;
  if (a.cost_usd)
    value["cost_usd"] = *a.cost_usd;
  if (!a.counted)
    value.erase("usage");
  if (a.unseen_attempts)
    value["unseen_attempts"] = a.unseen_attempts;
  return value;
}

result<answer> answer_from_json(const json& value) {
  const auto wrong = [](const std::string& field, const std::string& expected) {
    return error{errc::damaged, "answer: field '" + field + "': expected " + expected};
  };
  if (!value.is_object())
    return error{errc::damaged, "answer: found " + std::string(value.type_name()) + ", expected an object"};
  answer a;
  for (const auto& [name, into] : {std::pair{"text", &a.text}, {"reasoning", &a.reasoning}, {"provider", &a.provider}, {"model", &a.model}, {"request_id", &a.request_id}}) {
    if (const auto at = value.find(name); at != value.end()) {
      if (!at->is_string())
        return wrong(name, "text");
      *into = at->get<std::string>();
    } else if (into == &a.text) {
      return wrong(name, "text, found nothing");
    }
  }
  if (const auto at = value.find("stop"); at != value.end()) {
    const auto stop = at->is_string() ? stop_reason_from_string(at->get<std::string>()) : std::nullopt;
    if (!stop)
      return wrong("stop", "end, length, refusal, content_filter, tool_use or other");
    a.stopped = *stop;
  }
  a.counted = value.contains("usage");
  if (const auto at = value.find("usage"); at != value.end()) {
    if (!at->is_object())
      return wrong("usage", "an object");
    for (const auto& [name, into] : {std::pair{"input_tokens", &a.used.input}, {"cached_input_tokens", &a.used.cached_input}, {"cache_write_tokens", &a.used.cache_write},
                                     {"output_tokens", &a.used.output}, {"reasoning_tokens", &a.used.reasoning}})
      if (const auto count = at->find(name); count != at->end()) {
        if (!count->is_number_unsigned())
          return wrong(std::string("usage.") + name, "a whole number");
        *into = count->get<std::uint64_t>();
      }
  }
  for (const auto& [name, into] : {std::pair{"attempts", &a.attempts}, {"unseen_attempts", &a.unseen_attempts}})
    if (const auto at = value.find(name); at != value.end()) {
      if (!at->is_number_unsigned())
        return wrong(name, "a whole number");
      *into = at->get<std::uint32_t>();
    }
  if (const auto at = value.find("wall_s"); at != value.end() && at->is_number())
    a.seconds = at->get<double>();
  if (const auto at = value.find("cost_usd"); at != value.end() && at->is_number())
    a.cost_usd = at->get<double>();
  return a;
}

std::string prompt_hash(const request& asked) {
  std::string bytes;
  add_field(bytes, asked.model.name);
  add_field(bytes, asked.system);
  for (const message& m : asked.messages) {
    add_field(bytes, to_string(m.from));
    add_field(bytes, m.content);
  }
  return sha256_hex(bytes);
}

std::string prompt_text(const request& asked) {
  std::string text = asked.system;
  const bool conversation = asked.messages.size() > 1;
  for (const message& m : asked.messages) {
    if (!text.empty())
      text += text.back() == '\n' ? "\n" : "\n\n";
    if (conversation)
      text += m.from == speaker::user ? "# Request\n\n" : "# Your earlier answer\n\n";
    text += m.content;
  }
  if (!text.empty() && text.back() != '\n')
    text += '\n';
  return text;
}

} // namespace kevolve::llm
