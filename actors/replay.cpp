#include "actors/replay.hpp"

#include "actors/agent_service.hpp"
#include "actors/session_logic.hpp"

#include <chrono>
#include <cstdio>
#include <thread>
#include <unordered_map>
#include <zmq.hpp>

namespace kevolve {
namespace {

class recorded final : public agent::host_evaluator {
public:
  recorded(device_description device, double each_takes_s) : device_(std::move(device)), each_takes_s_(each_takes_s) {}

  std::unordered_map<candidate_id, evaluation> searched;
  std::unordered_map<candidate_id, evaluation> verified;

  std::vector<device_description> devices() const override { return {device_}; }
  result<agent::host_roofs> roofs() override { return error{errc::not_found, "recorded evaluations have no roofs"}; }
  result<problem> trace(const trace_work&, const std::atomic<bool>&) override {
    return error{errc::not_found, "recorded evaluations cannot trace"};
  }
  void prepare_baselines(const problem&, const std::vector<std::string>&) override {}
  std::vector<std::pair<std::string, std::string>> self_test() override { return {}; }
  result<evaluation> evaluate(const evaluate_work& what, const std::atomic<bool>& cancelled) override {
    auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(each_takes_s_);
    while (std::chrono::steady_clock::now() < until && !cancelled)
      std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(std::chrono::milliseconds(2), until - std::chrono::steady_clock::now()));
    if (cancelled)
      return error{errc::interrupted, "cancelled"};
    const auto& from = what.how == effort::verify ? verified : searched;
    auto found = from.find(what.what.id);
    if (found == from.end())
      return error{errc::infrastructure, "no evaluation of candidate " + what.what.id + " was recorded"};
    return found->second;
  }

private:
  device_description device_;
  double each_takes_s_;
};

} // namespace

result<std::unique_ptr<agent::host_evaluator>> recorded_host(const std::vector<event>& log, double each_takes_s) {
  auto* opening = log.empty() ? nullptr : std::get_if<session_opened>(&log.front());
  if (!opening)
    return error{errc::damaged, "the log does not begin with its opening"};
  auto host = std::make_unique<recorded>(device_description{"recorded", opening->hardware, opening->on, 1}, each_takes_s);
  for (const auto& each : log) {
    if (auto* counted = std::get_if<evaluation_recorded>(&each))
      host->searched[counted->what.candidate] = counted->what;
    else if (auto* verdict = std::get_if<leader_verified>(&each))
      host->verified[verdict->what.candidate] = verdict->what;
  }
  return std::unique_ptr<agent::host_evaluator>(std::move(host));
}

result<std::string> tree_digest(const std::vector<event>& log) {
  if (log.empty() || !std::holds_alternative<session_opened>(log.front()))
    return error{errc::damaged, "the log does not begin with its opening"};
  search::session_state state;
  for (const auto& each : log)
    state.apply(each);
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(state.tree_digest()));
  return std::string(digits);
}

result<std::string> replay_session(const kb::store& memory, const session_id& session, const std::filesystem::path& scratch,
                                   generator_factory make_generator) {
  KEVOLVE_TRY(log, memory.events(session));
  KEVOLVE_TRY(host, recorded_host(log));
  const auto& opening = std::get<session_opened>(log.front());
  KEVOLVE_TRY(own, kb::store::open(scratch, kb::access::read_write));
  zmq::context_t context(1);
  const std::string endpoint = "inproc://replay";
  engine_parts parts;
  parts.make_generator = std::move(make_generator);
  parts.open_link = [&](link_callbacks callbacks) { return link::open(endpoint, context.handle(), "kevolve", std::move(callbacks)); };
  parts.verify = false;
  KEVOLVE_TRY(engine, start_engine(*own, 1, std::move(parts)));
  KEVOLVE_TRY(agent, agent_service::start(*host, endpoint, context.handle(), "replay"));
  session_settings settings = opening.settings;
  settings.in_flight = 1;
  settings.time_s = 0; // only what was recorded ends it, not how fast this machine is
  KEVOLVE_TRY(again, engine->submit(opening.subject, opening.on, settings));
  auto end = engine->wait(again, {});
  if (end.failure)
    return end.failure->in("replaying " + session);
  KEVOLVE_TRY(events, own->events(again));
  return tree_digest(events);
}

} // namespace kevolve
