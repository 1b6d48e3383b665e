#include "actors/synthesis/llm/wire.hpp"

#include "actors/synthesis/llm/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::llm {
namespace {

constexpr std::size_t message_bytes = 500; // of a server's own words, in ours

bool among(std::string_view word, std::initializer_list<std::string_view> words) { return std::find(words.begin(), words.end(), word) != words.end(); }
bool holds(std::string_view text, std::initializer_list<std::string_view> any) {
  return std::any_of(any.begin(), any.end(), [&](std::string_view a) { return text.find(a) != std::string_view::npos; });
}

std::string lower(std::string text) {
  for (char& c : text)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return text;
}

/// One line of printable text.
std::string one_line(std::string_view text) {
  std::string line;
  for (char c : text.substr(0, message_bytes))
    line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  while (!line.empty() && static_cast<unsigned char>(line.back()) >= 0x80 && text.size() > message_bytes)
    line.pop_back(); // maybe half a character
  return text.size() > message_bytes ? line + "…" : line;
}

struct told_error {
  std::string message, type, code;
};

/// {"error": {…}}, {"error": "…"}, {"message": …} (vLLM), {"detail": …} (FastAPI).
told_error told(const json& body) {
  told_error t;
  const json* error = member(body, "error");
  const json& of = error && error->is_object() ? *error : body;
  t.message = text_member(of, "message");
  t.type = text_member(of, "type");
  t.code = text_member(of, "code");
  if (t.message.empty() && error && error->is_string())
    t.message = error->get<std::string>();
  if (const json* detail = t.message.empty() ? member(body, "detail") : nullptr)
    t.message = detail->is_string() ? detail->get<std::string>() : json_text(*detail);
  return t;
}

failure_kind kind_of(int status, const told_error& t) {
  const std::string words = lower(t.message);
  if (among(t.code, {"insufficient_quota", "billing_hard_limit_reached"}) || among(t.type, {"insufficient_quota", "billing_error"}) || status == 402)
    return failure_kind::quota;
  if (among(t.code, {"context_length_exceeded", "string_above_max_length"}) || among(t.type, {"exceed_context_size_error", "request_too_large"}) || status == 413)
    return failure_kind::context_too_long;
  if ((status == 400 || status == 422) && holds(words, {"maximum context length", "context window", "prompt is too long", "context size", "too many tokens", "longer than the model"}))
    return failure_kind::context_too_long;
  if (among(t.code, {"content_policy_violation", "content_filter", "invalid_prompt"}))
    return failure_kind::refused;
  if (status == 401 || status == 403 || among(t.type, {"authentication_error", "permission_error"}) || t.code == "invalid_api_key")
    return failure_kind::authentication;
  if (status == 429 || among(t.type, {"rate_limit_error"}) || t.code == "rate_limit_exceeded")
    return failure_kind::rate_limit;
  if (status == 408)
    return failure_kind::timeout;
  if (status >= 500 || status == 409 || among(t.type, {"overloaded_error", "api_error", "server_error", "timeout_error"}) || t.code == "server_error")
    return failure_kind::server;
  return failure_kind::bad_request;
}

std::string_view advice(failure_kind kind, int status) {
  switch (kind) {
    case failure_kind::authentication: return "; is the key right, and may it use this model?";
    case failure_kind::quota: return "; the account has nothing left";
    default: return status == 404 ? "; are base_url and the model's name right?" : status >= 300 && status < 400 ? "; is base_url right? redirects are not followed" : "";
  }
}

} // namespace

std::string request_url(provider_kind format, const std::string& base_url) {
  std::string url = base_url;
  while (!url.empty() && url.back() == '/')
    url.pop_back();
  switch (format) {
    case provider_kind::openai_responses: return url + "/responses";
    case provider_kind::anthropic: return url + (url.ends_with("/v1") ? "/messages" : "/v1/messages");
    default: return url + "/chat/completions";
  }
}

std::string request_body(provider_kind format, const request& asked) {
  json body = format == provider_kind::openai_responses ? wire::responses_body(asked) : format == provider_kind::anthropic ? wire::anthropic_body(asked) : wire::chat_body(asked);
  if (asked.model.stream)
    body["stream"] = true;
  if (asked.model.extra_body.is_object())
    body.merge_patch(asked.model.extra_body);
  return json_text(body);
}

