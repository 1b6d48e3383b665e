#include "actors/synthesis/blocks.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::synthesis {

double waste(double extent, int step) { return std::ceil(extent / step) * step / std::max(1.0, extent); }

double elements(const outlook& o, const std::vector<dimension>& dims) {
  double n = 1;
  for (const auto& d : dims)
    n *= static_cast<double>(std::max<std::int64_t>(1, o.estimate(d.extent)));
  return n;
}

int readers(const program& p, int which) {
  int n = 0;
  for (const auto& v : p.values)
    if (v.body) {
      const auto reads = loads_of(v.body);
      n += std::find(reads.begin(), reads.end(), which) != reads.end() ? 1 : 0;
    }
  return n;
}

double traffic(const outlook& o) {
  double bytes = 0;
  for (const auto& v : o.subject->values)
    if (v.kind == value::kind_t::input || !v.outputs.empty())
      bytes += elements(o, v.dims) * static_cast<double>(size_of(v.type));
  return bytes;
}

std::vector<block_shape> block_shapes(int width) {
  if (width == 16)
    return {{14, 32, 1}, {6, 64, 1}, {12, 32, 0.99}, {8, 48, 0.98}, {13, 32, 0.99}, {9, 48, 0.98}, {10, 32, 0.96}, {8, 32, 0.93}, {28, 16, 0.85}, {4, 96, 0.93}, {16, 16, 0.7}};
  if (width == 8)
    return {{6, 16, 1}, {4, 24, 0.95}, {12, 8, 0.8}, {3, 32, 0.9}, {4, 16, 0.85}};
  return {{6, 8, 1}, {4, 8, 0.9}, {12, 4, 0.8}};
}

std::pair<double, double> shape_of(const outlook& o, const nest& n) {
  double rows = 1;
  double columns = 1;
  if (const auto loops = loops_of_product(n)) {
    rows = elements(o, loops->rows);
    columns = elements(o, loops->columns);
  }
  return {rows, columns};
}

block_shape best_block(const outlook& o, const nest& n) {
  const auto [rows, columns] = shape_of(o, n);
  block_shape best{0, 0, 0};
  double score = 0;
  for (const auto& b : block_shapes(o.width)) {
    const double s = b.efficiency / (waste(rows, b.m) * waste(columns, b.n));
    if (s > score) {
      score = s;
      best = b;
    }
  }
  return best;
}

block_shape direct_block(const outlook& o, const nest& n) {
  block_shape best{0, 0, 0};
  const auto loops = loops_of_product(n);
  if (!loops)
    return best;
  const int registers = o.width == 16 ? 28 : 12;
  for (int m = 1; m <= 16; ++m)
    for (int vectors = 1; vectors <= 4; ++vectors) {
      const int sums = m * vectors;
      const double reuse = static_cast<double>(sums) / (m + vectors); // sums for each operand that is read
      if (sums <= registers && reuse > best.efficiency && fits_directly(*loops, m, vectors * o.width))
        best = {m, vectors * o.width, reuse};
    }
  return best;
}

bool is_small_product(const outlook& o, const nest& n) {
  const auto loops = loops_of_product(n);
  if (!loops || loops->batch.empty())
    return false;
  const double panel = elements(o, n.phases[0].loops) * elements(o, loops->columns);
  return panel <= 4096 && elements(o, loops->rows) <= 128;
}

parameters block_parameters(const outlook& o, const block_shape& b) {
  parameters p{{"m", std::to_string(b.m)}, {"n", std::to_string(b.n)}};
  if (o.width != 16)
    p.emplace_back("width", std::to_string(o.width));
  return p;
}

} // namespace kevolve::synthesis
