// Shapes: views share storage, concatenation and padding copy.
#include "node-agent/oracle/call.hpp"

#include <algorithm>

namespace kevolve::agent::oracle {
namespace {

results view(const call& c) {
  auto x = c.value("self");
  return {reshape(x, c.has("size") ? c.integers("size") : c.has("shape") ? c.integers("shape") : c.result_shape())};
}

results transpose(const call& c) {
  tensor x = c.value("self");
  auto a = static_cast<std::size_t>(wrap_dimension(c.integer("dim0"), x.rank()));
  auto b = static_cast<std::size_t>(wrap_dimension(c.integer("dim1"), x.rank()));
  if (x.rank() > 0) {
    std::swap(x.shape[a], x.shape[b]);
    std::swap(x.strides[a], x.strides[b]);
  }
  return {x};
}

results swap_matrix(const call& c) { // t, mT
  tensor x = c.value("self");
  if (x.rank() >= 2) {
    auto n = x.shape.size();
    std::swap(x.shape[n - 1], x.shape[n - 2]);
    std::swap(x.strides[n - 1], x.strides[n - 2]);
  }
  return {x};
}

results squeeze_any(const call& c) {
  tensor x = c.value("self");
  extents dims = c.integers("dim");
  if (!c.has("dim"))
    for (std::int64_t d = 0; d < x.rank(); ++d)
      dims.push_back(d);
  for (auto& d : dims)
    d = wrap_dimension(d, x.rank());
  std::sort(dims.rbegin(), dims.rend());
  for (auto d : dims)
    x = squeeze(x, d);
  return {x};
}

results slice(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim", 0), x.rank());
  auto size = x.shape.at(static_cast<std::size_t>(dim));
  auto step = c.integer("step", 1);
  if (step <= 0)
    refuse("a slice's step must be positive, found " + std::to_string(step));
  auto from_start = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size); };
  auto start = from_start(c.integer("start", 0));
  auto end = std::max(start, from_start(c.integer("end", size)));
  return {narrow(x, dim, start, (end - start + step - 1) / step, step)};
}

results narrow_call(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim"), x.rank());
  auto size = x.shape.at(static_cast<std::size_t>(dim));
  auto start = c.integer("start"), length = c.integer("length");
  if (start < 0)
    start += size;
  if (start < 0 || length < 0 || start + length > size)
    refuse("narrow " + std::to_string(start) + " + " + std::to_string(length) + " of size " + std::to_string(size));
  return {narrow(x, dim, start, length)};
}

results split_sizes(const tensor& x, std::int64_t dim, const extents& sizes) {
  results out;
  std::int64_t at = 0;
  for (auto size : sizes) {
    if (size < 0 || at + size > x.shape.at(static_cast<std::size_t>(dim)))
      refuse("split of " + to_text(x.shape) + " into " + to_text(sizes));
    out.push_back(narrow(x, dim, at, size));
    at += size;
  }
  return out;
}

results split(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim", 0), x.rank());
  auto total = x.shape.at(static_cast<std::size_t>(dim));
  if (c.has("split_sizes"))
    return split_sizes(x, dim, c.integers("split_sizes"));
  auto asked = c.integers("split_size");
  if (asked.size() > 1)
    return split_sizes(x, dim, asked);
  if (asked.size() != 1 || asked[0] <= 0)
    refuse("split_size must be positive");
  extents sizes;
  for (std::int64_t at = 0; at < total; at += asked[0])
    sizes.push_back(std::min(asked[0], total - at));
  return split_sizes(x, dim, sizes);
}

results chunk(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim", 0), x.rank());
  auto total = x.shape.at(static_cast<std::size_t>(dim));
  auto each = std::max<std::int64_t>(1, (total + c.integer("chunks") - 1) / c.integer("chunks"));
  extents sizes;
  for (std::int64_t at = 0; at < total; at += each)
    sizes.push_back(std::min(each, total - at));
  return split_sizes(x, dim, sizes);
}

results unbind(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim", 0), x.rank());
  results out;
  for (std::int64_t i = 0; i < x.shape.at(static_cast<std::size_t>(dim)); ++i)
    out.push_back(select(x, dim, i));
  return out;
}

tensor make_like(dtype type, const extents& shape, double fill) {
  return is_floating(type) ? make_filled<double>(type, shape, fill)
                           : make_filled<std::int64_t>(type, shape, static_cast<std::int64_t>(fill));
}

