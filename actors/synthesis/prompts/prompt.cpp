#include "actors/synthesis/prompts/prompt.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::synthesis {
namespace {

constexpr std::size_t bytes_per_token = 3;
constexpr std::size_t evaluation_bytes = 6000;
constexpr std::size_t reference_bytes = 8000;
constexpr std::size_t sibling_source_bytes = 6000;
constexpr std::size_t tried_at_most = 16;
constexpr std::size_t least_useful = 400; // a section shortened below this says nothing

struct section {
  std::string title;
  std::string text;
  int importance = 0;   // the higher, the later it is cut; 100: always there
  bool may_shorten = true;
};

std::string shape_text(const tensor_spec& t) {
  if (t.scalar)
    return "scalar";
  std::string dims;
  for (const std::string& d : t.shape)
    dims += (dims.empty() ? "" : ", ") + d;
  return "[" + dims + "]";
}

std::string tensors_text(const std::vector<tensor_spec>& tensors) {
  std::string text;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    text += fmt::format("  {}: {} {} {}{}\n", i, tensors[i].name, to_string(tensors[i].type), shape_text(tensors[i]),
                        tensors[i].description.empty() ? "" : "  (" + tensors[i].description + ")");
  return text;
}

std::string operator_text(const problem& subject) {
  const operator_definition& op = subject.op;
  std::string text = fmt::format("{}{}\n\nAxes, in the order of `axes`:\n", op.name, op.description.empty() ? "" : ": " + op.description);
  for (std::size_t i = 0; i < op.axes.size(); ++i) {
    const axis& a = op.axes[i];
    text += fmt::format("  {}: {} = {}\n", i, a.name, a.kind == axis_kind::constant ? std::to_string(a.value) : a.kind == axis_kind::expression ? a.expression : std::string("any value from 1 on"));
  }
  text += "Inputs:\n" + tensors_text(op.inputs) + "Outputs:\n" + tensors_text(op.outputs);
  text += "It is timed on these sizes, and must be right for every other one:\n";
  for (const workload& w : subject.workloads) {
    text += "  " + w.name + ":";
    for (const auto& [name, value] : w.axes)
      text += fmt::format(" {}={}", name, value);
    text += "\n";
  }
  if (op.tolerated.bitwise)
    text += "Outputs must equal the reference's bit for bit.\n";
  else
    text += fmt::format("An element is wrong when it is off by more than {} and by more than {} of its value, against the reference in float64.\n", op.tolerated.atol, op.tolerated.rtol);
  for (const std::string& c : op.constraints)
    text += "Constraint: " + c + "\n";
  text += "Reference:\n```python\n" + shortened(op.reference, reference_bytes) + (op.reference.ends_with('\n') ? "" : "\n") + "```\n";
  return text;
}

std::string sources_text(const attempt& a, const language& in, std::size_t bytes) {
  if (!a.written)
    return "";
  std::string text;
  for (const source_file& f : a.written->sources)
    text += fmt::format("{}\n```{}\n{}```\n", f.path, in.fence, shortened(f.content, bytes));
  std::string flags;
  for (const std::string& flag : a.written->build.flags)
    flags += (flags.empty() ? "" : " ") + flag;
  text += "built with " + a.written->build.compiler + " " + flags + "\n";
  if (!a.printed_from.steps.empty())
    text += "It was printed by the generator from the schedule\n```schedule\n" + to_string(a.printed_from) + "\n```\n";
  return text;
}

std::string instructions_for(const language& in, bool may_schedule) {
  std::string text = fmt::format(
    "You write compute kernels in {}: correct first, then as fast as the hardware allows. You improve one implementation in a search over many. What you write is "
    "compiled, checked against a float64 reference on secret inputs (odd sizes, zeros, huge and tiny values, NaN and infinity) and timed beside the best one so "
    "far; you are told what came of it. A candidate that looks for a way around the work is thrown away.\n\n", in.title);
  text += "What a candidate is\n\n" + in.abi + "\n";
  if (!in.example.empty())
    text += (in.described ? "A complete candidate:\n```" : "A complete candidate for y = 2 x:\n```") + in.fence + "\n" + in.example + "```\n\n";
  text += fmt::format(
    "How to answer\n\nFirst a line `IDEA: ` with what you change and why, in at most twenty words. Then one of:\n"
    "- the whole {0} in one ```{1} block (several files: each in a block of its own with its path in the line above);\n"
    "- or edits of the parent's {0}, each as\n<<<<<<< SEARCH\nlines exactly as they are there, enough to be found once\n=======\nlines to stand there instead\n>>>>>>> REPLACE\n",
    in.main_file, in.fence);
  if (may_schedule)
    text += "- or a schedule in a ```schedule block, which the generator prints as C++.\n";
  text += "Nothing else counts. One idea at a time: a change that is understood teaches more than three that are not.\n";
  return text;
}

std::string task_of(const prompt_facts& f) {
  const context& c = f.given;
  if (!c.parent && f.first)
    return "Nothing has passed yet: write a first implementation, as simple as it can be, and correct.";
  if (f.blank_feedback || !c.parent)
    return c.parent ? "Write a faster implementation than the parent below." : "Start afresh: write an implementation of your own, by an idea that the obvious one does not have.";
  if (c.second_parent)
    return "Combine what is good in the two parents below into one implementation that is faster than both.";
  const attempt& a = *c.parent;
  if (a.result == outcome::compile_error)
    return "The parent below does not compile. Mend it, and keep its idea.";
  if (a.result != outcome::passed)
    return fmt::format("The parent below failed ({}). Find out why, mend it, and keep its idea where it is sound.", to_string(a.result));
  return "Make the parent below faster. Start from what it is bound by.";
}

std::string skills_text(const std::vector<skill>& skills, const context& given) {
  std::vector<const skill*> shown;
  const bound now = given.parent ? given.parent->diagnosed.limited_by : bound::unknown;
  for (const skill& s : skills)
    if (s.trials >= 2 && (now == bound::unknown || s.under == now))
      shown.push_back(&s);
  auto worth = [](const skill* s) { return (s->wins + 0.5) / (s->trials + 2.0); };
  std::stable_sort(shown.begin(), shown.end(), [&](const skill* a, const skill* b) { return worth(a) > worth(b); });
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(10, shown.size()); ++i)
    text += fmt::format("- {}: faster in {} of {} tries{}{}\n", shown[i]->transformation, shown[i]->wins, shown[i]->trials,
                        shown[i]->under == bound::unknown ? "" : fmt::format(" where the parent was bound by {}", to_string(shown[i]->under)),
                        shown[i]->failures ? fmt::format(", {} failed", shown[i]->failures) : "");
  return text;
}

