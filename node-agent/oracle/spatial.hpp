// Up to three spatial dimensions in one form: leading ones are 1, so that one triple loop serves pooling and convolution of any rank.
#pragma once

#include "node-agent/oracle/call.hpp"

#include <array>

namespace kevolve::agent::oracle {

using triple = std::array<std::int64_t, 3>;

/// The last `rank` entries of a list, one entry repeated where there is only one; `missing` in front, and for an empty list.
inline triple triple_of(const extents& list, std::size_t rank, std::int64_t missing) {
  triple out{missing, missing, missing};
  if (rank > 3)
    refuse("more than three spatial dimensions");
  for (std::size_t d = 0; d < rank && !list.empty(); ++d)
    out[3 - rank + d] = list.size() == 1 ? list[0] : list.at(list.size() - rank + d);
  return out;
}

inline std::int64_t volume(const triple& t) { return t[0] * t[1] * t[2]; }

} // namespace kevolve::agent::oracle
