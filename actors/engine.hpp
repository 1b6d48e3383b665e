// The runtime with its replaceable parts named: who writes candidates and how agents are reached. The executables use `runtime::start`, which
// is this with the real parts; tests and `bench engine` put in their own. Names no CAF type.
#pragma once

#include "actors/link.hpp"
#include "actors/model_desk.hpp"
#include "actors/runtime.hpp"
#include "actors/synthesis/generator.hpp"
#include "actors/writer.hpp"

#include <functional>
#include <memory>
#include <string>

namespace kevolve {

struct engine_parts {
  generator_factory make_generator;
  std::function<result<std::unique_ptr<link>>(link_callbacks)> open_link;
  std::shared_ptr<model_desk> models; // null: there are none
  std::function<std::string(const std::string& hardware)> policy_model; // as in runtime_settings
  std::string compiler = "g++";      // that candidates are written for
  unsigned synthesizers = 2;         // per session
  bool detach_synthesizers = true;   // threads of their own; false: an instant one may run on the scheduler's
  bool verify = true;                // measure the leader afresh at the end
  /// For tests of supervision: told of each input of a "session", "dispatcher" or "tree_node" actor; what it throws is that actor's own failure.
  std::function<void(const char* actor)> probe;
  /// For benchmarks: told of each task when its work is frozen, before the dispatcher hears of it. Any thread.
  std::function<void(const std::string& task)> work_frozen;
  double agent_wait_s = 10;          // how long a session that begins waits for somebody who serves its target
  double unserved_limit_s = 10;      // how long one that runs waits for such a somebody to come back
  double home_wait_s = 10;           // how long a synthesizer that was sent away, and could stay, waits for an agent: as long as one takes to introduce itself
};

result<std::unique_ptr<runtime>> start_engine(kb::store& memory, unsigned threads, engine_parts parts);

} // namespace kevolve
