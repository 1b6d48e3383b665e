#include "protocol/json_fields.hpp"
#include "protocol/limits.hpp"
#include "protocol/source_text.hpp"

#include <algorithm>

namespace kevolve {
namespace {

/// SOL-ExecBench's names for what FlashInfer-Trace and we call otherwise.
std::string common_language(const std::string& name) {
  if (name == "cuda_cpp")
    return "cuda";
  return name == "pytorch" ? "python" : name;
}

result<source_file> read_source(const json_place& at) {
  KEVOLVE_TRY(path_at, at.field("path", "a relative path"));
  KEVOLVE_TRY(path, path_at.text());
  if (!is_source_path(path))
    return path_at.wrong("a relative path without ..");
  KEVOLVE_TRY(content_at, at.field("content", "the file's text"));
  KEVOLVE_TRY(content, content_at.text());
  return source_file{std::move(path), std::move(content)};
}

result<std::vector<source_file>> read_sources(const json_place& at) {
  KEVOLVE_TRY_VOID(at.is_array("of sources"));
  if (at->empty())
    return at.wrong("at least one source");
  std::vector<source_file> found;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < at->size(); ++i) {
    KEVOLVE_TRY(source, read_source(at.item(i)));
    if (std::any_of(found.begin(), found.end(), [&](const auto& x) { return x.path == source.path; }))
      return at.item(i).problem("the path \"" + source.path + "\" occurs twice");
    bytes += source.content.size();
    found.push_back(std::move(source));
  }
  if (bytes > limits::source_bytes)
    return at.problem("sources of " + std::to_string(bytes) + " bytes, expected at most " + std::to_string(limits::source_bytes));
  return found;
}

result<build_options> read_build(const json_place& spec) {
  build_options build;
  KEVOLVE_TRY_VOID(spec.is_object("a BuildSpec"));
  if (auto languages = spec.find("languages")) {
    KEVOLVE_TRY(names, languages->texts());
    if (names.empty())
      return languages->wrong("at least one language");
    build.language = common_language(names.front());
  } else {
    KEVOLVE_TRY(language_at, spec.field("language", "a language such as cpp (or `languages`, a list)"));
    KEVOLVE_TRY(language, language_at.text());
    build.language = common_language(language);
  }
  KEVOLVE_TRY(entry_at, spec.field("entry_point", "file::function"));
  KEVOLVE_TRY(entry, entry_at.text());
  auto separator = entry.find("::");
  if (separator == std::string::npos || separator == 0 || separator + 2 == entry.size())
    return entry_at.wrong("file::function");
  build.entry_point = std::move(entry);
  if (auto options = spec.find("compile_options"))
    for (const char* name : {"cflags", "cuda_cflags", "ld_flags"})
      if (auto flags_at = options->find(name)) {
        KEVOLVE_TRY(flags, flags_at->texts());
        build.flags.insert(build.flags.end(), flags.begin(), flags.end());
      }
  return build;
}

result<void> read_ours(candidate& c, const json_place& at, const std::string& where) {
  KEVOLVE_TRY_VOID(at.is_object("what kevolve adds"));
  if (auto compiler = at.find("compiler")) {
    KEVOLVE_TRY(name, compiler->text());
    c.build.compiler = std::move(name);
  }
  if (auto flags_at = at.find("flags")) {
    KEVOLVE_TRY(flags, flags_at->texts());
    c.build.flags = std::move(flags);
  }
  if (auto schedule_at = at.find("schedule")) {
    KEVOLVE_TRY(found, schedule_from_json(**schedule_at, where + ": field 'x_kevolve.schedule'"));
    c.printed_from = std::move(found);
  }
  c.id = candidate_hash(c);
  if (auto id_at = at.find("candidate"))
    if (**id_at != c.id)
      return id_at->wrong("\"" + c.id + "\", the hash of these sources and build options");
  return {};
}

} // namespace

