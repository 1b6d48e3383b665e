// what: coroutines that hand out squares and take results; their frames are memory of the heap
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=1 -O0 | -DKIND=3
#include "kevolve.h"

#include <coroutine>
#include <exception>
#include <utility>

struct flow {
  struct promise_type {
    float value = 0;
    flow get_return_object() { return flow(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(float v) noexcept {
      value = v;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  explicit flow(std::coroutine_handle<promise_type> h) : handle(h) {}
  flow(flow&& other) noexcept : handle(std::exchange(other.handle, {})) {}
  ~flow() {
    if (handle)
      handle.destroy();
  }
  bool next() {
    handle.resume();
    return !handle.done();
  }
  [[nodiscard]] float value() const { return handle.promise().value; }
  std::coroutine_handle<promise_type> handle;
};

static flow squares(const float* x, kevolve_int64 h) {
  for (kevolve_int64 j = 0; j < h; ++j)
    co_yield x[j] * x[j];
}
#if KIND == 2 // one coroutine feeds another
static flow running_sums(const float* x, kevolve_int64 h) {
  float s = 0;
  for (flow f = squares(x, h); f.next();)
    co_yield s += f.value();
}
#elif KIND == 3 // rows wait for one another: all of them begin before any ends
static flow row(const float* x, const float* w, float* y, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += x[j] * x[j];
  co_yield s;
  const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = x[j] * r * w[j];
}
#endif

#if KIND == 3
#include <vector>
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 3
  std::vector<flow> all;
  for (kevolve_int64 i = 0; i < m; ++i)
    all.push_back(row(x + i * h, w, y + i * h, h));
  for (flow& f : all)
    f.next();
  for (flow& f : all)
    f.next();
#else
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
#if KIND == 1
    for (flow f = squares(x + i * h, h); f.next();)
      s += f.value();
#else
    for (flow f = running_sums(x + i * h, h); f.next();)
      s = f.value();
#endif
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
#endif
  return 0;
}
