#include "scheduler/target_description.hpp"

#include "protocol/digest.hpp"
#include "scheduler/toml_fields.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <string_view>

namespace kevolve::scheduler {
namespace {

constexpr std::size_t name_bytes = 100;
constexpr std::size_t constraints_most = 200; // more is a document
constexpr std::size_t constraint_bytes = 1000;
constexpr std::size_t form_bytes = 8000;
constexpr std::size_t file_bytes = 1u << 20;
constexpr std::array<std::string_view, 7> placeholders{"{source}", "{artifact}", "{inputs}", "{outputs}", "{report}", "{iterations}", "{here}"};

bool is_one_line(const std::string& text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c); });
}

/// A part of a target is also part of a file's name.
bool is_target_part(const std::string& text) {
  return !text.empty() && text.size() <= 64 && std::isalnum(static_cast<unsigned char>(text.front())) &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '+'; });
}

result<std::string> target_part(toml_fields& at, const std::string& field, const std::string& such_as) {
  std::string part;
  KEVOLVE_TRY_VOID(at.text(field, part));
  if (!is_target_part(part))
    return at.wrong(field, part.empty() ? "nothing" : "'" + part + "'", "letters, digits, '-', '_', '.' or '+', such as " + such_as);
  return part;
}

/// Texts of several lines: for prompts, not for front matter.
result<void> prose(toml_fields& at, const std::string& field, std::string& into) {
  KEVOLVE_TRY_VOID(at.text(field, into));
  if (into.size() > form_bytes || into.find("```") != into.npos)
    return at.wrong(field, into.size() > form_bytes ? fmt::format("{} bytes", into.size()) : "a line of ```", fmt::format("at most {} bytes without ```; more belongs into a document", form_bytes));
  return {};
}

result<void> paths(toml_fields& at, const std::string& field, std::vector<std::filesystem::path>& into) {
  std::vector<std::string> names;
  KEVOLVE_TRY_VOID(at.texts(field, names));
  for (const std::string& name : names) {
    if (!is_one_line(name))
      return at.wrong(field, name.empty() ? "an empty text" : "a text of several lines", "a path, such as \"tools\" or \"/dev/loom0\"");
    into.emplace_back(name);
  }
  return {};
}

result<std::vector<std::string>> command_template(toml_fields& at, const std::string& field, const std::vector<std::string_view>& needed) {
  std::vector<std::string> arguments;
  KEVOLVE_TRY_VOID(at.texts(field, arguments));
  if (arguments.empty() || arguments.front().empty())
    return at.wrong(field, "nothing", "a program and its arguments, such as [\"compiler\", \"{source}\", \"-o\", \"{artifact}\"]");
  for (const std::string& argument : arguments)
    for (std::size_t from = argument.find('{'); from != argument.npos; from = argument.find('{', from + 1)) {
      const auto end = argument.find('}', from);
      const std::string found = argument.substr(from, end == argument.npos ? argument.npos : end - from + 1);
      if (std::find(placeholders.begin(), placeholders.end(), found) == placeholders.end())
        return at.wrong(field, "'" + found + "'", "{source}, {artifact}, {inputs}, {outputs}, {report}, {iterations} or {here}");
    }
  for (const std::string_view each : needed)
    if (std::none_of(arguments.begin(), arguments.end(), [&](const std::string& a) { return a.find(each) != a.npos; }))
      return at.wrong(field, fmt::format("no {}", each), fmt::format("an argument with {}", each));
  return arguments;
}

} // namespace

