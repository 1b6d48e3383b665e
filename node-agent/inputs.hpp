// The inputs that the judge draws: deterministic in (definition, axes, case, seed), so that a failing case can be made again. A case is a
// kind of values on one binding of the axes. Only inputs drawn from a normal distribution are stressed: any other distribution is taken as
// the operator's domain (a variance, a probability, an index) and kept in every case. Pure; any thread.
#pragma once

#include "node-agent/oracle.hpp"
#include "protocol/operator.hpp"
#include "protocol/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kevolve::agent {

enum class case_kind : std::uint8_t {
  random,        // the definition's distributions
  zeros,         // +0 and -0
  constant_rows, // each row one small integer: variances vanish
  ties,          // small integers: extrema repeat
  negative,      // below zero throughout
  indexed,       // each element tells its place
  large,         // as large as the operator bears at its precision (see expectation.hpp)
  denormal,      // subnormal and barely normal numbers
  cancelling,    // neighbours cancel to little
  not_finite,    // NaN and ±Inf among ordinary numbers
};
constexpr std::uint64_t enum_max(case_kind) { return static_cast<std::uint64_t>(case_kind::not_finite); }
std::string_view to_string(case_kind kind) noexcept;

struct check_case {
  axis_binding variable_axes;
  case_kind kind = case_kind::random;
  std::uint64_t seed = 0;
  double magnitude = 1;   // of `large` and `cancelling`; chosen by `expect`
  bool optional = false;  // an odd size that the operator may not accept: an error while preparing it is not a finding
  std::string workload;   // uuid where the axes are a workload's

  /// "M=7, denormal": for messages.
  [[nodiscard]] std::string describe() const;
};

/// What a check runs: every workload with random inputs, then odd sizes of the variable axes (1, primes, one past a multiple of 16) with
/// random inputs, then each adversarial kind on small sizes. Sizes respect the constraints; without variable axes only the given sizes.
/// Seeds are drawn from `seed`: a fresh one for each evaluation.
std::vector<check_case> plan_cases(const problem& subject, std::uint64_t seed);

struct tensor_layout {
  std::string name;
  dtype type = dtype::float32;
  std::vector<std::int64_t> shape;
  std::size_t bytes = 0;
};
/// Dense layouts under bound axes (`bind_axes`). Errors name the tensor.
result<std::vector<tensor_layout>> layouts(const std::vector<tensor_spec>& tensors, const axis_binding& axes);

/// Writes input number `index` of the case. `given` are the workload's own inputs (scalars); may be empty.
result<void> fill_input(const operator_definition& op, std::size_t index, const tensor_layout& layout, const check_case& what,
                        const std::vector<workload_input>& given, std::span<std::byte> to);

/// All inputs of a case as bytes in memory of their own, one vector each.
result<std::vector<std::vector<std::byte>>> make_inputs(const operator_definition& op, const std::vector<tensor_layout>& inputs,
                                                        const check_case& what, const std::vector<workload_input>& given);

} // namespace kevolve::agent
