// Which compiler flags and source paths a candidate may use.
#include "node-agent/compile.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace kevolve::agent {
namespace {

using namespace std::string_view_literals;

// -f switches (also as -fno-…, and with =value) that only steer code generation.
constexpr std::array switches{
    "fast-math"sv, "finite-math-only"sv, "math-errno"sv, "trapping-math"sv, "signed-zeros"sv, "associative-math"sv, "reciprocal-math"sv,
    "unsafe-math-optimizations"sv, "rounding-math"sv, "signaling-nans"sv, "cx-limited-range"sv, "fp-contract"sv, "excess-precision"sv,
    "denormal-fp-math"sv, "honor-nans"sv, "honor-infinities"sv, "approx-func"sv,
    "openmp"sv, "openmp-simd"sv, "vectorize"sv, "slp-vectorize"sv, "tree-vectorize"sv, "tree-slp-vectorize"sv, "tree-loop-vectorize"sv,
    "vect-cost-model"sv, "simd-cost-model"sv, "unroll-loops"sv, "unroll-all-loops"sv, "peel-loops"sv, "split-loops"sv, "split-paths"sv,
    "unswitch-loops"sv, "unroll-and-jam"sv, "loop-unroll-and-jam"sv, "version-loops-for-strides"sv, "loop-interchange"sv, "loop-block"sv,
    "loop-strip-mine"sv, "loop-nest-optimize"sv, "loop-parallelize-all"sv, "tree-loop-distribution"sv, "tree-loop-distribute-patterns"sv,
    "tree-loop-im"sv, "tree-loop-ivcanon"sv, "tree-parallelize-loops"sv, "prefetch-loop-arrays"sv, "ivopts"sv, "gcse"sv, "gcse-las"sv,
    "gcse-sm"sv, "gcse-after-reload"sv, "predictive-commoning"sv, "modulo-sched"sv, "web"sv, "rename-registers"sv, "schedule-insns"sv,
    "schedule-insns2"sv, "sched-pressure"sv, "selective-scheduling"sv, "selective-scheduling2"sv, "reschedule-modulo-scheduled-loops"sv,
    "ipa-pta"sv, "ipa-cp-clone"sv, "inline"sv, "inline-functions"sv, "inline-limit"sv, "early-inlining"sv, "omit-frame-pointer"sv,
    "align-loops"sv, "align-functions"sv, "align-jumps"sv, "align-labels"sv, "strict-aliasing"sv, "aliasing"sv, "wrapv"sv,
    "exceptions"sv, "rtti"sv, "asynchronous-unwind-tables"sv, "stack-protector"sv, "plt"sv, "semantic-interposition"sv, "visibility"sv,
    "builtin"sv, "branch-count-reg"sv, "tree-vrp"sv, "tree-pre"sv, "if-conversion"sv, "if-conversion2"sv, "store-merging"sv,
    "allow-store-data-races"sv, "tree-ter"sv, "split-wide-types"sv, "live-range-shrinkage"sv, "ira-region"sv, "ira-algorithm"sv,
    "float-store"sv, "single-precision-constant"sv, "stack-protector-strong"sv, "merge-all-constants"sv, "function-sections"sv, "data-sections"sv, "common"sv, "ident"sv,
    "cf-protection"sv, "stack-clash-protection"sv, "ira-loop-pressure"sv, "tree-sra"sv, "ipa-sra"sv, "tree-dce"sv, "graphite-identity"sv, "finite-loops"sv,
    "delete-null-pointer-checks"sv, "fp-int-builtin-inexact"sv, "trapv"sv, "strict-overflow"sv, "cx-fortran-rules"sv, "non-call-exceptions"sv, "coroutines"sv, "concepts"sv,
    "template-depth"sv, "constexpr-depth"sv, "threadsafe-statics"sv, "unsigned-char"sv, "signed-char"sv, "short-enums"sv, "permissive"sv};

constexpr std::array whole{"-w"sv, "-g0"sv, "-pthread"sv, "-pipe"sv, "-pedantic"sv};

bool plain(std::string_view s, std::string_view also) {
  return std::all_of(s.begin(), s.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || also.find(c) != std::string_view::npos;
  });
}

bool code_generation(std::string_view flag) {
  std::string_view name = flag.substr(2, flag.find('=') == std::string_view::npos ? flag.npos : flag.find('=') - 2);
  if (name.starts_with("no-"))
    name.remove_prefix(3);
  return plain(flag.substr(1), "-=._") && std::find(switches.begin(), switches.end(), name) != switches.end();
}

bool machine(std::string_view flag) { // -march=native, -mavx512f, -mprefer-vector-width=512
  return plain(flag.substr(1), "-=._+") && flag != "-mrecord-mcount" && !flag.starts_with("-mllvm") && !flag.starts_with("-mcmodel") &&
         !flag.starts_with("-mstack-protector") && !flag.starts_with("-mtls") && !flag.starts_with("-mfentry");
}

} // namespace

std::string refuse_flag(const std::string& flag) {
  const std::string_view f = flag;
  const bool allowed = std::find(whole.begin(), whole.end(), f) != whole.end() ||
                       (f.starts_with("-O") && (f.size() <= 3 || f == "-Ofast") && plain(f.substr(1), "")) ||
                       (f.starts_with("-std=") && plain(f.substr(5), "+")) || (f.starts_with("-W") && f.find(',') == f.npos && plain(f.substr(2), "-=_+")) ||
                       (f.starts_with("-D") && f.size() > 2 && plain(f.substr(2), "_=.-+")) || (f.starts_with("--param=") && plain(f.substr(8), "-=")) ||
                       (f.starts_with("-m") && f.size() > 2 && machine(f)) || (f.starts_with("-f") && f.size() > 2 && code_generation(f));
  return allowed ? std::string() : "flag '" + scrub(flag, 200) + "' is not on the list of flags that candidates may use";
}

std::string refuse_path(const std::string& path) {
  const bool odd = path.empty() || path.size() > 200 || path[0] == '/' || path[0] == '-' || path[0] == '@' || !plain(path, "._-+/");
  bool climbs = false;
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t to = std::min(path.find('/', from), path.size());
    const std::string_view part = std::string_view(path).substr(from, to - from);
    climbs |= part == ".." || part == "." || part.empty() || part[0] == '-';
    from = to + 1;
  }
  if (odd || climbs || path == "kevolve.h" || path.starts_with("kevolve-"))
    return "source path '" + scrub(path, 200) + "' is not allowed: relative, of letters, digits, '.', '_', '-' and '+', without '..'";
  return {};
}

} // namespace kevolve::agent
