// Anthropic's messages.
#include "actors/synthesis/llm/json_text.hpp"
#include "actors/synthesis/llm/wire.hpp"

#include <algorithm>

namespace kevolve::llm {
namespace wire {

json anthropic_body(const request& asked) {
  const model_settings& m = asked.model;
  const json cached{{"type", "ephemeral"}};
  json messages = json::array();
  for (const message& said : asked.messages)
    messages.push_back({{"role", to_string(said.from)}, {"content", said.content}});
  // A conversation is sent again with every repair: what is up to here will be read from the cache then.
  if (m.prompt_caching && asked.messages.size() > 1)
    messages.back()["content"] = json::array({{{"type", "text"}, {"text", asked.messages.back().content}, {"cache_control", cached}}});
  json body{{"model", m.name}, {"messages", std::move(messages)}, {"max_tokens", asked.output_limit()}};
  if (!asked.system.empty()) {
    body["system"] = json::array({{{"type", "text"}, {"text", asked.system}}});
    if (m.prompt_caching)
      body["system"][0]["cache_control"] = cached;
  }
  if (m.thinking_tokens)
    body["thinking"] = {{"type", "enabled"}, {"budget_tokens", m.thinking_tokens}};
  else if (m.reasoning_effort == "none")
    body["thinking"] = {{"type", "disabled"}};
  else if (!m.reasoning_effort.empty()) {
    body["thinking"] = {{"type", "adaptive"}};
    body["output_config"] = {{"effort", m.reasoning_effort == "minimal" ? "low" : m.reasoning_effort}};
  }
  if (m.temperature)
    body["temperature"] = *m.temperature;
  if (m.top_p)
    body["top_p"] = *m.top_p;
  return body;
}

token_usage anthropic_usage(const json& usage) {
  token_usage u;
  u.cached_input = count_member(usage, "cache_read_input_tokens");
  u.cache_write = count_member(usage, "cache_creation_input_tokens");
  u.input = count_member(usage, "input_tokens") + u.cached_input + u.cache_write; // theirs leaves both out
  u.output = count_member(usage, "output_tokens");
  if (const json* details = member(usage, "output_tokens_details"))
    u.reasoning = std::max(count_member(*details, "thinking_tokens"), count_member(*details, "reasoning_tokens"));
  return u;
}

stop_reason anthropic_stop(const std::string& reason) {
  if (reason == "end_turn" || reason == "stop_sequence")
    return stop_reason::end;
  if (reason == "max_tokens" || reason == "model_context_window_exceeded")
    return stop_reason::length;
  return reason == "tool_use" ? stop_reason::tool_use : reason == "refusal" ? stop_reason::refusal : stop_reason::other;
}

reply anthropic_answer(const std::string& provider, const json& body) {
  const json* content = member(body, "content");
  if (!content || !content->is_array())
    return malformed(provider, "no content");
  answer a;
  a.provider = provider;
  a.request_id = text_member(body, "id");
  a.model = text_member(body, "model");
  for (const json& block : *content) {
    a.text += text_member(block, "text");
    a.reasoning += text_member(block, "thinking");
  }
  const json* usage = member(body, "usage");
  a.counted = usage != nullptr;
  if (usage)
    a.used = anthropic_usage(*usage);
  a.stopped = anthropic_stop(text_member(body, "stop_reason"));
  return a;
}

} // namespace wire

void stream_reader::take_anthropic(const json& event) {
  const std::string type = text_member(event, "type");
  const json* usage = member(event, "usage");
  if (const json* message = member(event, "message"); type == "message_start" && message) {
    answer_.request_id = text_member(*message, "id");
    answer_.model = text_member(*message, "model");
    usage = member(*message, "usage");
  } else if (const json* block = member(event, "content_block"); type == "content_block_start" && block) {
    answer_.text += text_member(*block, "text");
    answer_.reasoning += text_member(*block, "thinking");
  } else if (const json* delta = member(event, "delta"); delta) {
    answer_.text += text_member(*delta, "text");
    answer_.reasoning += text_member(*delta, "thinking");
    if (const std::string reason = text_member(*delta, "stop_reason"); !reason.empty())
      answer_.stopped = wire::anthropic_stop(reason);
  } else if (type == "message_stop") {
    ended_ = true;
  }
  if (usage) { // counts are cumulative; the last event may leave out those of the input
    const token_usage said = wire::anthropic_usage(*usage);
    answer_.counted = true;
    answer_.used = {std::max(answer_.used.input, said.input), std::max(answer_.used.cached_input, said.cached_input), std::max(answer_.used.cache_write, said.cache_write),
                    std::max(answer_.used.output, said.output), std::max(answer_.used.reasoning, said.reasoning)};
  }
}

} // namespace kevolve::llm
