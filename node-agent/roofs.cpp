#include "node-agent/roofs.hpp"

#include "node-agent/compile.hpp"
#include "node-agent/hardware.hpp"
#include "protocol/digest.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

// axes: mode, elements per buffer, repeats. The loops go over the working set `repeats` times inside one call, so that starting threads
// is not part of the rate of a small set. Never zeros: Zen 4 streams whole lines of zeros at 127 GB/s where other values go at 17.
constexpr const char* kernel_source = R"(#include "kevolve.h"
#include <immintrin.h>
#include <omp.h>
#if defined(__AVX512F__)
typedef float wide __attribute__((vector_size(64), aligned(64)));
#define STREAM(p, v) _mm512_stream_ps((float*)(p), (__m512)(v))
enum { chains = 24 };
#elif defined(__AVX__)
typedef float wide __attribute__((vector_size(32), aligned(32)));
#define STREAM(p, v) _mm256_stream_ps((float*)(p), (__m256)(v))
enum { chains = 12 };
#else
typedef float wide __attribute__((vector_size(16), aligned(16)));
#define STREAM(p, v) _mm_stream_ps((float*)(p), (__m128)(v))
enum { chains = 12 };
#endif
enum { lanes = sizeof(wide) / sizeof(float) };

static float read_part(const wide* p, long n) {
  wide s[8] = {};
  long i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k)
      s[k] += p[i + k];
  wide t = s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
  return t[0];
}

static float multiply_add(long rounds, float factor, float addend) {
  wide a[chains], x = {}, y = {};
  for (int l = 0; l < lanes; ++l)
    x[l] = factor, y[l] = addend;
  for (int k = 0; k < chains; ++k)
    a[k] = y * (float)k;
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 32
    for (int k = 0; k < chains; ++k)
      a[k] = a[k] * x + y;
  }
  wide t = a[0];
  for (int k = 1; k < chains; ++k)
    t += a[k];
  for (int l = 1; l < lanes; ++l)
    if (t[l] != t[0])
      return __builtin_nanf(""); // every lane computed the same
  return t[0];
}

extern "C" int kevolve_run(const kevolve_tensor* inputs, kevolve_tensor* outputs, const kevolve_int64* axes, void*, void*) {
  const long mode = axes[0], repeats = axes[2];
  const wide* in = (const wide*)inputs[0].data;
  wide* out = (wide*)outputs[0].data;
  float* sink = (float*)outputs[1].data;
  const long n = axes[1] / lanes;
  if (mode == 6) {
    long chain = 3;
    for (long r = 0; r < repeats; ++r) // not additions of a constant: Golden Cove folds chains of them when it renames registers (9.5 "GHz")
      __asm__ volatile(".rept 64\n\timulq %0, %0\n\t.endr" : "+r"(chain));
    sink[0] = (float)chain;
    return 0;
  }
#pragma omp parallel
  {
    const int me = omp_get_thread_num(), all = omp_get_num_threads();
    const long from = n * me / all, to = n * (me + 1) / all;
    float kept = 0;
    for (long r = 0; r < (mode == 5 || mode == 7 ? 1 : repeats); ++r) {
      if (mode == 0)
        kept += read_part(in + from, to - from);
      else if (mode == 1)
        for (long i = from; i < to; ++i)
          STREAM(out + i, (wide){} + (float)(r + 1));
      else if (mode == 2)
        for (long i = from; i < to; ++i)
          out[i] = (wide){} + (float)(r + 1);
      else if (mode == 3)
        for (long i = from; i < to; ++i)
          STREAM(out + i, in[i]);
      else if (mode == 4)
        for (long i = from; i < to; ++i)
          out[i] = in[i] + (float)r;
      else if (mode == 5)
        kept += multiply_add(repeats, 0.999f + (float)me * 1e-9f, 1e-3f);
      else
        kept += multiply_add(repeats, -0.99999994f, 0.731f); // golden.cpp knows the sum
      __asm__ volatile("" ::: "memory");
    }
    _mm_sfence();
    sink[me * 16 % 1024] = kept;
  }
  return 0;
}
)";

constexpr double never_streams = 1e18; // bytes

struct point {
  double working_set;
  std::int64_t elements, repeats;
};

