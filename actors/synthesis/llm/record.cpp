#include "actors/synthesis/llm/record.hpp"

#include "actors/synthesis/llm/json_text.hpp"

#include <array>
#include <cstring>
#include <fmt/format.h>
#include <fstream>

namespace kevolve::llm {
namespace {

constexpr std::array replayable{failure_kind::authentication, failure_kind::quota, failure_kind::rate_limit, failure_kind::context_too_long, failure_kind::bad_request,
                                failure_kind::refused, failure_kind::network, failure_kind::server, failure_kind::timeout, failure_kind::malformed,
                                failure_kind::too_large, failure_kind::queue_full, failure_kind::unavailable};

std::optional<failure_kind> failure_kind_from_string(std::string_view text) {
  for (failure_kind kind : replayable)
    if (text == to_string(kind))
      return kind;
  return std::nullopt;
}

} // namespace

std::string to_line(const recorded_reply& r) {
  json line{{"prompt", r.prompt}};
  if (!r.key.empty())
    line["key"] = r.key;
  if (r.what)
    line["answer"] = to_json(*r.what);
  else
    line["failure"] = {{"kind", to_string(r.what.failure().kind)}, {"message", r.what.failure().message}};
  return json_text(line);
}

result<recorded_reply> recorded_reply_from_line(std::string_view line) {
  const auto value = parse_json(line);
  if (!value || !value->is_object())
    return error{errc::damaged, "not a JSON object"};
  const std::string prompt = text_member(*value, "prompt");
  if (prompt.empty())
    return error{errc::damaged, "field 'prompt': expected a prompt's hash, or \"*\""};
  if (const json* failed = member(*value, "failure")) {
    const auto kind = failure_kind_from_string(text_member(*failed, "kind"));
    if (!kind)
      return error{errc::damaged, fmt::format("field 'failure.kind': found '{}', expected a kind such as 'rate limit'", text_member(*failed, "kind"))};
    return recorded_reply{prompt, text_member(*value, "key"), failure{*kind, text_member(*failed, "message"), 1, 0}};
  }
  const json* given = member(*value, "answer");
  if (!given)
    return error{errc::damaged, "field 'answer': missing"};
  KEVOLVE_TRY(parsed, answer_from_json(*given));
  parsed.recorded = true;
  return recorded_reply{prompt, text_member(*value, "key"), std::move(parsed)};
}

void recorded_replies::add(recorded_reply r) {
  ++size_;
  by_prompt_[r.prompt].replies.push_back(std::move(r));
}

const reply* recorded_replies::next(const std::string& prompt, const std::string& key) {
  if (const auto at = by_prompt_.find(prompt); at != by_prompt_.end() && !key.empty())
    for (const recorded_reply& r : at->second.replies)
      if (r.key == key)
        return &r.what;
  for (const std::string& name : {prompt, std::string("*")})
    if (const auto at = by_prompt_.find(name); at != by_prompt_.end()) {
      line& of = at->second;
      const std::size_t i = std::min(of.taken, of.replies.size() - 1);
      ++of.taken;
      return &of.replies[i].what;
    }
  return nullptr;
}

result<std::uint64_t> read_record(const std::filesystem::path& file, const std::function<void(recorded_reply, line_place)>& each) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return error{errc::io, fmt::format("{}: cannot be read ({}); expected recorded answers, one JSON object a line", file.string(), std::strerror(errno))};
  std::uint64_t bytes = 0, number = 0;
  for (std::string line; std::getline(in, line);) {
    if (in.eof())
      break; // no newline: unfinished
    const line_place place{bytes, line.size()};
    bytes += line.size() + 1;
    ++number;
    if (line.empty())
      continue;
    auto parsed = recorded_reply_from_line(line);
    if (!parsed)
      return parsed.error().in(fmt::format("{}:{}", file.string(), number));
    each(*std::move(parsed), place);
  }
  return bytes;
}

} // namespace kevolve::llm
