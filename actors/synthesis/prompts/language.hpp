// The languages that candidates may be written in: one table with each one's ABI, build, rules, example and where its documents lie, so that
// prompts, linter and checks agree. A language without a device back end is written, linted and, where a compiler is at hand, compiled; it
// never runs, and whoever asks is told so. Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"
#include "protocol/target_description.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kevolve::synthesis {

/// What a source may not hold, by a word of it, and what to say then.
struct forbidden_word {
  std::string word;   // an identifier, or the path of an include in <> or ""
  std::string because;
};

struct language {
  std::string name;       // as in a target: "cpp", "cuda", "hip", "triton", "cutedsl", "tlx", "flydsl", "mtia-cpp"
  std::string platform;   // cpu, cuda, hip, mtia
  std::string title;      // "C++ for CPUs"
  std::string fence;      // the word behind ``` of its code blocks
  std::string main_file;  // "kernel.cpp"
  std::string entry;      // the function that must be there
  build_options build;    // what a new candidate is built with
  std::string abi;        // what is called, with what, and what must hold
  std::string example;    // a complete candidate: y = 2 x
  std::vector<forbidden_word> forbidden;
  bool described = false; // of a device that an operator described: no linter of ours knows it, and its commands take no flags
  bool runs = false;      // a device back end exists; otherwise candidates are only linted and compiled
  std::vector<std::string> compile_check; // a command that compiles {file} for {architecture}; empty: none exists here
};

const std::vector<language>& languages();
/// The language of a device that an operator described: what its description and documents say is all that is known of it.
language language_of_description(const target_description& d);
/// Null: no such language on that platform.
const language* language_of(const target& on);
/// The languages of a platform as "cuda, triton, …", for messages.
std::string language_names(std::string_view platform);

} // namespace kevolve::synthesis
