// Runs what the generator prints: compiles candidates to shared objects, calls them over the native ABI and compares with the float64
// interpreter. For tests and for the bench driver; compiles several candidates in one compiler call by renaming their entry points.
#pragma once

#include "node-agent/oracle.hpp"
#include "protocol/candidate.hpp"
#include "protocol/operator.hpp"

#include <memory>
#include <string>
#include <vector>

namespace kevolve::workbench {

using bytes = std::vector<std::uint8_t>;

/// A compiled candidate.
class kernel {
public:
  int run(const operator_definition& op, const axis_binding& axes, std::vector<bytes>& inputs, std::vector<bytes>& outputs) const;
  using run_function = int (*)(const void*, void*, const std::int64_t*, void*, void*);
  using bytes_function = std::int64_t (*)(const std::int64_t*);
  run_function entry = nullptr;
  bytes_function workspace = nullptr;
  std::shared_ptr<void> library;
};

/// Compiles all candidates (equal flags and compiler) in one call. On failure `log` holds the compiler's words and the result is empty.
std::vector<kernel> compile(const std::vector<candidate>& candidates, std::string& log);

/// Random inputs of the operator's types: normal reals (with `special`: NaN, infinities, zeros and subnormal numbers among them), small
/// integers, fair booleans.
std::vector<agent::oracle_tensor> draw_inputs(const operator_definition& op, const axis_binding& axes, std::uint64_t seed, bool special = false);
std::vector<bytes> native(const std::vector<agent::oracle_tensor>& tensors, const std::vector<tensor_spec>& specs);

/// Empty when every output agrees; else the first difference, in words.
std::string compare(const operator_definition& op, const std::vector<agent::oracle_tensor>& expected, const std::vector<bytes>& found, double tolerance);

/// Compiles, runs and compares on each binding; empty when all agree.
std::string verify(const operator_definition& op, const candidate& c, const kernel& k, const std::vector<axis_binding>& bindings, std::uint64_t seed, double tolerance, bool special = false);

} // namespace kevolve::workbench
