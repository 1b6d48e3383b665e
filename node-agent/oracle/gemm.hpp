// Matrix product in double, cache-blocked and packed, one thread; the reference for contractions and convolutions. Strides in elements, so
// that transposed views need no copy. Shares nothing with the generator's matmul.
#pragma once

#include <cstdint>

namespace kevolve::agent::oracle {

struct matrix_view {
  const double* data;
  std::int64_t row_stride;
  std::int64_t column_stride;
};

/// c[m][n] (row-major, `c_stride` between rows) += a[m][k] * b[k][n].
void accumulate_product(std::int64_t m, std::int64_t n, std::int64_t k, matrix_view a, matrix_view b, double* c, std::int64_t c_stride);

} // namespace kevolve::agent::oracle