tensor concatenate(const std::vector<tensor>& parts, std::int64_t dim, dtype type) {
  extents shape = parts.front().shape;
  auto d = static_cast<std::size_t>(dim);
  shape[d] = 0;
  for (const auto& part : parts) {
    for (std::size_t k = 0; k < shape.size(); ++k)
      if (part.shape.size() != shape.size() || (k != d && part.shape[k] != shape[k]))
        refuse("cannot concatenate " + to_text(part.shape) + " with " + to_text(parts.front().shape));
    shape[d] += part.shape[d];
  }
  tensor out = is_floating(type) ? make<double>(type, shape) : make<std::int64_t>(type, shape);
  std::int64_t at = 0;
  for (const auto& part : parts) {
    write_window(out, narrow(out, dim, at, part.shape[d]), part);
    at += part.shape[d];
  }
  return out;
}

std::vector<tensor> parts_of(const call& c, bool drop_empty) {
  std::vector<tensor> parts;
  for (auto& part : c.values("tensors"))
    if (part && !(drop_empty && part->shape == extents{0}))
      parts.push_back(*part);
  if (parts.empty())
    refuse("nothing to concatenate");
  return parts;
}

results cat(const call& c) {
  auto parts = parts_of(c, true);
  return {concatenate(parts, wrap_dimension(c.integer("dim", 0), parts[0].rank()), c.result_type())};
}

results stack(const call& c) {
  auto parts = parts_of(c, false);
  auto dim = wrap_dimension(c.integer("dim", 0), parts[0].rank() + 1);
  for (auto& part : parts)
    part = unsqueeze(part, dim);
  return {concatenate(parts, dim, c.result_type())};
}

results constant_pad(const call& c) {
  tensor x = c.value("self");
  auto pad = c.integers("pad");
  tensor source = x;
  extents shape = x.shape;
  extents starts(shape.size(), 0);
  for (std::size_t i = 0; i + 1 < pad.size(); i += 2) {
    auto d = shape.size() - 1 - i / 2;
    if (i / 2 >= shape.size())
      refuse("padding " + to_text(pad) + " of " + to_text(x.shape));
    shape[d] += pad[i] + pad[i + 1];
    starts[d] = std::max<std::int64_t>(pad[i], 0);
    auto cut = std::max<std::int64_t>(-pad[i], 0); // negative padding crops
    auto kept = source.shape[d] - cut - std::max<std::int64_t>(-pad[i + 1], 0);
    source = narrow(source, static_cast<std::int64_t>(d), cut, std::max<std::int64_t>(kept, 0));
  }
  tensor out = make_like(x.type, shape, c.real("value", 0));
  tensor window = out;
  for (std::size_t d = 0; d < shape.size(); ++d)
    window = narrow(window, static_cast<std::int64_t>(d), starts[d], source.shape[d]);
  write_window(out, window, source);
  return {out};
}

/// Padding by reflection, replication or wrapping around: for each padded dimension, the source index of each place.
template <class Index>
results pad_by(const call& c, Index index) {
  tensor x = c.value("self");
  auto pad = c.integers(c.has("padding") ? "padding" : "pad");
  for (std::size_t i = 0; i + 1 < pad.size(); i += 2) {
    auto dim = x.rank() - 1 - static_cast<std::int64_t>(i / 2);
    auto size = x.shape.at(static_cast<std::size_t>(dim));
    std::vector<tensor> parts;
    for (std::int64_t at = -pad[i]; at < size + pad[i + 1]; ++at)
      parts.push_back(narrow(x, dim, index(at, size), 1));
    x = concatenate(parts, dim, x.type);
  }
  return {x};
}

std::int64_t reflected(std::int64_t at, std::int64_t size) {
  if (at <= -size || at >= 2 * size - 1)
    refuse("reflection padding wider than the tensor");
  return at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
}

results flip(const call& c) {
  tensor x = c.value("self");
  for (auto dim : c.integers("dims")) {
    auto d = wrap_dimension(dim, x.rank());
    auto size = x.rank() ? x.shape[static_cast<std::size_t>(d)] : 0;
    if (size > 0)
      x = narrow(x, d, size - 1, size, -1);
  }
  return {copy_of(x)};
}

