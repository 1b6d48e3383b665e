#include "actors/synthesis/prompts/writing.hpp"

#include "actors/synthesis/prompts/answer.hpp"
#include "actors/synthesis/prompts/lint.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::synthesis {
namespace {

constexpr std::size_t message_bytes = 4000; // of a compiler, to a model
constexpr std::size_t answer_bytes = 60'000; // of an answer, when it is shown to the model again

std::vector<source_file> parents_files(const context& given) {
  return given.parent && given.parent->written ? given.parent->written->sources : std::vector<source_file>();
}

} // namespace

writing::writing(writing_task task) : task_(std::move(task)) {}

writing::next writing::begin() {
  prompt_ = task_.ready ? *task_.ready : write_prompt(task_.facts, task_.prompt_tokens);
  turns_ = {prompt_.text};
  return ask{step_, prompt_.instructions, turns_};
}

transformation writing::edge() const {
  transformation e;
  e.kind = "model";
  e.summary = idea_.empty() ? "a new version" : idea_;
  const auto& parent = task_.facts.given.parent;
  if (parent && parent->result == outcome::passed && parent->diagnosed.limited_by != bound::unknown)
    e.reason = fmt::format("the parent is bound by {}", to_string(parent->diagnosed.limited_by));
  else if (parent)
    e.reason = fmt::format("the parent: {}", to_string(parent->result));
  else
    e.reason = "from a clean slate";
  e.reason += ", says " + task_.author;
  return e;
}

writing::next writing::said(const std::string& text, bool cut_off) {
  turns_.push_back(shortened(text, answer_bytes));
  const language& in = *task_.facts.in;
  auto read = read_answer(text, in, parents_files(task_.facts.given));
  if (!read)
    return complain({read.error().message + (cut_off ? " (your answer reached its length limit)" : "")}, errc::synthesizer);
  idea_ = read->idea;
  if (read->print) {
    if (!task_.facts.may_schedule)
      return complain({"a schedule cannot be printed for this operator and target: write the kernel itself"}, errc::synthesizer);
    return print{std::move(*read->print), edge()};
  }
  if (auto faults = lint(read->files, in); !faults.empty())
    return complain(std::move(faults), errc::synthesizer);
  candidate c;
  c.definition = task_.facts.subject->op.name;
  c.author = task_.author;
  c.description = idea_;
  c.build = in.build;
  if (in.runs && !in.described && !task_.compiler.empty())
    c.build.compiler = task_.compiler;
  for (const std::string& flag : read->flags)
    if (!in.described && std::find(c.build.flags.begin(), c.build.flags.end(), flag) == c.build.flags.end())
      c.build.flags.push_back(flag);
  c.sources = std::move(read->files);
  c.id = candidate_hash(c);
  if (task_.is_known && task_.is_known(c))
    return complain({"this was tried already (it differs from an earlier candidate in names, comments or layout at most): change what is computed, or how"}, errc::refused);
  written_ = c;
  return check_compile{std::move(c)};
}

writing::next writing::compiled(const std::string& messages) {
  if (messages.empty())
    return finish(written_);
  if (step_ >= task_.repairs)
    return finish(written_); // the agent's compile error becomes a part of the tree's history
  return complain({"it does not compile:\n" + shortened(messages, message_bytes)}, errc::synthesizer);
}

writing::next writing::printed(result<proposal> what) {
  if (!what)
    return complain({"the generator cannot print this schedule: " + what.error().message}, errc::synthesizer);
  if (task_.is_known && task_.is_known(what->what))
    return complain({"this schedule gives a kernel that was tried already"}, errc::refused);
  return done{std::move(*what)};
}

writing::next writing::finish(candidate what) { return done{{std::move(what), edge(), {}}}; }

writing::next writing::complain(std::vector<std::string> faults, errc if_last) {
  if (step_ >= task_.repairs) {
    std::string all;
    for (const std::string& fault : faults)
      all += (all.empty() ? "" : "; ") + fault;
    return failed{{if_last, shortened(all, 600)}};
  }
  ++step_;
  turns_.push_back(repair_text(faults, *task_.facts.in));
  return ask{step_, prompt_.instructions, turns_};
}

} // namespace kevolve::synthesis
