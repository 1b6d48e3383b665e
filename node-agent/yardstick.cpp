#include "node-agent/yardstick.hpp"

#include <fmt/format.h>

namespace kevolve::agent {
namespace {

// Reading and writing alternate in pieces of a page, in proportion to what is left of each, as a fused kernel's accesses do. The value that is
// written is not zero: some CPUs write lines of zeros faster than memory allows.
constexpr const char* source = R"(#include "kevolve.h"
#include <immintrin.h>
#include <omp.h>
typedef float wide __attribute__((vector_size(64), aligned(4)));
enum { piece = 4096 };
#if defined(__AVX512F__)
#define STREAM_LINE(p) _mm512_stream_ps((float*)(p), _mm512_set1_ps(1.5f))
#elif defined(__AVX__)
#define STREAM_LINE(p) (_mm256_stream_ps((float*)(p), _mm256_set1_ps(1.5f)), _mm256_stream_ps((float*)(p) + 8, _mm256_set1_ps(1.5f)))
#else
#define STREAM_LINE(p) for (int k = 0; k < 4; ++k) _mm_stream_ps((float*)(p) + 4 * k, _mm_set1_ps(1.5f))
#endif

static long bytes_of(const kevolve_tensor* t) {
  static const int widths[] = {8, 4, 2, 2, 1, 1, 1, 8, 4, 2, 1, 1, 1};
  long n = widths[t->dtype];
  for (int d = 0; d < t->rank; ++d)
    n *= t->shape[d];
  return n;
}

static float read_piece(const char* from, long n) {
  wide s[4] = {};
  long i = 0;
  for (; i + 256 <= n; i += 256)
    for (int k = 0; k < 4; ++k) {
      __builtin_prefetch(from + i + 64 * k + piece, 0, 2); // the next page: hardware prefetchers stop at its border
      s[k] += *(const wide*)(from + i + 64 * k);
    }
  const wide t = (s[0] + s[1]) + (s[2] + s[3]);
  return t[0] + (i < n ? from[i] : 0);
}

static void write_piece(char* to, long n, int stream) {
  long i = 0;
  for (; i < n && ((unsigned long)(to + i) & 63); ++i)
    to[i] = 0x3f;
  if (stream)
    for (; i + 64 <= n; i += 64)
      STREAM_LINE(to + i);
  else
    for (; i + 64 <= n; i += 64)
      *(wide*)(to + i) = (wide){} + 1.5f;
  for (; i < n; ++i)
    to[i] = 0x3f;
}

struct share {
  long tensor, at, end; // of the tensor under way
  long left;            // bytes of all of this thread's shares
};

static void next(struct share* s, const kevolve_tensor* all, int count, int me, int threads) {
  while (s->at == s->end && ++s->tensor < count) {
    const long n = bytes_of(all + s->tensor);
    s->at = n / 64 * me / threads * 64;
    s->end = me + 1 == threads ? n : n / 64 * (me + 1) / threads * 64;
  }
}

static struct share begin(const kevolve_tensor* all, int count, int me, int threads) {
  struct share s = {-1, 0, 0, 0};
  for (next(&s, all, count, me, threads); s.tensor < count; s.at = s.end, next(&s, all, count, me, threads))
    s.left += s.end - s.at;
  const long left = s.left;
  s.tensor = -1, s.at = s.end = 0;
  next(&s, all, count, me, threads);
  s.left = left;
  return s;
}

static long take(struct share* s) {
  const long n = s->end - s->at;
  return n < piece ? n : piece;
}

extern "C" int kevolve_run(const kevolve_tensor* inputs, kevolve_tensor* outputs, const kevolve_int64*, void*, void*) {
  long total = 0;
  for (int i = 0; i < INPUTS; ++i)
    total += bytes_of(inputs + i);
  for (int i = 0; i < OUTPUTS; ++i)
    total += bytes_of(outputs + i);
  const int stream = total >= STREAM_FROM;
#pragma omp parallel
  {
    const int me = omp_get_thread_num(), threads = omp_get_num_threads();
    struct share in = begin(inputs, INPUTS, me, threads), out = begin(outputs, OUTPUTS, me, threads);
    const double reads = in.left, writes = out.left;
    float kept = 0;
    while (in.left > 0 || out.left > 0) {
      if (in.left > 0 && in.left * writes >= out.left * reads) {
        const long n = take(&in);
        kept += read_piece((const char*)inputs[in.tensor].data + in.at, n);
        in.at += n, in.left -= n;
        next(&in, inputs, INPUTS, me, threads);
      } else {
        const long n = take(&out);
        write_piece((char*)outputs[out.tensor].data + out.at, n, stream);
        out.at += n, out.left -= n;
        next(&out, outputs, OUTPUTS, me, threads);
      }
    }
    _mm_sfence();
    __asm__ volatile("" : : "x"(kept));
  }
  return 0;
}
)";

} // namespace

candidate yardstick(const std::string& compiler, std::size_t inputs, std::size_t outputs, double streams_from_bytes) {
  candidate c;
  c.definition = "kevolve_yardstick";
  c.author = "kevolve";
  c.build.compiler = compiler;
  c.build.flags = {"-O3", "-march=native", "-fopenmp", "-fno-tree-loop-distribute-patterns", fmt::format("-DINPUTS={}", inputs), fmt::format("-DOUTPUTS={}", outputs),
                   fmt::format("-DSTREAM_FROM={:.0f}", streams_from_bytes)};
  c.sources = {{"kernel.cpp", source}};
  c.id = candidate_hash(c);
  return c;
}

} // namespace kevolve::agent
