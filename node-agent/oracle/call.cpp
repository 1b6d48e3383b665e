#include "node-agent/oracle/call.hpp"

#include "protocol/operator.hpp"

namespace kevolve::agent::oracle {
namespace {

template <class T>
T checked(result<T> r, std::string_view name) {
  if (!r)
    refuse("argument " + std::string(name) + ": " + r.error().message);
  return *std::move(r);
}

} // namespace

std::string_view call::overload() const {
  std::string_view op = node_.op;
  return op.substr(op.rfind('.') + 1);
}

const argument* call::find(std::string_view name) const {
  for (const auto& [key, a] : node_.arguments)
    if (key == name)
      return a.kind == argument_kind::none ? nullptr : &a;
  return nullptr;
}

const argument& call::need(std::string_view name) const {
  if (const auto* a = find(name))
    return *a;
  refuse("argument " + std::string(name) + " is missing");
}

bool call::has(std::string_view name) const { return find(name) != nullptr; }

bool call::is_tensor(std::string_view name) const {
  const auto* a = find(name);
  return a && a->kind == argument_kind::value;
}

std::int64_t call::integer_of(const argument& a, std::string_view name) const {
  switch (a.kind) {
    case argument_kind::expression: return checked(evaluate(a.text, axes_), name);
    case argument_kind::boolean: return a.boolean;
    case argument_kind::real: return static_cast<std::int64_t>(a.real);
    case argument_kind::value: return static_cast<std::int64_t>(item(tensor_of(a, name)));
    default: refuse("argument " + std::string(name) + " is not an integer");
  }
}

double call::real_of(const argument& a, std::string_view name) const {
  switch (a.kind) {
    case argument_kind::real: return a.real;
    case argument_kind::value: return item(tensor_of(a, name));
    default: return static_cast<double>(integer_of(a, name));
  }
}

tensor call::tensor_of(const argument& a, std::string_view name) const {
  switch (a.kind) {
    case argument_kind::value: {
      auto found = values_.find(a.text);
      if (found == values_.end())
        refuse("argument " + std::string(name) + " reads " + a.text + ", which nothing has made");
      return found->second;
    }
    case argument_kind::real: return make_filled<double>(dtype::float64, {}, a.real);
    case argument_kind::boolean: return make_filled<std::int64_t>(dtype::boolean, {}, a.boolean);
    case argument_kind::expression: return make_filled<std::int64_t>(dtype::int64, {}, integer_of(a, name));
    default: refuse("argument " + std::string(name) + " is not a tensor");
  }
}

tensor call::value(std::string_view name) const { return tensor_of(need(name), name); }

std::optional<tensor> call::maybe(std::string_view name) const {
  if (const auto* a = find(name))
    return tensor_of(*a, name);
  return std::nullopt;
}

std::vector<std::optional<tensor>> call::values(std::string_view name) const {
  const auto& list = need(name);
  if (list.kind != argument_kind::list)
    refuse("argument " + std::string(name) + " is not a list");
  std::vector<std::optional<tensor>> out;
  for (const auto& a : list.items)
    if (a.kind == argument_kind::none)
      out.emplace_back();
    else
      out.emplace_back(tensor_of(a, name));
  return out;
}

double call::real(std::string_view name) const { return real_of(need(name), name); }
double call::real(std::string_view name, double otherwise) const {
  const auto* a = find(name);
  return a ? real_of(*a, name) : otherwise;
}
std::int64_t call::integer(std::string_view name) const { return integer_of(need(name), name); }
std::int64_t call::integer(std::string_view name, std::int64_t otherwise) const {
  const auto* a = find(name);
  return a ? integer_of(*a, name) : otherwise;
}
bool call::flag(std::string_view name, bool otherwise) const { return integer(name, otherwise) != 0; }

extents call::integers(std::string_view name) const {
  const auto* a = find(name);
  if (!a)
    return {};
  if (a->kind != argument_kind::list)
    return {integer_of(*a, name)};
  extents out;
  for (const auto& each : a->items)
    out.push_back(integer_of(each, name));
  return out;
}

std::vector<double> call::reals(std::string_view name) const {
  const auto* a = find(name);
  if (!a)
    return {};
  if (a->kind != argument_kind::list)
    return {real_of(*a, name)};
  std::vector<double> out;
  for (const auto& each : a->items)
    out.push_back(real_of(each, name));
  return out;
}

std::string call::text(std::string_view name, std::string_view otherwise) const {
  const auto* a = find(name);
  return a && a->kind == argument_kind::text ? a->text : std::string(otherwise);
}

std::optional<dtype> call::type(std::string_view name) const {
  const auto* a = find(name);
  if (!a)
    return std::nullopt;
  return a->kind == argument_kind::type ? dtype_from_string(a->text) : std::nullopt;
}

dtype call::result_type(std::size_t i) const {
  if (i >= node_.outputs.size())
    refuse("the graph declares " + std::to_string(node_.outputs.size()) + " outputs");
  return node_.outputs[i].type;
}

extents call::result_shape(std::size_t i) const {
  if (i >= node_.outputs.size())
    refuse("the graph declares " + std::to_string(node_.outputs.size()) + " outputs");
  return checked(bind_shape(node_.outputs[i].shape, axes_), "output shape");
}

} // namespace kevolve::agent::oracle
