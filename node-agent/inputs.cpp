#include "node-agent/inputs.hpp"

#include "node-agent/storage.hpp"
#include "protocol/rng.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

namespace kevolve::agent {
namespace {

constexpr std::uint64_t hash(std::uint64_t z) { // SplitMix64's finaliser
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/// Element i of stream `key`: independent of every other, so that tensors can be made in any order.
struct stream {
  std::uint64_t key;
  [[nodiscard]] std::uint64_t bits(std::uint64_t i) const { return hash(key + (i + 1) * 0x9e3779b97f4a7c15ull); }
};

constexpr std::size_t quantiles = 16384;

double normal_quantile(double p) { // bisection on erfc: a table's cost, once
  double low = -9, high = 9;
  for (int i = 0; i < 60; ++i) {
    double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::numbers::sqrt2) < p ? low : high) = middle;
  }
  return low;
}

/// Quantiles of the standard normal, interpolated linearly between: a normal deviate out to 4 sigma for one lookup.
const std::array<float, quantiles + 1>& quantile_table() {
  static const auto table = [] {
    std::array<float, quantiles + 1> out;
    for (std::size_t i = 0; i <= quantiles / 2; ++i) {
      double p = std::max(static_cast<double>(i), 0.25) / quantiles;
      out[i] = static_cast<float>(normal_quantile(p));
      out[quantiles - i] = -out[i];
    }
    return out;
  }();
  return table;
}

float normal_from(std::uint32_t bits) {
  const auto& table = quantile_table();
  std::uint32_t cell = bits >> 18;
  float within = static_cast<float>(bits & 0x3ffff) * 0x1p-18f;
  return table[cell] + within * (table[cell + 1] - table[cell]);
}

constexpr std::size_t chunk = 4096; // values made at a time, in cache

/// Fills a floating tensor from value(i).
template <class F>
void fill_reals(dtype type, std::span<std::byte> to, F value) {
  auto width = size_of(type);
  std::array<double, chunk> buffer;
  for (std::size_t at = 0, n = to.size() / width; at < n; at += chunk) {
    auto count = std::min(chunk, n - at);
    for (std::size_t i = 0; i < count; ++i)
      buffer[i] = value(at + i);
    encode(type, std::span<const double>(buffer.data(), count), to.data() + at * width);
  }
}

void fill_normal(dtype type, std::span<std::byte> to, stream s, double mean, double deviation) {
  auto width = size_of(type);
  std::array<float, chunk> buffer;
  auto m = static_cast<float>(mean), d = static_cast<float>(deviation);
  (void)quantile_table();
  for (std::size_t at = 0, n = to.size() / width; at < n; at += chunk) {
    for (std::size_t i = 0; i < chunk; i += 2) {
      auto bits = s.bits((at + i) / 2);
      buffer[i] = m + d * normal_from(static_cast<std::uint32_t>(bits));
      buffer[i + 1] = m + d * normal_from(static_cast<std::uint32_t>(bits >> 32));
    }
    auto count = std::min(chunk, n - at);
    if (type == dtype::float32)
      std::copy_n(reinterpret_cast<const std::byte*>(buffer.data()), count * 4, to.data() + at * 4);
    else
      encode(type, std::span<const float>(buffer.data(), count), to.data() + at * width);
  }
}

template <class F>
void fill_integers(dtype type, std::span<std::byte> to, F value) {
  auto width = size_of(type);
  std::array<std::int64_t, chunk> buffer;
  for (std::size_t at = 0, n = to.size() / width; at < n; at += chunk) {
    auto count = std::min(chunk, n - at);
    for (std::size_t i = 0; i < count; ++i)
      buffer[i] = value(at + i);
    encode(type, std::span<const std::int64_t>(buffer.data(), count), to.data() + at * width);
  }
}

double uniform_from(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }
std::uint64_t below(std::uint64_t bits, std::uint64_t n) {
  return n >> 32 ? bits % n : ((bits >> 32) * n) >> 32;
}

distribution distribution_of(const operator_definition& op, const tensor_spec& spec) {
  for (const auto& d : op.distributions)
    if (d.input == spec.name)
      return d;
  if (is_floating(spec.type))
    return {spec.name, distribution_kind::normal, 0, 1};
  return {spec.name, distribution_kind::integers, 0, spec.type == dtype::boolean ? 2.0 : 8.0};
}

/// Ascending along rows of `width` elements: one value drawn in each of `width` equal parts of [a, b).
void draw_ascending(const distribution& d, dtype type, std::uint64_t width, std::span<std::byte> to, stream s) {
  const auto value = [&](auto i) {
    return d.a + (d.b - d.a) * (static_cast<double>(static_cast<std::uint64_t>(i) % width) + uniform_from(s.bits(i))) / static_cast<double>(width);
  };
  if (is_floating(type))
    fill_reals(type, to, value);
  else
    fill_integers(type, to, [&](auto i) { return static_cast<std::int64_t>(std::floor(value(i))); });
}

void draw(const distribution& d, dtype type, std::uint64_t width, std::span<std::byte> to, stream s) {
  if (d.kind == distribution_kind::ascending)
    return draw_ascending(d, type, width, to, s);
  if (is_floating(type)) {
    switch (d.kind) {
      case distribution_kind::normal: return fill_normal(type, to, s, d.a, d.b);
      case distribution_kind::uniform: return fill_reals(type, to, [&](auto i) { return d.a + (d.b - d.a) * uniform_from(s.bits(i)); });
      case distribution_kind::constant: return fill_reals(type, to, [&](auto) { return d.a; });
      case distribution_kind::integers:
      case distribution_kind::ascending: break;
    }
  }
  auto low = static_cast<std::int64_t>(d.kind == distribution_kind::normal ? d.a - 4 * d.b : d.a);
  auto high = static_cast<std::int64_t>(d.kind == distribution_kind::normal ? d.a + 4 * d.b : d.kind == distribution_kind::constant ? d.a + 1 : d.b);
  auto range = static_cast<std::uint64_t>(std::max<std::int64_t>(1, high - low));
  auto value = [&](auto i) { return low + static_cast<std::int64_t>(below(s.bits(i), range)); };
  if (is_floating(type))
    fill_reals(type, to, [&](auto i) { return static_cast<double>(value(i)); });
  else
    fill_integers(type, to, value);
}

/// Values of an adversarial kind for a floating tensor whose rows have `width` elements.
void stress(const check_case& what, dtype type, std::size_t width, std::span<std::byte> to, stream s) {
  const auto& format = format_of(type);
  auto normal = [&](std::size_t i) { return static_cast<double>(normal_from(static_cast<std::uint32_t>(s.bits(i)))); };
  auto sign = [](std::uint64_t bits) { return bits & 1 ? -1.0 : 1.0; };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  switch (what.kind) {
    case case_kind::random: break;
    case case_kind::zeros: return fill_reals(type, to, [&](auto i) { return 0.0 * sign(s.bits(i)); });
    case case_kind::constant_rows:
      return fill_reals(type, to, [&](auto i) { return static_cast<double>(below(s.bits(i / width), 9)) - 4; });
    case case_kind::ties: return fill_reals(type, to, [&](auto i) { return static_cast<double>(below(s.bits(i), 5)) - 2; });
    case case_kind::negative: return fill_reals(type, to, [&](auto i) { return -0.125 - std::abs(normal(i)); });
    case case_kind::indexed: // exact in every floating type from 11 bits on
      return fill_reals(type, to, [&](auto i) { return (static_cast<double>(i % 2039) - 1019) / 512 + (i / 2039 % 5 == 4 ? 0.5 : 0); });
    case case_kind::large: return fill_reals(type, to, [&](auto i) { return what.magnitude * normal(i); });
    case case_kind::denormal:
      return fill_reals(type, to, [&](auto i) {
        auto bits = s.bits(i);
        double scale = bits >> 1 & 3 ? format.smallest_normal : 8 * format.smallest_normal;
        return sign(bits) * scale * uniform_from(hash(bits));
      });
    case case_kind::cancelling:
      return fill_reals(type, to, [&](auto i) {
        double pair = what.magnitude * normal(i / 2);
        return (i & 1 ? -pair : pair) + normal(i + (std::size_t{1} << 40)) / 16;
      });
    case case_kind::not_finite:
      return fill_reals(type, to, [&](auto i) {
        if (width > 1 && i / width % 8 == 5) // a row that is masked out
          return -infinity;
        auto bits = s.bits(i);
        if (i / width % 2 == 0 && i != 0) // every other row stays finite
          return normal(i);
        switch (below(hash(bits), 97)) {
          case 0: return std::numeric_limits<double>::quiet_NaN();
          case 1: return infinity;
          case 2: return -infinity;
          default: return normal(i);
        }
      });
  }
}

bool stressable(const operator_definition& op, const tensor_spec& spec) {
  return is_floating(spec.type) && !spec.scalar && distribution_of(op, spec).kind == distribution_kind::normal;
}

/// Which inputs the case stresses: a nonempty random choice among those that may be.
bool is_stressed(const operator_definition& op, std::size_t index, const check_case& what) {
  if (what.kind == case_kind::random || !stressable(op, op.inputs[index]))
    return false;
  std::vector<std::size_t> eligible;
  for (std::size_t i = 0; i < op.inputs.size(); ++i)
    if (stressable(op, op.inputs[i]))
      eligible.push_back(i);
  rng choice(what.seed, static_cast<std::uint64_t>(what.kind), "stressed inputs");
  auto sure = eligible[choice.below(eligible.size())];
  for (auto i : eligible) {
    bool chosen = choice.chance(0.3);
    if (i == index)
      return chosen || i == sure;
  }
  return false;
}

} // namespace

