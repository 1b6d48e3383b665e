#include "node-agent/device_health.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace kevolve::agent {
namespace {

// Shares of what calibration found. Single calls last a millisecond, so that the best of them tells the device's own speed on a busy host, too; half of it is what a thread keeps
// whose core computes for another device slot or virtual machine as well. A whole run tells what the device really gets: beside ten processes on two cores 0.21 to 0.31 (and single
// calls 1.03 to 1.09). Bandwidth is shared by a whole machine: beside those ten 0.39 to 1.1, and calibrations of one virtual machine found 53 to 114 GB/s.
constexpr double least_computes = 1.0 / 3;
constexpr double least_throughout = 1.0 / 10;
constexpr double least_copies = 1.0 / 8;
constexpr double much_faster = 1.5;

bool is_slow(const golden_rates& found, const golden_rates& calibrated) {
  return found.computes < least_computes * calibrated.computes || found.computes_throughout < least_throughout * calibrated.computes || found.copies < least_copies * calibrated.copies;
}

bool is_much_faster(const golden_rates& found, const golden_rates& calibrated) {
  return found.computes > much_faster * calibrated.computes || found.copies > much_faster * calibrated.copies;
}

std::string told(const golden_rates& found, const golden_rates& calibrated) {
  return fmt::format("computes {:.3g} of {:.3g} GFLOP/s at its best and {:.3g} throughout, copies {:.3g} of {:.3g} GB/s", found.computes * 1e-9, calibrated.computes * 1e-9,
                     found.computes_throughout * 1e-9, found.copies * 1e-9, calibrated.copies * 1e-9);
}

} // namespace

device_health::device_health(const settings& how, double now_s)
    : how_(how), next_s_(now_s + std::min(how.first_s, how.every_s)), calibrated_s_(-std::numeric_limits<double>::infinity()) {}

void device_health::put_off(double now_s) { next_s_ = now_s + std::min(how_.doubt_s, how_.every_s); }

device_health::verdict device_health::heard(const golden_run& run, const golden_rates& calibrated, double now_s) {
  newest_ = run.how == golden_run::end::good ? told(run.found, calibrated) : run.detail;
  switch (run.how) {
    case golden_run::end::wrong:
      why_ = "it errs: " + run.detail + "; until the agent is started again";
      next_s_ = std::numeric_limits<double>::infinity();
      return verdict::suspended;
    case golden_run::end::silent: return bad("it hangs: " + run.detail, true, now_s);
    case golden_run::end::failed: return bad("it errs: " + run.detail, false, now_s);
    case golden_run::end::good: break;
  }
  if (is_slow(run.found, calibrated))
    return bad("it drifts: " + newest_, false, now_s);
  bad_in_a_row_ = 0;
  ++good_in_a_row_;
  if (!why_.empty()) {
    next_s_ = now_s + std::min(how_.suspended_s, how_.every_s);
    if (good_in_a_row_ < how_.good_runs)
      return verdict::goes_on;
    why_.clear();
    next_s_ = now_s + how_.every_s;
    return verdict::serves_again;
  }
  next_s_ = now_s + how_.every_s;
  if (!is_much_faster(run.found, calibrated) || now_s - calibrated_s_ < how_.calibrate_s)
    return verdict::goes_on;
  calibrated_s_ = now_s;
  return verdict::to_be_calibrated;
}

/// A suspended device keeps its first reason.
device_health::verdict device_health::bad(const std::string& why, bool at_once, double now_s) {
  good_in_a_row_ = 0;
  ++bad_in_a_row_;
  const bool suspends = why_.empty() && (at_once || bad_in_a_row_ >= how_.bad_runs);
  if (suspends)
    why_ = at_once ? why : why + fmt::format(" ({} golden runs in a row)", bad_in_a_row_);
  next_s_ = now_s + std::min(why_.empty() ? how_.doubt_s : how_.suspended_s, how_.every_s);
  return suspends ? verdict::suspended : why_.empty() ? verdict::doubted : verdict::goes_on;
}

} // namespace kevolve::agent