/// Working sets from inside L1 to outside L3, close enough together that the rate between two of them is not guessed across a cache's edge;
/// repeats so that a call lasts about a millisecond. A virtual machine may report an L3 that it shares with many: 400 MB is outside of what one gets of it.
std::vector<point> points(std::size_t cores) {
  constexpr double factor = 3, largest = 400e6;
  const cache_sizes c = caches();
  const double n = static_cast<double>(cores);
  const double outside = std::clamp(4 * c.l3, 64e6, largest);
  std::vector<double> sets{0.5 * c.l1 * n};
  for (double bytes = 0.5 * c.l2 * n; bytes < outside; bytes *= factor)
    sets.push_back(bytes);
  sets.push_back(outside);
  std::vector<point> all;
  for (const double bytes : sets) {
    const auto half = static_cast<std::int64_t>(bytes / 2 / sizeof(float)) / 1024 * 1024; // half read, half written
    if (half > 0 && (all.empty() || half > all.back().elements))
      all.push_back({static_cast<double>(half) * 8, half, std::max<std::int64_t>(1, static_cast<std::int64_t>(30e6 / bytes))});
  }
  return all;
}

nlohmann::json to_json(const host_roofs& r) {
  nlohmann::json j;
  for (const auto& b : r.memory)
    j["memory"].push_back({b.working_set_bytes, b.read_bytes_per_s, b.write_bytes_per_s, b.copy_bytes_per_s});
  j["streams_from"] = r.streams_from_bytes;
  j["fma"] = r.fma_flops_per_s, j["theoretical"] = r.theoretical_flops_per_s, j["agrees"] = r.fma_agrees, j["note"] = r.note;
  return j;
}

std::optional<host_roofs> from_file(const fs::path& file) {
  std::ifstream in(file);
  const auto j = nlohmann::json::parse(in, nullptr, false);
  if (!j.is_object())
    return std::nullopt;
  try {
    host_roofs r;
    for (const auto& b : j.at("memory"))
      r.memory.push_back({b.at(0), b.at(1), b.at(2), b.at(3)});
    r.streams_from_bytes = j.at("streams_from");
    r.fma_flops_per_s = j.at("fma"), r.theoretical_flops_per_s = j.at("theoretical"), r.fma_agrees = j.at("agrees"), r.note = j.at("note");
    return r;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt; // measured again
  }
}

result<void> measure_memory(const candidate& kernel, std::size_t cores, const probe_kernel& probe, host_roofs& r) {
  for (const point& p : points(cores)) {
    std::vector<std::vector<std::int64_t>> axes{{reading, 2 * p.elements, p.repeats}}; // reading and writing alone fill the set with one buffer
    for (const roof_mode m : {writing_past_caches, writing})
      axes.push_back({m, 2 * p.elements, p.repeats});
    for (const roof_mode m : {copying_past_caches, copying})
      axes.push_back({m, p.elements, p.repeats});
    const double bytes = p.working_set * static_cast<double>(p.repeats);
    KEVOLVE_TRY(t, probe(kernel, {2 * p.elements}, {2 * p.elements, 1024}, axes));
    r.memory.push_back({p.working_set, bytes / t[0], bytes / std::min(t[1], t[2]), bytes / std::min(t[3], t[4])});
    const double copy_stream_s = t[3], copy_plain_s = t[4];
    if (copy_plain_s <= copy_stream_s)
      r.streams_from_bytes = 0; // not from any smaller one
    else if (r.streams_from_bytes == 0)
      r.streams_from_bytes = p.working_set;
  }
  if (r.streams_from_bytes == 0)
    r.streams_from_bytes = never_streams;
  return {};
}

/// A roof is the best ever seen.
void keep_the_best(host_roofs& r, const host_roofs& known) {
  if (known.memory.size() != r.memory.size())
    return;
  for (std::size_t i = 0; i < r.memory.size(); ++i) {
    auto& b = r.memory[i];
    const auto& k = known.memory[i];
    b.read_bytes_per_s = std::max(b.read_bytes_per_s, k.read_bytes_per_s);
    b.write_bytes_per_s = std::max(b.write_bytes_per_s, k.write_bytes_per_s);
    b.copy_bytes_per_s = std::max(b.copy_bytes_per_s, k.copy_bytes_per_s);
  }
  r.fma_flops_per_s = std::max(r.fma_flops_per_s, known.fma_flops_per_s);
  r.theoretical_flops_per_s = std::max(r.theoretical_flops_per_s, known.theoretical_flops_per_s);
}

result<void> measure_peak(const candidate& kernel, std::size_t cores, const probe_kernel& probe, host_roofs& r) {
  constexpr std::int64_t rounds = 100'000, chain = 20'000;
  KEVOLVE_TRY(times, probe(kernel, {1024}, {1024, 1024}, {{multiplying_and_adding, 1024, rounds}, {dependent_multiplications, 1024, chain}}));
  constexpr double multiplication_cycles = 3; // latency of a 64-bit multiplication: Intel since Nehalem, AMD since Zen
  const double clock = multiplication_cycles * 64.0 * static_cast<double>(chain) / times[1];
  r.fma_flops_per_s = roof_flops(rounds, cores) / times[0];
  r.theoretical_flops_per_s = widest_fma().flops_per_cycle * clock * static_cast<double>(cores);
  return {};
}

