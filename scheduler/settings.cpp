#include "scheduler/settings.hpp"

#include "scheduler/quantity.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <pwd.h>
#include <sstream>
#include <toml++/toml.h>
#include <unistd.h>

namespace kevolve::scheduler {

namespace {

template <class T, class Read>
result<void> assign(T& into, Read&& read, const std::string& text) {
  auto value = read(text);
  if (!value)
    return value.error();
  into = static_cast<T>(*value);
  return {};
}

result<std::uint64_t> small_count(const std::string& text) {
  auto value = count_from_string(text);
  if (value && *value > std::numeric_limits<std::uint32_t>::max())
    return error{errc::usage, fmt::format("found {}, expected at most {}", text, std::numeric_limits<std::uint32_t>::max())};
  return value;
}

result<double> probability(const std::string& text) {
  auto value = number_from_string(text);
  if (value && (*value < 0 || *value > 1))
    return error{errc::usage, fmt::format("found {}, expected a number from 0 to 1", text)};
  return value;
}

result<void> one_of(std::string& to, std::initializer_list<const char*> choices, const std::string& text) {
  if (std::find(choices.begin(), choices.end(), text) == choices.end())
    return error{errc::usage, "found '" + text + "'"};
  to = text;
  return {};
}

using store_text = result<void> (*)(settings&, const std::string&);

struct key_rule {
  setting_key key;
  store_text store;
};

const std::vector<key_rule>& rules() {
  using s = settings;
  using t = const std::string&;
  static const std::vector<key_rule> all{
      {{"data", "a directory", ""}, [](s& x, t v) { return x.data = v, result<void>{}; }},
      {{"cache", "a directory", ""}, [](s& x, t v) { return x.cache = v, result<void>{}; }},
      {{"cache_gib", "a whole number of GiB for artifacts (0: no bound)", "4"}, [](s& x, t v) { return assign(x.cache_gib, small_count, v); }},
      {{"seal_after", "a duration such as 1h: of sessions that ended so long ago the log is packed", "1h"}, [](s& x, t v) { return assign(x.seal_after_s, duration_from_string, v); }},
      {{"python", "a Python interpreter, or none", ""}, [](s& x, t v) { return x.python = v, result<void>{}; }},
      {{"compiler", "a compiler's name", "g++"}, [](s& x, t v) { return x.compiler = v, result<void>{}; }},
      {{"compile_slots", "a whole number (0: one per core)", "0"}, [](s& x, t v) { return assign(x.compile_slots, small_count, v); }},
      {{"call_limit", "a duration such as 10s", "10s"}, [](s& x, t v) { return assign(x.call_limit_s, duration_from_string, v); }},
      {{"scheduler", "tcp://HOST:PORT", ""}, [](s& x, t v) { return x.scheduler = v, result<void>{}; }},
      {{"key", "a client's key file", ""}, [](s& x, t v) { return x.key = v, result<void>{}; }},
      {{"sandbox", "any or full", "any"}, [](s& x, t v) { return one_of(x.sandbox, {"any", "full"}, v); }},
      {{"lint", "refuse, note or off", "refuse"}, [](s& x, t v) { return one_of(x.lint, {"refuse", "note", "off"}, v); }},
      {{"target", "cpu|cuda|hip|mtia[/arch[/language]]", "cpu"}, [](s& x, t v) { return x.target = v, result<void>{}; }},
      {{"policy", "greedy, mcts or evolve", "evolve"}, [](s& x, t v) { return x.policy = v, result<void>{}; }},
      {{"synthesizer", "generator", "generator"}, [](s& x, t v) { return x.synthesizers = list_from_string(v), result<void>{}; }},
      {{"ensemble", "weights or bandit", "weights"}, [](s& x, t v) { return one_of(x.ensemble, {"weights", "bandit"}, v); }},
      {{"baselines", "a list of eager and compile, or none", "eager,compile"},
       [](s& x, t v) { return x.baselines = list_from_string(v), result<void>{}; }},
      {{"time", "a duration such as 60s, 5m or 2h (0: no limit)", "60s"}, [](s& x, t v) { return assign(x.time_s, duration_from_string, v); }},
      {{"evaluations", "a whole number (0: no limit)", "0"}, [](s& x, t v) { return assign(x.evaluations, small_count, v); }},
      {{"goal", "a factor such as 1.5x (0: none)", "0"}, [](s& x, t v) { return assign(x.goal, factor_from_string, v); }},
      {{"seed", "a whole number", ""},
       [](s& x, t v) -> result<void> {
         x.seed.emplace();
         return assign(*x.seed, count_from_string, v);
       }},
      {{"in_flight", "a whole number", "4"}, [](s& x, t v) { return assign(x.in_flight, small_count, v); }},
      {{"plateau", "a whole number (0: by budget)", "0"}, [](s& x, t v) { return assign(x.plateau, small_count, v); }},
      {{"injection", "adaptive or a number from 0 to 1", "0.2"},
       [](s& x, t v) { return x.adaptive_injection = v == "adaptive", x.adaptive_injection ? result<void>{} : assign(x.injection, probability, v); }},
      {{"policy_model", "auto, on or off", "auto"}, [](s& x, t v) { return one_of(x.policy_model, {"auto", "on", "off"}, v); }},
      {{"scale", "cpu or a factor", ""}, [](s& x, t v) { return x.scale = v, result<void>{}; }},
      {{"operators", "a directory", ""}, [](s& x, t v) { return x.operators = v, result<void>{}; }},
  };
  return all;
}

const key_rule* find_rule(std::string_view name) {
  for (const key_rule& rule : rules())
    if (rule.key.name == name)
      return &rule;
  return nullptr;
}

std::string environment_name(std::string_view key) {
  std::string name = "KEVOLVE_";
  for (char c : key)
    name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string known_keys() {
  std::string text;
  for (const key_rule& rule : rules())
    text += (text.empty() ? "" : ", ") + std::string(rule.key.name);
  return text;
}

struct found_value {
  std::string text;
  std::string origin;
};

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "an array";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a number";
    case toml::node_type::boolean: return "a boolean";
    default: return "a date or time";
  }
}

/// The text that a flag would have had; lists join with commas. Empty: a type that no setting has.
std::optional<std::string> text_of(const toml::node& node) {
  if (auto value = node.value_exact<std::string>())
    return *value;
  if (auto value = node.value_exact<std::int64_t>())
    return std::to_string(*value);
  if (auto value = node.value_exact<double>())
    return fmt::format("{}", *value);
  if (const auto* items = node.as_array()) {
    std::string joined;
    for (const toml::node& item : *items) {
      auto text = item.value_exact<std::string>();
      if (!text)
        return std::nullopt;
      joined += (joined.empty() ? "" : ",") + *text;
    }
    return joined.empty() ? "none" : joined;
  }
  return std::nullopt;
}

/// A key that holds text may not be given a number, and the other way round: "evaluations = 'many'" is caught by its reader, this catches
/// "data = 7".
bool fits(std::string_view key, const toml::node& node) {
  const bool textual = key == "data" || key == "cache" || key == "python" || key == "compiler" || key == "target" || key == "policy" || key == "operators";
  const bool list = key == "baselines" || key == "synthesizer";
  return !(textual && !node.is_string()) && !(node.is_array() && !list) && !(list && !node.is_string() && !node.is_array());
}

result<std::map<std::string, found_value, std::less<>>> parse_config(const config_text& file) {
  std::map<std::string, found_value, std::less<>> found;
  try {
    const toml::table table = toml::parse(file.text, file.file);
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const auto where = fmt::format("{}:{}", file.file, key.source().begin.line);
      if (name == "llm")
        continue; // tables of their own: llm_settings.hpp
      const key_rule* rule = find_rule(name);
      if (!rule)
        return error{errc::configuration, fmt::format("{}: key '{}' is not known; known keys: {}", where, name, known_keys())};
      const auto text = text_of(node);
      if (!text || !fits(name, node))
        return error{errc::configuration, fmt::format("{}: key '{}': found {}, expected {}", where, name, type_name(node), rule->key.expected)};
      found[name] = {*text, where};
    }
  } catch (const toml::parse_error& failure) {
    return error{errc::configuration, fmt::format("{}:{}:{}: not valid TOML: {}", file.file, failure.source().begin.line,
                                                  failure.source().begin.column, failure.description())};
  }
  return found;
}

