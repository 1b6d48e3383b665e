#!/bin/sh
# The long form of the fuzz tests: libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer.
#   tests/fuzz/campaign.sh [RUNS [TARGET…]]      RUNS: executions of each target (default 10000000)
# Needs clang with its runtime (Debian: clang-14 libclang-rt-14-dev). The corpus stays in build/fuzz/corpus/TARGET, what crashed in build/fuzz/crashes: a second call
# goes on from there. Ends with 1 when a target crashed.
set -eu
cd "$(dirname "$0")/../.."
runs=${1:-10000000}
[ $# -gt 0 ] && shift
compiler=${CLANGXX:-$(command -v clang++-14 || command -v clang++ || true)}
[ -n "$compiler" ] || { echo "campaign.sh: no clang++ (Debian: apt-get install clang-14 libclang-rt-14-dev)" >&2; exit 2; }
[ $# -gt 0 ] || set -- envelope exchange record answer specification
cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" -DKEVOLVE_FUZZ=ON -DKEVOLVE_SANITIZE=fuzzer-no-link,address,undefined >/dev/null
targets=""
for target in "$@"; do targets="$targets libfuzzer_$target"; done
# shellcheck disable=SC2086
ninja -C build/fuzz $targets >/dev/null
mkdir -p build/fuzz/crashes
failed=0
export ASAN_OPTIONS="${ASAN_OPTIONS:-malloc_context_size=4:quarantine_size_mb=16}" # short stacks of allocations: what crashed is run again by hand
for target in "$@"; do
  program=build/fuzz/bin/libfuzzer_$target
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus"
  KEVOLVE_FUZZ_SEEDS="$corpus" "$program"
  most=65536
  more=""
  [ "$target" = exchange ] && most=256 more=-entropic=0 # some fifty messages: a longer script takes as long as many short ones; the rarity of features costs more than a script
  # shellcheck disable=SC2086
  if "$program" -runs="$runs" -max_len="$most" -rss_limit_mb=4096 -timeout=10 $more -artifact_prefix=build/fuzz/crashes/"$target"- -print_final_stats=1 "$corpus" >build/fuzz/"$target".log 2>&1; then
    echo "$target: $(grep number_of_executed_units build/fuzz/"$target".log | grep -o '[0-9]*$') executions, $(ls "$corpus" | wc -l) inputs in the corpus, 0 crashes"
  else
    failed=1
    echo "$target: CRASHED after $(grep -c '^#' build/fuzz/"$target".log) reports; build/fuzz/$target.log, input in build/fuzz/crashes/"
  fi
done
exit $failed
