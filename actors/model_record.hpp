// A model's request and reply as the session's log has them: the same whether it was asked in the scheduler or on an agent. Pure; any thread.
#pragma once

#include "actors/synthesis/llm/types.hpp"
#include "actors/synthesis/prompts/writing.hpp"
#include "protocol/event.hpp"
#include "protocol/model_spending.hpp"

#include <string>

namespace kevolve {

/// What is sent; its idempotency key is the same in every life of session and agent.
llm::request request_of(const llm::model_settings& model, const session_id& session, node_number number, const synthesis::writing::ask& what);
/// The most that a request may cost, attempts that are lost on the way included.
model_spending most_spent(const llm::request& asked);
/// Without its time.
model_asked record_of(const llm::request& asked, const std::string& synthesizer, node_number number, const synthesis::writing::ask& what);
model_answered record_of(node_number number, std::uint32_t step, const llm::reply& got, const llm::request& asked);

} // namespace kevolve
