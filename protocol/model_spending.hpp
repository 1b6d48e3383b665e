// What models took, or may take: a request counts at its reservation, the most that it can cost, until its answer is there. Pure data.
#pragma once

#include <cstdint>

namespace kevolve {

struct model_spending {
  std::uint64_t tokens = 0; // read and written
  double usd = 0;
};

} // namespace kevolve
