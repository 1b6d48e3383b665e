#include "scheduler/launch.hpp"

#include <fmt/format.h>

namespace kevolve::scheduler {

const char* const host_script = R"sh(set -eu
action=$1 hash=$2 dir=$3 instance=$4
shift 4
if [ -z "$dir" ]; then
  # Not in root's home: compilers run as users of their own, who cannot look in there.
  if [ "$(id -u)" = 0 ]; then dir=/var/cache/kevolve-agent; else dir=${XDG_CACHE_HOME:-$HOME/.cache}/kevolve-agent; fi
fi
if [ "$action" = check ]; then
  if [ -x "$dir/packages/$hash/kevolve-agent" ]; then echo present; else echo missing; fi
  exit 0
fi
umask 022
mkdir -p "$dir/packages" "$dir/run"
dir=$(cd "$dir" && pwd -P)
place=$dir/packages/$hash
if [ "$action" = unpack ]; then
  new=$(mktemp -d "$dir/packages/.new-XXXXXX")
  trap 'rm -rf "$new"' EXIT
  cat >"$new/archive"
  echo "$hash  $new/archive" | sha256sum -c --status || { echo "the package did not arrive whole" >&2; exit 1; }
  mkdir "$new/tree"
  tar -xzf "$new/archive" -C "$new/tree" --strip-components=1 --no-same-owner
  mv -T "$new/tree" "$place" 2>/dev/null || [ -x "$place/kevolve-agent" ] # somebody else may have been first
  echo unpacked
  exit 0
fi
wait_s=$1
shift
run=$dir/run/$instance
mkdir -p "$run"
chmod 700 "$run"
exec 9>"$run/lock"
flock -w 60 9 || { echo "another launch has been at work here for a minute" >&2; exit 1; }
(umask 077 && cat >"$run/key.new")
asked=$(printf '%s\n' "$hash" "$@" "$(sha256sum <"$run/key.new")" | sha256sum)
is_ours() { [ -n "$1" ] && case $(readlink "/proc/$1/exe" || true) in "$dir"/packages/*/bin/kevolve-agent*) ;; *) false ;; esac; }
lives() { [ -r "/proc/$1/status" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }
old=$(cat "$run/pid" 2>/dev/null || true)
if is_ours "$old" && [ "$(cat "$run/asked" 2>/dev/null)" = "$asked" ]; then
  rm "$run/key.new"
  echo "running $old"
  exit 0
fi
mv "$run/key.new" "$run/key"
[ ! -f "$run/log" ] || mv "$run/log" "$run/log.1"
setsid nohup "$place/kevolve-agent" --key "$run/key" --cache "$dir/cache" "$@" >"$run/log" 2>&1 </dev/null 9>&- &
pid=$!
state=started
while [ "$wait_s" -gt 0 ]; do
  if grep -q 'the scheduler is there' "$run/log"; then state=connected; break; fi
  lives "$pid" || { tail -n 5 "$run/log" >&2; exit 1; } # the one before goes on
  sleep 1
  wait_s=$((wait_s - 1))
done
echo "$pid" >"$run/pid"
echo "$asked" >"$run/asked"
# One of another package or with other options finishes what it holds, now that there is a new one.
if is_ours "$old"; then kill -TERM "$old"; fi
echo "$state $pid"
)sh";

std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text)
    word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::string slurm_script(const slurm_job& job) {
  std::string text = "#!/bin/sh\n# An array of agents, made by kevolve agents launch --slurm.\n";
  const auto asks = [&](const std::string& option) { text += "#SBATCH " + option + "\n"; };
  asks("--job-name=kevolve-agent");
  asks(fmt::format("--array=1-{}", job.nodes));
  for (const char* each : {"--nodes=1", "--ntasks=1", "--exclusive", "--requeue", "--open-mode=append"})
    asks(each);
  asks(fmt::format("--signal=B:TERM@{}", job.drain_s));
  asks("--output=" + job.directory + "/slurm/%A_%a.log");
  if (!job.time.empty())
    asks("--time=" + job.time);
  if (!job.partition.empty())
    asks("--partition=" + job.partition);
  for (const std::string& each : job.sbatch)
    asks(each);
  std::string options;
  for (const std::string& each : job.agent_options)
    options += " " + shell_word(each);
  text += fmt::format("dir={} hash={}\n", shell_word(job.directory), job.hash);
  text += fmt::format("set -- --scheduler {} --key {}{}\n", shell_word(job.scheduler), shell_word(job.key), options);
  text += R"sh(place=$dir/packages/$hash
if [ ! -x "$place/kevolve-agent" ]; then
  new=$(mktemp -d "$dir/packages/.new-XXXXXX") || exit 1
  echo "$hash  $dir/packages/$hash.tar.gz" | sha256sum -c --status || { echo "$dir/packages/$hash.tar.gz is not what was launched" >&2; exit 1; }
  mkdir -m 755 "$new/tree" && tar -xzf "$dir/packages/$hash.tar.gz" -C "$new/tree" --strip-components=1 --no-same-owner || exit 1
  mv -T "$new/tree" "$place" 2>/dev/null
  rm -rf "$new"
fi
# On the node's own disk: the spool is an LMDB, which must not lie on a network's file system. Kept, so that the next agent here finds it.
cache=/var/tmp/kevolve-agent-$(id -u)
drained=no
trap 'drained=yes; kill -TERM "$agent"' TERM
"$place/kevolve-agent" --cache "$cache" --name "$(uname -n).$SLURM_ARRAY_TASK_ID" "$@" &
agent=$!
while :; do # the trap ends a wait
  wait "$agent"
  status=$?
  kill -0 "$agent" 2>/dev/null || break
done
)sh";
  if (job.again)
    text += "[ $drained = no ] || scontrol requeue \"$SLURM_JOB_ID\"\n";
  return text + "exit $status\n";
}

} // namespace kevolve::scheduler
