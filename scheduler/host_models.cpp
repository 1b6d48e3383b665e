#include "scheduler/host_models.hpp"

#include "actors/synthesis/generator.hpp"
#include "scheduler/check_queue.hpp"
#include "scheduler/llm_settings.hpp"

#include <fmt/format.h>
#include <fstream>
#include <mutex>
#include <sstream>

namespace kevolve::scheduler {
namespace {

/// What limits a session's or a day's models is kept where they are asked for: by the scheduler.
class host_desk final : public model_desk {
public:
  host_desk(model_seats seats, agent::host_evaluator& evaluator) : seats_(std::move(seats)), checks_(&evaluator) {}
  result<model_seat> find(const std::string& synthesizer) override {
    std::lock_guard lock(mutex_);
    return seats_.find(synthesizer);
  }
  std::vector<synthesis::reading> read(const lookup&) override { return {}; } // prompts come with the synthesizer
  void compile(const candidate& what, const target& on, std::function<void(std::string)> then) override { checks_.put(what, on, std::move(then)); }
  bool reserve(std::uint64_t, double) override { return true; }
  void settle(std::uint64_t, double, std::uint64_t, double) override {}

private:
  std::mutex mutex_; // guards seats_
  model_seats seats_;
  check_queue checks_; // last: its threads end first
};

writer_description generator_here() {
  writer_description d;
  d.name = "generator";
  return d;
}

result<model_configuration> read_file(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in)
    return error{errc::configuration, fmt::format("--models {}: cannot be read", file.string())};
  KEVOLVE_TRY(read, read_llm_settings({{file.string(), text.str()}}));
  if (read.session_usd > 0 || read.session_tokens > 0 || read.day_usd > 0 || read.day_tokens > 0)
    return error{errc::configuration, fmt::format("{}: llm.budget: found limits, expected none: the scheduler's settings have them", file.string())};
  if (read.synthesizers().empty())
    return error{errc::configuration, fmt::format("{}: found no model, expected [llm.providers.X] and [[llm.models]] as in config.toml", file.string())};
  return read;
}

} // namespace

result<std::shared_ptr<host_writer>> open_host_models(const host_models_options& options, const std::function<std::optional<std::string>(const std::string&)>& env,
                                                      agent::host_evaluator& evaluator) {
  std::vector<writer_description> offers;
  std::shared_ptr<model_desk> desk;
  if (!options.file.empty()) {
    KEVOLVE_TRY(read, read_file(options.file));
    model_seats seats(read, {env, nullptr});
    for (const std::string& name : read.synthesizers()) {
      KEVOLVE_TRY(seat, seats.find(name));
      offers.push_back(description_of(name, seat, read.provider_of(name)->timeout_s * (seat.repairs + 1)));
    }
    desk = std::make_shared<host_desk>(std::move(seats), evaluator);
  }
  if (options.generator)
    offers.push_back(generator_here());
  if (offers.empty())
    return std::shared_ptr<host_writer>();
  return std::shared_ptr<host_writer>(make_writer(std::move(offers), options.slots, std::move(desk), &synthesis::generator::make));
}

} // namespace kevolve::scheduler
