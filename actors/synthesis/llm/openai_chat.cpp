// OpenAI's chat completions, as vLLM, llama.cpp, Ollama and gateways speak it, too.
#include "actors/synthesis/llm/json_text.hpp"
#include "actors/synthesis/llm/wire.hpp"

namespace kevolve::llm {
namespace wire {

json chat_body(const request& asked) {
  const model_settings& m = asked.model;
  json messages = json::array();
  if (!asked.system.empty())
    messages.push_back({{"role", "system"}, {"content", asked.system}});
  for (const message& said : asked.messages)
    messages.push_back({{"role", to_string(said.from)}, {"content", said.content}});
  json body{{"model", m.name}, {"messages", std::move(messages)}, {m.legacy_limit ? "max_tokens" : "max_completion_tokens", asked.output_limit()}};
  if (!m.reasoning_effort.empty())
    body["reasoning_effort"] = m.reasoning_effort;
  if (m.temperature)
    body["temperature"] = *m.temperature;
  if (m.top_p)
    body["top_p"] = *m.top_p;
  if (m.stream)
    body["stream_options"] = {{"include_usage", true}}; // without it a stream tells no usage
  return body;
}

token_usage chat_usage(const json& usage) {
  token_usage u;
  u.input = count_member(usage, "prompt_tokens");
  u.output = count_member(usage, "completion_tokens");
  if (const json* details = member(usage, "prompt_tokens_details")) {
    u.cached_input = count_member(*details, "cached_tokens");
    u.cache_write = count_member(*details, "cache_write_tokens");
  }
  if (const json* details = member(usage, "completion_tokens_details"))
    u.reasoning = count_member(*details, "reasoning_tokens");
  return u;
}

stop_reason chat_stop(const std::string& reason) {
  if (reason == "stop" || reason == "eos")
    return stop_reason::end;
  if (reason == "length")
    return stop_reason::length;
  if (reason == "content_filter")
    return stop_reason::content_filter;
  return reason == "tool_calls" || reason == "function_call" ? stop_reason::tool_use : stop_reason::other;
}

namespace {

void take_message(answer& into, const json& message) {
  if (const json* content = member(message, "content"))
    into.text += content_text(*content);
  const std::string reasoning = text_member(message, "reasoning_content"); // the newer name is `reasoning`; some send both
  into.reasoning += reasoning.empty() ? text_member(message, "reasoning") : reasoning;
}

void take_frame(answer& into, const json& frame) {
  if (into.request_id.empty())
    into.request_id = text_member(frame, "id");
  if (into.model.empty())
    into.model = text_member(frame, "model");
  if (const json* usage = member(frame, "usage"))
    into.used = chat_usage(*usage), into.counted = true;
}

void refuse(answer& into, const std::string& words) {
  if (words.empty())
    return;
  into.text += words;
  into.stopped = stop_reason::refusal;
}

const json* first_choice(const json& of) {
  const json* choices = member(of, "choices");
  return choices && choices->is_array() && !choices->empty() ? &choices->front() : nullptr;
}

} // namespace

reply chat_answer(const std::string& provider, const json& body) {
  const json* choice = first_choice(body);
  const json* message = choice ? member(*choice, "message") : nullptr;
  if (!message)
    return malformed(provider, choice ? "a choice without message" : "no choices");
  answer a;
  a.provider = provider;
  a.counted = false;
  take_frame(a, body);
  take_message(a, *message);
  a.stopped = chat_stop(text_member(*choice, "finish_reason"));
  refuse(a, text_member(*message, "refusal"));
  return a;
}

} // namespace wire

void stream_reader::take_chat(const json& chunk) {
  wire::take_frame(answer_, chunk);
  const json* choice = wire::first_choice(chunk);
  if (!choice)
    return; // the one with the usage
  if (const json* delta = member(*choice, "delta")) {
    wire::take_message(answer_, *delta);
    wire::refuse(answer_, text_member(*delta, "refusal"));
  }
  if (const std::string reason = text_member(*choice, "finish_reason"); !reason.empty()) {
    finish_seen_ = true;
    if (answer_.stopped != stop_reason::refusal)
      answer_.stopped = wire::chat_stop(reason);
  }
}

} // namespace kevolve::llm
