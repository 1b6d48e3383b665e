// Server-sent events, as the HTML standard parses them, with a bound on one event. Pure; one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace kevolve::llm {

class sse_parser {
public:
  using on_event = std::function<void(const std::string& event, const std::string& data)>;
  sse_parser(std::size_t most_event_bytes, on_event then) : most_(most_event_bytes), then_(std::move(then)) {}

  void feed(std::string_view bytes);
  /// The end of the stream: an event whose last empty line is missing still counts, a line without its end does not.
  void finish();
  /// An event was longer than the bound; nothing is parsed from there on.
  [[nodiscard]] bool overflowed() const { return overflowed_; }

private:
  void take_line();
  void dispatch();
  const std::size_t most_;
  const on_event then_;
  std::string line_, event_, data_;
  bool has_data_ = false, after_cr_ = false, overflowed_ = false, first_line_ = true;
};

} // namespace kevolve::llm
