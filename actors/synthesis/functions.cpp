#include "actors/synthesis/functions.hpp"

#include <vector>

namespace kevolve::synthesis {
namespace {

struct function_text {
  std::string name;
  std::vector<std::string> needs;
  std::string text; // $V vector, $I mask and integer vector, $W width, $B bytes
};

/// In dependence order. Errors were measured against double over all exponents (tests/synthesis).
const std::vector<function_text>& vector_functions() {
  static const std::vector<function_text> all{
    {"splat", {}, R"(static inline $V splat$W(float x) { return x - $V{}; }
)"},
    {"lanes", {}, R"(// One lane at a time: for accesses that are not side by side.
template <class F> static inline $V lanes$W(F each) {
  $V out;
  for (int l = 0; l < $W; ++l)
    out[l] = each(l);
  return out;
}
)"},
    {"load_between", {}, R"(// Lanes low to high of a vector at p; the others are 0 and not read.
static inline $V load_between$W(const float* p, i64 low, i64 high) {
  if (low <= 0 && high >= $W - 1)
    return *(const $V_at*)p;
  const int a = low < 0 ? 0 : low > $W ? $W : (int)low, b = high < -1 ? -1 : high > $W - 1 ? $W - 1 : (int)high;
#if defined(__AVX512F__) && $W == 16 && !defined(__clang__)
  return ($V)__builtin_ia32_loadups512_mask(p, $V{}, (unsigned short)(((1u << (b + 1)) - 1) & ~((1u << a) - 1)));
#else
  $V out = {};
  for (int l = a; l <= b; ++l)
    out[l] = p[l];
  return out;
#endif
}
)"},
    {"load_strided", {}, R"(// Lanes low to high of p[0], p[stride], p[2 * stride], ...; the others are 0 and not read.
static inline $V load_strided$W(const float* p, i64 stride, i64 low, i64 high) {
  const int a = low < 0 ? 0 : low > $W ? $W : (int)low, b = high < -1 ? -1 : high > $W - 1 ? $W - 1 : (int)high;
  if (stride == 2 && a == 0 && b == $W - 1) {
    $I even;
    for (int l = 0; l < $W; ++l)
      even[l] = l < $W / 2 ? 2 * l : 2 * l + 1;
    return __builtin_shuffle(*(const $V_at*)p, *(const $V_at*)(p + $W - 1), even); // the second ends with the last element wanted
  }
#if defined(__AVX512F__) && $W == 16 && !defined(__clang__)
  if (stride > -(1 << 26) && stride < (1 << 26)) {
    const $I at = $I{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} * (int)stride;
    return ($V)__builtin_ia32_gathersiv16sf($V{}, p, at, (unsigned short)(((1u << (b + 1)) - 1) & ~((1u << a) - 1)), 4);
  }
#endif
  $V out = {};
  for (int l = a; l <= b; ++l)
    out[l] = p[l * stride];
  return out;
}
)"},
    {"between", {}, R"(// True in lanes low to high.
static inline $I between$W(i64 low, i64 high) {
  const $I lane = {$L}; // a constant: lanes written one by one would stall the load of the whole
  return (lane >= (low < 0 ? 0 : low > $W ? $W : (int)low)) & (lane <= (high < -1 ? -1 : high > $W ? $W : (int)high));
}
)"},
    {"bfloat16_lanes", {}, R"(typedef unsigned short u16x$W_at __attribute__((vector_size(2 * $W), aligned(2), may_alias));
typedef unsigned u32x$W __attribute__((vector_size(4 * $W)));
static inline $V load_bfloat16_$W(const unsigned short* p) { return ($V)(__builtin_convertvector(*(const u16x$W_at*)p, u32x$W) << 16); }
// Nearest, ties to even; NaN stays NaN. The instruction makes 0 of what is below 1.2e-38.
static inline u16x$W_at to_bfloat16_lanes($V v) {
#if defined(__AVX512BF16__) && $W == 16 && !defined(__clang__)
  return (u16x$W_at)__builtin_ia32_cvtneps2bf16_v16sf(v);
#else
  const u32x$W u = (u32x$W)v;
  const u32x$W rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  return __builtin_convertvector(v != v ? (u >> 16) | 64 : rounded, u16x$W_at);
#endif
}
static inline void store(unsigned short* p, $V v) { *(u16x$W_at*)p = to_bfloat16_lanes(v); }
)"},
    {"any", {}, R"(static inline bool any($I mask) {
  int out = 0;
  for (int l = 0; l < $W; ++l)
    out |= mask[l];
  return out != 0;
}
)"},
    {"total", {}, R"(static inline float total($V v) {
  float t[$W];
  *($V_at*)t = v;
#pragma GCC unroll 8
  for (int half = $W / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l)
      t[l] += t[l + half];
  return t[0];
}
)"},
    {"maximum", {}, R"(// NaN wins, as in PyTorch.
static inline $V maximum($V a, $V b) {
#if defined(__AVX512F__) && $W == 16 && !defined(__clang__)
  // The instruction gives b where either is NaN; the mask keeps a's own.
  return ($V)__builtin_ia32_maxps512_mask(a, b, a, __builtin_ia32_cmpps512_mask(a, a, 7, (unsigned short)-1, 4), 4);
#else
  return ((a > b) | (a != a)) ? a : b;
#endif
}
)"},
    {"minimum", {}, R"(static inline $V minimum($V a, $V b) {
#if defined(__AVX512F__) && $W == 16 && !defined(__clang__)
  // The instruction gives b where either is NaN; the mask keeps a's own.
  return ($V)__builtin_ia32_minps512_mask(a, b, a, __builtin_ia32_cmpps512_mask(a, a, 7, (unsigned short)-1, 4), 4);
#else
  return ((a < b) | (a != a)) ? a : b;
#endif
}
)"},
    {"clamp", {}, R"(// Between low and high; NaN stays.
static inline $V clamp($V x, float low, float high) {
#if defined(__AVX512F__) && $W == 16 && !defined(__clang__)
  const $V c = ($V)__builtin_ia32_maxps512_mask($V{} + low, x, $V{}, (unsigned short)-1, 4);
  return ($V)__builtin_ia32_minps512_mask($V{} + high, c, $V{}, (unsigned short)-1, 4);
#elif defined(__AVX__) && $W == 8
  return __builtin_ia32_minps256($V{} + high, __builtin_ia32_maxps256($V{} + low, x));
#else
  const $V c = x < low ? $V{} + low : x;
  return c > high ? $V{} + high : c;
#endif
}
)"},
    {"abs", {}, R"(static inline $V abs($V x) { return ($V)(($I)x & 0x7fffffff); }
)"},
    {"sign", {}, R"(static inline $V sign($V x) { return x > 0 ? $V{} + 1.0f : x < 0 ? $V{} - 1.0f : x; }
)"},
    {"sqrt", {}, R"(static inline $V sqrt($V x) {
#if defined(__AVX512F__) && $W == 16 && !defined(__clang__)
  return ($V)__builtin_ia32_sqrtps512_mask(x, $V{}, (unsigned short)-1, 4);
#else
  $V out;
  for (int l = 0; l < $W; ++l)
    out[l] = __builtin_sqrtf(x[l]);
  return out;
#endif
}
)"},
    {"rsqrt", {"sqrt"}, R"(static inline $V rsqrt($V x) { return 1.0f / sqrt(x); }
)"},
    {"exp", {"clamp"}, R"(// exp: relative error below 2e-7; denormal results, 0, inf and NaN as in libm.
static inline $V exp($V x) {
  const $V c = clamp(x, -104.0f, 89.0f);
#if defined(__AVX512F__) && $W == 16 && !defined(__clang__)
  // 2^n of n in sixteenths from a register, a short polynomial for the rest.
  const $V sixteenths = {1.0f, 1.04427378f, 1.09050773f, 1.13878863f, 1.18920712f, 1.24185781f, 1.29683955f, 1.35425555f,
                         1.41421356f, 1.47682615f, 1.54221083f, 1.61049033f, 1.68179283f, 1.75625216f, 1.83400809f, 1.91520656f};
  const $V m = c * 1.44269504f + 786432.0f; // its last bits: n in sixteenths
  const $V n = m - 786432.0f;
  $V r = c - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  const $V y = __builtin_shuffle(sixteenths, ($I)m);
  const $V p = (r * 0.166666667f + 0.5f) * r + 1.0f;
  return ($V)__builtin_ia32_scalefps512_mask(y * r * p + y, n, $V{}, (unsigned short)-1, 4);
#else
  const $V n = (c * 1.44269504f + 12582912.0f) - 12582912.0f; // nearest integer
  $V r = c - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  $V y = r * 1.9875691500e-4f + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + r + 1.0f;
  const $I k = __builtin_convertvector(n, $I);
  const $I h = k >> 1; // in two steps, so that neither factor leaves the exponent's range
  return y * ($V)((h + 127) << 23) * ($V)((k - h + 127) << 23);
#endif
}
)"},
    {"exp_fast", {"clamp"}, R"(// exp: relative error below 3e-6; results below 1.2e-38 may be 0, above 3.4e38 inf.
static inline $V exp_fast($V x) {
#if defined(__AVX512F__) && $W == 16 && !defined(__clang__)
  const $V c = clamp(x, -104.0f, 89.0f); // 0 at -infinity
  const $V sixteenths = {1.0f, 1.04427378f, 1.09050773f, 1.13878863f, 1.18920712f, 1.24185781f, 1.29683955f, 1.35425555f,
                         1.41421356f, 1.47682615f, 1.54221083f, 1.61049033f, 1.68179283f, 1.75625216f, 1.83400809f, 1.91520656f};
  const $V m = c * 1.44269504f + 786432.0f;
  const $V n = m - 786432.0f;
  const $V r = c * 1.44269504f - n; // 2^r, |r| <= 1/32
  const $V p = (r * 0.240226507f + 0.693147181f) * r + 1.0f;
  return ($V)__builtin_ia32_scalefps512_mask(__builtin_shuffle(sixteenths, ($I)m) * p, n, $V{}, (unsigned short)-1, 4);
#else
  const $V c = clamp(x, -87.5f, 89.0f);
  const $V t = c * 1.44269504f;
  const $V n = (t + 12582912.0f) - 12582912.0f;
  const $V r = t - n; // 2^r, |r| <= 1/2
  $V y = r * 1.33952832e-3f + 9.67770703e-3f;
  y = y * r + 5.55041842e-2f;
  y = y * r + 2.40222663e-1f;
  y = y * r + 6.93147182e-1f;
  y = y * r + 1.0f;
  const $I k = __builtin_convertvector(n, $I);
  const $I h = k >> 1;
  return y * ($V)((h + 127) << 23) * ($V)((k - h + 127) << 23);
#endif
}
)"},
    {"log", {}, R"(// log: absolute error below 1e-7 near 1, relative below 2e-7 elsewhere; 0 gives -inf, less gives NaN.
static inline $V log($V x) {
  const $I tiny = x < 1.17549435e-38f;
  const $V s = tiny ? x * 8388608.0f : x;
  $I e = (($I)s >> 23) - 126;
  $V m = ($V)((($I)s & 0x007fffff) | 0x3f000000); // [0.5, 1)
  const $I low = m < 0.707106781f;
  e = e + low; // low is -1 where true
  m = low ? m + m - 1.0f : m - 1.0f;
  const $V z = m * m;
  $V y = m * 7.0376836292e-2f - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  y = y * m * z;
  const $V k = __builtin_convertvector(tiny ? e - 23 : e, $V);
  y = y + k * -2.12194440e-4f - z * 0.5f;
  $V out = m + y + k * 0.693359375f;
  out = x == __builtin_inff() ? x : out;
  out = x == 0.0f ? $V{} - __builtin_inff() : out;
  return (x < 0.0f) | (x != x) ? $V{} + __builtin_nanf("") : out;
}
)"},
    {"log1p", {"log"}, R"(// log1p: relative error below 1e-6.
static inline $V log1p($V x) {
  const $V u = x + 1.0f;
  const $V big = log(u);
  return u == 1.0f ? x : x > 1e8f ? big : big * (x / (u - 1.0f));
}
)"},
    {"expm1", {"exp", "log"}, R"(// expm1: relative error below 2e-6.
static inline $V expm1($V x) {
  const $V u = exp(x);
  const $V d = u - 1.0f;
  const $V small = d * (x / log(u));
  return u == 1.0f ? x : (x > 1.0f) | (x < -1.0f) | (d == -1.0f) ? d : small;
}
)"},
    {"tanh", {"clamp"}, R"(// tanh: relative error below 5e-7; a rational of x, constant beyond +-9.
static inline $V tanh($V x) {
  const $V c = clamp(x, -9.0f, 9.0f);
  const $V s = c * c;
  $V p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * s - 8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  $V q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return s < 1.6e-7f ? x : c * p / q;
}
)"},
    {"erf", {"clamp"}, R"(// erf: absolute error below 4e-7; a rational of x, constant beyond +-4.
static inline $V erf($V x) {
  const $V c = clamp(x, -4.0f, 4.0f);
  const $V s = c * c;
  $V p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
  p = p * s - 2.10102402082508e-06f;
  p = p * s - 5.69250639462346e-05f;
  p = p * s - 7.34990630326855e-04f;
  p = p * s - 2.95459980854025e-03f;
  p = p * s - 1.60960333262415e-02f;
  $V q = s * -1.45660718464996e-05f - 2.13374055278905e-04f;
  q = q * s - 1.68282697438203e-03f;
  q = q * s - 7.37332916720468e-03f;
  q = q * s - 1.42647390514189e-02f;
  return c * p / q;
}
)"},
    {"stream_store", {}, R"(// A store past the cache; needs a vector's alignment, else it is an ordinary store.
static inline void stream_store(float* p, $V v) {
#if defined(__AVX512F__) && $W == 16
  if (((unsigned long)p & 63) == 0) {
    __builtin_ia32_movntps512(p, v);
    return;
  }
#elif defined(__AVX__) && $W == 8
  if (((unsigned long)p & 31) == 0) {
    __builtin_ia32_movntps256(p, v);
    return;
  }
#endif
  *($V_at*)p = v;
}
)"},
    {"stream_bfloat16", {"bfloat16_lanes"}, R"(// A store past the cache; needs a vector's alignment, else it is an ordinary store.
static inline void stream_store(unsigned short* p, $V v) {
#if defined(__AVX__) && $W == 16
  if (((unsigned long)p & 31) == 0) {
    typedef long long i64x4 __attribute__((vector_size(32)));
    __builtin_ia32_movntdq256((i64x4*)p, (i64x4)to_bfloat16_lanes(v));
    return;
  }
#endif
  store(p, v);
}
)"},
    {"running_sum", {"splat"}, R"(// Lane l becomes the sum of lanes 0 to l.
static inline $V running_sum($V v) {
  $I from;
#pragma GCC unroll 8
  for (int step = 1; step < $W; step *= 2) {
    for (int l = 0; l < $W; ++l)
      from[l] = l < step ? $W : l - step;
    v = __builtin_shuffle(v, splat$W(0), from) + v;
  }
  return v;
}
)"},
    {"running_product", {"splat"}, R"(// Lane l becomes the product of lanes 0 to l.
static inline $V running_product($V v) {
  $I from;
#pragma GCC unroll 8
  for (int step = 1; step < $W; step *= 2) {
    for (int l = 0; l < $W; ++l)
      from[l] = l < step ? $W : l - step;
    v = __builtin_shuffle(v, splat$W(1), from) * v;
  }
  return v;
}
)"},
    {"transpose", {}, R"(// r[i][l] becomes r[l][i].
static inline void transpose($V (&r)[$W]) {
  $I low, high;
#pragma GCC unroll 8
  for (int step = 1; step < $W; step *= 2) {
    for (int l = 0; l < $W; ++l) {
      low[l] = (l & step) ? l - step + $W : l;
      high[l] = (l & step) ? l + $W : l + step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < $W; ++i)
      if ((i & step) == 0) {
        const $V a = r[i], b = r[i + step];
        r[i] = __builtin_shuffle(a, b, low);
        r[i + step] = __builtin_shuffle(a, b, high);
      }
  }
}
)"},
  };
  return all;
}

