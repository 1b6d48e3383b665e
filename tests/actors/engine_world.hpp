// A runtime with real actors, link and store, and a made-up generator and host, in a directory of its own. For tests of the engine.
#pragma once

#include "actors/agent_service.hpp"
#include "actors/engine.hpp"
#include "actors/link.hpp"
#include "actors/made_up.hpp"
#include "kb/store.hpp"
#include "node-agent/evaluate.hpp"

#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <zmq.hpp>

namespace kevolve::test {

/// Answers like a host would, at once; `before` may wait, throw or fail in its place.
class made_up_host final : public agent::host_evaluator {
public:
  std::function<std::optional<error>(const evaluate_work&, const std::atomic<bool>& cancelled)> before;
  std::atomic<unsigned> asked = 0;
  std::atomic<unsigned> at_once = 0, most_at_once = 0;

  unsigned slots_to_compile = 0;

  std::vector<device_description> devices() const override { return {made_up::device()}; }
  unsigned compile_slots() const override { return slots_to_compile; }
  result<agent::host_roofs> roofs() override { return agent::host_roofs{}; }
  result<evaluation> evaluate(const evaluate_work& what, const std::atomic<bool>& cancelled) override {
    ++asked;
    unsigned now = ++at_once;
    for (unsigned most = most_at_once; most < now && !most_at_once.compare_exchange_weak(most, now);) {
    }
    struct leave { std::atomic<unsigned>& n; ~leave() { --n; } } leaving{at_once};
    if (before)
      if (auto failed = before(what, cancelled))
        return *failed;
    return made_up::measure(what);
  }
  result<problem> trace(const trace_work&, const std::atomic<bool>&) override { return error{errc::not_found, "no Python"}; }
  void prepare_baselines(const problem&, const std::vector<std::string>&) override {}
  std::vector<std::pair<std::string, std::string>> self_test() override { return {}; }
};

struct scratch_directory {
  std::filesystem::path path;
  scratch_directory();
  ~scratch_directory();
};

/// The scheduler's end at inproc://kevolve-test. A socket that was closed a moment ago gives the name back a moment later: asked for again until then.
result<std::unique_ptr<link>> open_test_link(void* context, const link_callbacks& callbacks);

struct engine_world {
  scratch_directory directory;
  zmq::context_t context{1};
  std::unique_ptr<kb::store> memory;
  made_up_host host;
  std::unique_ptr<agent_service> agent;
  std::unique_ptr<runtime> engine;
  engine_parts parts;

  engine_world();
  ~engine_world();
  void start_agent(const std::string& name = "here");
  void start_engine();
  /// Events of a kind in a session's log.
  template <class Kind>
  std::vector<Kind> events(const session_id& session) {
    std::vector<Kind> found;
    auto log = memory->events(session);
    if (!log)
      throw std::runtime_error(log.error().message);
    for (auto& each : *log)
      if (auto* it = std::get_if<Kind>(&each))
        found.push_back(*it);
    return found;
  }
};

session_settings short_search(std::uint32_t evaluations);
/// One proposal in flight: the tree is a function of the settings.
session_settings through_one_slot(std::uint32_t evaluations);

} // namespace kevolve::test
