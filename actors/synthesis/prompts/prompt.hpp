// The one prompt: instructions that never change for a language, then sections in a fixed order, as many and as much of each as the model's
// window takes, most important first. The same facts give the same prompt, byte for byte. Pure; any thread.
#pragma once

#include "actors/synthesis/prompts/evidence.hpp"
#include "actors/synthesis/prompts/language.hpp"

#include <memory>
#include <string>
#include <vector>

namespace kevolve::synthesis {

/// A passage of the knowledge base, with why it was chosen.
struct reading {
  std::string source; // "hardware/cpu/non-temporal-stores, How to write them"
  std::string text;
  std::string why;
};

/// Everything that a proposal is written from.
struct prompt_facts {
  std::shared_ptr<const problem> subject;
  target on;
  const language* in = nullptr;
  std::string hardware;          // the device's key
  context given;                 // what the memory operator drew, with sources and evaluations
  std::vector<reading> readings; // most useful first
  std::uint32_t number = 0;      // the proposal's: the same context may be asked for more than once, and wants another idea then
  bool first = false;            // no candidate of the session has passed: there is no root yet
  bool may_schedule = false;     // the generator can print this operator: an answer may be a schedule
  bool blank_feedback = false;   // for experiments: nothing that was measured or said about earlier attempts
};

struct prompt {
  std::string instructions;
  std::string text;
  std::vector<std::string> cut; // sections left out or shortened for want of room
};

/// At most about `tokens` tokens, at three bytes a token (code is denser than prose). The operator and the answer's form are always there.
prompt write_prompt(const prompt_facts& facts, std::size_t tokens);
/// What a model is told when its answer cannot be taken, with the faults.
std::string repair_text(const std::vector<std::string>& faults, const language& in);
/// The schedule language in short, for prompts.
extern const char* const schedule_language_text;

} // namespace kevolve::synthesis
