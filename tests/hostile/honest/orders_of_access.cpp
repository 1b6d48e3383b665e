// what: visits the output's elements along curves, in shuffled order or by a table of places; every element comes once
// operator: product
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6
#include "kevolve.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const long m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  const auto element = [=](long i, long j) {
    float s = 0;
    for (long l = 0; l < k; ++l)
      s += a[i * k + l] * b[l * n + j];
    c[i * n + j] = s;
  };
  [[maybe_unused]] long side = 1;
  while (side < m || side < n)
    side *= 2;
#if KIND == 1 // bits of row and column interleaved
  for (long z = 0; z < side * side; ++z) {
    long i = 0, j = 0;
    for (int bit = 0; bit < 20; ++bit) {
      j |= (z >> 2 * bit & 1) << bit;
      i |= (z >> (2 * bit + 1) & 1) << bit;
    }
    if (i < m && j < n)
      element(i, j);
  }
#elif KIND == 2 // Hilbert's curve
  for (long d = 0; d < side * side; ++d) {
    long i = 0, j = 0, t = d;
    for (long s = 1; s < side; s *= 2, t /= 4) {
      const long down = 1 & t / 2, right = 1 & (t ^ down);
      if (right == 0) {
        if (down == 1) {
          i = s - 1 - i;
          j = s - 1 - j;
        }
        std::swap(i, j);
      }
      i += s * down;
      j += s * right;
    }
    if (i < m && j < n)
      element(i, j);
  }
#elif KIND == 3 // shuffled, differently in each call
  static std::mt19937_64 random(12345);
  std::vector<long> order((unsigned long)(m * n));
  std::iota(order.begin(), order.end(), 0l);
  std::shuffle(order.begin(), order.end(), random);
  for (const long e : order)
    element(e / n, e % n);
#elif KIND == 4 // diagonals
  for (long d = 0; d < m + n - 1; ++d)
    for (long i = std::max(0l, d - n + 1); i < m && i <= d; ++i)
      element(i, d - i);
#elif KIND == 5 // a spiral from the outside to the middle
  for (long top = 0, left = 0, bottom = m - 1, right = n - 1; top <= bottom && left <= right; ++top, ++left, --bottom, --right) {
    for (long j = left; j <= right; ++j)
      element(top, j);
    for (long i = top + 1; i <= bottom; ++i)
      element(i, right);
    for (long j = right - 1; bottom > top && j >= left; --j)
      element(bottom, j);
    for (long i = bottom - 1; right > left && i > top; --i)
      element(i, left);
  }
#else // a full cycle of a linear congruential generator, places outside skipped
  long e = 0;
  for (long step = 0; step < side * side; ++step) {
    e = (5 * e + 3) % (side * side);
    if (e / side < m && e % side < n)
      element(e / side, e % side);
  }
#endif
  return 0;
}