results roll(const call& c) {
  tensor x = c.value("self");
  auto shifts = c.integers("shifts"), dims = c.integers("dims");
  extents original = x.shape;
  bool flat = dims.empty();
  if (flat) {
    x = reshape(x, {x.count()});
    dims = {0};
  }
  if (shifts.size() != dims.size())
    refuse("roll by " + to_text(shifts) + " along " + to_text(dims));
  for (std::size_t i = 0; i < dims.size(); ++i) {
    auto d = wrap_dimension(dims[i], x.rank());
    auto size = x.shape[static_cast<std::size_t>(d)];
    if (size == 0)
      continue;
    auto shift = ((shifts[i] % size) + size) % size;
    if (shift)
      x = concatenate({narrow(x, d, size - shift, shift), narrow(x, d, 0, size - shift)}, d, x.type);
  }
  return {flat ? reshape(x, original) : x};
}

results unfold(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dimension"), x.rank());
  auto size = c.integer("size"), step = c.integer("step");
  auto d = static_cast<std::size_t>(dim);
  if (step <= 0 || size > x.shape.at(d))
    refuse("unfold " + std::to_string(size) + " by " + std::to_string(step) + " of " + to_text(x.shape));
  tensor out = x;
  out.shape[d] = (x.shape[d] - size) / step + 1;
  out.strides[d] = x.strides[d] * step;
  out.shape.push_back(size);
  out.strides.push_back(x.strides[d]);
  return {out};
}

results as_strided(const call& c) {
  tensor x = contiguous(c.value("self"));
  tensor out = x;
  out.shape = c.integers("size");
  out.strides = c.integers("stride");
  auto last = out.offset = c.integer("storage_offset", 0);
  for (std::size_t d = 0; d < out.shape.size(); ++d)
    last += (out.shape[d] - 1) * out.strides.at(d);
  if (out.offset < 0 || last >= x.count())
    refuse("as_strided reaches element " + std::to_string(last) + " of " + std::to_string(x.count()));
  out.offset += x.offset;
  return {out};
}

tensor diagonal_of(const call& c, const tensor& x) {
  auto offset = c.integer("offset", 0);
  auto a = static_cast<std::size_t>(wrap_dimension(c.integer("dim1", 0), x.rank()));
  auto b = static_cast<std::size_t>(wrap_dimension(c.integer("dim2", 1), x.rank()));
  auto length = std::max<std::int64_t>(0, std::min(x.shape[a] + std::min<std::int64_t>(offset, 0), x.shape[b] - std::max<std::int64_t>(offset, 0)));
  tensor out = x;
  if (length > 0)
    out.offset += offset >= 0 ? offset * x.strides[b] : -offset * x.strides[a];
  out.shape.push_back(length);
  out.strides.push_back(x.strides[a] + x.strides[b]);
  for (auto d : {std::max(a, b), std::min(a, b)}) {
    out.shape.erase(out.shape.begin() + static_cast<std::ptrdiff_t>(d));
    out.strides.erase(out.strides.begin() + static_cast<std::ptrdiff_t>(d));
  }
  return out;
}

/// A vector along the diagonal of a matrix of zeros.
results diagonal_embedded(const call& c) {
  tensor x = c.value("self");
  tensor out = x.real() ? make_filled<double>(x.type, c.result_shape(), 0.0) : make_filled<std::int64_t>(x.type, c.result_shape(), 0);
  write_window(out, diagonal_of(c, out), x);
  return {out};
}

results repeat(const call& c) {
  tensor x = c.value("self");
  auto times = c.integers("repeats");
  while (x.shape.size() < times.size())
    x = unsqueeze(x, 0);
  extents shape, wide; // [t0, s0, t1, s1, …]
  const extents single = x.shape;
  for (std::size_t d = 0; d < times.size(); ++d) {
    shape.push_back(single[d] * times[d]);
    wide.push_back(times[d]);
    wide.push_back(single[d]);
    x = unsqueeze(x, static_cast<std::int64_t>(2 * d));
  }
  return {reshape(expand(x, wide), shape)};
}

/// A copy of self with `src` written through a view of it.
results scattered(const call& c, tensor (*window_of)(const call&, const tensor&)) {
  tensor out = copy_of(c.value("self"));
  write_window(out, window_of(c, out), c.value("src"));
  return {out};
}

tensor sliced_window(const call& c, const tensor& x) {
  auto dim = wrap_dimension(c.integer("dim", 0), x.rank());
  auto size = x.shape.at(static_cast<std::size_t>(dim));
  auto from_start = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size); };
  auto start = from_start(c.integer("start", 0)), step = c.integer("step", 1);
  auto end = std::max(start, from_start(c.integer("end", size)));
  return narrow(x, dim, start, (end - start + step - 1) / step, step);
}

