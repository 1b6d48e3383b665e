#include "node-agent/case_set.hpp"

#include "node-agent/channel.hpp"
#include "node-agent/compare.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <cstring>

namespace kevolve::agent {
namespace {

constexpr double most_bytes_twice = 1e9; // workloads of more data get one input set instead of two

std::span<std::byte> bytes_of(buffer_set& set, std::size_t i) { return {reinterpret_cast<std::byte*>(set.data(i)), set.layout(i).bytes()}; }

result<std::unique_ptr<buffer_set>> buffers_for(const std::vector<tensor_spec>& specs, const std::vector<tensor_layout>& layouts) {
  std::vector<buffer_layout> tensors;
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    if (layouts[i].bytes > limits::tensor_bytes)
      return error{errc::specification, "tensor '" + layouts[i].name + "' has " + std::to_string(layouts[i].bytes) + " bytes; at most " +
                                            std::to_string(limits::tensor_bytes) + " are handled"};
    tensors.push_back({layouts[i].type, specs[i].scalar, layouts[i].shape});
  }
  return buffer_set::make(std::move(tensors));
}

std::size_t row_length(const buffer_layout& t) {
  return t.shape.empty() ? 1 : static_cast<std::size_t>(t.shape.back());
}

} // namespace

result<test_case> case_set::bind(const check_case& drawn, const workload* of) {
  test_case c;
  c.drawn = drawn;
  c.name = drawn.describe();
  c.tolerated = of && of->tolerated ? *of->tolerated : subject_.op.tolerated;
  c.given = of ? &of->inputs : nullptr;
  KEVOLVE_TRY(axes, bind_axes(subject_.op, drawn.variable_axes));
  c.axes = std::move(axes);
  c.longest_reduction = longest_reduction_of(*subject_.op.traced, c.axes);
  return c;
}

result<std::unique_ptr<case_set>> case_set::make(const problem& subject, std::uint64_t seed) {
  if (!subject.op.traced)
    return error{errc::specification, "operator '" + subject.op.name + "' has no graph: it cannot be checked (trace its reference first)"};
  std::unique_ptr<case_set> set(new case_set);
  set->subject_ = subject;
  // Slot 0 is nobody's, the last one is for inputs never seen.
  const std::size_t workloads = subject.workloads.size(), places = channel::slots - 2;
  if (workloads > places)
    return error{errc::specification, "operator '" + subject.op.name + "' has " + std::to_string(workloads) + " workloads; at most " + std::to_string(places) +
                                          " are judged together (choose some with --workload)"};
  const std::uint64_t sets_each = 2 * workloads <= places ? 2 : 1;
  std::uint32_t slot = 1;
  for (std::size_t w = 0; w < set->subject_.workloads.size(); ++w) {
    const workload& of = set->subject_.workloads[w];
    auto& sets = set->timed_.emplace_back();
    for (std::uint64_t i = 0; i < sets_each; ++i) {
      check_case drawn;
      drawn.variable_axes = of.axes;
      drawn.seed = rng(seed, 2 * w + i, "timed")();
      drawn.workload = of.uuid;
      auto c = set->bind(drawn, &of);
      if (!c)
        return c.error().in("workload '" + (of.name.empty() ? of.uuid : of.name) + "'");
      c->slot = slot++;
      sets.push_back(std::move(*c));
      KEVOLVE_TRY(inputs, layouts(subject.op.inputs, sets[0].axes));
      double bytes = 0;
      for (const auto& l : inputs)
        bytes += static_cast<double>(l.bytes);
      if (bytes > most_bytes_twice)
        break;
    }
  }
  for (const check_case& drawn : plan_cases(set->subject_, seed)) {
    if (!drawn.workload.empty() || slot + 1 >= channel::slots) // the last one is for inputs never seen
      continue;
    auto c = set->bind(drawn, set->subject_.workloads.empty() ? nullptr : &set->subject_.workloads[0]);
    if (!c && drawn.optional)
      continue;
    if (!c)
      return c.error();
    c->slot = slot++;
    set->adversarial_.push_back(std::move(*c));
  }
  return set;
}

result<void> case_set::fill(test_case& c) {
  if (c.inputs)
    return {};
  KEVOLVE_TRY(in, layouts(subject_.op.inputs, c.axes));
  KEVOLVE_TRY(out, layouts(subject_.op.outputs, c.axes));
  KEVOLVE_TRY(inputs, buffers_for(subject_.op.inputs, in));
  KEVOLVE_TRY(outputs, buffers_for(subject_.op.outputs, out));
  static const std::vector<workload_input> none;
  for (std::size_t i = 0; i < in.size(); ++i)
    KEVOLVE_TRY_VOID(fill_input(subject_.op, i, in[i], c.drawn, c.given ? *c.given : none, bytes_of(*inputs, i)));
  c.inputs = std::move(inputs);
  c.outputs = std::move(outputs);
  return {};
}

result<void> case_set::expect(test_case& c) {
  if (!c.expected.empty() || c.skipped)
    return {};
  static const std::vector<workload_input> none;
  auto what = agent::expect(subject_.op, c.drawn, c.given ? *c.given : none);
  auto filled = what ? fill(c) : result<void>();
  if (!what || !filled) {
    if (c.drawn.optional)
      return c.skipped = true, result<void>();
    return (what ? filled.error() : what.error()).in(c.name);
  }
  for (std::size_t i = 0; i < c.inputs->size(); ++i)
    std::memcpy(c.inputs->data(i), what->inputs[i].data(), what->inputs[i].size());
  c.drawn = what->what;
  c.expected = std::move(what->outputs);
  return {};
}

