// Scheduler and agent in one process: the host's evaluator, the store, the actor runtime and the in-process agent, started in the one order
// that is safe (whatever forks comes before threads and before LMDB) and stopped in the reverse one. Owned by a command; one per process.
#pragma once

#include "actors/agent_service.hpp"
#include "actors/runtime.hpp"
#include "kb/store.hpp"
#include "node-agent/evaluate.hpp"
#include "scheduler/context.hpp"
#include "scheduler/python.hpp"

#include <memory>
#include <zmq.hpp>

namespace kevolve::scheduler {

class single_host {
public:
  /// Finds the Python and starts the evaluator. Errors: no compiler, no cache directory (configuration).
  /// `described`: files that describe devices of this host which kevolve does not know.
  static result<std::unique_ptr<single_host>> start(const context& in, const std::vector<std::string>& described = {});
  ~single_host();

  [[nodiscard]] agent::host_evaluator& evaluator() { return *evaluator_; }
  [[nodiscard]] const found_python& python() const { return python_; }
  /// The description of the device for this target; null: it is none that was described.
  [[nodiscard]] const target_description* described(const target& on) const;
  /// Compile slots in use.
  [[nodiscard]] unsigned compile_slots() const { return compile_slots_; }
  /// Of the baselines asked for, those that this host can run; `missing` gets a sentence for what it cannot.
  [[nodiscard]] std::vector<std::string> baselines(const settings& from, std::vector<std::string>& missing) const;

  /// Opens the store for writing, then starts runtime and agent. Nothing may fork by itself afterwards.
  result<void> open(const context& in);
  [[nodiscard]] kb::store& memory() { return *store_; }
  [[nodiscard]] runtime& actors() { return *runtime_; }

private:
  single_host() = default;

  found_python python_;
  unsigned compile_slots_ = 1;
  std::vector<target_description> described_;
  // Destroyed bottom up: the agent says goodbye, the runtime drains, then the socket context, the store, the judges.
  std::unique_ptr<agent::host_evaluator> evaluator_;
  std::unique_ptr<kb::store> store_;
  std::unique_ptr<zmq::context_t> sockets_;
  std::unique_ptr<agent_service> agent_;
  std::unique_ptr<runtime> runtime_;
};

/// The data directory as a person should hear about it: created where missing (writing), or an error that says what to do.
result<void> prepare_data(const context& in);
/// Opens an existing store for reading; not_found where there is none yet.
result<std::unique_ptr<kb::store>> open_for_reading(const context& in);

} // namespace kevolve::scheduler
