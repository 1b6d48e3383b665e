// Recorded answers: a JSONL file, one line per reply: {"prompt": hash or "*", "key": idempotency key, "answer": {…}} or "failure": {"kind",
// "message"} instead of an answer. `replay` answers from it; a recording provider appends to it, durably, before anybody sees the reply.
// Prompts themselves are not in it, and no keys. An unfinished last line (a crash while writing) does not count.
#pragma once

#include "actors/synthesis/llm/provider.hpp"

#include <unordered_map>

namespace kevolve::llm {

struct recorded_reply {
  std::string prompt; // prompt_hash, or "*": any prompt
  std::string key;
  reply what;
};
std::string to_line(const recorded_reply& r); // without newline
result<recorded_reply> recorded_reply_from_line(std::string_view line);

/// Pure: which recorded reply a request gets.
class recorded_replies {
public:
  void add(recorded_reply r);
  /// The one with the same idempotency key, else the next of this prompt in recorded order, the last again when there are no more; likewise
  /// of "*". Null: none.
  const reply* next(const std::string& prompt, const std::string& key);
  [[nodiscard]] std::size_t size() const { return size_; }

private:
  struct line {
    std::vector<recorded_reply> replies;
    std::size_t taken = 0;
  };
  std::unordered_map<std::string, line> by_prompt_;
  std::size_t size_ = 0;
};

/// Where a line stands in its file, without its newline.
struct line_place {
  std::uint64_t offset = 0, bytes = 0;
};
/// Calls `each` for every whole line and returns the bytes of all whole lines; errors name file and line.
result<std::uint64_t> read_record(const std::filesystem::path& file, const std::function<void(recorded_reply, line_place)>& each);

result<std::shared_ptr<provider>> make_replay(const provider_settings& from);
/// Asks `inner` and appends its answers to `file` (made with mode 0600). A request whose idempotency key and prompt are in the file already
/// is answered from it: what arrived before a crash is not paid again.
result<std::shared_ptr<provider>> make_recording(std::shared_ptr<provider> inner, const std::filesystem::path& file);

} // namespace kevolve::llm
