// From a candidate's sources to a shared object: in a private folder, with the ABI header beside them, by a compiler that the host knows by
// name, with flags from an allow-list, under limits, in a jail (compile_jail.hpp). What objects hold is checked (objects.hpp). They are made with the candidate's flags and linked by us without them (with
// -ffast-math g++ would link a start-up file that changes the whole process's rounding). Artifacts are kept by the hash of candidate,
// compiler and CPU. Compiles run side by side in slots and stand still while a device measures. A compiler that is not on this host may be on
// another (remote_compiler.hpp): what it makes is kept by its own hash. Any thread.
#pragma once

#include "node-agent/artifacts.hpp"
#include "node-agent/compile_jail.hpp"
#include "node-agent/remote_compiler.hpp"
#include "protocol/candidate.hpp"

#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace kevolve::agent {

struct compiled {
  bool good = false;
  std::filesystem::path artifact;
  std::string log;                   // the compiler's messages, or why the candidate was refused; capped, scrubbed
  std::vector<std::string> remarks;  // what was vectorised, by line
  std::string toolchain;             // "g++ 12.2.0"
  bool cached = false;
  double queued_s = 0, wall_s = 0, cpu_s = 0;
};

/// A compiler that kevolve does not know, as a device's description has it.
struct foreign_compiler {
  std::vector<std::string> arguments; // of the command, run in /work, where the sources lie; it leaves /work/kevolve-artifact
  jail_view also;                     // what it sees beside the system's folders
  std::string toolchain;              // part of the artifact's key
  std::string source;                 // the file that must be among a candidate's
  static constexpr const char* artifact = "kevolve-artifact";
};

/// Empty, or why this flag may not be used. Flags that read or write files, load code, change the search for tools or the link are refused.
std::string refuse_flag(const std::string& flag);
/// Empty, or why this source path may not be used (absolute, "..", control characters, leading '-').
std::string refuse_path(const std::string& path);

class compile_pool {
public:
  /// `never_here`: compilers of this host are not used.
  compile_pool(const std::filesystem::path& cache, std::uint64_t cache_bytes, unsigned slots, pause_gate& gate, defences_off off = {}, bool never_here = false);

  /// Who is asked for what cannot be compiled here; before anything is compiled.
  void use(remote_compiler elsewhere) { elsewhere_ = std::move(elsewhere); }
  [[nodiscard]] bool is_here(const std::string& compiler) const { return !never_here_ && !find_command(compiler).empty(); }
  /// Compiles for another host, by its instruction sets where the candidate says native. Errors: as `compile`; another version of the toolchain is asked for.
  result<made_for_another> compile_for(const compile_work& what, const std::atomic<bool>& cancelled);
  /// Errors: no such compiler, no disk space, interrupted. What is wrong with the candidate is in `compiled`.
  result<compiled> compile(const candidate& what, double limit_s, const std::atomic<bool>& cancelled);
  /// Runs a checking command ({file}: the first source, {object}: what it may write) on the sources and keeps nothing. errc::not_found where there
  /// is no such command.
  result<compiled> check(const candidate& what, const std::vector<std::string>& command, double limit_s, const std::atomic<bool>& cancelled);
  /// Compiles by a described device's command; artifacts are kept like others. The compiler is the operator's, so flags are not taken.
  result<compiled> make(const candidate& what, const foreign_compiler& by, double limit_s, const std::atomic<bool>& cancelled);
  /// "g++ 12.2.0", asked once per name. Of a compiler that is elsewhere: the one that compiled last, also in an earlier life; errc::infrastructure before.
  result<std::string> version(const std::string& compiler);
  [[nodiscard]] const compile_jail& jail() const { return jail_; }

private:
  class slot;
  struct bench; // one compile's folder and place in the jail
  result<compiled> compile_here(const candidate& what, const std::string& cpu, double limit_s, const std::atomic<bool>& cancelled);
  /// `toolchain`: exactly this one; "": the candidate's compiler, by preference the version that compiled last.
  result<compiled> compile_elsewhere(const candidate& what, const std::string& toolchain, const char* ending, double limit_s, const std::atomic<bool>& cancelled);
  result<compile_made> ask_elsewhere(const candidate& what, const std::string& toolchain, double limit_s, const std::atomic<bool>& cancelled);
  void remember_elsewhere(const std::string& compiler, const std::string& toolchain);
  std::map<std::string, std::string> remembered_elsewhere() const;
  std::vector<std::string> known_to(const std::string& compiler, const std::vector<std::string>& flags);
  result<compiled> build(const candidate& what, const bench& at, double limit_s, const std::atomic<bool>& cancelled);
  result<process_end> tool(std::vector<std::string> arguments, const bench& at, double limit_s, const std::atomic<bool>& cancelled, compiled& so_far);
  std::string refuse(const candidate& what) const;
  const std::filesystem::path cache_;
  artifact_store artifacts_;
  defences_off off_;
  compile_jail jail_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<unsigned> free_; // places
  std::map<std::string, std::string> versions_;  // of compilers here
  std::map<std::string, std::string> elsewhere_versions_;
  std::map<std::string, std::vector<std::string>> known_flags_; // compiler and flags asked about -> those that it knows
  const bool never_here_;
  remote_compiler elsewhere_;
  std::map<std::string, int> busy_; // artifacts being made: a second request for one waits
  pause_gate& gate_;
};

/// What was compiled, as the answer to whoever asked for it.
result<made_for_another> for_another(const candidate& what, const compiled& built);

/// Empty, or why this is no name of a compiler that candidates may use.
std::string refuse_compiler(const std::string& name);
inline constexpr std::size_t most_remarks = 40;

/// The text of protocol/native_abi.h, which candidates include as "kevolve.h".
extern const char* const native_abi_text;
/// Model name and instruction sets: what an artifact built with -march=native depends on.
const std::string& cpu_identity();

} // namespace kevolve::agent