std::optional<found_value> default_of(const key_rule& rule, const environment_lookup& env) {
  if (rule.key.name == "data")
    return found_value{xdg_folder(env, "STATE").string(), "default"};
  if (rule.key.name == "cache")
    return found_value{xdg_folder(env, "CACHE").string(), "default"};
  if (rule.key.name == "seed")
    return std::nullopt;
  return found_value{std::string(rule.key.fallback), "default"};
}

} // namespace

const std::vector<setting_key>& setting_keys() {
  static const std::vector<setting_key> keys = [] {
    std::vector<setting_key> all;
    for (const key_rule& rule : rules())
      all.push_back(rule.key);
    return all;
  }();
  return keys;
}

result<settings> merge_settings(const flag_values& flags, const environment_lookup& env, const std::vector<config_text>& files) {
  std::vector<std::map<std::string, found_value, std::less<>>> parsed;
  for (const config_text& file : files) {
    KEVOLVE_TRY(found, parse_config(file));
    parsed.push_back(std::move(found));
  }
  settings merged;
  for (const key_rule& rule : rules()) {
    const std::string name(rule.key.name);
    std::optional<found_value> value;
    bool by_flag = false;
    if (auto flag = flags.find(name); flag != flags.end()) {
      value = found_value{flag->second, "flag"};
      by_flag = true;
    } else if (auto text = env(environment_name(name)); text && !text->empty()) {
      value = found_value{*text, environment_name(name)};
    } else {
      for (const auto& file : parsed)
        if (auto at = file.find(name); !value && at != file.end())
          value = at->second;
    }
    if (!value)
      value = default_of(rule, env);
    if (!value)
      continue;
    if (auto stored = rule.store(merged, value->text); !stored) {
      std::string option = "--" + name;
      for (char& c : option)
        c = c == '_' ? '-' : c;
      const std::string where = by_flag ? option : value->origin.starts_with("KEVOLVE_") ? value->origin : fmt::format("{}: key '{}'", value->origin, name);
      return error{by_flag ? errc::usage : errc::configuration, fmt::format("{}: {}", where, stored.error().message)};
    }
    merged.origin[name] = value->origin;
  }
  return merged;
}

