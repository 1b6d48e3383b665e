#include "node-agent/oracle/tensor.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace kevolve::agent::oracle {
namespace {

/// Freed storage by size. Bounded: an interpretation's peak is what it needed anyway.
template <class T>
struct shelf {
  std::multimap<std::size_t, std::unique_ptr<std::vector<T>>> free;
};

struct shelves {
  int scopes = 0;
  shelf<double> reals;
  shelf<std::int64_t> integers;
};
thread_local shelves kept;

template <class T>
shelf<T>& shelf_of() {
  if constexpr (std::is_same_v<T, double>)
    return kept.reals;
  else
    return kept.integers;
}

constexpr std::size_t worth_keeping = 4096; // elements; malloc is as fast below

template <class T>
buffer<T> acquire(std::size_t size) {
  if (kept.scopes == 0 || size < worth_keeping)
    return std::make_shared<std::vector<T>>(size);
  auto& free = shelf_of<T>().free;
  std::unique_ptr<std::vector<T>> storage;
  if (auto found = free.find(size); found != free.end()) {
    storage = std::move(found->second);
    free.erase(found);
  } else {
    storage = std::make_unique<std::vector<T>>(size);
  }
  return buffer<T>(storage.release(), [](std::vector<T>* freed) {
    std::unique_ptr<std::vector<T>> owned(freed);
    if (kept.scopes > 0 && owned->size() >= worth_keeping)
      shelf_of<T>().free.emplace(owned->size(), std::move(owned));
  });
}

template <class T>
tensor copy_dense(const tensor& t) {
  return map<T, T>(t.type, t, [](T x) { return x; });
}

template <class T>
void copy_into(tensor& out, const tensor& window, const tensor& from) {
  T* to = mutable_data<T>(out) + (window.offset - out.offset);
  const T* x = data<T>(from);
  for_rows<2>(window.shape, {window.strides, from.strides}, [&](const auto& at, std::int64_t count, const auto& step) {
    for (std::int64_t i = 0; i < count; ++i)
      to[at[0] + i * step[0]] = x[at[1] + i * step[1]];
  });
}

std::int64_t truncated(double x) { // what x86 gives for values that do not fit, without undefined behaviour
  if (!(x > -9.3e18 && x < 9.3e18) || x >= 9223372036854775808.0 || x < -9223372036854775808.0)
    return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(x);
}

} // namespace

void refuse(std::string message) { throw refusal{std::move(message)}; }

storage_scope::storage_scope() { ++kept.scopes; }
storage_scope::~storage_scope() {
  if (--kept.scopes == 0) {
    kept.reals.free.clear();
    kept.integers.free.clear();
  }
}

std::int64_t product(const extents& shape) {
  std::int64_t n = 1;
  for (auto s : shape)
    if (s < 0 || __builtin_mul_overflow(n, s, &n))
      refuse("shape " + to_text(shape) + " is not a tensor's");
  return n;
}

extents dense_strides(const extents& shape) {
  extents strides(shape.size());
  std::int64_t step = 1;
  for (std::size_t d = shape.size(); d-- > 0; step *= std::max<std::int64_t>(shape[d], 1))
    strides[d] = step;
  return strides;
}

std::string to_text(const extents& shape) {
  std::string text = "[";
  for (auto s : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(s);
  return text + "]";
}

std::int64_t wrap_dimension(std::int64_t dim, std::int64_t rank) {
  auto limit = std::max<std::int64_t>(rank, 1);
  if (dim < -limit || dim >= limit)
    refuse("dimension " + std::to_string(dim) + " of a tensor of rank " + std::to_string(rank));
  return dim < 0 ? dim + limit : dim;
}

std::int64_t tensor::count() const { return product(shape); }

bool tensor::dense() const {
  std::int64_t step = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 0)
      return true;
    if (shape[d] != 1 && strides[d] != step)
      return false;
    step *= shape[d];
  }
  return true;
}