reply answer_from_body(provider_kind format, const std::string& provider, std::string_view text) {
  const auto body = parse_json(text);
  if (!body || !body->is_object())
    return wire::malformed(provider, text.empty() ? "an empty body" : fmt::format("'{}'", one_line(text.substr(0, 80))));
  if (member(*body, "error"))
    return wire::error_inside(provider, *body, 200);
  switch (format) {
    case provider_kind::openai_responses: return wire::responses_answer(provider, *body);
    case provider_kind::anthropic: return wire::anthropic_answer(provider, *body);
    default: return wire::chat_answer(provider, *body);
  }
}

failure failure_from_body(const std::string& provider, int status, std::string_view text) {
  const auto body = parse_json(text);
  if (body && body->is_object())
    return wire::error_inside(provider, *body, status);
  return wire::error_inside(provider, json{{"message", text.empty() ? "(no body)" : one_line(text.substr(0, 200))}}, status); // a proxy's page
}

namespace wire {

std::string content_text(const json& content) {
  if (content.is_string())
    return content.get<std::string>();
  std::string text;
  if (content.is_array())
    for (const json& part : content)
      text += text_member(part, "text");
  return text;
}

failure malformed(const std::string& provider, const std::string& found) {
  return {failure_kind::malformed, fmt::format("provider '{}': found {}, expected an answer of its format (kind); is base_url right?", provider, found), 0, 0};
}

failure error_inside(const std::string& provider, const json& body, int status) {
  const told_error t = told(body);
  const failure_kind kind = kind_of(status, t);
  const std::string name = !t.code.empty() ? t.code : t.type;
  return {kind, fmt::format("provider '{}': {}: HTTP {}{}{}{}{}", provider, to_string(kind), status, name.empty() ? "" : " " + one_line(name), t.message.empty() ? "" : ": ",
                            one_line(t.message), advice(kind, status)), 0, 0};
}

} // namespace wire

stream_reader::stream_reader(provider_kind format, std::string provider, std::size_t most_bytes)
  : format_(format), provider_(std::move(provider)), most_bytes_(most_bytes), parser_(most_bytes, [this](const std::string& event, const std::string& data) { take(event, data); }) {
  answer_.provider = provider_;
  answer_.stopped = stop_reason::other;
  answer_.counted = false;
}

void stream_reader::take(const std::string&, const std::string& data) {
  if (ended())
    return;
  if (data == "[DONE]") {
    ended_ = format_ == provider_kind::openai_chat;
    return;
  }
  const auto value = parse_json(data);
  if (!value || !value->is_object()) {
    failed_ = wire::malformed(provider_, fmt::format("'{}' in its stream", one_line(std::string_view(data).substr(0, 80))));
    return;
  }
  if (member(*value, "error") && text_member(*value, "type").find("response.") != 0) {
    failed_ = wire::error_inside(provider_, *value, 200);
    if (failed_->kind == failure_kind::bad_request)
      failed_->kind = failure_kind::server; // the request was good enough to begin
    return;
  }
  switch (format_) {
    case provider_kind::openai_responses: take_responses(*value); break;
    case provider_kind::anthropic: take_anthropic(*value); break;
    default: take_chat(*value); break;
  }
  if (answer_.text.size() + answer_.reasoning.size() > most_bytes_)
    failed_ = failure{failure_kind::too_large, fmt::format("provider '{}': found an answer of more than {} bytes (max_answer_bytes)", provider_, most_bytes_), 0, 0};
}

reply stream_reader::finish() {
  if (!ended())
    parser_.finish();
  if (parser_.overflowed())
    return failure{failure_kind::too_large, fmt::format("provider '{}': found an event of its stream that is longer than max_answer_bytes", provider_), 0, 0};
  if (failed_)
    return *failed_;
  if (!ended_ && !finish_seen_) // some gateways leave [DONE] out
    return failure{failure_kind::network, fmt::format("provider '{}': the connection ended in the middle of an answer", provider_), 0, 0};
  return whole_ ? *whole_ : reply(answer_);
}

} // namespace kevolve::llm
