#include "protocol/json_place.hpp"

#include <cctype>
#include <cmath>
#include <iterator>
#include <limits>
#include <unordered_set>

namespace kevolve {
namespace {

constexpr std::size_t deepest_json = 64;

std::string describe(const json& value) {
  switch (value.type()) {
    case json::value_t::null: return "null";
    case json::value_t::object: return "an object";
    case json::value_t::array: return "a list";
    case json::value_t::string: {
      const auto& text = value.get_ref<const std::string&>();
      return text.size() <= 60 ? "\"" + text + "\"" : "a text of " + std::to_string(text.size()) + " bytes";
    }
    default: return value.dump();
  }
}

std::string escaped(const std::string& key) {
  std::string out;
  for (char c : key)
    out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

/// Walks the bytes for the parser and tells how far it came.
struct counted_iterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char* at = nullptr;
  const char** furthest = nullptr;

  reference operator*() const { return *at; }
  counted_iterator& operator++() { return ++at, *furthest = at, *this; }
  counted_iterator operator++(int) { auto before = *this; return ++*this, before; }
  friend bool operator==(const counted_iterator& a, const counted_iterator& b) { return a.at == b.at; }
  friend bool operator!=(const counted_iterator& a, const counted_iterator& b) { return a.at != b.at; }
};

struct refused_structure {
  std::string message;
};

std::string position(std::string_view text, std::size_t offset) {
  std::size_t line = 1, column = 1;
  for (std::size_t i = 0; i < offset && i < text.size(); ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n';
  }
  return std::to_string(line) + ":" + std::to_string(column);
}

/// nlohmann's message without its prefix and position.
std::string reason_of(const json::parse_error& problem) {
  std::string text = problem.what();
  auto at = text.find("syntax error");
  return at == std::string::npos ? text : text.substr(at);
}

} // namespace

error json_place::problem(const std::string& message) const {
  return {errc::specification, file_ + (path_.empty() ? "" : ": field '" + path_ + "'") + ": " + message};
}
error json_place::wrong(const std::string& expected) const { return problem("found " + describe(*value_) + ", expected " + expected); }

json_place json_place::member(const std::string& name) const {
  return {value_->at(name), file_, path_.empty() ? name : path_ + "." + name, pointer_ + "/" + escaped(name)};
}
json_place json_place::item(std::size_t index) const {
  return {value_->at(index), file_, path_ + "[" + std::to_string(index) + "]", pointer_ + "/" + std::to_string(index)};
}
result<json_place> json_place::field(const char* name, const std::string& expected) const {
  if (!value_->is_object())
    return wrong("an object with the field '" + std::string(name) + "'");
  if (!value_->contains(name))
    return problem("the field '" + std::string(name) + "' is missing, expected " + expected);
  return member(name);
}
std::optional<json_place> json_place::find(const char* name) const {
  if (!value_->is_object() || !value_->contains(name) || value_->at(name).is_null())
    return std::nullopt;
  return member(name);
}

result<void> json_place::is_object(const std::string& of) const {
  return value_->is_object() ? result<void>() : wrong("an object (" + of + ")");
}
result<void> json_place::is_array(const std::string& of) const {
  return value_->is_array() ? result<void>() : wrong("a list (" + of + ")");
}
result<std::string> json_place::text() const {
  if (!value_->is_string())
    return wrong("a text");
  return value_->get<std::string>();
}
result<std::string> json_place::identifier() const {
  KEVOLVE_TRY(name, text());
  bool good = !name.empty() && name.size() <= 200 && !std::isdigit(static_cast<unsigned char>(name[0]));
  for (unsigned char c : name)
    good = good && (std::isalnum(c) || c == '_');
  if (!good)
    return wrong("a name of letters, digits and _ that does not start with a digit");
  return name;
}
result<std::int64_t> json_place::integer() const {
  if (value_->is_number_unsigned() && value_->get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return wrong("an integer below 2^63");
  if (!value_->is_number_integer())
    return wrong("an integer");
  return value_->get<std::int64_t>();
}
result<std::int64_t> json_place::size() const {
  KEVOLVE_TRY(value, integer());
  if (value < 0)
    return wrong("an integer that is not negative");
  return value;
}
result<double> json_place::real() const {
  if (value_->is_number())
    return value_->get<double>();
  if (*value_ == "NaN")
    return std::numeric_limits<double>::quiet_NaN();
  if (*value_ == "Infinity" || *value_ == "-Infinity")
    return *value_ == "Infinity" ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
  return wrong("a number (\"NaN\", \"Infinity\" and \"-Infinity\" as texts)");
}
result<bool> json_place::boolean() const {
  if (!value_->is_boolean())
    return wrong("true or false");
  return value_->get<bool>();
}
result<std::vector<std::string>> json_place::texts() const {
  KEVOLVE_TRY_VOID(is_array("of texts"));
  std::vector<std::string> found;
  for (std::size_t i = 0; i < value_->size(); ++i) {
    KEVOLVE_TRY(text, item(i).text());
    found.push_back(std::move(text));
  }
  return found;
}

void json_place::keep_unknown(std::initializer_list<std::string_view> known, json& extra) const {
  for (const auto& [key, value] : value_->items()) {
    bool is_known = false;
    for (auto name : known)
      is_known = is_known || name == key;
    if (!is_known)
      extra[pointer_ + "/" + escaped(key)] = value;
  }
}

void restore_unknown(json& value, const std::string& extra) {
  if (extra.empty())
    return;
  auto kept = json::parse(extra, nullptr, false);
  if (!kept.is_object())
    return;
  for (const auto& [pointer, what] : kept.items())
    try {
      value[json::json_pointer(pointer)] = what;
    } catch (const json::exception&) { // the place is gone: its owner was renamed or removed
    }
}

json json_real(double value) {
  if (std::isfinite(value))
    return value;
  return std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

result<json> parse_json(std::string_view text, const std::string& where) {
  const char* furthest = text.data();
  std::vector<std::unordered_set<std::string>> keys;
  auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start)
      keys.emplace_back();
    else if (event == json::parse_event_t::object_end)
      keys.pop_back();
    else if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw refused_structure{"the key \"" + parsed.get<std::string>() + "\" occurs twice in one object"};
    return true;
  };
  auto watch_depth = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > static_cast<int>(deepest_json))
      throw refused_structure{"nested deeper than " + std::to_string(deepest_json)};
    return watch(depth, event, parsed);
  };
  auto at = [&](std::size_t offset) { return where + ":" + position(text, offset) + ": "; };
  try {
    counted_iterator begin{text.data(), &furthest}, end{text.data() + text.size(), &furthest};
    return json::parse(begin, end, watch_depth);
  } catch (const json::parse_error& problem) {
    return error{errc::specification, at(problem.byte > 0 ? problem.byte - 1 : 0) + "malformed JSON: " + reason_of(problem)};
  } catch (const json::exception& problem) {
    return error{errc::specification, at(static_cast<std::size_t>(furthest - text.data())) + problem.what()};
  } catch (const refused_structure& problem) {
    return error{errc::specification, at(static_cast<std::size_t>(furthest - text.data())) + problem.message};
  }
}

} // namespace kevolve