result<test_case*> case_set::unseen(std::size_t w, std::uint64_t seed) {
  const workload& of = subject_.workloads[w];
  check_case drawn;
  drawn.variable_axes = of.axes;
  drawn.seed = seed;
  drawn.workload = of.uuid;
  KEVOLVE_TRY(c, bind(drawn, &of));
  c.slot = channel::slots - 1;
  c.name += ", inputs never seen";
  KEVOLVE_TRY_VOID(expect(c));
  unseen_ = std::make_unique<test_case>(std::move(c));
  return unseen_.get();
}

void case_set::exchange(test_case& a, test_case& b) {
  for (std::size_t i = 0; i < a.inputs->size(); ++i)
    std::swap_ranges(a.inputs->data(i), a.inputs->data(i) + a.inputs->layout(i).bytes(), b.inputs->data(i));
  std::swap(a.expected, b.expected);
  std::swap(a.drawn, b.drawn);
  std::swap(a.name, b.name);
}

case_verdict case_set::compare(const test_case& c) const {
  case_verdict v;
  for (std::size_t i = 0; i < c.outputs->size(); ++i) {
    const agreement found = agent::compare(c.expected[i], bytes_of(*c.outputs, i), c.tolerated);
    v.max_absolute_error = std::max(v.max_absolute_error, found.max_absolute_error);
    v.max_relative_error = std::max(v.max_relative_error, found.max_relative_error);
    if (!found.agrees && v.result == outcome::passed) {
      v.result = outcome::incorrect_numerical;
      v.detail = "output " + subject_.op.outputs[i].name + ": " + std::to_string(found.failed) + " of " + std::to_string(found.compared) +
                 " elements wrong; " + found.first_failure;
    }
  }
  return v;
}

std::vector<case_set::spot> case_set::draw_spots(const test_case& c, rng& secret) {
  constexpr std::size_t most_rows = 8, most_elements = 8192;
  std::vector<spot> spots;
  for (std::size_t i = 0; i < c.outputs->size(); ++i) {
    const std::size_t length = row_length(c.outputs->layout(i)), elements = c.outputs->layout(i).elements();
    if (elements == 0)
      continue;
    const std::size_t rows = std::clamp<std::size_t>(most_elements / length, 1, most_rows);
    for (std::size_t r = 0; r < std::min(rows, elements / length); ++r)
      spots.push_back({i, secret.below(elements / length)});
  }
  return spots;
}

void case_set::add_poked(const test_case& c, std::vector<spot>& spots, std::uint64_t seed, std::uint32_t calls) {
  constexpr std::uint32_t looked_at = 4;
  if (seed == 0)
    return;
  for (std::uint32_t k = 0; k < std::min(looked_at, calls); ++k) {
    const std::uint64_t where = channel::poked(seed, calls - 1 - k * (calls / looked_at));
    const std::size_t output = static_cast<std::size_t>(where % c.outputs->size()), elements = c.outputs->layout(output).elements();
    if (elements > 0)
      spots.push_back({output, static_cast<std::size_t>((where >> 8) % elements) / row_length(c.outputs->layout(output))});
  }
}

void case_set::poison_spots(test_case& c, const std::vector<spot>& spots, rng& secret) {
  constexpr std::size_t poisoned_per_row = 16;
  for (const spot& s : spots) {
    const std::size_t length = row_length(c.outputs->layout(s.output)), size = size_of(c.outputs->layout(s.output).type);
    for (std::size_t k = 0; k < std::min(poisoned_per_row, length); ++k)
      std::memset(c.outputs->data(s.output) + (s.row * length + secret.below(length)) * size, poison_byte, size);
  }
}

case_verdict case_set::inspect_spots(const test_case& c, const std::vector<spot>& spots) const {
  case_verdict v;
  tolerance allowed = c.tolerated;
  if (allowed.matched_ratio < 1)
    allowed.matched_ratio *= 0.5; // the failures that are allowed may lie close together
  for (const spot& s : spots) {
    const std::size_t length = row_length(c.outputs->layout(s.output)), size = size_of(c.outputs->layout(s.output).type);
    const std::span<const std::byte> row{reinterpret_cast<const std::byte*>(c.outputs->data(s.output)) + s.row * length * size, length * size};
    const agreement found = agent::compare_part(c.expected[s.output], s.row * length, length, row, allowed);
    if (found.agrees)
      continue;
    const std::string poison(size, static_cast<char>(poison_byte));
    bool untouched = false;
    for (std::size_t e = 0; e < length; ++e)
      untouched |= std::memcmp(row.data() + e * size, poison.data(), size) == 0;
    v.result = untouched ? outcome::reward_hack : outcome::incorrect_numerical;
    v.detail = "output " + subject_.op.outputs[s.output].name + ", row " + std::to_string(s.row) + ": " + found.first_failure +
               (untouched ? " (left unwritten)" : "");
    return v;
  }
  return v;
}

} // namespace kevolve::agent