void cross_check(host_roofs& r, std::size_t cores) {
  const core_width width = widest_fma();
  r.fma_agrees = std::abs(r.fma_flops_per_s / r.theoretical_flops_per_s - 1) <= 0.25;
  char text[200];
  std::snprintf(text, sizeof text, "%s at %.2f GHz (chain of dependent multiplications) on %zu cores; measured %.0f of %.0f GFLOP/s", width.reason.c_str(),
                r.theoretical_flops_per_s / width.flops_per_cycle / static_cast<double>(cores) / 1e9, cores, r.fma_flops_per_s / 1e9, r.theoretical_flops_per_s / 1e9);
  r.note = text;
}

/// The rate at a working set, between the two measured ones around it (both logarithmic); the faster end outside the range.
double rate_at(const host_roofs& r, double bytes, double host_roofs::bandwidth::*rate) {
  const auto& m = r.memory;
  if (m.empty())
    return 0;
  if (bytes <= m.front().working_set_bytes)
    return m.front().*rate;
  for (std::size_t i = 1; i < m.size(); ++i)
    if (bytes <= m[i].working_set_bytes) {
      const double share = std::log(bytes / m[i - 1].working_set_bytes) / std::log(m[i].working_set_bytes / m[i - 1].working_set_bytes);
      return std::exp((1 - share) * std::log(m[i - 1].*rate) + share * std::log(m[i].*rate));
    }
  return m.back().*rate;
}

} // namespace

double memory_time(const host_roofs& r, double read_bytes, double write_bytes) {
  using b = host_roofs::bandwidth;
  if (r.memory.empty())
    return 0;
  const double set = read_bytes + write_bytes, paired = std::min(read_bytes, write_bytes);
  // A mix can never be slower than its parts one after the other: the faster of the two models is the roof.
  const double apart = read_bytes / rate_at(r, set, &b::read_bytes_per_s) + write_bytes / rate_at(r, set, &b::write_bytes_per_s);
  const double mixed = 2 * paired / rate_at(r, set, &b::copy_bytes_per_s) + (read_bytes - paired) / rate_at(r, set, &b::read_bytes_per_s) +
                       (write_bytes - paired) / rate_at(r, set, &b::write_bytes_per_s);
  return std::min(apart, mixed);
}

int roof_chains() { return widest_fma().lanes == 16 ? 24 : 12; } // as the kernel has for this width

double roof_flops(std::int64_t rounds, std::size_t cores) {
  return 2.0 * widest_fma().lanes * roof_chains() * static_cast<double>(rounds) * static_cast<double>(cores);
}

candidate roof_kernel(const std::string& compiler) {
  candidate c;
  c.definition = "kevolve_roofs";
  c.author = "kevolve";
  c.build.compiler = compiler;
  c.build.flags = {"-O3", "-march=native", "-fopenmp", "-ffp-contract=fast", "-fno-tree-loop-distribute-patterns"};
  c.sources = {{"kernel.cpp", kernel_source}};
  c.id = candidate_hash(c);
  return c;
}

result<host_roofs> measure_roofs(const fs::path& cache, const std::string& hardware, const std::string& toolchain, const std::string& compiler,
                                 std::size_t cores, bool afresh, const probe_kernel& probe) {
  const candidate kernel = roof_kernel(compiler);
  const std::string key = sha256_hex(hardware + "\n" + toolchain + "\n" + judge_version + "\n" + std::to_string(cores) + "\n" + kernel.id);
  const fs::path file = cache / "roofs" / (key.substr(0, 32) + ".json");
  const auto known = from_file(file);
  if (known && !afresh)
    return *known;
  host_roofs r;
  KEVOLVE_TRY_VOID(measure_memory(kernel, cores, probe, r));
  KEVOLVE_TRY_VOID(measure_peak(kernel, cores, probe, r));
  host_roofs again; // a disturbance rarely lasts over both
  KEVOLVE_TRY_VOID(measure_memory(kernel, cores, probe, again));
  KEVOLVE_TRY_VOID(measure_peak(kernel, cores, probe, again));
  keep_the_best(r, again);
  if (known)
    keep_the_best(r, *known);
  cross_check(r, cores);
  std::error_code ignored;
  fs::create_directories(file.parent_path(), ignored);
  const fs::path partial = file.string() + ".part" + std::to_string(::getpid());
  std::ofstream(partial) << to_json(r).dump(1) << "\n";
  fs::rename(partial, file, ignored);
  return r;
}

} // namespace kevolve::agent
