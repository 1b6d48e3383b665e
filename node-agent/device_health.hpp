// Whether a device still does what it did when it was calibrated, by golden runs (golden.hpp) every so often. Pure: runs and times in, verdicts out; owned by the thread that
// makes the runs (golden_watch.hpp). What always holds: wrong results and silence suspend at once, slowness only several runs in a row, so that a host that is busy for a while
// suspends nothing; a suspended device serves again after good runs in a row, but for one that gave wrong results: it is never due again.
#pragma once

#include <cstdint>
#include <string>

namespace kevolve::agent {

struct golden_rates {
  double computes = 0;            // flop/s of the best call
  double computes_throughout = 0; // flop/s over all calls of the run; of a calibration: 0
  double copies = 0;              // bytes/s of the best call
};

struct golden_run {
  enum class end : std::uint8_t { good, wrong, silent, failed }; // failed: the kernel did not come to an end of its own
  end how = end::good;
  golden_rates found;             // good only
  std::string detail;             // otherwise: what was wrong
};

class device_health {
public:
  struct settings {
    double every_s = 600;         // between runs of a device that serves
    double first_s = 5;           // after the start
    double doubt_s = 30;          // after a bad run
    double suspended_s = 60;      // while it is suspended
    unsigned bad_runs = 3;        // in a row, that suspend
    unsigned good_runs = 2;       // in a row, after which it serves again
    double calibrate_s = 3600;    // at least, between calibrations for being faster
  };
  enum class verdict : std::uint8_t { goes_on, doubted, suspended, serves_again, to_be_calibrated };

  device_health(const settings& how, double now_s);
  [[nodiscard]] bool is_due(double now_s) const { return now_s >= next_s_; }
  /// A run could not be made: others measured, or nothing is calibrated yet.
  void put_off(double now_s);
  verdict heard(const golden_run& run, const golden_rates& calibrated, double now_s);
  /// Why it is suspended; empty: it serves.
  [[nodiscard]] const std::string& why_suspended() const { return why_; }
  /// Of the newest run, for people: "computes 478 of 482 GFLOP/s at its best and 470 throughout, copies 98.1 of 114 GB/s".
  [[nodiscard]] const std::string& newest() const { return newest_; }

private:
  verdict bad(const std::string& why, bool at_once, double now_s);

  settings how_;
  double next_s_;
  unsigned bad_in_a_row_ = 0, good_in_a_row_ = 0;
  double calibrated_s_;           // when it was asked for last
  std::string why_, newest_;
};

} // namespace kevolve::agent
