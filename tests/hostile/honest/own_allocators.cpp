// what: hands out memory itself: arenas, allocators for containers, operator new of a class, OpenMP's allocators
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 -fopenmp | -DKIND=5 -O0
#include "kevolve.h"

#include <cstddef>
#include <map>
#include <new>
#include <vector>
#if KIND == 4
#include <omp.h>
#endif

struct arena {
  alignas(64) char memory[1 << 18];
  std::size_t used;
  void* take(std::size_t bytes) {
    const std::size_t at = (used + 15) / 16 * 16;
    if (at + bytes > sizeof memory)
      throw std::bad_alloc();
    used = at + bytes;
    return memory + at;
  }
};
static arena shared; // zeros, without start-up code

template <class T>
struct from_arena {
  using value_type = T;
  from_arena() = default;
  template <class U>
  from_arena(const from_arena<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(shared.take(n * sizeof(T))); }
  void deallocate(T*, std::size_t) {}
  friend bool operator==(const from_arena&, const from_arena&) { return true; }
};

#if KIND == 3
struct square {
  float of;
  static void* operator new(std::size_t bytes) { return shared.take(bytes); }
  static void operator delete(void*) {}
};
#endif

static float sum(const float* x, kevolve_int64 h) {
  float s = 0;
  shared.used = 0;
#if KIND == 1
  std::vector<float, from_arena<float>> squares;
  for (kevolve_int64 j = 0; j < h; ++j)
    squares.push_back(x[j] * x[j]);
  for (const float v : squares)
    s += v;
#elif KIND == 2
  std::map<kevolve_int64, float, std::less<>, from_arena<std::pair<const kevolve_int64, float>>> squares;
  for (kevolve_int64 j = h; j-- > 0;)
    squares[j] = x[j] * x[j];
  for (const auto& [j, v] : squares)
    s += v;
#elif KIND == 3
  std::vector<square*> squares;
  for (kevolve_int64 j = 0; j < h; ++j)
    squares.push_back(new square{x[j] * x[j]});
  for (const square* v : squares) {
    s += v->of;
    delete v;
  }
#elif KIND == 4
  float* squares = (float*)omp_alloc((std::size_t)h * sizeof(float), omp_low_lat_mem_alloc);
  if (!squares)
    throw std::bad_alloc();
  for (kevolve_int64 j = 0; j < h; ++j)
    squares[j] = x[j] * x[j];
  for (kevolve_int64 j = 0; j < h; ++j)
    s += squares[j];
  omp_free(squares, omp_low_lat_mem_alloc);
#else // an arena that is itself made in place, in memory of the stack
  alignas(64) char place[1024];
  for (kevolve_int64 j = 0; j < h; ++j) {
    float* v = new (place + j % 200 * 4) float(x[j] * x[j]);
    s += *v;
  }
#endif
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
