#include "scheduler/model_seats.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::scheduler {
namespace {

constexpr std::size_t prompt_share = 4;      // a prompt takes at most this part of a model's window
constexpr std::size_t prompt_tokens_most = 24'000;

bool answers_by_itself(llm::provider_kind kind) {
  return kind == llm::provider_kind::exec || kind == llm::provider_kind::manual || kind == llm::provider_kind::replay;
}

} // namespace

std::vector<std::string> model_configuration::synthesizers() const {
  std::vector<std::string> names;
  for (const llm::model_settings& m : models)
    names.push_back(m.name);
  for (const llm::provider_settings& p : providers)
    if (answers_by_itself(p.kind) && std::find(names.begin(), names.end(), p.name) == names.end())
      names.push_back(p.name);
  return names;
}

const llm::provider_settings* model_configuration::provider_of(const std::string& synthesizer) const {
  const auto model = std::find_if(models.begin(), models.end(), [&](const llm::model_settings& m) { return m.name == synthesizer; });
  const std::string& name = model == models.end() ? synthesizer : model->provider;
  const auto settings = std::find_if(providers.begin(), providers.end(), [&](const llm::provider_settings& p) { return p.name == name; });
  return settings == providers.end() || (model == models.end() && !answers_by_itself(settings->kind)) ? nullptr : &*settings;
}

result<model_seat> model_seats::find(const std::string& synthesizer) {
  const llm::provider_settings* settings = from_.provider_of(synthesizer);
  if (!settings) {
    std::string names = "generator";
    for (const std::string& name : from_.synthesizers())
      names += ", " + name;
    return error{errc::configuration, fmt::format("synthesizer '{}': found no such model or provider in the settings; expected one of {}", synthesizer, names)};
  }
  model_seat seat;
  const auto model = std::find_if(from_.models.begin(), from_.models.end(), [&](const llm::model_settings& m) { return m.name == synthesizer; });
  if (model != from_.models.end()) {
    seat.model = *model;
  } else {
    seat.model.name = synthesizer;
    seat.model.provider = synthesizer;
  }
  auto& made = providers_[settings->name];
  if (!made) {
    KEVOLVE_TRY(provider, llm::make_provider(*settings, around_));
    made = std::move(provider);
  }
  seat.provider = made;
  seat.prompt_tokens = seat.model.prompt_tokens ? seat.model.prompt_tokens : std::min<std::size_t>(prompt_tokens_most, seat.model.context_tokens / prompt_share);
  seat.repairs = seat.model.repairs;
  seat.blank_feedback = seat.model.blank_feedback;
  return seat;
}

} // namespace kevolve::scheduler
