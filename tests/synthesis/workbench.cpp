#include "tests/synthesis/workbench.hpp"

#include "protocol/native_abi.h"
#include "protocol/rng.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <regex>
#include <unistd.h>

namespace kevolve::workbench {
namespace {

std::filesystem::path scratch() {
  static const struct directory {
    std::filesystem::path path;
    directory() {
      std::string name = (std::filesystem::temp_directory_path() / "kevolve-workbench-XXXXXX").string();
      path = ::mkdtemp(name.data());
    }
    ~directory() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } here;
  return here.path;
}

std::string read_file(const std::filesystem::path& p) {
  std::ifstream in(p);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct tensor_view {
  std::vector<std::int64_t> shape, strides;
  kevolve_tensor describe(void* data, int type) {
    strides.assign(shape.size(), 1);
    for (std::size_t d = shape.size(); d-- > 1;)
      strides[d - 1] = strides[d] * shape[d];
    return {data, reinterpret_cast<const kevolve_int64*>(shape.data()), reinterpret_cast<const kevolve_int64*>(strides.data()), static_cast<int>(shape.size()), type};
  }
};

struct aligned_buffer {
  void* data;
  std::size_t size;
  explicit aligned_buffer(std::size_t n) : data(std::aligned_alloc(4096, (n + 4095) / 4096 * 4096 + 4096)), size(n) {}
  aligned_buffer(const aligned_buffer&) = delete;
  ~aligned_buffer() { std::free(data); }
};

constexpr std::uint8_t red_zone = 0x5a;

float from_bf16(std::uint16_t x) {
  const std::uint32_t u = static_cast<std::uint32_t>(x) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

} // namespace

int kernel::run(const operator_definition& op, const axis_binding& axes, std::vector<bytes>& inputs, std::vector<bytes>& outputs) const {
  std::vector<std::int64_t> values;
  for (const auto& a : axes)
    values.push_back(a.second);
  std::vector<std::unique_ptr<aligned_buffer>> buffers;
  std::vector<tensor_view> views(op.inputs.size() + op.outputs.size());
  std::vector<kevolve_tensor> in, out;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    buffers.push_back(std::make_unique<aligned_buffer>(inputs[i].size()));
    std::memcpy(buffers.back()->data, inputs[i].data(), inputs[i].size());
    views[i].shape = *bind_shape(op.inputs[i].shape, axes);
    in.push_back(views[i].describe(buffers.back()->data, static_cast<int>(op.inputs[i].type)));
  }
  outputs.clear();
  for (std::size_t o = 0; o < op.outputs.size(); ++o) {
    auto& v = views[op.inputs.size() + o];
    v.shape = *bind_shape(op.outputs[o].shape, axes);
    const auto n = static_cast<std::size_t>(*element_count(v.shape)) * size_of(op.outputs[o].type);
    buffers.push_back(std::make_unique<aligned_buffer>(n));
    std::memset(buffers.back()->data, red_zone, n + 64);
    out.push_back(v.describe(buffers.back()->data, static_cast<int>(op.outputs[o].type)));
  }
  const auto need = workspace ? static_cast<std::size_t>(workspace(values.data())) : 0;
  aligned_buffer space(need);
  std::memset(space.data, 0xff, need + 64);
  int rc = entry(in.data(), out.data(), values.data(), need ? space.data : nullptr, nullptr);
  for (std::size_t i = 0; i < op.inputs.size(); ++i)
    if (std::memcmp(buffers[i]->data, inputs[i].data(), inputs[i].size()) != 0)
      rc = rc ? rc : 101; // wrote to an input
  for (std::size_t o = 0; o < op.outputs.size(); ++o) {
    const auto& b = *buffers[op.inputs.size() + o];
    const auto* p = static_cast<const std::uint8_t*>(b.data);
    outputs.emplace_back(p, p + b.size);
    for (int i = 0; i < 64; ++i)
      if (p[b.size + static_cast<std::size_t>(i)] != red_zone)
        rc = rc ? rc : 102; // wrote past an output
  }
  for (int i = 0; i < 64; ++i)
    if (static_cast<const std::uint8_t*>(space.data)[need + static_cast<std::size_t>(i)] != 0xff)
      rc = rc ? rc : 103; // wrote past the workspace
  return rc;
}

std::vector<kernel> compile(const std::vector<candidate>& candidates, std::string& log) {
  static int counter = 0;
  const auto dir = scratch();
  {
    std::ofstream header(dir / "kevolve.h");
    header << read_file(std::filesystem::path(KEVOLVE_SOURCE_DIR) / "protocol" / "native_abi.h");
  }
  const auto stem = dir / ("k" + std::to_string(counter++));
  std::string all;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    auto text = candidates[i].sources.at(0).content;
    const auto n = std::to_string(i);
    text = std::regex_replace(text, std::regex("extern \"C\" int kevolve_run"), "extern \"C\" int kevolve_run_" + n);
    text = std::regex_replace(text, std::regex("extern \"C\" i64 kevolve_workspace_bytes"), "extern \"C\" i64 kevolve_workspace_bytes_" + n);
    // Each candidate in a namespace of its own; the header once, outside.
    text = std::regex_replace(text, std::regex("#include \"kevolve.h\"\n"), "");
    all += "namespace candidate_" + n + " {\n" + text + "}\n";
  }
  {
    std::ofstream out(stem.string() + ".cpp");
    out << "#include \"kevolve.h\"\n" << all;
  }
  std::string command = candidates[0].build.compiler;
  for (const auto& f : candidates[0].build.flags)
    command += " " + f;
  command += " -Wno-psabi -w -shared -fPIC -I" + dir.string() + " -o " + stem.string() + ".so " + stem.string() + ".cpp -lm > " + stem.string() + ".log 2>&1";
  if (std::system(command.c_str()) != 0) {
    log = read_file(stem.string() + ".log");
    return {};
  }
  void* handle = dlopen((stem.string() + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    log = dlerror();
    return {};
  }
  const std::shared_ptr<void> library(handle, [](void*) {}); // OpenMP's threads outlive it: never unloaded
  std::vector<kernel> out;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    kernel k;
    k.library = library;
    k.entry = reinterpret_cast<kernel::run_function>(dlsym(handle, ("kevolve_run_" + std::to_string(i)).c_str()));
    k.workspace = reinterpret_cast<kernel::bytes_function>(dlsym(handle, ("kevolve_workspace_bytes_" + std::to_string(i)).c_str()));
    out.push_back(k);
  }
  return out;
}

std::vector<agent::oracle_tensor> draw_inputs(const operator_definition& op, const axis_binding& axes, std::uint64_t seed, bool special) {
  constexpr double odd[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), 0.0, -0.0, 1e-40, -3e-42, 88.0, -103.0, 20.5};
  std::vector<agent::oracle_tensor> out;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    rng draw(seed, i, "input");
    const auto& spec = op.inputs[i];
    agent::oracle_tensor t;
    t.type = spec.type;
    t.shape = *bind_shape(spec.shape, axes);
    const distribution* d = nullptr;
    for (const auto& each : op.distributions)
      if (each.input == spec.name)
        d = &each;
    const auto n = *element_count(t.shape);
    if (d && d->kind == distribution_kind::ascending) {
      const auto width = t.shape.empty() ? 1 : t.shape.back();
      for (std::int64_t e = 0; e < n; ++e) {
        const double x = d->a + (d->b - d->a) * (static_cast<double>(e % width) + draw.uniform()) / static_cast<double>(width);
        if (is_floating(spec.type))
          t.reals.push_back(static_cast<float>(x));
        else
          t.integers.push_back(static_cast<std::int64_t>(std::floor(x)));
      }
      out.push_back(std::move(t));
      continue;
    }
    for (std::int64_t e = 0; e < n; ++e) {
      if (!is_floating(spec.type)) {
        const auto low = d ? static_cast<std::int64_t>(d->a) : 0;
        const auto high = d ? static_cast<std::int64_t>(d->b) : spec.type == dtype::boolean ? 2 : 8;
        t.integers.push_back(low + static_cast<std::int64_t>(draw.below(static_cast<std::uint64_t>(high - low))));
        continue;
      }
      double x = 0;
      if (d && d->kind == distribution_kind::uniform) {
        x = d->a + (d->b - d->a) * draw.uniform();
      } else {
        const double u = std::max(draw.uniform(), 1e-300);
        x = (d ? d->a : 0) + (d ? d->b : 1) * std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * draw.uniform());
      }
      if (special && draw.chance(0.08))
        x = odd[draw.below(std::size(odd))];
      const float f = static_cast<float>(x);
      t.reals.push_back(spec.type == dtype::float64 ? x : spec.type == dtype::bfloat16 ? [&] {
        std::uint32_t u;
        std::memcpy(&u, &f, 4);
        return static_cast<double>(from_bf16(static_cast<std::uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16)));
      }() : static_cast<double>(f));
    }
    out.push_back(std::move(t));
  }
  return out;
}

