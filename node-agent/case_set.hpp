// The judge's cases: input sets drawn from secret seeds with the outputs that the oracle expects, in buffers that programs map. Made when
// first needed and kept for the session, because the oracle costs more than a call. One thread.
#pragma once

#include "node-agent/expectation.hpp"
#include "node-agent/memory.hpp"
#include "protocol/evaluation.hpp"
#include "protocol/operator.hpp"
#include "protocol/rng.hpp"

#include <memory>
#include <string>
#include <vector>

namespace kevolve::agent {

/// One input set. `slot` is its number on every harness's channel.
struct test_case {
  std::string name;          // "M=7, denormal": for people
  std::uint32_t slot = 0;
  check_case drawn;
  axis_binding axes;         // all axes
  tolerance tolerated;
  double longest_reduction = 1;
  const std::vector<workload_input>* given = nullptr;
  std::unique_ptr<buffer_set> inputs, outputs;
  std::vector<expected_output> expected;
  bool skipped = false;      // an odd size that the operator does not accept
};

/// What a comparison of a case's outputs found.
struct case_verdict {
  outcome result = outcome::passed;
  std::string detail;
  double max_absolute_error = 0, max_relative_error = 0;
};

class case_set {
public:
  /// Errors: no graph, axes that do not bind, tensors too large.
  static result<std::unique_ptr<case_set>> make(const problem& subject, std::uint64_t seed);

  [[nodiscard]] std::size_t workloads() const { return timed_.size(); }
  [[nodiscard]] const workload& of(std::size_t w) const { return subject_.workloads[w]; }
  /// The workload's input sets: same shapes, other content, other memory.
  std::vector<test_case>& timed(std::size_t w) { return timed_[w]; }
  /// Odd sizes, and small hard inputs: zeros, large, denormal, NaN and Inf, …
  std::vector<test_case>& adversarial() { return adversarial_; }

  /// Draws inputs and makes buffers, once.
  result<void> fill(test_case& c);
  /// `fill`, and asks the oracle, once. Errors: operations that the oracle cannot run, no memory.
  result<void> expect(test_case& c);
  /// Another input set of the workload, in memory and on a slot of its own, expected outputs included; the one before it is gone.
  result<test_case*> unseen(std::size_t workload, std::uint64_t seed);
  /// Exchanges the contents of two input sets of one workload: same pointers, new content.
  static void exchange(test_case& a, test_case& b);

  /// Compares all outputs; `detail` names output and element.
  [[nodiscard]] case_verdict compare(const test_case& c) const;

  /// A few secret rows of a case's outputs: some of their elements are poisoned before a timed call, the rows compared after it.
  struct spot {
    std::size_t output, row;
  };
  static std::vector<spot> draw_spots(const test_case& c, rng& secret);
  /// Adds the rows of a few of the elements that a harness poisoned by itself before each of `calls` calls; the last one's always.
  static void add_poked(const test_case& c, std::vector<spot>& spots, std::uint64_t seed, std::uint32_t calls);
  static void poison_spots(test_case& c, const std::vector<spot>& spots, rng& secret);
  [[nodiscard]] case_verdict inspect_spots(const test_case& c, const std::vector<spot>& spots) const;

private:
  case_set() = default;
  result<test_case> bind(const check_case& drawn, const workload* of);
  problem subject_;
  std::vector<std::vector<test_case>> timed_;
  std::vector<test_case> adversarial_;
  std::unique_ptr<test_case> unseen_;
};

} // namespace kevolve::agent
