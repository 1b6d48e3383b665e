// Recorded search spaces on disk: ours (`kevolve bench landscape` writes a campaign file: one header, one JSON line per point) and kernel_tuner's
// cache files (one JSON object; its keys tune_params_keys, tune_params, cache). Errors name file, field, found and expected.
#pragma once

#include "actors/landscape.hpp"
#include "protocol/result.hpp"
#include "scheduler/settings.hpp"

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

struct landscape_file {
  search::landscape land;
  std::string origin;                                     // for people: what was measured where
  std::string hardware;                                   // ours: on what it was recorded
  std::string features;                                   // ours: what the operator's graph is made of; skills are shared among equals
  std::unique_ptr<synthesis::generator> writer;           // ours: who proposes in it; null: one parameter at a time
  [[nodiscard]] search::proposal_source proposals() const;
};

result<std::unique_ptr<landscape_file>> read_landscape(const std::filesystem::path& file, const settings& from);

/// One line of ours, and back.
nlohmann::ordered_json to_line(const search::landscape_point& p);
result<search::landscape_point> point_of_line(const nlohmann::ordered_json& line, std::size_t workloads);

} // namespace kevolve::scheduler
