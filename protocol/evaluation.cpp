#include "protocol/evaluation.hpp"

namespace kevolve {

std::string_view to_string(outcome o) noexcept {
  switch (o) {
    case outcome::passed: return "passed";
    case outcome::compile_error: return "compile_error";
    case outcome::runtime_error: return "runtime_error";
    case outcome::timeout: return "timeout";
    case outcome::incorrect_shape: return "incorrect_shape";
    case outcome::incorrect_numerical: return "incorrect_numerical";
    case outcome::incorrect_dtype: return "incorrect_dtype";
    case outcome::reward_hack: return "reward_hack";
    case outcome::quarantined: return "quarantined";
    case outcome::infrastructure: return "infrastructure";
  }
  return "unknown";
}

bool is_candidate_fault(outcome o) noexcept {
  return o != outcome::passed && o != outcome::quarantined && o != outcome::infrastructure;
}

std::string_view to_string(bound b) noexcept {
  switch (b) {
    case bound::unknown: return "unknown";
    case bound::memory: return "memory";
    case bound::compute: return "compute";
    case bound::latency: return "latency";
    case bound::occupancy: return "occupancy";
    case bound::launch: return "launch";
  }
  return "unknown";
}

} // namespace kevolve
