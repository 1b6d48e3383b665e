// The three HTTP formats as pure functions: bodies out, answers, streams and errors in. Nothing here knows a socket, a key or a clock. What a
// server sends is data of a stranger: bounded, never trusted to have a field. Any thread; a stream_reader belongs to one.
#pragma once

#include "actors/synthesis/llm/provider.hpp"
#include "actors/synthesis/llm/sse.hpp"

namespace kevolve::llm {

/// base_url and the format's path; a trailing slash, or "/v1" before Anthropic's own, does not count twice.
std::string request_url(provider_kind format, const std::string& base_url);
/// Sorted keys: the same request gives the same bytes, which prompt caches need. extra_body is merged last (RFC 7396: null removes).
std::string request_body(provider_kind format, const request& asked);

/// A whole answer (status 200, not streamed).
reply answer_from_body(provider_kind format, const std::string& provider, std::string_view body);
/// Why a status other than 200 was sent.
failure failure_from_body(const std::string& provider, int status, std::string_view body);

/// A streamed answer.
class stream_reader {
public:
  stream_reader(provider_kind format, std::string provider, std::size_t most_bytes);
  stream_reader(const stream_reader&) = delete;
  stream_reader& operator=(const stream_reader&) = delete;

  void feed(std::string_view bytes) { parser_.feed(bytes); }
  /// Its last event has arrived, or one that ends it early: the connection is of no more use.
  [[nodiscard]] bool ended() const { return ended_ || failed_ || parser_.overflowed(); }
  /// After the end of the connection: the answer; `network` where the stream stopped before its last event.
  reply finish();

private:
  void take(const std::string& event, const std::string& data);
  void take_chat(const json& chunk);
  void take_responses(const json& event);
  void take_anthropic(const json& event);

  const provider_kind format_;
  const std::string provider_;
  const std::size_t most_bytes_;  // of text and reasoning, and of one event
  sse_parser parser_;
  answer answer_;
  std::optional<reply> whole_;    // responses: the last event holds everything
  std::optional<failure> failed_;
  bool ended_ = false, finish_seen_ = false;
};

namespace wire { // shared by the formats' files
json chat_body(const request& asked);
json responses_body(const request& asked);
json anthropic_body(const request& asked);
reply chat_answer(const std::string& provider, const json& body);
reply responses_answer(const std::string& provider, const json& body);
reply anthropic_answer(const std::string& provider, const json& body);
token_usage chat_usage(const json& usage);
token_usage anthropic_usage(const json& usage);
stop_reason chat_stop(const std::string& finish_reason);
stop_reason anthropic_stop(const std::string& reason);
/// The text of a content field: text itself, or parts that hold some.
std::string content_text(const json& content);
failure malformed(const std::string& provider, const std::string& found);
/// An error object that came where an answer should have been.
failure error_inside(const std::string& provider, const json& error, int status);
} // namespace wire

} // namespace kevolve::llm
