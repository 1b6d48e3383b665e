// The model desk as settings describe it: a seat for each configured model (and for each `exec`, `manual` or `replay` provider by its own name),
// the knowledge base to read in, this host's compilers to check with, the day's limit over all sessions. Thread-safe.
#pragma once

#include "actors/model_desk.hpp"
#include "kb/store.hpp"
#include "node-agent/evaluate.hpp"
#include "protocol/model_spending.hpp"
#include "protocol/target_description.hpp"
#include "scheduler/model_seats.hpp"
#include "scheduler/settings.hpp"

#include <memory>
#include <string>
#include <vector>

namespace kevolve::scheduler {

/// `documents`: where the knowledge base lies. `evaluator` may be null: then nothing is compiled here before it is sent to an agent. Both must outlive the desk. What today's sessions
/// spent so far is read from the store.
/// `described`: devices of this host; those of others are known by their descriptions in the knowledge base.
std::shared_ptr<model_desk> open_models(model_configuration from, llm::surroundings around, const settings& documents, kb::store& memory, agent::host_evaluator* evaluator,
                                        std::vector<target_description> described = {});

/// What models may have cost since the beginning of the day (UTC) that holds `now_ms`, over all sessions; requests without an answer at their
/// reservation.
result<model_spending> spent_today(const kb::store& memory, std::int64_t now_ms);

} // namespace kevolve::scheduler
