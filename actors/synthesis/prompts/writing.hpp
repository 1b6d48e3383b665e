// One proposal from context to candidate, as a state machine without a clock, a model or a compiler in it: it says what it needs next, is told,
// and ends with a candidate or with why there is none. Answers that were recorded before lead to the same end. One thread.
#pragma once

#include "actors/synthesis/prompts/prompt.hpp"

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace kevolve::synthesis {

struct writing_task {
  prompt_facts facts;
  std::string author;               // the synthesizer's name
  std::string compiler;             // candidates of the host's own language are built with it
  std::size_t prompt_tokens = 24'000;
  std::optional<prompt> ready = std::nullopt; // made elsewhere, from more facts than these
  std::uint32_t repairs = 2;        // further askings within the proposal
  std::function<bool(const candidate&)> is_known; // the session has it, or one that differs in names and layout only; empty: none is
};

class writing {
public:
  explicit writing(writing_task task);

  /// Ask the model: everything said so far, ours and its own turns alternating.
  struct ask {
    std::uint32_t step = 0;
    std::string instructions;
    std::vector<std::string> turns;
  };
  struct check_compile { candidate what; };
  struct print { schedule what; transformation edge; };
  struct done { proposal what; };
  struct failed { error why; };
  using next = std::variant<ask, check_compile, print, done, failed>;

  next begin();
  /// The answer to `ask`. `cut_off`: it ended for want of room.
  next said(const std::string& text, bool cut_off);
  /// The compiler's messages for `check_compile`; "": it compiles, or nobody could tell.
  next compiled(const std::string& messages);
  next printed(result<proposal> what);

private:
  next complain(std::vector<std::string> faults, errc if_last);
  next finish(candidate what);
  [[nodiscard]] transformation edge() const;

  writing_task task_;
  prompt prompt_;
  std::vector<std::string> turns_;
  std::uint32_t step_ = 0;
  std::string idea_;
  candidate written_;
};

} // namespace kevolve::synthesis
