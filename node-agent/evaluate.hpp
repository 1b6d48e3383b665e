// The evaluation library's front door: compile -> check -> measure -> profile -> diagnose, for one host. Links without CAF and LMDB.
// Construct one `host_evaluator` per process before other threads start (it starts the judges); `evaluate` may be called from several
// threads: compiles run side by side in compile slots, measuring holds the device exclusively, and compilers are stopped meanwhile.
#pragma once

#include "node-agent/defence.hpp"
#include "node-agent/device_health.hpp"
#include "node-agent/remote_compiler.hpp"
#include "protocol/message.hpp"
#include "protocol/result.hpp"
#include "protocol/target_description.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::agent {

struct host_settings {
  std::filesystem::path cache;        // artifacts, calibration; created when missing
  std::uint64_t cache_bytes = std::uint64_t{4} << 30; // of artifacts; 0: no bound
  std::filesystem::path python;       // empty: no Python on this host
  std::string compiler = "g++";
  bool compile_elsewhere = false;     // compilers of this host are not used
  bool compile_only = false;          // it runs nothing: described devices need no command but the one that compiles
  bool asks_elsewhere = false;        // others may compile for it: a described device needs no command that compiles here
  unsigned compile_slots = 0;         // 0: one per core
  unsigned device_slots = 1;
  double call_limit_s = 10;           // one call of a candidate
  defences_off off;                   // none, except to show what each defence is good for
  bool require_sandbox = false;       // `start` refuses where a layer is missing
  std::vector<target_description> described; // devices that kevolve does not know
  std::filesystem::path executables;  // where kevolve-judge and kevolve-harness lie; empty: beside this executable
};

/// What this host can do, measured once and cached by hardware key x toolchain x judge version.
struct host_roofs {
  struct bandwidth { double working_set_bytes; double read_bytes_per_s; double write_bytes_per_s; double copy_bytes_per_s; };
  std::vector<bandwidth> memory;      // ascending working sets
  double streams_from_bytes = 0;      // working sets from which copies past the caches are faster than through them
  double fma_flops_per_s = 0;         // float32, all cores, measured
  double theoretical_flops_per_s = 0; // ISA width x units x clock
  bool fma_agrees = false;            // measured within 25% of theoretical
  std::string note;
};

/// One golden run of the device that `host_evaluator::devices` names first, and what calibration had found.
struct golden_check {
  golden_run run;
  golden_rates calibrated;
};

class host_evaluator {
public:
  static result<std::unique_ptr<host_evaluator>> start(host_settings settings);
  virtual ~host_evaluator() = default;

  [[nodiscard]] virtual std::vector<device_description> devices() const = 0;
  /// The compiler that `settings` name is here, and used. Without one what is evaluated must be compiled elsewhere.
  [[nodiscard]] virtual bool compiles() const { return true; }
  /// Compilers that it runs at once, and so candidates that it may compile beside the one that is measured; 0: one per core.
  [[nodiscard]] virtual unsigned compile_slots() const { return 0; }
  /// Who compiles what cannot be compiled here; set before the first evaluation.
  virtual void use(remote_compiler elsewhere) { (void)elsewhere; }
  /// What this host compiles with, for others: "g++ 12.2.0".
  [[nodiscard]] virtual std::vector<std::string> toolchains() { return {}; }
  /// Of programs that it makes and runs: machine and glibc.
  [[nodiscard]] virtual program_host programs() const { return {}; }
  /// Compiles for another host. Errors: infrastructure; a candidate that does not compile is an answer.
  virtual result<made_for_another> compile_for(const compile_work& what, const std::atomic<bool>& cancelled) {
    (void)what, (void)cancelled;
    return error{errc::infrastructure, "this host compiles for nobody else"};
  }
  /// Measures the roofs, or reads them from the cache.
  virtual result<host_roofs> roofs() = 0;
  /// Has the device do golden.hpp's kernel when it is free, as between two evaluations. Errors: it was not done (nothing is calibrated yet, other processes measured all the
  /// time, its kernel could not be compiled or started), which says nothing of the device.
  virtual result<golden_check> check_device(const std::atomic<bool>& cancelled) {
    (void)cancelled;
    return error{errc::not_found, "this host has no device that can be checked"};
  }
  /// Measures the roofs again; the best of both holds.
  virtual result<host_roofs> calibrate_again() { return roofs(); }
  /// One attempt. A failing candidate is an evaluation with its outcome; an `error` is always infrastructure. `cancelled` is polled at
  /// least every 100 ms; a cancelled attempt kills its processes and returns errc::interrupted.
  virtual result<evaluation> evaluate(const evaluate_work& what, const std::atomic<bool>& cancelled) = 0;
  /// Compiles one candidate, or checks it with `command` (placeholders {file}, {object}), in the compilers' jail; nothing runs. The messages: ""
  /// where it compiles. Errors: infrastructure, or no such compiler here (errc::not_found).
  virtual result<std::string> compile_only(const candidate& what, const std::vector<std::string>& command, const std::atomic<bool>& cancelled) {
    (void)what, (void)command, (void)cancelled;
    return std::string();
  }
  /// Traces a Python SPEC to a problem with graph and workloads (needs Python with torch).
  virtual result<problem> trace(const trace_work& what, const std::atomic<bool>& cancelled) = 0;
  /// Starts baseline hosts (PyTorch eager, torch.compile) ahead of need, at low priority. Failing is not an error here.
  virtual void prepare_baselines(const problem& subject, const std::vector<std::string>& baselines) = 0;
  /// What is here and what is missing, for `kevolve doctor`: name -> finding.
  virtual std::vector<std::pair<std::string, std::string>> self_test() = 0;
};

} // namespace kevolve::agent