tensor selected_window(const call& c, const tensor& x) { return select(x, c.integer("dim"), c.integer("index")); }

results movedim(const call& c) {
  tensor x = c.value("self");
  auto from = c.integers("source"), to = c.integers("destination");
  extents order(x.shape.size(), -1);
  std::vector<bool> taken(x.shape.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto source = wrap_dimension(from[i], x.rank());
    order[static_cast<std::size_t>(wrap_dimension(to.at(i), x.rank()))] = source;
    taken[static_cast<std::size_t>(source)] = true;
  }
  std::int64_t next = 0;
  for (auto& d : order)
    if (d < 0) {
      while (taken[static_cast<std::size_t>(next)])
        ++next;
      d = next++;
    }
  return {permute(x, order)};
}

const entry table[] = {
    {"view", view},
    {"_unsafe_view", view},
    {"reshape", view},
    {"_reshape_alias", view},
    {"view_as", view},
    {"flatten", view},
    {"unflatten", view},
    {"transpose", transpose},
    {"swapaxes", transpose},
    {"t", swap_matrix},
    {"mT", swap_matrix},
    {"numpy_T", swap_matrix},
    {"permute", [](const call& c) -> results { return {permute(c.value("self"), c.integers("dims"))}; }},
    {"movedim", movedim},
    {"expand", [](const call& c) -> results { return {expand(c.value("self"), c.integers("size"))}; }},
    {"expand_as", [](const call& c) -> results { return {expand(c.value("self"), c.value("other").shape)}; }},
    {"broadcast_to", [](const call& c) -> results { return {expand(c.value("self"), c.integers("size"))}; }},
    {"squeeze", squeeze_any},
    {"unsqueeze", [](const call& c) -> results { return {unsqueeze(c.value("self"), c.integer("dim"))}; }},
    {"select", [](const call& c) -> results { return {select(c.value("self"), c.integer("dim"), c.integer("index"))}; }},
    {"select_copy", [](const call& c) -> results { return {select(c.value("self"), c.integer("dim"), c.integer("index"))}; }},
    {"slice", slice},
    {"slice_copy", slice},
    {"narrow", narrow_call},
    {"split", split},
    {"split_with_sizes", split},
    {"unsafe_split", split},
    {"unsafe_split_with_sizes", split},
    {"chunk", chunk},
    {"unbind", unbind},
    {"cat", cat},
    {"concat", cat},
    {"stack", stack},
    {"constant_pad_nd", constant_pad},
    {"reflection_pad1d", [](const call& c) { return pad_by(c, reflected); }},
    {"reflection_pad2d", [](const call& c) { return pad_by(c, reflected); }},
    {"reflection_pad3d", [](const call& c) { return pad_by(c, reflected); }},
    {"replication_pad1d", [](const call& c) { return pad_by(c, [](auto at, auto size) { return std::clamp<std::int64_t>(at, 0, size - 1); }); }},
    {"replication_pad2d", [](const call& c) { return pad_by(c, [](auto at, auto size) { return std::clamp<std::int64_t>(at, 0, size - 1); }); }},
    {"replication_pad3d", [](const call& c) { return pad_by(c, [](auto at, auto size) { return std::clamp<std::int64_t>(at, 0, size - 1); }); }},
    {"_pad_circular", [](const call& c) { return pad_by(c, [](auto at, auto size) { return (at % size + size) % size; }); }},
    {"flip", flip},
    {"roll", roll},
    {"unfold", unfold},
    {"as_strided", as_strided},
    {"diagonal", [](const call& c) -> results { return {diagonal_of(c, c.value("self"))}; }},
    {"diagonal_scatter", [](const call& c) { return scattered(c, diagonal_of); }},
    {"diag_embed", diagonal_embedded},
    {"repeat", repeat},
    {"tile", repeat},
    {"slice_scatter", [](const call& c) { return scattered(c, sliced_window); }},
    {"select_scatter", [](const call& c) { return scattered(c, selected_window); }},
    {"copy", [](const call& c) -> results {
       tensor self = c.value("self");
       return {expand(convert(c.value("src"), self.type), self.shape)};
     }},
};

} // namespace

family view_operations() { return table; }

} // namespace kevolve::agent::oracle
