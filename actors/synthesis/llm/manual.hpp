// A person, or an agent that works by files, as the model: prompts appear in a folder as 0001.prompt.md, answers are picked up from
// 0001.answer.md. Both stay there. A restarted process that asks the same step again finds its prompt, and its answer if there is one.
#pragma once

#include "actors/synthesis/llm/provider.hpp"

namespace kevolve::llm {

/// The first line of a prompt's file: what it is found by after a restart.
std::string manual_first_line(const std::string& number, const std::string& prompt_hash, const std::string& key);

result<std::shared_ptr<provider>> make_manual(const provider_settings& from);

} // namespace kevolve::llm
