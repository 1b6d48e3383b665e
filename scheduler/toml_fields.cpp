#include "scheduler/toml_fields.hpp"

#include <cmath>
#include <fmt/format.h>
#include <toml++/toml.h>

namespace kevolve::scheduler {
namespace {

std::string shown(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>())
    return text->size() < 60 ? "'" + *text + "'" : "a long text";
  if (const auto number = node.value_exact<std::int64_t>())
    return std::to_string(*number);
  if (const auto number = node.value_exact<double>())
    return fmt::format("{}", *number);
  if (const auto flag = node.value_exact<bool>())
    return *flag ? "true" : "false";
  return node.is_table() ? "a table" : node.is_array() ? "an array" : "a date or time";
}

std::optional<double> number_of(const toml::node& node) {
  if (const auto number = node.value_exact<double>())
    return *number;
  if (const auto number = node.value_exact<std::int64_t>())
    return static_cast<double>(*number);
  return std::nullopt;
}

nlohmann::json json_of(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& [key, value] : *table)
      object[std::string(key.str())] = json_of(value);
    return object;
  }
  if (const auto* array = node.as_array()) {
    nlohmann::json items = nlohmann::json::array();
    for (const toml::node& item : *array)
      items.push_back(json_of(item));
    return items;
  }
  if (const auto text = node.value_exact<std::string>())
    return *text;
  if (const auto flag = node.value_exact<bool>())
    return *flag;
  if (const auto number = node.value_exact<std::int64_t>())
    return *number;
  if (const auto number = node.value_exact<double>())
    return *number;
  return nullptr; // dates: JSON has none
}

} // namespace

result<toml_file> parse_toml(const std::string& name, const std::string& text) {
  try {
    return toml_file{name, std::make_shared<const toml::table>(toml::parse(text, name))};
  } catch (const toml::parse_error& failure) {
    return error{errc::configuration, fmt::format("{}:{}:{}: not valid TOML: {}", name, failure.source().begin.line, failure.source().begin.column, failure.description())};
  }
}

bool toml_fields::has(const std::string& name) const { return table_->contains(name); }

error toml_fields::wrong(const std::string& field, const std::string& found, const std::string& expected) const {
  const toml::node* node = table_->get(field.substr(0, field.find('.')));
  const auto line = (node ? node->source() : table_->source()).begin.line;
  return {errc::configuration, fmt::format("{}:{}: {}{}: found {}, expected {}", file_, line, path_, field, found, expected)};
}

error toml_fields::wrong_type(const std::string& name, const std::string& expected) const { return wrong(name, shown(*table_->get(name)), expected); }

const toml::node* toml_fields::find(const std::string& name) {
  asked_.insert(name);
  return table_->get(name);
}

result<void> toml_fields::skip(const std::string& name) {
  find(name);
  return {};
}

result<void> toml_fields::text(const std::string& name, std::string& into) {
  const toml::node* node = find(name);
  const auto value = node ? node->value_exact<std::string>() : std::nullopt;
  if (node && !value)
    return wrong_type(name, "text");
  if (value)
    into = *value;
  return {};
}

result<void> toml_fields::text(const std::string& name, std::filesystem::path& into) {
  std::string text = into.string();
  KEVOLVE_TRY_VOID(this->text(name, text));
  into = text;
  return {};
}

result<void> toml_fields::flag(const std::string& name, bool& into) {
  const toml::node* node = find(name);
  const auto value = node ? node->value_exact<bool>() : std::nullopt;
  if (node && !value)
    return wrong_type(name, "true or false");
  into = value.value_or(into);
  return {};
}

result<void> toml_fields::number(const std::string& name, std::optional<double>& into) {
  const toml::node* node = find(name);
  const auto value = node ? number_of(*node) : std::nullopt;
  if (node && (!value || !std::isfinite(*value)))
    return wrong_type(name, "a number");
  if (value)
    into = value;
  return {};
}

result<void> toml_fields::positive(const std::string& name, double& into) {
  std::optional<double> value;
  KEVOLVE_TRY_VOID(number(name, value));
  if (value && *value <= 0)
    return wrong_type(name, "a number above 0");
  into = value.value_or(into);
  return {};
}

