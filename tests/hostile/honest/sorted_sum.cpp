// what: sorts each row's squares before it adds them, the smallest first; bits of squares are in order as integers, NaN included
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 | -DKIND=7 | -DKIND=8
#include "kevolve.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <vector>

using bits = unsigned;
static bits bits_of(float v) { return __builtin_bit_cast(bits, v); }
static float value_of(bits b) { return __builtin_bit_cast(float, b); }

#if KIND == 7
static int compare(const void* a, const void* b) {
  const bits p = *(const bits*)a, q = *(const bits*)b;
  return p < q ? -1 : p > q;
}
#endif

static float sum(const float* x, kevolve_int64 n) {
  std::vector<bits> squares;
  squares.reserve((std::size_t)n);
  for (kevolve_int64 j = 0; j < n; ++j)
    squares.push_back(bits_of(x[j] * x[j]));
  float s = 0;
#if KIND == 1
  std::sort(squares.begin(), squares.end());
#elif KIND == 2
  std::stable_sort(squares.begin(), squares.end());
#elif KIND == 3
  std::make_heap(squares.begin(), squares.end());
  std::sort_heap(squares.begin(), squares.end());
#elif KIND == 4
  const std::multiset<bits> in_order(squares.begin(), squares.end());
  squares.assign(in_order.begin(), in_order.end());
#elif KIND == 5 // equal ones counted
  std::map<bits, unsigned> counts;
  for (const bits b : squares)
    ++counts[b];
  for (const auto& [b, count] : counts)
    s += value_of(b) * (float)count;
  return s;
#elif KIND == 6 // the two smallest are added until one is left
  std::priority_queue<bits, std::vector<bits>, std::greater<bits>> queue(squares.begin(), squares.end());
  while (queue.size() > 1) {
    const float a = value_of(queue.top());
    queue.pop();
    const float b = value_of(queue.top());
    queue.pop();
    queue.push(bits_of(a + b));
  }
  return value_of(queue.top());
#elif KIND == 7
  std::qsort(squares.data(), squares.size(), sizeof(bits), compare);
#else // radix sort by bytes
  std::vector<bits> other(squares.size());
  for (unsigned shift = 0; shift < 32; shift += 8) {
    std::size_t place[257] = {};
    for (const bits b : squares)
      ++place[(b >> shift & 255) + 1];
    for (unsigned d = 0; d < 256; ++d)
      place[d + 1] += place[d];
    for (const bits b : squares)
      other[place[b >> shift & 255]++] = b;
    squares.swap(other);
  }
#endif
  for (const bits b : squares)
    s += value_of(b);
  return s;
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = 1.0f / __builtin_sqrtf(sum(x + i * h, h) / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
