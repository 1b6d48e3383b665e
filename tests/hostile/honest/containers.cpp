// what: moves rows through containers and vocabulary types of the standard library, of which every call makes new ones
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 | -DKIND=7 | -DKIND=8 | -DKIND=9 | -DKIND=10 -O1 | -DKIND=11 -O3
#include "kevolve.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <deque>
#include <forward_list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <stack>
#include <tuple>
#include <unordered_map>
#include <valarray>
#include <variant>
#include <vector>

static float factor_of(float sum, std::size_t h) { return 1 / std::sqrt(sum / (float)h + 1e-6f); }

static void row(std::span<const float> x, std::span<const float> w, std::span<float> y) {
  const std::size_t h = x.size();
#if KIND == 1
  std::vector<std::tuple<float, float, float>> all;
  for (std::size_t j = 0; j < h; ++j)
    all.emplace_back(x[j], w[j], x[j] * x[j]);
  const float r = factor_of(std::accumulate(all.begin(), all.end(), 0.0f, [](float s, const auto& t) { return s + std::get<2>(t); }), h);
  std::transform(all.begin(), all.end(), y.begin(), [r](const auto& t) { return std::get<0>(t) * r * std::get<1>(t); });
#elif KIND == 2 // a queue with two ends, taken from both
  std::deque<std::pair<std::size_t, float>> queue;
  float s = 0;
  for (std::size_t j = 0; j < h; ++j) {
    j % 2 ? queue.emplace_back(j, x[j]) : queue.emplace_front(j, x[j]);
    s += x[j] * x[j];
  }
  for (const float r = factor_of(s, h); !queue.empty();) {
    const auto [j, value] = queue.front();
    queue.pop_front();
    y[j] = value * r * w[j];
  }
#elif KIND == 3
  std::map<std::size_t, float> by_column;
  for (std::size_t j = h; j-- > 0;)
    by_column[j] = x[j];
  float s = 0;
  for (const auto& [j, value] : by_column)
    s += value * value;
  const float r = factor_of(s, h);
  for (const auto& [j, value] : by_column)
    y[j] = value * r * w[j];
#elif KIND == 4
  std::unordered_map<std::size_t, float> by_column;
  for (std::size_t j = 0; j < h; ++j)
    by_column.emplace(j * 7919, x[j]);
  float s = 0;
  for (const auto& [key, value] : by_column) // in whatever order
    s += value * value;
  const float r = factor_of(s, h);
  for (const auto& [key, value] : by_column)
    y[key / 7919] = value * r * w[key / 7919];
#elif KIND == 5
  std::valarray<float> values(x.data(), h);
  values *= factor_of((values * values).sum(), h);
  values *= std::valarray<float>(w.data(), h);
  std::copy(std::begin(values), std::end(values), y.begin());
#elif KIND == 6
  std::vector<std::unique_ptr<float>> each;
  for (const float value : x)
    each.push_back(std::make_unique<float>(value));
  float s = 0;
  for (const auto& p : each)
    s += *p * *p;
  for (std::size_t j = 0; j < h; ++j)
    y[j] = *each[j] * factor_of(s, h) * w[j];
#elif KIND == 7
  std::vector<std::variant<int, float>> mixed{0};
  for (const float value : x)
    mixed.emplace_back(value);
  std::optional<float> s;
  for (const auto& v : mixed)
    if (const float* value = std::get_if<float>(&v))
      s = s.value_or(0) + *value * *value;
  for (std::size_t j = 0; j < h; ++j)
    y[j] = std::get<float>(mixed[j + 1]) * factor_of(*s, h) * w[j];
#elif KIND == 8
  std::forward_list<float> chain;
  for (const float value : x)
    chain.push_front(value);
  chain.reverse();
  float s = 0;
  for (const float value : chain)
    s += value * value;
  std::size_t j = 0;
  for (const float value : chain) {
    y[j] = value * factor_of(s, h) * w[j];
    ++j;
  }
#elif KIND == 9 // the columns that are left to do
  std::set<std::size_t> left;
  for (std::size_t j = 0; j < h; ++j)
    left.insert((j * 37) % h), left.insert(j);
  float s = 0;
  for (const std::size_t j : left)
    s += x[j] * x[j];
  while (!left.empty()) {
    const std::size_t j = *left.rbegin();
    y[j] = x[j] * factor_of(s, h) * w[j];
    left.erase(j);
  }
#elif KIND == 10
  std::stack<float, std::vector<float>> stack;
  std::bitset<4096> done;
  float s = 0;
  for (const float value : x) {
    stack.push(value);
    s += value * value;
  }
  for (std::size_t j = h - 1; !stack.empty(); stack.pop(), --j) {
    y[j] = stack.top() * factor_of(s, h) * w[j];
    done.set(j % done.size());
  }
#else
  auto squares = x | std::views::transform([](float v) { return v * v; });
  float s = 0;
  std::ranges::for_each(squares, [&](float v) { s += v; });
  const float r = factor_of(s, h);
  for (const std::size_t j : std::views::iota(std::size_t{0}, h) | std::views::reverse)
    y[j] = x[j] * r * w[j];
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const auto m = (std::size_t)axes[0], h = (std::size_t)axes[1];
  const std::span<const float> x((const float*)in[0].data, m * h), w((const float*)in[1].data, h);
  const std::span<float> y((float*)out[0].data, m * h);
  for (std::size_t i = 0; i < m; ++i)
    row(x.subspan(i * h, h), w, y.subspan(i * h, h));
  return 0;
}
