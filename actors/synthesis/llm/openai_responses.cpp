// OpenAI's responses. Nothing is stored at the server (store: false): every request says everything.
#include "actors/synthesis/llm/json_text.hpp"
#include "actors/synthesis/llm/wire.hpp"

namespace kevolve::llm {
namespace wire {

json responses_body(const request& asked) {
  const model_settings& m = asked.model;
  json input = json::array();
  for (const message& said : asked.messages)
    input.push_back({{"role", to_string(said.from)}, {"content", said.content}});
  json body{{"model", m.name}, {"input", std::move(input)}, {"max_output_tokens", asked.output_limit()}, {"store", false}};
  if (!asked.system.empty())
    body["instructions"] = asked.system;
  if (!m.reasoning_effort.empty())
    body["reasoning"] = {{"effort", m.reasoning_effort}};
  if (m.temperature)
    body["temperature"] = *m.temperature;
  if (m.top_p)
    body["top_p"] = *m.top_p;
  return body;
}

namespace {

token_usage responses_usage(const json& usage) {
  token_usage u;
  u.input = count_member(usage, "input_tokens");
  u.output = count_member(usage, "output_tokens");
  if (const json* details = member(usage, "input_tokens_details")) {
    u.cached_input = count_member(*details, "cached_tokens");
    u.cache_write = count_member(*details, "cache_write_tokens");
  }
  if (const json* details = member(usage, "output_tokens_details"))
    u.reasoning = count_member(*details, "reasoning_tokens");
  return u;
}

void take_item(answer& into, const json& item) {
  const std::string type = text_member(item, "type");
  const json* content = member(item, "content");
  if (type == "message" && content && content->is_array()) {
    for (const json& part : *content) {
      if (text_member(part, "type") == "refusal")
        into.text += text_member(part, "refusal"), into.stopped = stop_reason::refusal;
      else
        into.text += text_member(part, "text");
    }
  } else if (type == "reasoning") {
    for (const char* name : {"content", "summary"})
      if (const json* parts = member(item, name))
        into.reasoning += content_text(*parts);
  } else if (type == "function_call" || type == "custom_tool_call") {
    into.stopped = stop_reason::tool_use;
  }
}

stop_reason incomplete(const json& body) {
  const json* details = member(body, "incomplete_details");
  const std::string reason = details ? text_member(*details, "reason") : "";
  return reason == "max_output_tokens" ? stop_reason::length : reason == "content_filter" ? stop_reason::content_filter : stop_reason::other;
}

} // namespace

reply responses_answer(const std::string& provider, const json& body) {
  const std::string status = text_member(body, "status");
  const json* output = member(body, "output");
  if (status == "failed" || status == "cancelled") {
    failure f = error_inside(provider, member(body, "error") ? body : json{{"message", "its status is " + status}}, 200);
    if (f.kind == failure_kind::bad_request)
      f.kind = failure_kind::server; // the request was good enough to begin
    return f;
  }
  if (!output || !output->is_array())
    return malformed(provider, "no output");
  answer a;
  a.provider = provider;
  a.request_id = text_member(body, "id");
  a.model = text_member(body, "model");
  for (const json& item : *output)
    take_item(a, item);
  const json* usage = member(body, "usage");
  a.counted = usage != nullptr;
  if (usage)
    a.used = responses_usage(*usage);
  if (status == "incomplete")
    a.stopped = incomplete(body);
  return a;
}

} // namespace wire

void stream_reader::take_responses(const json& event) {
  const std::string type = text_member(event, "type");
  if (type == "response.output_text.delta") {
    answer_.text += text_member(event, "delta");
  } else if (type == "response.completed" || type == "response.incomplete" || type == "response.failed") {
    ended_ = true;
    const json* response = member(event, "response");
    whole_ = response ? wire::responses_answer(provider_, *response) : reply(wire::malformed(provider_, type + " without response"));
    if (*whole_ && (*whole_)->text.empty())
      (*whole_)->text = answer_.text; // a gateway whose last event leaves the output out
  } else if (type == "error") { // {"type": "error", "code": …, "message": …}: no error object inside
    failed_ = wire::error_inside(provider_, event, 200);
    if (failed_->kind == failure_kind::bad_request)
      failed_->kind = failure_kind::server;
  }
}

} // namespace kevolve::llm
