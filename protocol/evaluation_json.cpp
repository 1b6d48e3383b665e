#include "protocol/json_place.hpp"

#include <algorithm>
#include <array>
#include <ctime>

namespace kevolve {
namespace {

/// Any value with an `inspect` field list as JSON, enumerations by name.
class json_writer {
public:
  static constexpr bool is_loading = false;
  template <class T>
  struct field_ref {
    std::string_view name;
    T* value;
  };
  struct object_writer {
    json* out;
    template <class... Ts>
    bool fields(field_ref<Ts>... refs) {
      (((*out)[std::string(refs.name)] = json_writer::of(*refs.value)), ...);
      return true;
    }
  };
  template <class T>
  object_writer object(T&) {
    return {&out_};
  }
  template <class T>
  field_ref<T> field(std::string_view name, T& value) {
    return {name, &value};
  }

  template <class T>
  static json of(const T& value) {
    if constexpr (std::is_same_v<T, outcome> || std::is_same_v<T, bound>) {
      return to_string(value);
    } else if constexpr (std::is_floating_point_v<T>) {
      return json_real(value);
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return value;
    } else {
      json_writer writer;
      inspect(writer, const_cast<T&>(value)); // only reads
      return std::move(writer.out_);
    }
  }
  template <class T>
  static json of(const std::vector<T>& values) {
    json out = json::array();
    for (const auto& value : values)
      out.push_back(of(value));
    return out;
  }

private:
  json out_ = json::object();
};

/// FlashInfer-Trace's vocabulary; ours is finer and stands under x_kevolve.
const char* status_of(outcome o) {
  switch (o) {
    case outcome::passed: return "PASSED";
    case outcome::compile_error: return "COMPILE_ERROR";
    case outcome::timeout: return "TIMEOUT";
    case outcome::incorrect_shape: return "INCORRECT_SHAPE";
    case outcome::incorrect_numerical: return "INCORRECT_NUMERICAL";
    case outcome::incorrect_dtype: return "INCORRECT_DTYPE";
    case outcome::runtime_error:
    case outcome::reward_hack:
    case outcome::quarantined:
    case outcome::infrastructure: break;
  }
  return "RUNTIME_ERROR";
}

std::string iso_time(std::int64_t at_ms) {
  std::time_t seconds = at_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

/// Latency against PyTorch eager where it was measured, else against whatever anchor was.
json performance_of(const evaluation& e, const workload& w) {
  json out{{"latency_ms", 0.0}, {"reference_latency_ms", 0.0}, {"speedup_factor", 0.0}}; // 0: not measured on this workload
  auto timing = std::find_if(e.timings.begin(), e.timings.end(), [&](const auto& x) { return x.workload == w.uuid; });
  if (timing == e.timings.end())
    return out;
  out["latency_ms"] = json_real(timing->latency_s * 1e3);
  const auto& compared = timing->comparisons;
  auto eager = std::find_if(compared.begin(), compared.end(), [](const auto& x) { return x.anchor == "eager"; });
  auto chosen = eager != compared.end() ? eager : compared.begin();
  if (chosen != compared.end()) {
    out["reference_latency_ms"] = json_real(chosen->anchor_s * 1e3);
    out["speedup_factor"] = json_real(chosen->ratio);
  }
  return out;
}

} // namespace

json to_json(const evaluation& e, const operator_definition& op, const workload& w) {
  json evaluated = json::object();
  evaluated["status"] = status_of(e.result);
  evaluated["environment"] = {{"hardware", e.where.hardware}, {"libs", {{"toolchain", e.where.toolchain}, {"kevolve", e.where.judge_version}}}};
  evaluated["timestamp"] = iso_time(e.at_ms);
  evaluated["log"] = e.log;
  if (e.result == outcome::passed || e.result == outcome::incorrect_numerical)
    evaluated["correctness"] = {{"max_relative_error", json_real(e.correct.max_relative_error)},
                                {"max_absolute_error", json_real(e.correct.max_absolute_error)}};
  if (e.result == outcome::passed)
    evaluated["performance"] = performance_of(e, w);
  json out = to_json(w, op.name);
  out["solution"] = op.name + "_" + e.candidate.substr(0, 8);
  out["evaluation"] = std::move(evaluated);
  out["x_kevolve"] = json_writer::of(e);
  return out;
}

} // namespace kevolve
