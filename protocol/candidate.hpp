// Candidates: one implementation each, and the schedule it was printed from where the generator wrote it. Pure data.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kevolve {

/// platform + architecture + language, e.g. cpu/x86-64-v4/cpp.
struct target {
  std::string platform = "cpu";
  std::string architecture; // "x86-64-v4"; empty: the device's own
  std::string language = "cpp";

  friend bool operator==(const target&, const target&) = default;
};
std::string to_string(const target& t);
/// Reads cpu|cuda|hip|mtia[/arch[/language]], and of any other platform all three parts.
result<target> target_from_string(const std::string& text);

/// One decision of a schedule: a verb applied to a loop or tensor by its semantic name ("row", "hidden", "gelu.out"), with parameters.
/// A step that does not apply is skipped by the generator, which says so.
struct schedule_step {
  std::string verb;
  std::string subject;
  std::vector<std::pair<std::string, std::string>> parameters; // ordered; values as text ("16", "true")

  friend bool operator==(const schedule_step&, const schedule_step&) = default;
};

struct schedule {
  std::uint32_t version = 1;
  std::vector<schedule_step> steps;

  friend bool operator==(const schedule&, const schedule&) = default;
};

/// "vectorize(hidden, width=16); parallel(row, grain=8)": for people, logs and prompts.
std::string to_string(const schedule& s);
/// The schedule without its numeric parameters: the glossary's *strategy*.
std::string strategy_of(const schedule& s);

struct source_file {
  std::string path; // relative, no ".."
  std::string content;

  friend bool operator==(const source_file&, const source_file&) = default;
};

struct build_options {
  std::string language = "cpp";
  std::string entry_point = "kernel.cpp::kevolve_run";
  std::string compiler = "g++";    // name of a toolchain that the agent knows: g++, clang++
  std::vector<std::string> flags;  // each checked against the agent's allow-list

  friend bool operator==(const build_options&, const build_options&) = default;
};

/// 64 lower-case hex digits: SHA-256 of sources, entry point and build options, nothing else.
using candidate_id = std::string;

struct candidate {
  candidate_id id; // always candidate_hash(*this)
  std::string definition;
  std::string author; // the synthesizer: "generator", "anthropic:model", "person"
  std::string description;
  build_options build;
  std::vector<source_file> sources;
  std::optional<schedule> printed_from;

  friend bool operator==(const candidate&, const candidate&) = default;
};

candidate_id candidate_hash(const candidate& c);

/// What changed along a tree edge, and why it was tried.
struct transformation {
  std::string kind;     // "root", "vectorize", "crossover", "llm", "imported leader", …
  std::string summary;  // one line: "vectorize hidden by 16"
  std::string reason;   // "bound by compute at 12% of peak: the hot loop is scalar"

  friend bool operator==(const transformation&, const transformation&) = default;
};

template <class Inspector>
bool inspect(Inspector& f, target& x) {
  return f.object(x).fields(f.field("platform", x.platform), f.field("architecture", x.architecture), f.field("language", x.language));
}
template <class Inspector>
bool inspect(Inspector& f, schedule_step& x) {
  return f.object(x).fields(f.field("verb", x.verb), f.field("subject", x.subject), f.field("parameters", x.parameters));
}
template <class Inspector>
bool inspect(Inspector& f, schedule& x) {
  return f.object(x).fields(f.field("version", x.version), f.field("steps", x.steps));
}
template <class Inspector>
bool inspect(Inspector& f, source_file& x) {
  return f.object(x).fields(f.field("path", x.path), f.field("content", x.content));
}
template <class Inspector>
bool inspect(Inspector& f, build_options& x) {
  return f.object(x).fields(f.field("language", x.language), f.field("entry_point", x.entry_point), f.field("compiler", x.compiler),
                            f.field("flags", x.flags));
}
template <class Inspector>
bool inspect(Inspector& f, candidate& x) {
  return f.object(x).fields(f.field("id", x.id), f.field("definition", x.definition), f.field("author", x.author),
                            f.field("description", x.description), f.field("build", x.build), f.field("sources", x.sources),
                            f.field("printed_from", x.printed_from));
}
template <class Inspector>
bool inspect(Inspector& f, transformation& x) {
  return f.object(x).fields(f.field("kind", x.kind), f.field("summary", x.summary), f.field("reason", x.reason));
}

} // namespace kevolve
