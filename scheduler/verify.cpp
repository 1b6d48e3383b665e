// kevolve verify: measures a stored candidate, a Solution .json or a .cpp file afresh, in new processes with new seeds, against every
// baseline and the plain loop nest. Uses no cache and changes nothing in the store.
#include "actors/synthesis/generator.hpp"
#include "protocol/limits.hpp"
#include "protocol/trace_format.hpp"
#include "scheduler/answers.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/session_lookup.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <fmt/format.h>
#include <fstream>
#include <random>
#include <sstream>

namespace kevolve::scheduler {

namespace {

struct subject_of_verification {
  problem subject;
  target on;
  candidate what;
};

bool is_file(const std::string& what) { return what.ends_with(".json") || what.ends_with(".cpp") || what.find('/') != std::string::npos; }

result<std::string> read_source(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf()))
    return error{errc::specification, fmt::format("{}: cannot be read; expected a C++ file with a kevolve_run", file)};
  if (text.str().size() > limits::source_bytes)
    return error{errc::specification, fmt::format("{}: found {} bytes, expected at most {}", file, text.str().size(), limits::source_bytes)};
  return text.str();
}

result<candidate> candidate_of_file(const verify_options& options) {
  if (options.what.ends_with(".json")) {
    KEVOLVE_TRY(value, read_json(options.what));
    return candidate_from_json(value, options.what);
  }
  if (!options.what.ends_with(".cpp"))
    return error{errc::usage, fmt::format("verify: found '{}', expected a candidate's id, a Solution .json or a .cpp file", options.what)};
  KEVOLVE_TRY(source, read_source(options.what));
  candidate written;
  written.author = "person";
  written.description = options.what;
  written.sources = {{"kernel.cpp", std::move(source)}};
  written.build.flags = options.flags.empty() ? std::vector<std::string>{"-O3", "-march=native", "-fopenmp"} : options.flags;
  written.id = candidate_hash(written);
  return written;
}

result<subject_of_verification> subject_from_file(context& in, const verify_options& options) {
  KEVOLVE_TRY(what, candidate_of_file(options));
  const std::string spec = options.operator_spec.empty() ? what.definition : options.operator_spec;
  if (spec.empty())
    return error{errc::usage, fmt::format("verify: {} names no operator, expected --operator OPERATOR (a name or a Definition .json)", options.what)};
  if (is_python_specification(spec))
    return error{errc::usage, fmt::format("--operator: found '{}', expected an operator's name or a Definition .json", spec)};
  KEVOLVE_TRY(subject, read_specification(spec, in.configured));
  what.definition = subject.op.name;
  what.id = candidate_hash(what);
  return subject_of_verification{std::move(subject), {}, std::move(what)};
}

result<subject_of_verification> subject_from_store(context& in, const verify_options& options) {
  KEVOLVE_TRY(memory, open_for_reading(in)); // closed again before anything forks
  KEVOLVE_TRY(found, find_candidate(*memory, options.what));
  return subject_of_verification{std::move(found.in.opening.subject), found.in.opening.on, std::move(found.what)};
}

/// Candidates of the store to be timed beside it. Errors: of another operator.
result<std::vector<candidate>> others(context& in, const verify_options& options, const problem& subject) {
  std::vector<candidate> found;
  if (options.against.empty())
    return found;
  KEVOLVE_TRY(memory, open_for_reading(in)); // closed again before anything forks
  for (const std::string& id : options.against) {
    KEVOLVE_TRY(other, find_candidate(*memory, id));
    if (other.what.definition != subject.op.name)
      return error{errc::usage, fmt::format("--against: found '{}', a candidate for {}, expected one for {}", id, other.what.definition, subject.op.name)};
    found.push_back(std::move(other.what));
  }
  return found;
}

/// The plain loop nest as an anchor; a candidate for an operator that the generator cannot write is measured without.
std::optional<candidate> plain_loop_nest(const subject_of_verification& of, const std::string& compiler, std::vector<std::string>& missing) {
  auto writer = synthesis::generator::make(of.subject, of.on, compiler);
  if (writer)
    if (auto root = (*writer)->root())
      return root->what;
  missing.push_back("The plain loop nest: " + (writer ? std::string("it cannot be printed") : writer.error().message) + ".");
  return std::nullopt;
}

