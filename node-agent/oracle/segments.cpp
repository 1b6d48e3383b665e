// Reductions over consecutive parts of the first dimension, as offsets or lengths give them (jagged tensors).
#include "node-agent/oracle/call.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

/// Where each part begins, and where the last one ends.
std::vector<integer> borders_of(const call& c) {
  const bool by_offsets = c.has("offsets");
  if (!by_offsets && !c.has("lengths"))
    refuse("segment_reduce: found neither offsets nor lengths, expected one of them");
  const tensor given = contiguous(as_integers(c.value(by_offsets ? "offsets" : "lengths")));
  if (given.rank() != 1)
    refuse("segment_reduce: offsets or lengths of rank " + std::to_string(given.rank()) + ", expected 1");
  const integer* at = data<integer>(given);
  if (by_offsets)
    return {at, at + given.count()};
  std::vector<integer> borders{0};
  for (integer i = 0; i < given.count(); ++i)
    borders.push_back(borders.back() + at[i]);
  return borders;
}

struct reducer {
  double none; // of an empty part
  double (*step)(double, double);
};

reducer reducer_of(const std::string& kind) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (kind == "sum" || kind == "mean")
    return {0, [](double a, double b) { return a + b; }};
  if (kind == "prod")
    return {1, [](double a, double b) { return a * b; }};
  if (kind == "max")
    return {-infinity, [](double a, double b) { return b > a || b != b ? b : a; }};
  if (kind == "min")
    return {infinity, [](double a, double b) { return b < a || b != b ? b : a; }};
  refuse("segment_reduce: found reduce '" + kind + "', expected sum, mean, max, min or prod");
}

results segment_reduce(const call& c) {
  const tensor x = contiguous(as_reals(c.value("data")));
  if (x.rank() == 0 || c.integer("axis", 0) != 0)
    refuse("segment_reduce: only along dimension 0");
  const auto borders = borders_of(c);
  const auto kind = c.text("reduce", "");
  const reducer how = reducer_of(kind);
  const bool started = c.has("initial");
  const double first = c.real("initial", how.none);
  extents shape = x.shape;
  const integer rows = shape[0], width = product({shape.begin() + 1, shape.end()}), parts = static_cast<integer>(borders.size()) - 1;
  shape[0] = std::max<integer>(parts, 0);
  tensor out = make<double>(c.result_type(), shape);
  const double* in = data<double>(x);
  double* to = mutable_data<double>(out);
  for (integer p = 0; p < parts; ++p) {
    const integer begin = borders[static_cast<std::size_t>(p)], end = borders[static_cast<std::size_t>(p) + 1];
    if (begin < 0 || end < begin || end > rows)
      refuse("segment_reduce: part " + std::to_string(p) + " from " + std::to_string(begin) + " to " + std::to_string(end) + " is not within 0 to " + std::to_string(rows));
    for (integer j = 0; j < width; ++j) {
      double value = first;
      for (integer i = begin; i < end; ++i)
        value = how.step(value, in[i * width + j]);
      if (kind == "mean")
        value = end > begin ? value / static_cast<double>(end - begin) : started ? first : NAN;
      to[p * width + j] = value;
    }
  }
  return {out};
}

constexpr entry table[] = {{"segment_reduce", segment_reduce}};

} // namespace

family segment_operations() { return table; }

} // namespace kevolve::agent::oracle
