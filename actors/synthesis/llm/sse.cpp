#include "actors/synthesis/llm/sse.hpp"

namespace kevolve::llm {

void sse_parser::feed(std::string_view bytes) {
  while (!bytes.empty() && !overflowed_) {
    if (after_cr_ && bytes.front() == '\n')
      bytes.remove_prefix(1); // CR LF is one end
    after_cr_ = false;
    const std::size_t end = bytes.find_first_of("\r\n");
    line_.append(bytes.substr(0, end));
    if (line_.size() + data_.size() > most_) {
      overflowed_ = true;
      return;
    }
    if (end == std::string_view::npos)
      return;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    take_line();
  }
}

void sse_parser::finish() {
  if (!overflowed_)
    dispatch();
}

void sse_parser::take_line() {
  std::string_view line = line_;
  if (first_line_ && line.starts_with("\xef\xbb\xbf"))
    line.remove_prefix(3);
  first_line_ = false;
  if (line.empty()) {
    dispatch();
  } else if (const std::size_t colon = line.find(':'); colon != 0) { // ": comment" keeps connections alive
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' '))
      value.remove_prefix(1);
    if (field == "event") {
      event_ = value;
    } else if (field == "data") {
      if (has_data_)
        data_ += '\n';
      data_ += value;
      has_data_ = true;
    }
  }
  line_.clear();
}

void sse_parser::dispatch() {
  if (has_data_)
    then_(event_, data_);
  event_.clear(), data_.clear();
  has_data_ = false;
}

} // namespace kevolve::llm
