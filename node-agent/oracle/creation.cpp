// Tensors from numbers. The declared shape of the result says how large; what is `empty` is zero here, so that a read of it is defined.
#include "node-agent/oracle/call.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::agent::oracle {
namespace {

tensor filled(dtype type, const extents& shape, double value) {
  return is_floating(type) ? make_filled<double>(type, shape, value)
                           : make_filled<std::int64_t>(type, shape, *data<std::int64_t>(scalar(value, dtype::int64)));
}

results zeros(const call& c) { return {filled(c.result_type(), c.result_shape(), 0)}; }
results ones(const call& c) { return {filled(c.result_type(), c.result_shape(), 1)}; }

results full(const call& c) {
  const char* name = c.has("fill_value") ? "fill_value" : c.has("s") ? "s" : "value";
  tensor value = c.value(name); // an integer beyond 2^53 must not pass through double
  return {copy_of(expand(convert(value, c.result_type()), c.result_shape()))};
}

results arange(const call& c) {
  auto type = c.result_type();
  auto count = product(c.result_shape());
  if (is_floating(type)) {
    double start = c.real("start", 0), step = c.real("step", 1);
    tensor out = make<double>(type, {count});
    for (std::int64_t i = 0; i < count; ++i)
      mutable_data<double>(out)[i] = start + static_cast<double>(i) * step;
    return {out};
  }
  auto start = c.integer("start", 0), step = c.integer("step", 1);
  tensor out = make<std::int64_t>(type, {count});
  for (std::int64_t i = 0; i < count; ++i)
    mutable_data<std::int64_t>(out)[i] = start + i * step;
  return {out};
}

results linspace(const call& c) {
  auto steps = c.integer("steps");
  double start = c.real("start"), end = c.real("end");
  tensor out = make<double>(c.result_type(), {steps});
  double step = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0;
  for (std::int64_t i = 0; i < steps; ++i)
    mutable_data<double>(out)[i] = i < steps / 2 ? start + step * static_cast<double>(i) : end - step * static_cast<double>(steps - 1 - i);
  return {out};
}

results eye(const call& c) {
  tensor out = filled(c.result_type(), c.result_shape(), 0);
  for (std::int64_t i = 0; i < std::min(out.shape.at(0), out.shape.at(1)); ++i)
    write_window(out, select(select(out, 0, i), 0, i), scalar(1));
  return {out};
}

/// A constant that the reference captured, written out in the graph.
results literal(const call& c) {
  auto type = c.result_type();
  auto shape = c.result_shape();
  tensor out = filled(type, shape, 0);
  auto put = [&](auto* to, const auto& values) {
    if (static_cast<std::int64_t>(values.size()) != out.count())
      refuse(std::to_string(values.size()) + " values for shape " + to_text(shape));
    std::copy(values.begin(), values.end(), to);
  };
  if (out.real())
    put(mutable_data<double>(out), c.reals("values"));
  else
    put(mutable_data<std::int64_t>(out), c.integers("values"));
  return {out};
}

const entry table[] = {
    {"kevolve.literal.default", literal},
    {"zeros", zeros}, {"zeros_like", zeros}, {"new_zeros", zeros}, {"empty", zeros}, {"empty_like", zeros}, {"new_empty", zeros},
    {"empty_strided", zeros}, {"new_empty_strided", zeros}, {"ones", ones}, {"ones_like", ones}, {"new_ones", ones}, {"full", full},
    {"full_like", full}, {"new_full", full}, {"fill", full}, {"scalar_tensor", full}, {"arange", arange}, {"linspace", linspace},
    {"eye", eye},
};

} // namespace

family creation_operations() { return table; }

} // namespace kevolve::agent::oracle
