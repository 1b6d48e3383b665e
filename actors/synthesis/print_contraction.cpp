#include "actors/synthesis/print.hpp"

namespace kevolve::synthesis {
printed_nest print_contraction(kernel_state& k, const nest& n) { return print_rows(k, n); }
} // namespace kevolve::synthesis