result<void> toml_fields::not_negative(const std::string& name, double& into) {
  std::optional<double> value;
  KEVOLVE_TRY_VOID(number(name, value));
  if (value && *value < 0)
    return wrong_type(name, "a number that is not negative");
  into = value.value_or(into);
  return {};
}

result<void> toml_fields::count(const std::string& name, std::uint64_t& into, std::uint64_t least, std::uint64_t most) {
  const toml::node* node = find(name);
  const auto value = node ? node->value_exact<std::int64_t>() : std::nullopt;
  if (node && (!value || *value < 0 || static_cast<std::uint64_t>(*value) < least || static_cast<std::uint64_t>(*value) > most))
    return wrong_type(name, least ? fmt::format("a whole number of at least {}", least) : "a whole number that is not negative");
  if (value)
    into = static_cast<std::uint64_t>(*value);
  return {};
}

result<void> toml_fields::count(const std::string& name, std::uint32_t& into, std::uint64_t least) {
  std::uint64_t wide = into;
  KEVOLVE_TRY_VOID(count(name, wide, least, std::numeric_limits<std::uint32_t>::max()));
  into = static_cast<std::uint32_t>(wide);
  return {};
}

result<void> toml_fields::texts(const std::string& name, std::vector<std::string>& into) {
  const toml::node* node = find(name);
  if (!node)
    return {};
  const toml::array* items = node->as_array();
  if (!items)
    return wrong_type(name, "a list of texts");
  into.clear();
  for (const toml::node& item : *items) {
    const auto text = item.value_exact<std::string>();
    if (!text)
      return wrong(name, shown(item) + " in it", "a list of texts");
    into.push_back(*text);
  }
  return {};
}

result<void> toml_fields::texts(const std::string& name, std::map<std::string, std::string>& into) {
  const toml::node* node = find(name);
  if (!node)
    return {};
  const toml::table* members = node->as_table();
  if (!members)
    return wrong_type(name, "a table of texts");
  into.clear();
  for (const auto& [key, value] : *members) {
    const auto text = value.value_exact<std::string>();
    if (!text)
      return wrong(name + "." + std::string(key.str()), shown(value), "text");
    into[std::string(key.str())] = *text;
  }
  return {};
}

result<void> toml_fields::value(const std::string& name, nlohmann::json& into) {
  if (const toml::node* node = find(name))
    into = json_of(*node);
  return {};
}

std::optional<toml_fields> toml_fields::table(const std::string& name) {
  const toml::node* node = find(name);
  if (!node || !node->is_table())
    return std::nullopt;
  return toml_fields(node->as_table(), file_, path_ + name + ".");
}

result<void> toml_fields::must_be_table(const std::string& name) const {
  const toml::node* node = table_->get(name);
  return node && !node->is_table() ? result<void>(wrong_type(name, "a table")) : result<void>();
}

result<std::map<std::string, toml_fields>> toml_fields::tables(const std::string& name) {
  std::map<std::string, toml_fields> found;
  const toml::node* node = find(name);
  if (!node)
    return found;
  KEVOLVE_TRY_VOID(must_be_table(name));
  for (const auto& [key, value] : *node->as_table()) {
    const std::string member(key.str());
    if (!value.is_table())
      return wrong(name + "." + member, shown(value), "a table");
    found.emplace(member, toml_fields(value.as_table(), file_, path_ + name + "." + member + "."));
  }
  return found;
}

result<std::vector<toml_fields>> toml_fields::list(const std::string& name) {
  std::vector<toml_fields> found;
  const toml::node* node = find(name);
  if (!node)
    return found;
  const toml::array* items = node->as_array();
  if (!items)
    return wrong_type(name, "a list of tables: [[…]]");
  std::size_t number = 0;
  for (const toml::node& item : *items) {
    ++number;
    if (!item.is_table())
      return wrong(name, shown(item) + " in it", "a list of tables: [[…]]");
    found.push_back(toml_fields(item.as_table(), file_, fmt::format("{}{}[{}].", path_, name, number)));
  }
  return found;
}

result<void> toml_fields::nothing_else() const {
  for (const auto& [key, value] : *table_) {
    const std::string name(key.str());
    if (asked_.contains(name))
      continue;
    std::string known;
    for (const std::string& k : asked_)
      known += (known.empty() ? "" : ", ") + k;
    return wrong(name, "a field that is not known here", "one of " + known);
  }
  return {};
}

} // namespace kevolve::scheduler
