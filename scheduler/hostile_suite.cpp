#include "scheduler/hostile_suite.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace fs = std::filesystem;

namespace kevolve::scheduler {
namespace {

struct headed_source {
  std::map<std::string, std::string> head;
  std::string text;
};

result<headed_source> read_headed(const fs::path& file) {
  std::ifstream in(file);
  headed_source s;
  bool at_head = true;
  for (std::string line; std::getline(in, line); s.text += line + "\n") {
    at_head &= line.starts_with("// ");
    const auto colon = line.find(':');
    if (at_head && colon != std::string::npos)
      s.head[line.substr(3, colon - 3)] = line.size() > colon + 2 ? line.substr(colon + 2) : std::string();
  }
  if (s.text.empty())
    return error{errc::specification, file.string() + ": cannot be read, or is empty"};
  return s;
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

std::string value_of(const headed_source& s, const std::string& key, const std::string& otherwise) {
  const auto at = s.head.find(key);
  return at == s.head.end() ? otherwise : at->second;
}

result<outcome> outcome_named(const std::string& name) {
  for (std::uint64_t i = 0; i <= enum_max(outcome{}); ++i)
    if (to_string(static_cast<outcome>(i)) == name)
      return static_cast<outcome>(i);
  return error{errc::specification, "'" + name + "' is no outcome"};
}

result<success_sign> success_of(const std::string& text) {
  success_sign s;
  if (text.empty())
    return s;
  if (text == "log")
    return s.what = success_sign::kind::canary, s;
  if (text.starts_with("text "))
    return s.value = text.substr(5), s;
  s.what = text.starts_with("not ") ? success_sign::kind::not_outcome : success_sign::kind::outcome;
  s.value = text.starts_with("not ") ? text.substr(4) : text.starts_with("outcome ") ? text.substr(8) : text;
  KEVOLVE_TRY(named, outcome_named(s.value));
  (void)named;
  return s;
}

result<hostile_program> read_program(const fs::path& file) {
  KEVOLVE_TRY(s, read_headed(file));
  hostile_program p;
  p.name = file.stem().string();
  p.what = value_of(s, "what", "");
  p.rows = value_of(s, "rows", "");
  p.operator_name = value_of(s, "operator", "rows");
  p.flags = words(value_of(s, "flags", "-O1"));
  p.path = value_of(s, "path", "candidate.cpp");
  p.needs_root = value_of(s, "needs", "") == "root";
  p.lengthy = s.head.count("long") > 0;
  p.verify = value_of(s, "effort", "search") == "verify";
  p.anchored = s.head.count("anchor") > 0;
  p.optional = value_of(s, "kernel", "") == "optional";
  p.source = s.text;
  for (const auto& [key, into] : {std::pair("stopped by", &p.stopped_by), std::pair("at times by", &p.at_times_by)})
    for (const auto& name : words(value_of(s, key, ""))) {
      const auto at = std::find(agent::defence_names.begin(), agent::defence_names.end(), name);
      if (at == agent::defence_names.end())
        return error{errc::specification, fmt::format("{}: '{}': '{}' is no defence", file.string(), key, name)};
      into->push_back(static_cast<agent::defence>(at - agent::defence_names.begin()));
    }
  for (const auto& name : words(value_of(s, "verdict", ""))) {
    auto named = outcome_named(name);
    if (!named)
      return named.error().in(file.string() + ": 'verdict'");
    p.verdicts.push_back(*named);
  }
  auto success = success_of(value_of(s, "succeeds as", ""));
  if (!success)
    return success.error().in(file.string() + ": 'succeeds as'");
  p.success = *success;
  if (p.verdicts.empty() || p.what.empty() || p.rows.empty())
    return error{errc::specification, file.string() + ": expected 'rows', 'what' and 'verdict' at the head"};
  return p;
}

std::vector<fs::path> sources_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed))
    if (entry.path().extension() == ".cpp" || entry.path().extension() == ".c")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::string filled(std::string text, const std::map<std::string, std::string>& names) {
  for (const auto& [name, value] : names)
    for (std::size_t at = 0; (at = text.find("@" + name + "@", at)) != std::string::npos; at += value.size())
      text.replace(at, name.size() + 2, value);
  return text;
}

candidate finished(candidate c, const std::string& operator_name) {
  c.definition = "hostile_" + operator_name;
  c.author = "tests/hostile";
  c.id = candidate_hash(c);
  return c;
}

} // namespace

bool success_sign::shown(const evaluation& e, const std::string& canary) const {
  switch (what) {
    case kind::text: return e.log.find(value) != std::string::npos;
    case kind::canary: return e.log.find(canary) != std::string::npos;
    case kind::outcome: return to_string(e.result) == value;
    case kind::not_outcome: return to_string(e.result) != value;
  }
  return false;
}

result<std::vector<hostile_program>> read_hostile_programs(const fs::path& folder) {
  std::vector<hostile_program> all;
  for (const fs::path& file : sources_in(folder)) {
    KEVOLVE_TRY(one, read_program(file));
    all.push_back(std::move(one));
  }
  if (all.empty())
    return error{errc::not_found, "no programs in '" + folder.string() + "'"};
  return all;
}

result<std::vector<honest_kernel>> read_honest_kernels(const fs::path& folder) {
  std::vector<honest_kernel> all;
  for (const fs::path& file : sources_in(folder)) {
    KEVOLVE_TRY(s, read_headed(file));
    const auto common = words(value_of(s, "flags", "-O2"));
    std::istringstream variants(value_of(s, "variants", ""));
    std::vector<std::string> each;
    for (std::string one; std::getline(variants, one, '|');)
      each.push_back(one);
    if (each.empty())
      each.emplace_back();
    for (std::size_t i = 0; i < each.size(); ++i) {
      honest_kernel k;
      k.name = file.stem().string() + (each.size() > 1 ? "/" + std::to_string(i + 1) : "");
      k.what = value_of(s, "what", "");
      k.operator_name = value_of(s, "operator", "rows");
      k.flags = common;
      for (auto& flag : words(each[i]))
        k.flags.push_back(std::move(flag));
      k.source = s.text;
      k.path = "candidate" + file.extension().string();
      all.push_back(std::move(k));
    }
  }
  return all;
}

candidate candidate_of(const hostile_program& program, const std::map<std::string, std::string>& names, const std::string& shared) {
  candidate c;
  for (const auto& flag : program.flags)
    c.build.flags.push_back(filled(flag, names));
  c.sources = {{program.path, filled(program.source, names)}, {"hostile.h", shared}};
  return finished(std::move(c), program.operator_name);
}

candidate honest_anchor(const std::string& operator_name, const std::string& shared) {
  candidate c;
  c.build.flags = {"-O1"};
  c.sources = {{"candidate.cpp", "#include \"hostile.h\"\nextern \"C\" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {\n"
                                 "  return honest_" + operator_name + "(in, out, axes);\n}\n"}, {"hostile.h", shared}};
  return finished(std::move(c), operator_name);
}

candidate candidate_of(const honest_kernel& kernel) {
  candidate c;
  c.build.flags = kernel.flags;
  c.sources = {{kernel.path, kernel.source}};
  return finished(std::move(c), kernel.operator_name);
}

} // namespace kevolve::scheduler
