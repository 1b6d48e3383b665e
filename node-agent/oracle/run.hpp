// The interpreter with what the judge's expectation needs beside the outputs: rounding to declared types, and how near to overflow it came.
#pragma once

#include "node-agent/oracle.hpp"

namespace kevolve::agent::oracle {

struct run_settings {
  bool round_to_declared = false; // every floating value is rounded to its declared type
  double* headroom = nullptr;     // set to the least (largest number of the type) / (magnitude that a kernel may form on the way)
};

result<std::vector<oracle_tensor>> run(const graph& g, const axis_binding& axes, const std::vector<oracle_tensor>& inputs,
                                       run_settings settings);

} // namespace kevolve::agent::oracle