std::string lines_text(const std::vector<std::string>& lines, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(most, lines.size()); ++i)
    text += "- " + lines[i] + "\n";
  return text;
}

std::vector<section> sections_of(const prompt_facts& f) {
  const context& c = f.given;
  const problem& subject = *f.subject;
  const evidence seen = evidence_of(subject, c);
  std::vector<section> all;
  all.push_back({"Task", task_of(f) + "\n", 100, false});
  all.push_back({"Operator", operator_text(subject), 100, false});
  all.push_back({"Target", fmt::format("{} on {}\n", to_string(f.on), f.hardware), 100, false});
  if (c.parent) {
    all.push_back({"Parent", sources_text(*c.parent, *f.in, 1 << 20), 95, true});
    if (!f.blank_feedback) {
      all.push_back({"What came of the parent", evaluation_text(subject, *c.parent, evaluation_bytes), 90, true});
      all.push_back({"Bottleneck", seen.bottleneck + "\n", 92, true});
    }
  }
  if (c.second_parent) {
    all.push_back({"Second parent", sources_text(*c.second_parent, *f.in, 1 << 20), 88, true});
    if (!f.blank_feedback)
      all.push_back({"What came of the second parent", evaluation_text(subject, *c.second_parent, evaluation_bytes / 2), 70, true});
  }
  if (!f.blank_feedback && !seen.tried.empty())
    all.push_back({"Tried before (do not repeat what did not help)", lines_text(seen.tried, tried_at_most), 80, true});
  if (!f.blank_feedback && !c.siblings.empty()) {
    const auto best = std::max_element(c.siblings.begin(), c.siblings.end(), [](const attempt& a, const attempt& b) { return a.gain < b.gain; });
    if (best->result == outcome::passed && best->written)
      all.push_back({"The best of the parent's other children: " + in_one_line(*best, c.root), sources_text(*best, *f.in, sibling_source_bytes), 50, true});
  }
  for (std::size_t i = 0; i < f.readings.size(); ++i)
    all.push_back({fmt::format("From the knowledge base: {} ({})", f.readings[i].source, f.readings[i].why), f.readings[i].text + "\n", 68 - static_cast<int>(2 * i), true});
  if (c.skills && !f.blank_feedback)
    if (std::string text = skills_text(*c.skills, c); !text.empty())
      all.push_back({"What helped like operators on this hardware (schedule steps of the generator)", std::move(text), 60, true});
  for (const schedule& prior : c.priors)
    all.push_back({"A schedule that won on a like operator", "```schedule\n" + to_string(prior) + "\n```\n", 58, false});
  if (f.may_schedule)
    all.push_back({"The schedule language", schedule_language_text, 45, false});
  all.push_back({"Proposal", fmt::format("This is proposal {} of the session. Others may have been asked the same: if your first idea is an obvious one, take another.\n", f.number), 99, false});
  std::erase_if(all, [](const section& s) { return s.text.empty() || s.text == "\n"; });
  return all;
}