result<std::vector<config_text>> read_config_files(const environment_lookup& env, const std::string& explicit_file) {
  std::vector<std::pair<std::filesystem::path, bool>> places; // path, must exist
  if (explicit_file.empty())
    places.emplace_back("./config.toml", false);
  else
    places.emplace_back(explicit_file, true);
  places.emplace_back(xdg_folder(env, "CONFIG") / "config.toml", false);
  places.emplace_back("/etc/kevolve/config.toml", false);
  std::vector<config_text> texts;
  for (const auto& [path, must_exist] : places) {
    std::error_code ignored;
    if (!must_exist && !std::filesystem::exists(path, ignored))
      continue;
    std::ifstream in(path);
    std::ostringstream text;
    if (std::filesystem::is_directory(path, ignored) || !in || !(text << in.rdbuf() || in.peek() == std::ifstream::traits_type::eof()))
      return error{errc::configuration, fmt::format("{}: cannot be read ({}); expected a TOML file of settings", path.string(),
                                                    std::filesystem::is_directory(path, ignored) ? "it is a directory" : std::strerror(errno))};
    texts.push_back({path.string(), std::move(text).str()});
  }
  return texts;
}

environment_lookup process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
}

std::filesystem::path xdg_folder(const environment_lookup& env, std::string_view kind) {
  if (auto folder = env(fmt::format("XDG_{}_HOME", kind)); folder && folder->starts_with('/'))
    return std::filesystem::path(*folder) / "kevolve";
  std::filesystem::path home = env("HOME").value_or("");
  if (home.empty()) {
    const passwd* entry = getpwuid(getuid());
    home = entry && entry->pw_dir ? entry->pw_dir : "/tmp";
  }
  const std::string_view below = kind == "STATE" ? ".local/state" : kind == "CACHE" ? ".cache" : kind == "DATA" ? ".local/share" : ".config";
  return home / below / "kevolve";
}

} // namespace kevolve::scheduler
