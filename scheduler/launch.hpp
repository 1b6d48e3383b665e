// Where agents are started: shell text for a host behind ssh and for a Slurm job. Pure: values in, text out; no name or path is ever taken as shell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kevolve::scheduler {

/// One word for a POSIX shell, whatever is in it.
std::string shell_word(std::string_view text);

/// Run on a host as sh -c SCRIPT kevolve ACTION HASH DIR INSTANCE [WAIT_S AGENT-OPTION…]: `check` says present or missing; `unpack` takes the archive on
/// stdin; `start` takes the key on stdin and says "connected PID", "started PID" (not heard by its scheduler yet) or "running PID" (it ran already).
extern const char* const host_script;

struct slurm_job {
  std::string hash, directory;            // of the package; where it lies, on a file system that all nodes share
  std::string key;                        // file, there too
  std::string scheduler;
  std::vector<std::string> agent_options;
  unsigned nodes = 1;
  std::string time, partition;            // empty: the cluster's default
  std::vector<std::string> sbatch;        // further options
  unsigned drain_s = 60;                  // before the time limit
  bool again = false;                     // queued again when the time limit ended it
};
std::string slurm_script(const slurm_job& job);

} // namespace kevolve::scheduler