std::string printed(const section& s) { return "## " + s.title + "\n\n" + s.text + "\n"; }

} // namespace

const char* const schedule_language_text = R"(A list of steps `verb(subject, parameter=value); …`. A subject is `*` (wherever it applies), a value's name in the traced graph, or a loop's name (its axis).
fuse(*): element-wise values are computed inside their readers. rows(*): readers join the nest of what they read, row by row. split(value): undoes it. carry(*): sums of columns are added up in the pass of a nest over the same rows.
vectorize(*, width=16), accumulators(*, n=4), unroll(*, factor=4), parallel(*, grain=0), prefetch(*, rows=1), stream_stores(*).
Products: register_block(*, m=8, n=2, width=16), cache_block(*, mc=96, nc=512, kc=256), share(*, among=rows). together(*): one outer loop around nests in a row.
approximate(exp), flag(-mprefer-vector-width=512). A step that does not apply is skipped.
)";

prompt write_prompt(const prompt_facts& facts, std::size_t tokens) {
  prompt out;
  out.instructions = instructions_for(*facts.in, facts.may_schedule);
  auto all = sections_of(facts);
  const std::size_t room = tokens * bytes_per_token;
  std::size_t used = out.instructions.size();
  std::vector<std::size_t> order(all.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return all[a].importance > all[b].importance; });
  std::vector<bool> kept(all.size(), false);
  for (std::size_t i : order) {
    section& s = all[i];
    const std::size_t size = printed(s).size();
    if (s.importance == 100 || used + size <= room) {
      kept[i] = true;
    } else if (const std::size_t frame = size - s.text.size(); s.may_shorten && used + frame + least_useful <= room) {
      s.text = shortened(s.text, room - used - frame);
      out.cut.push_back(s.title + ": shortened");
      kept[i] = true;
    } else {
      out.cut.push_back(s.title + ": left out");
    }
    used += kept[i] ? printed(s).size() : 0;
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (kept[i])
      out.text += printed(all[i]);
  return out;
}

std::string repair_text(const std::vector<std::string>& faults, const language& in) {
  std::string text = "That cannot be taken:\n";
  for (const std::string& fault : faults)
    text += "- " + fault + "\n";
  return text + fmt::format("Answer again in the same form: the whole {}, or edits of the parent's.\n", in.main_file);
}

} // namespace kevolve::synthesis
