// What config.toml says of models: [llm.providers.X], [[llm.models]] and [llm.budget]. Keys of providers never stand in a file, only the name of
// the variable or the 0600 file that holds one. Pure. Any thread.
#pragma once

#include "scheduler/model_seats.hpp"
#include "scheduler/settings.hpp"

namespace kevolve::scheduler {

/// Most important file first: a provider, the list of models and each limit come from the first file that has them. Errors (errc::configuration)
/// name file, line, field, what was found and what is expected.
result<model_configuration> read_llm_settings(const std::vector<config_text>& files);

} // namespace kevolve::scheduler
