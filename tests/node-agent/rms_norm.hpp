// Hand-written rms_norm candidates for the evaluation's tests, and what surrounds them: problem, host, work.
#pragma once

#include "node-agent/evaluate.hpp"
#include "protocol/candidate.hpp"
#include "protocol/trace_format.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace kevolve::agent {

inline std::filesystem::path source_root() { return KEVOLVE_SOURCE_DIR; }

/// rms_norm of hidden size 4096 with one workload of `rows` rows.
inline problem rms_norm(std::int64_t rows = 64) {
  auto p = read_problem(source_root() / "kb/operators/rms_norm_h4096.json");
  REQUIRE_MESSAGE(p, (p ? std::string() : p.error().message));
  problem one = *p;
  one.workloads.resize(1);
  one.workloads[0].axes = {{"M", rows}};
  one.workloads[0].uuid = "rows-" + std::to_string(rows);
  return one;
}

inline candidate kernel(const std::string& body, std::vector<std::string> flags = {"-O3", "-march=native", "-fopenmp", "-ffast-math"}) {
  candidate c;
  c.definition = "rms_norm_h4096";
  c.author = "test";
  c.build.flags = std::move(flags);
  c.sources = {{"kernel.cpp", "#include \"kevolve.h\"\n#include <cmath>\n" + body}};
  c.id = candidate_hash(c);
  return c;
}

/// A whole kevolve_run from the code of one row: x, w, y, h.
inline std::string rows_of(const std::string& row, const std::string& before = "", const std::string& pragma = "") {
  return before + R"(
extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
)" + pragma + R"(
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float* x = (const float*)in[0].data + i * h;
    const float* w = (const float*)in[1].data;
    float* y = (float*)out[0].data + i * h;
)" + row + R"(
  }
  return 0;
}
)";
}

inline const std::string plain_row = R"(
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j) s += x[j] * x[j];
    const float r = 1.0f / std::sqrt(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j) y[j] = x[j] * r * w[j];
)";

inline candidate naive_rms_norm() { return kernel(rows_of(plain_row), {"-O1"}); }
inline candidate fast_rms_norm() { return kernel(rows_of(plain_row, "", "#pragma omp parallel for schedule(static)")); }

/// One host for all tests of an executable: judges start once. Where KEVOLVE_TEST_CACHE names a folder, what was compiled and calibrated stays there
/// for the next run; otherwise it is gone with the process.
inline host_evaluator& host(unsigned device_slots = 1) {
  static const char* const kept = std::getenv("KEVOLVE_TEST_CACHE");
  static const std::filesystem::path cache = [] {
    if (kept)
      return std::filesystem::path(kept);
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-evaluate-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    return std::filesystem::path(name);
  }();
  static std::unique_ptr<host_evaluator> one;
  if (!one) {
    host_settings s;
    s.cache = cache;
    s.device_slots = device_slots;
    s.call_limit_s = 2;
    if (const char* python = std::getenv("KEVOLVE_TEST_PYTHON"))
      s.python = python;
    auto started = host_evaluator::start(s);
    REQUIRE_MESSAGE(started, (started ? std::string() : started.error().message));
    one = std::move(*started);
    std::atexit([] {
      one.reset();
      std::error_code ignored;
      if (!kept)
        std::filesystem::remove_all(cache, ignored);
    });
  }
  return *one;
}

inline evaluate_work work_on(const candidate& what, std::vector<candidate> anchors = {}, std::int64_t rows = 64) {
  evaluate_work w;
  w.subject = rms_norm(rows);
  w.what = what;
  w.anchors = std::move(anchors);
  w.seed = 7;
  w.limit_s = 20;
  return w;
}

inline evaluation evaluated(const evaluate_work& w) {
  std::atomic<bool> cancelled{false};
  auto e = host().evaluate(w, cancelled);
  REQUIRE_MESSAGE(e, (e ? std::string() : e.error().message));
  return *e;
}

} // namespace kevolve::agent