const std::vector<function_text>& scalar_functions() {
  static const std::vector<function_text> all{
    {"maximum", {}, R"(// NaN wins, as in PyTorch.
static inline float maximum(float a, float b) { return (a > b) | (a != a) ? a : b; }
static inline double maximum(double a, double b) { return (a > b) | (a != a) ? a : b; }
static inline i64 maximum(i64 a, i64 b) { return a > b ? a : b; }
)"},
    {"minimum", {}, R"(static inline float minimum(float a, float b) { return (a < b) | (a != a) ? a : b; }
static inline double minimum(double a, double b) { return (a < b) | (a != a) ? a : b; }
static inline i64 minimum(i64 a, i64 b) { return a < b ? a : b; }
)"},
    {"modulo", {}, R"(// The sign of the divisor, as in PyTorch.
static inline float modulo(float a, float b) { float r = __builtin_fmodf(a, b); return r != 0 && (r < 0) != (b < 0) ? r + b : r; }
static inline double modulo(double a, double b) { double r = __builtin_fmod(a, b); return r != 0 && (r < 0) != (b < 0) ? r + b : r; }
static inline i64 modulo(i64 a, i64 b) { i64 r = a % b; return r != 0 && (r < 0) != (b < 0) ? r + b : r; }
)"},
    {"bound_of", {}, R"(// How many of n sorted elements are below x (Above: not above it); all for NaN. No branch depends on the data.
template <bool Above, class T, class X> static inline i64 bound_of(const T* sorted, i64 n, X x) {
  if (x != x)
    return n;
  const T* from = sorted;
  for (i64 left = n; left > 0;) {
    const i64 half = left - left / 2;
    const bool below = Above ? !(x < (X)from[half - 1]) : (X)from[half - 1] < x;
    from += below ? half : 0;
    left -= half;
  }
  return from - sorted;
}
)"},
    {"bounds", {}, R"(static inline i64 larger(i64 a, i64 b) { return a > b ? a : b; }
static inline i64 smaller(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 floor_quotient(i64 a, i64 b) { return a / b - (a % b < 0); }
)"},
    {"all_finite", {}, R"(static inline bool all_finite(const float* x, i64 n) {
  int others = 0; // any NaN or infinity has all bits of the exponent set
  for (i64 i = 0; i < n; ++i) {
    int bits;
    __builtin_memcpy(&bits, x + i, 4);
    others |= (bits & 0x7f800000) == 0x7f800000;
  }
  return !others;
}
)"},
    {"bfloat16", {}, R"(typedef unsigned short bfloat16;
static inline float from_bfloat16(bfloat16 x) { unsigned u = (unsigned)x << 16; float f; __builtin_memcpy(&f, &u, 4); return f; }
static inline bfloat16 to_bfloat16(float f) {
  unsigned u;
  __builtin_memcpy(&u, &f, 4);
  if (f != f)
    return (bfloat16)((u >> 16) | 64);
  return (bfloat16)((u + 0x7fff + ((u >> 16) & 1)) >> 16); // nearest, ties to even
}
)"},
  };
  return all;
}

