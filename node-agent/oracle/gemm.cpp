#include "node-agent/oracle/gemm.hpp"

#include <algorithm>
#include <vector>

namespace kevolve::agent::oracle {
namespace {

// Goto and van de Geijn's blocking: a 6x8 register tile, B packed to panels of 8 columns that stay in L2, A to panels of 6 rows in L1.
constexpr std::int64_t tile_rows = 6;
constexpr std::int64_t tile_columns = 8;
constexpr std::int64_t block_k = 256;
constexpr std::int64_t block_m = 96;   // 96 x 256 doubles = 192 KiB
constexpr std::int64_t block_n = 2048; // 256 x 2048 doubles = 4 MiB

typedef double vector8 __attribute__((vector_size(64)));

[[gnu::always_inline]] inline void tile_body(std::int64_t k, const double* a, const double* b, double* out) {
  vector8 sum[tile_rows] = {};
  for (std::int64_t p = 0; p < k; ++p) {
    vector8 column;
    __builtin_memcpy(&column, b + p * tile_columns, sizeof column);
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < tile_rows; ++i)
      sum[i] += a[p * tile_rows + i] * column;
  }
  __builtin_memcpy(out, sum, sizeof sum);
}

#if defined(__x86_64__)
// Chosen by hand at run time: target_clones' resolvers run before the sanitizers are up.
__attribute__((target("avx512f"))) void tile_avx512(std::int64_t k, const double* a, const double* b, double* out) {
  tile_body(k, a, b, out);
}
__attribute__((target("avx2,fma"))) void tile_avx2(std::int64_t k, const double* a, const double* b, double* out) {
  tile_body(k, a, b, out);
}
#endif
void tile_portable(std::int64_t k, const double* a, const double* b, double* out) { tile_body(k, a, b, out); }

using tile_function = void (*)(std::int64_t, const double*, const double*, double*);
tile_function choose_tile() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return tile_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return tile_avx2;
#endif
  return tile_portable;
}

/// Panels of `width` rows of `from` (columns when the strides are swapped), zero-padded: to[panel][p][row].
void pack(std::int64_t rows, std::int64_t depth, matrix_view from, std::int64_t width, double* to) {
  for (std::int64_t r = 0; r < rows; r += width) {
    auto height = std::min(width, rows - r);
    const double* base = from.data + r * from.row_stride;
    for (std::int64_t p = 0; p < depth; ++p, to += width) {
      const double* column = base + p * from.column_stride;
      for (std::int64_t i = 0; i < height; ++i)
        to[i] = column[i * from.row_stride];
      for (std::int64_t i = height; i < width; ++i)
        to[i] = 0;
    }
  }
}

std::int64_t round_up(std::int64_t x, std::int64_t step) { return (x + step - 1) / step * step; }

} // namespace

void accumulate_product(std::int64_t m, std::int64_t n, std::int64_t k, matrix_view a, matrix_view b, double* c, std::int64_t c_stride) {
  static const tile_function tile = choose_tile();
  if (m == 0 || n == 0 || k == 0)
    return;
  auto depth = std::min(k, block_k);
  std::vector<double> packed_a(static_cast<std::size_t>(round_up(std::min(m, block_m), tile_rows) * depth));
  std::vector<double> packed_b(static_cast<std::size_t>(round_up(std::min(n, block_n), tile_columns) * depth));
  alignas(64) double out[tile_rows * tile_columns];
  for (std::int64_t n0 = 0; n0 < n; n0 += block_n)
    for (std::int64_t k0 = 0; k0 < k; k0 += block_k) {
      auto columns = std::min(block_n, n - n0);
      auto now = std::min(block_k, k - k0);
      pack(columns, now, {b.data + k0 * b.row_stride + n0 * b.column_stride, b.column_stride, b.row_stride}, tile_columns,
           packed_b.data());
      for (std::int64_t m0 = 0; m0 < m; m0 += block_m) {
        auto rows = std::min(block_m, m - m0);
        pack(rows, now, {a.data + m0 * a.row_stride + k0 * a.column_stride, a.row_stride, a.column_stride}, tile_rows, packed_a.data());
        for (std::int64_t j = 0; j < columns; j += tile_columns)
          for (std::int64_t i = 0; i < rows; i += tile_rows) {
            tile(now, packed_a.data() + i * now, packed_b.data() + j * now, out);
            auto height = std::min(tile_rows, rows - i);
            auto width = std::min(tile_columns, columns - j);
            for (std::int64_t y = 0; y < height; ++y) {
              double* to = c + (m0 + i + y) * c_stride + n0 + j;
              for (std::int64_t x = 0; x < width; ++x)
                to[x] += out[y * tile_columns + x];
            }
          }
      }
    }
}

} // namespace kevolve::agent::oracle
