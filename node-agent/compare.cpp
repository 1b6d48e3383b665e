#include "node-agent/compare.hpp"

#include "node-agent/storage.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace kevolve::agent {
namespace {

constexpr std::size_t block = 2048; // elements looked at together; a block without a suspect is done in one vector loop
constexpr double relative_floor = 1e-8;

struct extremes {
  double absolute = 0;
  double relative = 0;
};

/// Elements that are not surely within bounds. Written for the vectoriser (-fopenmp-simd lets it reorder the maxima).
template <class T>
[[gnu::always_inline]] inline std::int64_t suspects(const T* found, const double* exact, std::int64_t n, double floor, double rtol,
                                                    double atol, extremes& worst) {
  std::int64_t count = 0;
  double absolute = 0, relative = 0;
#pragma omp simd reduction(+ : count) reduction(max : absolute, relative)
  for (std::int64_t i = 0; i < n; ++i) {
    double size = std::abs(exact[i]);
    double error = std::abs(static_cast<double>(found[i]) - exact[i]);
    double limit = rtol * size;
    limit = limit > floor ? limit : floor;
    count += error <= limit ? 0 : 1; // NaN is a suspect
    double ratio = size > atol ? error / (size + relative_floor) : 0;
    absolute = error > absolute ? error : absolute;
    relative = ratio > relative ? ratio : relative;
  }
  if (count == 0) {
    worst.absolute = std::max(worst.absolute, absolute);
    worst.relative = std::max(worst.relative, relative);
  }
  return count;
}

#if defined(__x86_64__)
#define KEVOLVE_FOR_ISA(name, isa)                                                                                                   \
  __attribute__((target(isa))) std::int64_t name(const float* found, const double* exact, std::int64_t n, double floor, double rtol,   \
                                                 double atol, extremes& worst) {                                                      \
    return suspects(found, exact, n, floor, rtol, atol, worst);                                                                       \
  }
KEVOLVE_FOR_ISA(suspects_avx512, "avx512f")
KEVOLVE_FOR_ISA(suspects_avx2, "avx2")
#undef KEVOLVE_FOR_ISA
#endif
std::int64_t suspects_portable(const float* found, const double* exact, std::int64_t n, double floor, double rtol, double atol,
                               extremes& worst) {
  return suspects(found, exact, n, floor, rtol, atol, worst);
}
std::int64_t suspects_of(const double* found, const double* exact, std::int64_t n, double floor, double rtol, double atol,
                         extremes& worst) {
  return suspects(found, exact, n, floor, rtol, atol, worst);
}
std::int64_t suspects_of(const float* found, const double* exact, std::int64_t n, double floor, double rtol, double atol,
                         extremes& worst) {
#if defined(__x86_64__)
  static const auto chosen = __builtin_cpu_supports("avx512f") ? suspects_avx512
                             : __builtin_cpu_supports("avx2")  ? suspects_avx2
                                                               : suspects_portable;
  return chosen(found, exact, n, floor, rtol, atol, worst);
#else
  return suspects_portable(found, exact, n, floor, rtol, atol, worst);
#endif
}

std::string number_text(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", x);
  return text;
}

/// "element [3, 17] (12305): found 1.5, expected 0.25".
std::string failure_text(const std::vector<std::int64_t>& shape, std::size_t at, const std::string& found, const std::string& expected) {
  std::string place;
  auto rest = static_cast<std::int64_t>(at);
  for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d])
    place = std::to_string(rest % shape[d]) + (place.empty() ? "" : ", ") + place;
  return "element [" + place + "] (" + std::to_string(at) + "): found " + found + ", expected " + expected;
}

class comparison_of_reals {
public:
  comparison_of_reals(const expected_output& expected, const tolerance& allowed)
      : expected_(expected), type_(expected.exact.type), bitwise_(allowed.bitwise), atol_(allowed.bitwise ? 0 : allowed.atol),
        rtol_(allowed.bitwise ? 0 : std::max(allowed.rtol, format_of(type_).epsilon())) {}

  template <class T>
  void run(const T* found, std::size_t from, std::size_t count) {
    const double* exact = expected_.exact.reals.data();
    for (std::size_t at = from; at < from + count;) {
      auto stop = std::min(from + count, at + block);
      double slack = 0;
      if (!bitwise_ && !expected_.slack.empty()) {
        auto width = static_cast<std::size_t>(expected_.slack_width);
        slack = expected_.slack[at / width];
        stop = std::min(stop, (at / width + 1) * width);
      }
      double floor = std::max(atol_, slack);
      auto n = static_cast<std::int64_t>(stop - at);
      if (!expected_.undetermined.empty() || bitwise_ || suspects_of(found + (at - from), exact + at, n, floor, rtol_, atol_, worst_))
        one_by_one(found + (at - from), at, stop, floor);
      else
        out_.compared += stop - at;
      at = stop;
    }
  }