result<target_description> read_target_description(const std::string& file, const std::string& text) {
  KEVOLVE_TRY(parsed, parse_toml(file, text));
  toml_fields at(parsed);
  target_description d;
  KEVOLVE_TRY_VOID(at.text("name", d.name));
  if (!is_one_line(d.name) || d.name.size() > name_bytes)
    return at.wrong("name", d.name.empty() ? "nothing" : "a text of several lines or too long", fmt::format("what people call the device, at most {} bytes", name_bytes));
  KEVOLVE_TRY(platform, target_part(at, "platform", "\"loom\""));
  KEVOLVE_TRY(architecture, target_part(at, "architecture", "\"9\""));
  KEVOLVE_TRY(language, target_part(at, "language", "\"loom-c\""));
  d.on = {std::move(platform), std::move(architecture), std::move(language)};
  KEVOLVE_TRY_VOID(at.texts("constraints", d.constraints));
  if (d.constraints.size() > constraints_most)
    return at.wrong("constraints", std::to_string(d.constraints.size()), fmt::format("at most {}; more belongs into a document", constraints_most));
  for (const std::string& each : d.constraints)
    if (!is_one_line(each) || each.size() > constraint_bytes)
      return at.wrong("constraints", each.empty() ? "an empty text" : "a text of several lines or too long", fmt::format("one sentence each, at most {} bytes", constraint_bytes));
  d.source = "kernel." + d.on.language;
  KEVOLVE_TRY_VOID(at.text("source", d.source));
  if (!is_target_part(d.source))
    return at.wrong("source", d.source.empty() ? "nothing" : "'" + d.source + "'", "a file's name without a folder, such as \"kernel.loom\"");
  KEVOLVE_TRY_VOID(prose(at, "candidate", d.candidate_form));
  KEVOLVE_TRY_VOID(prose(at, "example", d.example));
  KEVOLVE_TRY_VOID(at.flag("emulated", d.emulated));
  KEVOLVE_TRY_VOID(paths(at, "folders", d.folders));
  KEVOLVE_TRY_VOID(paths(at, "devices", d.nodes));
  KEVOLVE_TRY_VOID(at.must_be_table("commands"));
  auto commands = at.table("commands");
  if (!commands)
    return at.wrong("commands", "nothing", "a table with compile and run");
  KEVOLVE_TRY(compile, command_template(*commands, "compile", {"{source}", "{artifact}"}));
  KEVOLVE_TRY(run, command_template(*commands, "run", {"{artifact}", "{inputs}", "{outputs}"}));
  d.compile = std::move(compile);
  d.run = std::move(run);
  if (commands->has("profile")) {
    KEVOLVE_TRY(profile, command_template(*commands, "profile", {"{artifact}", "{report}"}));
    d.profile = std::move(profile);
  }
  KEVOLVE_TRY_VOID(commands->nothing_else());
  KEVOLVE_TRY_VOID(at.nothing_else());
  return d;
}

result<target_description> open_target_description(const std::filesystem::path& file) {
  std::error_code failed;
  std::ifstream in(file, std::ios::binary);
  if (!std::filesystem::is_regular_file(file, failed) || std::filesystem::file_size(file, failed) > file_bytes || !in)
    return error{errc::configuration, fmt::format("{}: cannot be read; expected a device's description (TOML, at most {} bytes)", file.string(), file_bytes)};
  std::ostringstream text;
  text << in.rdbuf();
  KEVOLVE_TRY(d, read_target_description(file.string(), text.str()));
  d.file = std::filesystem::canonical(file, failed);
  d.digest = sha256_hex(text.str());
  const std::filesystem::path here = d.file.parent_path();
  for (auto* given : {&d.folders, &d.nodes})
    for (std::filesystem::path& each : *given) {
      const std::filesystem::path found = std::filesystem::canonical(here / each, failed);
      const bool fits = !failed && (given == &d.nodes ? std::filesystem::is_character_file(found, failed) : std::filesystem::is_directory(found, failed));
      if (!fits)
        return error{errc::configuration, fmt::format("{}: {}: found '{}', expected {}", file.string(), given == &d.nodes ? "devices" : "folders", each.string(),
                                                      given == &d.nodes ? "a character device of this host" : "a folder, by its path from this file")};
      each = found;
    }
  return d;
}

std::string id_of(const target_description& d) { return "targets/" + d.on.platform + "/" + d.on.architecture + "/" + d.on.language; }

std::string document_of(const target_description& d) {
  std::string text = fmt::format("---\ntitle: {}\nplatforms: {}\nlanguages: {}\narchitectures: {}\nstatus: added\n---\n# {}\n\n{}A candidate for {} must obey these constraints of the device:\n\n", d.name,
                                 d.on.platform, d.on.language, d.on.architecture, d.name, d.emulated ? "This device is emulated: no such hardware is measured.\n\n" : "", to_string(d.on));
  for (const std::string& each : d.constraints)
    text += "- " + each + "\n";
  return text;
}

} // namespace kevolve::scheduler
