// What asking models needs, given by the executable: who answers, what may be read, whether something compiles, what the day still allows. The
// engine and its tests see only this. Names no CAF type. All of it may be called from any thread and returns at once, except `read`.
#pragma once

#include "actors/synthesis/llm/provider.hpp"
#include "actors/synthesis/prompts/writing.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kevolve {

/// A synthesizer's model and whoever runs it.
struct model_seat {
  llm::model_settings model;
  std::shared_ptr<llm::provider> provider;
  std::size_t prompt_tokens = 24'000;
  std::uint32_t repairs = 2;
  bool blank_feedback = false;
};

/// What to look up for a prompt.
struct lookup {
  target on;
  std::vector<std::string> signals;
  std::string words;
};

class model_desk {
public:
  virtual ~model_desk() = default;
  /// Errors name the synthesizer and what is configured (errc::configuration).
  virtual result<model_seat> find(const std::string& synthesizer) = 0;
  /// It is configured here, whether or not it can be asked.
  virtual bool has(const std::string& synthesizer) { return find(synthesizer).has_value(); }
  /// The language of a target, known or described; null where there is none.
  virtual std::shared_ptr<const synthesis::language> language(const target& on) {
    const synthesis::language* known = synthesis::language_of(on);
    return known ? std::make_shared<const synthesis::language>(*known) : nullptr;
  }
  /// Passages of the knowledge base, most useful first; empty where there is nothing. May block.
  virtual std::vector<synthesis::reading> read(const lookup& what) = 0;
  /// Calls `then` with the compiler's messages: "" where it compiles or nobody here can tell. On a thread of the desk's.
  virtual void compile(const candidate& what, const target& on, std::function<void(std::string)> then) = 0;
  /// Reserves the most that a request may take of the day's limit (all sessions); false: it does not fit.
  virtual bool reserve(std::uint64_t tokens, double usd) = 0;
  /// What was reserved became this.
  virtual void settle(std::uint64_t reserved_tokens, double reserved_usd, std::uint64_t tokens, double usd) = 0;
};

} // namespace kevolve
