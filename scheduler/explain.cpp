// kevolve explain: how a candidate came about, what each step gained and why it was tried, why it is as fast as it is, and its source.
#include "scheduler/answers.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/session_lookup.hpp"
#include "scheduler/single_host.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <map>

namespace kevolve::scheduler {

namespace {

std::string where_it_stands(const found_candidate& found) {
  const node_account& n = found.in.nodes[found.number];
  std::string text = fmt::format("step {} of session {}, written by {}", found.number, found.in.opening.session, found.what.author.empty() ? "?" : found.what.author);
  if (n.result)
    text += fmt::format(": {}{}", to_string(*n.result), n.known_before ? " (found in an earlier session, not measured again)" : "");
  if (n.latency_s > 0)
    text += fmt::format(", {}, {} over the {}", show_latency(n.latency_s), show_factor(n.over_root), found.in.root_name());
  text += "\n";
  if (!n.schedule_text.empty())
    text += "schedule: " + wrap(n.schedule_text, 120, "          ") + "\n";
  std::string flags;
  for (const std::string& flag : found.what.build.flags)
    flags += " " + flag;
  return text + fmt::format("built by: {}{}\n", found.what.build.compiler, flags);
}

std::string sources_of(const candidate& what, const style& how) {
  std::string text;
  for (const source_file& source : what.sources)
    text += "\n" + how.strong(source.path) + "\n" + source.content + (source.content.ends_with('\n') ? "" : "\n");
  return text;
}

std::string explanation(const found_candidate& found, const style& how) {
  const node_account& n = found.in.nodes[found.number];
  std::string text = how.strong(fmt::format("{} {}", found.in.opening.subject.op.name, short_id(found.what.id))) + "\n" + where_it_stands(found);
  if (!n.log.empty() && n.result && *n.result != outcome::passed)
    text += "\n" + how.strong("What went wrong") + "\n" + n.log + "\n";
  text += "\n" + how.strong("How it came about") + "\n" + lineage_report(found.in, found.number, how);
  for (const node_account* step : lineage(found.in, found.number))
    if (!step->prior.empty())
      text += fmt::format("  step {} was shown {}\n", step->number, step->prior);
  for (const node_account* step : lineage(found.in, found.number))
    if (!step->agent.empty())
      text += fmt::format("  step {} was written on {}{}\n", step->number, step->agent,
                          step->moves > 0 ? fmt::format(", after {} other{} gave nothing", step->moves, step->moves == 1 ? "" : "s") : "");
  text += "\n" + how.strong("Why it is as fast as it is") + "\n" + diagnosis_report(n.diagnosed, how);
  if (found.in.verified && found.in.verified->number == found.number)
    text += "\n" + how.strong("Measured afresh") + "\n" +
            timing_table(found.in.opening.subject, found.in.verified->what, found.in.root_candidate(), how, found.in.root_name());
  return text + sources_of(found.what, how);
}

/// Every request for the node's proposal with its answer, as the log has them.
std::string conversation_of(const std::vector<event>& log, node_number number, const style& how) {
  std::multimap<std::uint32_t, std::string> steps; // what was asked on an agent is logged all at once
  for (const event& e : log)
    if (const auto* asked = std::get_if<model_asked>(&e); asked && asked->number == number) {
      steps.emplace(asked->step, "\n" + how.strong(fmt::format("Asked {} ({}, step {})", asked->model, asked->role, asked->step)) + "\n" +
                                   (asked->step == 0 ? asked->instructions + "\n" + asked->turns.front() : asked->turns.back()));
    } else if (const auto* said = std::get_if<model_answered>(&e); said && said->number == number) {
      steps.emplace(said->step, "\n" + how.strong(fmt::format("It said ({}, {} tokens read, {} written, {:.4f} USD, {:.1f} s)", said->stop, said->used.input, said->used.output, said->cost_usd,
                                                              said->seconds)) + "\n" + (said->failure.empty() ? said->text : "nothing: " + said->failure) + "\n");
    }
  std::string text;
  for (const auto& [step, words] : steps)
    text += words;
  return text.empty() ? "\nNo model was asked for it.\n" : text;
}

} // namespace

result<int> explain(context& in, const std::string& what, bool conversation) {
  KEVOLVE_TRY(memory, open_for_reading(in));
  KEVOLVE_TRY(found, find_candidate(*memory, what));
  in.out.answer(explanation_answer(found.in, found.number, found.what));
  in.out.say(explanation(found, in.look()));
  if (conversation) {
    KEVOLVE_TRY(log, memory->events(found.in.opening.session));
    in.out.say(conversation_of(log, found.number, in.look()));
  }
  return 0;
}

} // namespace kevolve::scheduler