template <class T>
tensor make(dtype type, const extents& shape) {
  tensor t{.type = type, .shape = shape, .strides = dense_strides(shape), .offset = 0, .reals = {}, .integers = {}};
  auto size = static_cast<std::size_t>(product(shape));
  if constexpr (std::is_same_v<T, double>)
    t.reals = acquire<double>(size);
  else
    t.integers = acquire<std::int64_t>(size);
  return t;
}
template tensor make<double>(dtype, const extents&);
template tensor make<std::int64_t>(dtype, const extents&);

template <class T>
tensor make_filled(dtype type, const extents& shape, T value) {
  tensor t = make<T>(type, shape);
  std::fill_n(mutable_data<T>(t), t.count(), value);
  return t;
}
template tensor make_filled<double>(dtype, const extents&, double);
template tensor make_filled<std::int64_t>(dtype, const extents&, std::int64_t);

tensor contiguous(const tensor& t) {
  if (t.dense()) {
    tensor same = t;
    same.strides = dense_strides(t.shape);
    return same;
  }
  return t.real() ? copy_dense<double>(t) : copy_dense<std::int64_t>(t);
}

tensor as_reals(const tensor& t) {
  if (t.real())
    return t;
  return map<double, std::int64_t>(dtype::float64, t, [](std::int64_t x) { return static_cast<double>(x); });
}

tensor as_integers(const tensor& t) {
  if (!t.real())
    return t;
  return map<std::int64_t, double>(dtype::int64, t, truncated);
}

tensor convert(const tensor& t, dtype type) {
  if (is_floating(type)) {
    tensor out = as_reals(t);
    out.type = type;
    return out;
  }
  if (type == dtype::boolean) {
    if (t.type == dtype::boolean)
      return t;
    return t.real() ? map<std::int64_t, double>(type, t, [](double x) { return std::int64_t{x != 0}; })
                    : map<std::int64_t, std::int64_t>(type, t, [](std::int64_t x) { return std::int64_t{x != 0}; });
  }
  tensor out = t.real() ? as_integers(t) : map<std::int64_t, std::int64_t>(type, t, [](std::int64_t x) { return x; });
  out.type = type;
  wrap_to_type(out);
  return out;
}

void wrap_to_type(tensor& t) {
  if (t.real() || t.type == dtype::int64)
    return;
  auto* x = mutable_data<std::int64_t>(t);
  auto each = [&](auto narrow) {
    for (std::int64_t i = 0, n = t.count(); i < n; ++i)
      x[i] = static_cast<decltype(narrow)>(x[i]);
  };
  switch (t.type) {
    case dtype::int32: each(std::int32_t{}); break;
    case dtype::int16: each(std::int16_t{}); break;
    case dtype::int8: each(std::int8_t{}); break;
    case dtype::uint8: each(std::uint8_t{}); break;
    default:
      for (std::int64_t i = 0, n = t.count(); i < n; ++i)
        x[i] = x[i] != 0;
  }
}

extents broadcast(const extents& a, const extents& b) {
  extents out(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto from_end = out.size() - i;
    auto x = from_end <= a.size() ? a[a.size() - from_end] : 1;
    auto y = from_end <= b.size() ? b[b.size() - from_end] : 1;
    if (x != y && x != 1 && y != 1)
      refuse("shapes " + to_text(a) + " and " + to_text(b) + " do not broadcast");
    out[i] = x == 1 ? y : x;
  }
  return out;
}

tensor expand(const tensor& t, const extents& shape) {
  if (shape.size() < t.shape.size())
    refuse("cannot expand " + to_text(t.shape) + " to " + to_text(shape));
  tensor out = t;
  out.shape = shape;
  out.strides.assign(shape.size(), 0);
  auto added = shape.size() - t.shape.size();
  for (std::size_t d = 0; d < t.shape.size(); ++d) {
    auto& size = out.shape[d + added];
    if (size == -1)
      size = t.shape[d];
    if (t.shape[d] == size)
      out.strides[d + added] = t.strides[d];
    else if (t.shape[d] != 1)
      refuse("cannot expand " + to_text(t.shape) + " to " + to_text(shape));
  }
  return out;
}

