// plan -> readable C++ for the native ABI. Deterministic: equal plans give equal text. Pure; any thread.
#pragma once

#include "actors/synthesis/emit.hpp"

namespace kevolve::synthesis {

/// The whole source file; `title` lines open it as a comment.
std::string print_kernel(const program& p, const plan& how, const std::vector<std::string>& title);

/// A buffer of the workspace; `per_thread` ones are laid out once for each thread.
struct workspace_buffer {
  std::string name;
  std::string type = "float";
  std::string elements; // C++ text over the axes
  bool per_thread = false;
};

struct printed_nest {
  std::string code;
  std::string once; // of a nest in a loop over steps: what comes before the loop
  std::vector<workspace_buffer> buffers;
};
printed_nest print_rows(kernel_state& k, const nest& n);
printed_nest print_contraction(kernel_state& k, const nest& n);

/// This thread's part of a buffer that each has (the only one, outside of threads).
std::string thread_buffer_text(const workspace_buffer& b, bool threads = true);
index elements_of(const value& v);
std::string indented(const std::string& code, int levels);

} // namespace kevolve::synthesis
