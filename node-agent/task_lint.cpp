#include "node-agent/task_lint.hpp"

#include "node-agent/compare.hpp"
#include "node-agent/storage.hpp"

#include <algorithm>
#include <optional>

namespace kevolve::agent {
namespace {

constexpr std::uint64_t one_seed = 11, other_seed = 23;

/// Random cases on sizes that are soon computed: two odd ones that the operator accepts, then its own workloads, the smallest first. (A handful of
/// lookups in a sparse table finds nothing, every time: only the real size shows that the table matters.)
std::vector<check_case> small_cases(const problem& subject) {
  std::vector<check_case> odd, given;
  for (check_case& c : plan_cases(subject, one_seed))
    if (c.kind == case_kind::random)
      (c.workload.empty() ? odd : given).push_back(std::move(c));
  const auto size = [&](const check_case& c) {
    double bytes = 0;
    if (auto axes = bind_axes(subject.op, c.variable_axes))
      if (auto bound = layouts(subject.op.inputs, *axes))
        for (const auto& l : *bound)
          bytes += static_cast<double>(l.bytes);
    return bytes;
  };
  std::sort(given.begin(), given.end(), [&](const auto& a, const auto& b) { return size(a) < size(b); });
  if (odd.size() > 2)
    odd.resize(2);
  odd.insert(odd.end(), given.begin(), given.end());
  return odd;
}

std::vector<std::byte> bytes_of(const oracle_tensor& t) {
  const std::size_t n = is_floating(t.type) ? t.reals.size() : t.integers.size();
  std::vector<std::byte> bytes(n * size_of(t.type));
  if (is_floating(t.type))
    encode(t.type, std::span<const double>(t.reals), bytes.data());
  else
    encode(t.type, std::span<const std::int64_t>(t.integers), bytes.data());
  return bytes;
}

struct drawn {
  expectation what;
  axis_binding axes;
  std::vector<tensor_layout> inputs;
};

result<drawn> draw(const problem& subject, check_case c, std::uint64_t seed, const std::vector<workload_input>& given) {
  drawn d;
  c.seed = seed;
  KEVOLVE_TRY(axes, bind_axes(subject.op, c.variable_axes));
  KEVOLVE_TRY(inputs, layouts(subject.op.inputs, axes));
  KEVOLVE_TRY(what, expect(subject.op, c, given));
  d.axes = std::move(axes), d.inputs = std::move(inputs), d.what = std::move(what);
  return d;
}

/// All outputs of `found` pass where `d`'s are expected.
bool passes(const drawn& d, const std::vector<oracle_tensor>& found, const tolerance& allowed) {
  for (std::size_t i = 0; i < d.what.outputs.size(); ++i)
    if (i >= found.size() || !compare(d.what.outputs[i], bytes_of(found[i]), allowed).agrees)
      return false;
  return true;
}


std::vector<oracle_tensor> tensors(const std::vector<tensor_layout>& layout, const std::vector<std::vector<std::byte>>& bytes) {
  std::vector<oracle_tensor> all;
  for (std::size_t i = 0; i < layout.size(); ++i)
    all.push_back(to_oracle(layout[i].type, layout[i].shape, bytes[i]));
  return all;
}

result<lint_findings> lint_case(const problem& subject, const drawn& one, const drawn& other) {
  const tolerance allowed = subject.op.tolerated;
  lint_findings found;
  auto& objections = found.objections;
  for (std::size_t i = 0; i < one.what.outputs.size(); ++i) {
    const std::string& name = subject.op.outputs[i].name;
    const bool changes_nothing = subject.op.inputs.empty() || compare(one.what.outputs[i], bytes_of(other.what.outputs[i].exact), allowed).agrees;
    const std::vector<std::byte> zeros(bytes_of(one.what.outputs[i].exact).size());
    if (changes_nothing)
      objections.push_back("output '" + name + "' is the same for other inputs: a constant passes");
    else if (compare(one.what.outputs[i], zeros, allowed).agrees)
      objections.push_back("output '" + name + "' passes as zeros: its values are below the tolerance");
  }
  if (!objections.empty())
    return found;
  std::size_t bytes = 0;
  for (const auto& input : one.what.inputs)
    bytes += input.size();
  for (std::size_t i = 0; i < subject.op.inputs.size(); ++i) {
    auto mixed = one.what.inputs;
    if (mixed[i] == other.what.inputs[i])
      continue; // a scalar that the workload gives
    mixed[i] = other.what.inputs[i];
    KEVOLVE_TRY(outputs, interpret(*subject.op.traced, one.axes, tensors(one.inputs, mixed)));
    if (!passes(one, outputs, allowed))
      continue;
    const bool negligible = static_cast<double>(mixed[i].size()) <= negligible_input * static_cast<double>(bytes);
    (negligible ? found.remarks : objections).push_back("input '" + subject.op.inputs[i].name + "' makes no difference to any output: a kernel need not read it");
  }
  return found;
}

} // namespace

result<lint_findings> lint(const problem& subject) {
  if (!subject.op.traced)
    return error{errc::specification, "operator '" + subject.op.name + "' has no graph"};
  static const std::vector<workload_input> none;
  std::optional<lint_findings> fewest;
  const auto said = [](const lint_findings& f) { return std::pair(f.objections.size(), f.remarks.size()); };
  std::optional<error> why;
  int tried = 0;
  for (const check_case& c : small_cases(subject)) {
    const std::vector<workload_input>& given = subject.workloads.empty() ? none : subject.workloads.front().inputs;
    auto one = draw(subject, c, one_seed, given), other = draw(subject, c, other_seed, given);
    if (!one || !other) {
      why = one ? other.error() : one.error();
      continue;
    }
    auto found = lint_case(subject, *one, *other);
    if (!found) {
      why = found.error();
      continue;
    }
    if (!fewest || said(*found) < said(*fewest)) // an objection holds where every size shows it
      fewest = std::move(*found);
    if (said(*fewest) == std::pair<std::size_t, std::size_t>{} || ++tried == 3)
      break;
  }
  if (fewest)
    return std::move(*fewest);
  return why ? *why : error{errc::specification, "operator '" + subject.op.name + "' has no size to be looked at"};
}

} // namespace kevolve::agent