tensor permute(const tensor& t, const extents& order) {
  if (order.size() != t.shape.size())
    refuse("permutation " + to_text(order) + " of a tensor of shape " + to_text(t.shape));
  tensor out = t;
  for (std::size_t d = 0; d < order.size(); ++d) {
    auto from = static_cast<std::size_t>(wrap_dimension(order[d], t.rank()));
    out.shape[d] = t.shape[from];
    out.strides[d] = t.strides[from];
  }
  return out;
}

tensor reshape(const tensor& t, const extents& wanted) {
  extents shape = wanted;
  auto total = t.count();
  if (auto open = std::find(shape.begin(), shape.end(), -1); open != shape.end()) {
    *open = 1;
    auto rest = product(shape);
    *open = rest == 0 ? 0 : total / rest;
  }
  if (product(shape) != total)
    refuse("cannot view " + to_text(t.shape) + " as " + to_text(wanted));
  if (shape == t.shape)
    return t;
  tensor out = contiguous(t);
  out.shape = shape;
  out.strides = dense_strides(shape);
  return out;
}

tensor move_last(const tensor& t, std::int64_t dim) {
  extents order;
  for (std::int64_t d = 0; d < t.rank(); ++d)
    if (d != dim)
      order.push_back(d);
  if (t.rank() > 0)
    order.push_back(dim);
  return permute(t, order);
}

tensor move_back(const tensor& t, std::int64_t dim) {
  extents order;
  for (std::int64_t d = 0; d + 1 < t.rank(); ++d)
    order.push_back(d);
  if (t.rank() > 0)
    order.insert(order.begin() + dim, t.rank() - 1);
  return permute(t, order);
}

tensor narrow(const tensor& t, std::int64_t dim, std::int64_t start, std::int64_t length, std::int64_t step) {
  tensor out = t;
  auto d = static_cast<std::size_t>(dim);
  out.offset += start * t.strides[d];
  out.shape[d] = length;
  out.strides[d] *= step;
  return out;
}

tensor select(const tensor& t, std::int64_t dim, std::int64_t index) {
  auto d = wrap_dimension(dim, t.rank());
  if (t.rank() == 0)
    refuse("cannot select from a tensor of rank 0");
  auto size = t.shape[static_cast<std::size_t>(d)];
  if (index < -size || index >= size)
    refuse("index " + std::to_string(index) + " in dimension " + std::to_string(dim) + " of " + to_text(t.shape));
  tensor out = narrow(t, d, index < 0 ? index + size : index, 1);
  out.shape.erase(out.shape.begin() + d);
  out.strides.erase(out.strides.begin() + d);
  return out;
}

tensor unsqueeze(const tensor& t, std::int64_t dim) {
  auto d = wrap_dimension(dim, t.rank() + 1);
  tensor out = t;
  out.shape.insert(out.shape.begin() + d, 1);
  out.strides.insert(out.strides.begin() + d, 0);
  return out;
}

tensor squeeze(const tensor& t, std::int64_t dim) {
  auto d = wrap_dimension(dim, t.rank());
  if (t.rank() == 0 || t.shape[static_cast<std::size_t>(d)] != 1)
    return t;
  tensor out = t;
  out.shape.erase(out.shape.begin() + d);
  out.strides.erase(out.strides.begin() + d);
  return out;
}

tensor scalar(double value, dtype type) {
  return is_floating(type) ? make_filled<double>(type, {}, value)
                           : make_filled<std::int64_t>(type, {}, truncated(value));
}

double item(const tensor& t) {
  if (t.count() != 1)
    refuse("a tensor of shape " + to_text(t.shape) + " where one number is needed");
  return t.real() ? *data<double>(t) : static_cast<double>(*data<std::int64_t>(t));
}

void write_window(tensor& out, const tensor& window, const tensor& from) {
  tensor source = expand(from, window.shape);
  if (out.real())
    copy_into<double>(out, window, as_reals(source));
  else
    copy_into<std::int64_t>(out, window, as_integers(source));
}

tensor copy_of(const tensor& t) {
  tensor out = t.real() ? make<double>(t.type, t.shape) : make<std::int64_t>(t.type, t.shape);
  write_window(out, out, t);
  return out;
}

} // namespace kevolve::agent::oracle
