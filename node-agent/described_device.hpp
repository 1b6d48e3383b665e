// A device that an operator described: candidates are compiled and run by the description's commands. The commands are trusted as the agent is;
// what they are given is not: they run in a jail (compile_jail.hpp) with no network, a user of their own, limits and a deadline, in a folder that
// goes with them. Inputs go in as files and outputs come back as files; reference, tolerance, seeds, clock and verdict stay here, by the same code
// (case_set.hpp) that judges CPU candidates. `evaluate` one at a time (it waits its turn), the rest from any thread.
#pragma once

#include "node-agent/case_set.hpp"
#include "node-agent/compile.hpp"
#include "node-agent/device_lock.hpp"
#include "protocol/message.hpp"
#include "protocol/target_description.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace kevolve::agent {

class described_device {
public:
  described_device(target_description what, compile_pool& compilers, pause_gate& compiling, double call_limit_s);

  /// Errors (configuration): no jail here, a program that is not there, a folder that the jail's user cannot read. The program that compiles may be
  /// missing where others may be asked (`asks_elsewhere`), the others where it is there to compile only.
  result<void> begin(bool asks_elsewhere = false, bool compile_only = false);

  [[nodiscard]] const target_description& description() const { return what_; }
  /// `hardware` names the description's text, so that results of another one are not mixed with these.
  [[nodiscard]] device_description device(std::size_t number) const;
  [[nodiscard]] bool serves(const target& on) const;
  /// Candidates say by their compiler's name for which device they are.
  [[nodiscard]] bool compiles(const candidate& c) const { return c.build.compiler == to_string(what_.on); }
  result<compiled> compile(const candidate& c, double limit_s, const std::atomic<bool>& cancelled);
  /// For another host with the same description.
  result<made_for_another> compile_for(const compile_work& what, const std::atomic<bool>& cancelled);
  /// Its command is here, and used.
  [[nodiscard]] bool compiles_here() const;
  /// "loom/9/loomasm 0123…": the target, and the digest of the description's text.
  [[nodiscard]] std::string toolchain() const { return toolchain_of(what_); }
  /// From compiling to profiling. Fills `e`; errors are infrastructure.
  result<void> evaluate(const evaluate_work& what, const std::atomic<bool>& cancelled, evaluation& e);
  /// "described by loom9.toml, not verified by kevolve, emulated"
  [[nodiscard]] std::string standing() const;

private:
  struct attempt;
  using opponent = std::pair<candidate_id, std::filesystem::path>; // an anchor and its artifact
  struct ran {
    outcome result = outcome::passed;
    std::string log;
    double seconds = 0;
    std::string report;
  };
  result<ran> execute(attempt& a, const std::vector<std::string>& command, const std::filesystem::path& artifact, test_case& c, std::uint32_t iterations);
  result<ran> execute_and_compare(attempt& a, const std::filesystem::path& artifact, test_case& c, std::uint32_t iterations);
  result<void> check(attempt& a);
  result<void> measure(attempt& a);
  result<void> measure_against(attempt& a, std::size_t workload, const opponent* anchor, workload_timing& into);
  result<void> profile(attempt& a);
  result<case_set*> cases_of(const problem& subject, std::uint64_t seed);

  target_description what_;
  compile_pool& compilers_;
  pause_gate& compiling_;
  double call_limit_s_;
  bool iterates_ = false;
  std::string hardware_;
  jail_view view_;
  compile_jail jail_;                                    // of running: its users are not the compilers'
  std::mutex device_;                                    // held while one candidate is judged
  device_lock lock_;                                     // the same between this host's processes: under device_
  std::map<std::string, std::unique_ptr<case_set>> cases_; // of one problem
  std::string problem_;
  rng secret_;
};

} // namespace kevolve::agent