std::vector<bytes> native(const std::vector<agent::oracle_tensor>& tensors, const std::vector<tensor_spec>& specs) {
  std::vector<bytes> out;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& t = tensors[i];
    const auto type = specs[i].type;
    const auto n = std::max(t.reals.size(), t.integers.size());
    bytes b(n * size_of(type));
    for (std::size_t e = 0; e < n; ++e) {
      auto* p = b.data() + e * size_of(type);
      const auto put = [&](auto x) { std::memcpy(p, &x, sizeof x); };
      switch (type) {
        case dtype::float64: put(t.reals[e]); break;
        case dtype::float32: put(static_cast<float>(t.reals[e])); break;
        case dtype::bfloat16: {
          const float f = static_cast<float>(t.reals[e]);
          std::uint32_t u;
          std::memcpy(&u, &f, 4);
          put(static_cast<std::uint16_t>(u >> 16));
          break;
        }
        case dtype::int64: put(t.integers[e]); break;
        case dtype::int32: put(static_cast<std::int32_t>(t.integers[e])); break;
        default: put(static_cast<std::uint8_t>(t.integers[e])); break;
      }
    }
    out.push_back(std::move(b));
  }
  return out;
}

std::string compare(const operator_definition& op, const std::vector<agent::oracle_tensor>& expected, const std::vector<bytes>& found, double tolerance) {
  for (std::size_t o = 0; o < expected.size(); ++o) {
    const auto type = op.outputs[o].type;
    const auto n = std::max(expected[o].reals.size(), expected[o].integers.size());
    if (n * size_of(type) != found[o].size())
      return "output " + op.outputs[o].name + ": " + std::to_string(found[o].size()) + " bytes instead of " + std::to_string(n * size_of(type));
    for (std::size_t e = 0; e < n; ++e) {
      const auto* p = found[o].data() + e * size_of(type);
      const auto get = [&](auto x) {
        std::memcpy(&x, p, sizeof x);
        return x;
      };
      double x = 0;
      double wanted = 0;
      if (is_floating(type)) {
        x = type == dtype::float64 ? get(double{}) : type == dtype::bfloat16 ? from_bf16(get(std::uint16_t{})) : get(float{});
        wanted = expected[o].reals.empty() ? static_cast<double>(expected[o].integers[e]) : expected[o].reals[e];
      } else {
        x = static_cast<double>(type == dtype::int64 ? get(std::int64_t{}) : type == dtype::int32 ? get(std::int32_t{}) : get(std::uint8_t{}));
        wanted = expected[o].integers.empty() ? expected[o].reals[e] : static_cast<double>(expected[o].integers[e]);
      }
      const double t = type == dtype::bfloat16 ? std::max(tolerance, 1e-2) : tolerance;
      const bool same = (std::isnan(x) && std::isnan(wanted)) || x == wanted || (std::isinf(x) && std::abs(wanted) > 3.4e38) || std::abs(x - wanted) <= t + t * std::abs(wanted);
      if (!same) {
        char text[200];
        std::snprintf(text, sizeof text, "output %s, element %zu of %zu: found %.9g, expected %.9g", op.outputs[o].name.c_str(), e, n, x, wanted);
        return text;
      }
    }
  }
  return "";
}

std::string verify(const operator_definition& op, const candidate& c, const kernel& k, const std::vector<axis_binding>& bindings, std::uint64_t seed, double tolerance, bool special) {
  for (const auto& variable : bindings) {
    const auto axes = *bind_axes(op, variable);
    std::string where;
    for (const auto& [n, v] : variable)
      where += n + "=" + std::to_string(v) + " ";
    const auto inputs = draw_inputs(op, axes, seed, special);
    auto expected = agent::interpret(*op.traced, axes, inputs);
    if (!expected)
      return "oracle: " + expected.error().message;
    auto raw = native(inputs, op.inputs);
    std::vector<bytes> outputs;
    const int rc = k.run(op, axes, raw, outputs);
    auto difference = rc != 0 ? "returned " + std::to_string(rc) : compare(op, *expected, outputs, tolerance);
    if (!difference.empty())
      return op.name + " at " + where + ": " + difference + "\nschedule: " + to_string(*c.printed_from);
  }
  return "";
}

} // namespace kevolve::workbench
