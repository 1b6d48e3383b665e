// The synthesizers of an agent's host: the models that its own file describes, by the same [llm.*] tables as config.toml, and the generator. Keys are
// read on this host and stay on it.
#pragma once

#include "actors/writer.hpp"
#include "node-agent/evaluate.hpp"

#include <filesystem>
#include <memory>

namespace kevolve::scheduler {

struct host_models_options {
  std::filesystem::path file;    // "": no models
  bool generator = false;        // is offered, too
  unsigned slots = 1;            // proposals at once
};

/// Null: nobody writes here. `evaluator` compiles to check, and must outlive the writer. Errors (errc::configuration) name file, field, what was found
/// and what is expected; a provider whose key is missing is one.
result<std::shared_ptr<host_writer>> open_host_models(const host_models_options& options, const std::function<std::optional<std::string>(const std::string&)>& env,
                                                      agent::host_evaluator& evaluator);

} // namespace kevolve::scheduler
