// Models as settings describe them, and a seat for each: what a scheduler and an agent have in common. No store. `model_seats` is guarded by its owner.
#pragma once

#include "actors/model_desk.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::scheduler {

struct model_configuration {
  std::vector<llm::provider_settings> providers;
  std::vector<llm::model_settings> models;
  double session_usd = 0;        // what a session's models may cost at most; 0: no limit
  std::uint64_t session_tokens = 0;
  double day_usd = 0;            // likewise all sessions of a day (UTC)
  std::uint64_t day_tokens = 0;

  /// Names that --synthesizer takes besides "generator".
  [[nodiscard]] std::vector<std::string> synthesizers() const;
  /// Null: no such synthesizer.
  [[nodiscard]] const llm::provider_settings* provider_of(const std::string& synthesizer) const;
};

class model_seats {
public:
  model_seats(model_configuration from, llm::surroundings around) : from_(std::move(from)), around_(std::move(around)) {}
  /// Providers are made when they are first needed. Errors name the synthesizer and what is configured (errc::configuration).
  result<model_seat> find(const std::string& synthesizer);
  [[nodiscard]] const model_configuration& configured() const { return from_; }

private:
  model_configuration from_;
  llm::surroundings around_;
  std::map<std::string, std::shared_ptr<llm::provider>> providers_;
};

} // namespace kevolve::scheduler