/// Relative, with what is allowed beside it: among the cases are inputs of 1e15, whose absolute errors mean nothing to a reader.
std::string error_text(const tolerance& allowed, const correctness& found) {
  if (allowed.bitwise)
    return found.max_absolute_error == 0 ? "bit by bit equal" : fmt::format("largest error {:.3g}", found.max_absolute_error);
  return fmt::format("largest relative error {:.3g} (allowed: {:.3g} relative or {:.3g} absolute)", found.max_relative_error, allowed.rtol, allowed.atol);
}

std::string verification_report(const subject_of_verification& of, const evaluation& e, const candidate_id& root, const std::vector<std::string>& missing,
                                const style& how) {
  std::string text = how.strong(of.subject.op.name + " " + short_id(of.what.id)) + ": ";
  if (e.result == outcome::passed) {
    text += how.good("passed") + fmt::format(", {} cases compared, {}\n", e.correct.cases, error_text(of.subject.op.tolerated, e.correct));
  } else {
    text += how.bad(to_string(e.result)) + "\n" + (e.correct.failed_case.empty() ? "" : e.correct.failed_case + "\n") + e.log + "\n";
  }
  text += timing_table(of.subject, e, root, how);
  for (const overall& o : overall_speedups(e))
    text += fmt::format("{} over {} (95% interval {})\n", show_factor(o.speedup), anchor_name(o.baseline, root), interval_text(o.ci95));
  text += "\n" + diagnosis_report(e.diagnosed, how);
  text += fmt::format("  {}, {}, clock {}, sandbox {}, load {:.2f}\n", e.where.hardware, e.where.toolchain, e.where.clock, e.where.sandbox, e.where.load);
  for (const std::string& each : missing)
    text += "  missing: " + wrap(each, 110, "  ") + "\n";
  return text;
}

} // namespace

result<int> verify(context& in, const verify_options& options) {
  auto read = is_file(options.what) ? subject_from_file(in, options) : subject_from_store(in, options);
  if (!read)
    return read.error();
  subject_of_verification of = std::move(*read);
  KEVOLVE_TRY_VOID(check_problem(of.subject));
  KEVOLVE_TRY_VOID(restrict_workloads(of.subject, options.workloads));

  KEVOLVE_TRY(beside, others(in, options, of.subject));

  KEVOLVE_TRY(host, single_host::start(in));
  if (of.on.architecture.empty()) {
    KEVOLVE_TRY(chosen, choose_target(in.configured.target, host->evaluator().devices()));
    of.on = chosen;
  }
  std::vector<std::string> missing;
  evaluate_work work;
  work.baselines = host->baselines(in.configured, missing);
  if (!work.baselines.empty())
    host->evaluator().prepare_baselines(of.subject, work.baselines);
  const auto root = plain_loop_nest(of, in.configured.compiler, missing);
  if (root)
    work.anchors.push_back(*root);
  work.anchors.insert(work.anchors.end(), beside.begin(), beside.end());
  work.subject = of.subject;
  work.on = of.on;
  work.what = of.what;
  work.how = effort::verify;
  work.seed = in.configured.seed ? *in.configured.seed : std::random_device{}();
  work.limit_s = std::max(60.0, in.configured.time_s);

  std::atomic<bool> cancelled{false};
  in.signals.on_signal([&](int) { cancelled = true; });
  auto measured = host->evaluator().evaluate(work, cancelled);
  in.signals.ignore_from_now();
  if (in.signals.received())
    return in.signals.exit_code();
  if (!measured)
    return measured.error();
  const candidate_id root_id = root ? root->id : "";
  in.out.answer(verification_answer(of.subject, of.what, *measured, root_id, missing));
  in.out.say(verification_report(of, *measured, root_id, missing, in.look()));
  return measured->result == outcome::passed ? 0 : 3;
}

} // namespace kevolve::scheduler