result<schedule> schedule_from_json(const json& value, const std::string& where) {
  const json_place at(value, where);
  schedule found;
  KEVOLVE_TRY(version_at, at.field("version", "the list's version"));
  KEVOLVE_TRY(version, version_at.size());
  if (version != 1)
    return version_at.wrong("1: a newer kevolve wrote this schedule");
  KEVOLVE_TRY(steps_at, at.field("steps", "a list of steps"));
  KEVOLVE_TRY_VOID(steps_at.is_array("of steps"));
  for (std::size_t i = 0; i < steps_at->size(); ++i) {
    const auto step_at = steps_at.item(i);
    schedule_step step;
    KEVOLVE_TRY(verb_at, step_at.field("verb", "what to do"));
    KEVOLVE_TRY(verb, verb_at.text());
    KEVOLVE_TRY(subject_at, step_at.field("subject", "a loop or tensor"));
    KEVOLVE_TRY(subject, subject_at.text());
    step.verb = std::move(verb);
    step.subject = std::move(subject);
    if (auto parameters = step_at.find("parameters")) {
      KEVOLVE_TRY_VOID(parameters->is_object("parameters by name"));
      for (const auto& [name, entry] : (*parameters)->items()) {
        KEVOLVE_TRY(text, parameters->member(name).text());
        step.parameters.emplace_back(name, std::move(text));
      }
    }
    found.steps.push_back(std::move(step));
  }
  return found;
}

json to_json(const schedule& s) {
  json steps = json::array();
  for (const auto& step : s.steps) {
    json parameters = json::object();
    for (const auto& [name, value] : step.parameters)
      parameters[name] = value;
    steps.push_back({{"verb", step.verb}, {"subject", step.subject}, {"parameters", std::move(parameters)}});
  }
  return {{"version", s.version}, {"steps", std::move(steps)}};
}

result<candidate> candidate_from_json(const json& value, const std::string& where) {
  const json_place at(value, where);
  candidate found;
  KEVOLVE_TRY_VOID(at.is_object("a Solution"));
  KEVOLVE_TRY(definition_at, at.field("definition", "the operator's name"));
  KEVOLVE_TRY(definition, definition_at.text());
  KEVOLVE_TRY(author_at, at.field("author", "who wrote it"));
  KEVOLVE_TRY(author, author_at.text());
  found.definition = std::move(definition);
  found.author = std::move(author);
  if (auto description = at.find("description")) {
    KEVOLVE_TRY(text, description->text());
    found.description = std::move(text);
  }
  KEVOLVE_TRY(spec_at, at.field("spec", "a BuildSpec"));
  KEVOLVE_TRY(build, read_build(spec_at));
  found.build = std::move(build);
  KEVOLVE_TRY(sources_at, at.field("sources", "a list of {path, content}"));
  KEVOLVE_TRY(sources, read_sources(sources_at));
  found.sources = std::move(sources);
  const std::string file = found.build.entry_point.substr(0, found.build.entry_point.find("::"));
  if (std::none_of(found.sources.begin(), found.sources.end(), [&](const auto& x) { return x.path == file; }))
    return spec_at.member("entry_point").wrong("a file among the sources");
  found.id = candidate_hash(found);
  if (auto ours = at.find("x_kevolve"))
    KEVOLVE_TRY_VOID(read_ours(found, *ours, where));
  return found;
}

json to_json(const candidate& c, const std::vector<std::string>& target_hardware) {
  json sources = json::array();
  for (const auto& source : c.sources)
    sources.push_back({{"path", source.path}, {"content", source.content}});
  json spec = json::object(), ours = json::object(), out = json::object();
  spec["language"] = c.build.language;
  spec["target_hardware"] = target_hardware;
  spec["entry_point"] = c.build.entry_point;
  spec["dependencies"] = json::array();
  spec["destination_passing_style"] = true;
  ours["candidate"] = c.id;
  ours["compiler"] = c.build.compiler;
  ours["flags"] = c.build.flags;
  if (c.printed_from)
    ours["schedule"] = to_json(*c.printed_from);
  out["name"] = c.definition + "_" + c.id.substr(0, 8);
  out["definition"] = c.definition;
  out["author"] = c.author;
  out["description"] = c.description;
  out["spec"] = std::move(spec);
  out["sources"] = std::move(sources);
  out["x_kevolve"] = std::move(ours);
  return out;
}

} // namespace kevolve