  agreement finish(double matched_ratio) {
    out_.max_absolute_error = worst_.absolute;
    out_.max_relative_error = worst_.relative;
    auto matched = static_cast<double>(out_.compared - out_.failed);
    if (out_.failed && (not_finite_failed_ || matched < matched_ratio * static_cast<double>(out_.compared)))
      out_.agrees = false;
    return out_;
  }

private:
  /// The output's row (its last axis) that an element lies in.
  [[nodiscard]] std::size_t row_of(std::size_t at) const {
    const auto& shape = expected_.exact.shape;
    return shape.empty() || shape.back() <= 0 ? at : at / static_cast<std::size_t>(shape.back());
  }
  bool holds_nan(std::size_t row) {
    if (row != looked_at_) {
      const auto& shape = expected_.exact.shape;
      const std::size_t width = shape.empty() ? 1 : static_cast<std::size_t>(shape.back()), begin = row * width;
      const auto& exact = expected_.exact.reals;
      looked_at_ = row;
      nan_there_ = std::any_of(exact.begin() + static_cast<std::ptrdiff_t>(begin), exact.begin() + static_cast<std::ptrdiff_t>(std::min(begin + width, exact.size())),
                               [](double x) { return x != x; });
    }
    return nan_there_;
  }

  template <class T>
  void one_by_one(const T* found, std::size_t from, std::size_t to, double floor) {
    for (std::size_t at = from; at < to; ++at) {
      if (!expected_.undetermined.empty() && expected_.undetermined[at])
        continue;
      ++out_.compared;
      double is = static_cast<double>(found[at - from]);
      double exact = expected_.exact.reals[at];
      double rounded = round_to(type_, exact);
      bool finite = std::isfinite(is) && std::isfinite(rounded);
      bool fails = finite ? !(std::abs(is - (bitwise_ ? rounded : exact)) <= std::max(floor, rtol_ * std::abs(exact)))
                          : !(is == rounded || (is != is && (rounded != rounded || (!bitwise_ && holds_nan(row_of(at))))));
      if (finite) {
        double error = std::abs(is - exact);
        worst_.absolute = std::max(worst_.absolute, error);
        if (std::abs(exact) > atol_)
          worst_.relative = std::max(worst_.relative, error / (std::abs(exact) + relative_floor));
      } else {
        not_finite_failed_ |= fails;
      }
      if (fails && out_.failed++ == 0)
        out_.first_failure = failure_text(expected_.exact.shape, at, number_text(is), number_text(rounded));
    }
  }

  const expected_output& expected_;
  dtype type_;
  bool bitwise_;
  double atol_;
  double rtol_;
  extremes worst_;
  agreement out_;
  bool not_finite_failed_ = false;
  std::size_t looked_at_ = static_cast<std::size_t>(-1);
  bool nan_there_ = false;
};

agreement compare_reals(const expected_output& expected, std::size_t first, std::size_t count, std::span<const std::byte> found,
                        const tolerance& allowed) {
  comparison_of_reals work(expected, allowed);
  auto type = expected.exact.type;
  if (type == dtype::float32 && reinterpret_cast<std::uintptr_t>(found.data()) % alignof(float) == 0) {
    work.run(reinterpret_cast<const float*>(found.data()), first, count);
  } else {
    std::array<double, block> buffer;
    auto width = size_of(type);
    for (std::size_t at = 0; at < count; at += block) {
      auto n = std::min(block, count - at);
      decode(type, found.subspan(at * width, n * width), buffer.data());
      work.run(buffer.data(), first + at, n);
    }
  }
  return work.finish(allowed.bitwise ? 1 : allowed.matched_ratio);
}

agreement compare_integers(const expected_output& expected, std::size_t first, std::size_t count, std::span<const std::byte> found,
                           const tolerance& allowed) {
  agreement out;
  std::array<std::int64_t, block> buffer;
  const std::int64_t* exact = expected.exact.integers.data() + first;
  auto width = size_of(expected.exact.type);
  for (std::size_t at = 0; at < count; at += block) {
    auto n = std::min(block, count - at);
    decode(expected.exact.type, found.subspan(at * width, n * width), buffer.data());
    for (std::size_t i = 0; i < n; ++i) {
      if (!expected.undetermined.empty() && expected.undetermined[first + at + i])
        continue;
      ++out.compared;
      auto should = exact[at + i];
      if (buffer[i] == should)
        continue;
      double error = std::abs(static_cast<double>(buffer[i]) - static_cast<double>(should));
      out.max_absolute_error = std::max(out.max_absolute_error, error);
      out.max_relative_error = std::max(out.max_relative_error, error / (std::abs(static_cast<double>(should)) + relative_floor));
      if (out.failed++ == 0)
        out.first_failure = failure_text(expected.exact.shape, first + at + i, std::to_string(buffer[i]), std::to_string(should));
    }
  }
  auto matched = static_cast<double>(out.compared - out.failed);
  out.agrees = !out.failed || (!allowed.bitwise && matched >= allowed.matched_ratio * static_cast<double>(out.compared));
  return out;
}

} // namespace

agreement compare_part(const expected_output& expected, std::size_t first, std::size_t count, std::span<const std::byte> found,
                       const tolerance& allowed) {
  auto floating = is_floating(expected.exact.type);
  auto wanted = count * size_of(expected.exact.type);
  if (found.size() != wanted) {
    agreement out;
    out.agrees = false;
    out.failed = count;
    out.first_failure = "found " + std::to_string(found.size()) + " bytes, expected " + std::to_string(wanted);
    return out;
  }
  return floating ? compare_reals(expected, first, count, found, allowed) : compare_integers(expected, first, count, found, allowed);
}

agreement compare(const expected_output& expected, std::span<const std::byte> found, const tolerance& allowed) {
  auto count = is_floating(expected.exact.type) ? expected.exact.reals.size() : expected.exact.integers.size();
  return compare_part(expected, 0, count, found, allowed);
}

} // namespace kevolve::agent