std::string filled(std::string text, int width) {
  const auto replace = [&](const std::string& what, const std::string& by) {
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
      text.replace(at, what.size(), by);
  };
  replace("$V", "f32x" + std::to_string(width));
  replace("$I", "i32x" + std::to_string(width));
  replace("$W", std::to_string(width));
  std::string lanes;
  for (int l = 0; l < width; ++l)
    lanes += (l ? ", " : "") + std::to_string(l);
  replace("$L", lanes);
  return text;
}

} // namespace

bool has_vector_form(const std::string& name) {
  for (const auto& f : vector_functions())
    if (f.name == name)
      return true;
  return false;
}

std::string functions_text(const used_functions& used) {
  std::string out;
  for (const int w : used.widths) {
    const auto bytes = std::to_string(4 * w);
    const auto n = std::to_string(w);
    out += "typedef float f32x" + n + " __attribute__((vector_size(" + bytes + ")));\n";
    out += "typedef float f32x" + n + "_at __attribute__((vector_size(" + bytes + "), aligned(4), may_alias));\n";
    out += "typedef int i32x" + n + " __attribute__((vector_size(" + bytes + ")));\n";
    out += "static inline f32x" + n + " load" + n + "(const float* p) { return *(const f32x" + n + "_at*)p; }\n";
    out += "static inline void store(float* p, f32x" + n + " v) { *(f32x" + n + "_at*)p = v; }\n";
  }
  for (const auto& f : scalar_functions())
    if (used.names.contains(f.name))
      out += f.text;
  for (const int w : used.widths) {
    std::set<std::string> wanted;
    const auto& all = vector_functions();
    for (auto f = all.rbegin(); f != all.rend(); ++f)
      if (used.names.contains(f->name + "@" + std::to_string(w)) || wanted.contains(f->name)) {
        wanted.insert(f->name);
        wanted.insert(f->needs.begin(), f->needs.end());
      }
    for (const auto& f : all)
      if (wanted.contains(f.name))
        out += filled(f.text, w);
  }
  return out;
}

} // namespace kevolve::synthesis