std::string_view to_string(case_kind kind) noexcept {
  constexpr std::array<std::string_view, 10> names{"random", "zeros", "constant rows", "ties", "negative",
                                                   "indexed", "large", "denormal", "cancelling", "not finite"};
  return names[static_cast<std::size_t>(kind)];
}

std::string check_case::describe() const {
  std::string text;
  for (const auto& [name, value] : variable_axes)
    text += name + "=" + std::to_string(value) + ", ";
  return text + std::string(to_string(kind)) + ", seed " + std::to_string(seed);
}

result<std::vector<tensor_layout>> layouts(const std::vector<tensor_spec>& tensors, const axis_binding& axes) {
  std::vector<tensor_layout> out;
  for (const auto& spec : tensors) {
    auto shape = bind_shape(spec.shape, axes);
    if (!shape)
      return shape.error().in("tensor " + spec.name);
    auto count = element_count(*shape);
    if (!count)
      return count.error().in("tensor " + spec.name);
    out.push_back({spec.name, spec.type, *shape, static_cast<std::size_t>(*count) * size_of(spec.type)});
  }
  return out;
}

result<void> fill_input(const operator_definition& op, std::size_t index, const tensor_layout& layout, const check_case& what,
                        const std::vector<workload_input>& given, std::span<std::byte> to) {
  const auto& spec = op.inputs.at(index);
  if (to.size() != layout.bytes)
    return error{errc::specification, "input " + spec.name + ": expected room for " + std::to_string(layout.bytes) + " bytes, found " +
                                          std::to_string(to.size())};
  for (const auto& g : given)
    if (g.name == spec.name && g.kind == input_kind::scalar) {
      distribution constant{spec.name, distribution_kind::constant, g.value, 0};
      draw(constant, layout.type, 1, to, stream{0});
      return {};
    } else if (g.name == spec.name && g.kind != input_kind::random) {
      return error{errc::specification, "input " + spec.name + ": inputs from files and custom entry points are not supported"};
    }
  rng key(what.seed, index, "input");
  stream s{key()};
  if (is_stressed(op, index, what)) {
    auto width = layout.shape.empty() ? 1 : std::max<std::int64_t>(1, layout.shape.back());
    stress(what, layout.type, static_cast<std::size_t>(width), to, s);
  } else {
    draw(distribution_of(op, spec), layout.type, layout.shape.empty() ? 1 : static_cast<std::uint64_t>(layout.shape.back()), to, s);
  }
  return {};
}

result<std::vector<std::vector<std::byte>>> make_inputs(const operator_definition& op, const std::vector<tensor_layout>& inputs,
                                                        const check_case& what, const std::vector<workload_input>& given) {
  std::vector<std::vector<std::byte>> out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    out.emplace_back(inputs[i].bytes);
    if (auto done = fill_input(op, i, inputs[i], what, given, out.back()); !done)
      return done.error();
  }
  return out;
}

} // namespace kevolve::agent
