#include "actors/synthesis/generator.hpp"
#include "actors/synthesis/cost.hpp"
#include "actors/synthesis/learned.hpp"
#include "actors/synthesis/lower.hpp"
#include "actors/synthesis/print.hpp"
#include "actors/synthesis/propose.hpp"

#include <algorithm>

namespace kevolve::synthesis {
namespace {

/// -march for the target; a candidate is compiled where it runs unless an architecture is named.
std::string march(const target& on) { return "-march=" + (on.architecture.empty() ? std::string("native") : on.architecture); }

/// The source below its opening comment, and the flags: what a transformation has to change.
std::string code_of(const candidate& c) {
  const auto& text = c.sources.at(0).content;
  std::string out = text.substr(text.find("#include"));
  for (const auto& f : c.build.flags)
    out += "\n" + f;
  return out + "\n" + c.build.compiler;
}

class schedule_generator final : public generator {
public:
  schedule_generator(problem subject, target on, std::string compiler, program lowered)
      : subject_(std::move(subject)), on_(std::move(on)), lowered_(std::move(lowered)),
        outlook_(look_at(lowered_, subject_, on_, compiler)) {}

  result<proposal> root() const override {
    const auto plain = plain_schedule(outlook_);
    if (plain.steps.empty())
      return print({}, {"root", "the plain loop nest", "correct and unscheduled: what every gain is measured from"});
    return print(plain, {"root", "the plain loop nest in vectors and threads", "in scalars a product of this size takes seconds; what every gain is measured from"});
  }

  result<proposal> print(const schedule& s, const transformation& edge) const override {
    const plan how = make_plan(lowered_, s, outlook_.compiler);
    std::vector<std::string> title{subject_.op.name + ", written by kevolve's generator. Schedule:"};
    if (how.taken.empty())
      title.emplace_back("  none: plain loops");
    for (const auto& t : how.taken)
      title.push_back("  " + t);
    proposal out;
    out.edge = edge;
    out.skipped = how.skipped;
    out.what.definition = subject_.op.name;
    out.what.author = "generator";
    out.what.description = edge.summary;
    out.what.build.compiler = how.compiler;
    out.what.build.flags = {"-O3", march(on_), "-fopenmp", "-fno-math-errno", "-fno-trapping-math"};
    out.what.build.flags.insert(out.what.build.flags.end(), how.flags.begin(), how.flags.end());
    out.what.sources = {{"kernel.cpp", print_kernel(lowered_, how, title)}};
    out.what.printed_from = s;
    out.what.id = candidate_hash(out.what);
    return out;
  }

  double estimate(const schedule& s) const override { return estimated_seconds(outlook_, make_plan(lowered_, s, outlook_.compiler)); }

  std::vector<float> describe(const attempt& parent, const schedule& to, const transformation& edge) const override {
    if (!view_)
      view_.emplace(outlook_);
    return view_->row(parent, to, edge);
  }

  std::vector<std::pair<schedule, transformation>> moves(const context& given, rng draw) const override {
    std::vector<std::pair<schedule, transformation>> all;
    for (auto& m : ranked(outlook_, given, draw))
      all.emplace_back(std::move(m.to), std::move(m.edge));
    if (!given.parent || given.memory == memory_operator::clean_slate)
      for (auto& m : fresh_starts(outlook_, draw))
        all.emplace_back(std::move(m.to), std::move(m.edge));
    return all;
  }

  result<proposal> propose(const context& given, rng draw) const override {
    const auto parent = given.parent ? given.parent->printed_from : schedule{};
    KEVOLVE_TRY(before, print(parent, {}));
    KEVOLVE_TRY(near, first_new(ranked(outlook_, given, draw), before, given));
    if (near)
      return std::move(*near);
    KEVOLVE_TRY(far, first_new(fresh_starts(outlook_, draw), before, given));
    if (far)
      return std::move(*far);
    return error{errc::refused, "operator \"" + subject_.op.name + "\": every schedule in this neighbourhood is known already"};
  }

private:
  /// The first that applies, comes to another program than `before` and is not known.
  result<std::optional<proposal>> first_new(const std::vector<move>& moves, const proposal& before, const context& given) const {
    for (const auto& m : moves) {
      KEVOLVE_TRY(p, print(m.to, m.edge));
      if (p.skipped.size() > before.skipped.size() && m.edge.kind != "crossover" && m.edge.kind != "prior" && m.edge.kind != "fresh start")
        continue; // the transformation does not apply
      if (code_of(p.what) == code_of(before.what))
        continue; // it changes nothing
      if (std::find(given.refused.begin(), given.refused.end(), p.what.id) == given.refused.end() &&
          !(given.is_known && given.is_known(p.what.id)))
        return std::optional(std::move(p));
    }
    return std::optional<proposal>{};
  }

  problem subject_;
  target on_;
  program lowered_;
  outlook outlook_;
  mutable std::optional<proposal_view> view_; // made when it is first asked for: what it knows of an operator costs a plan
};

} // namespace

result<std::unique_ptr<generator>> generator::make(const problem& subject, const target& on, const std::string& compiler) {
  if (on.platform != "cpu" || on.language != "cpp")
    return error{errc::synthesizer, "the generator writes cpu/*/cpp, not " + to_string(on)};
  KEVOLVE_TRY(lowered, lower(subject.op));
  return std::unique_ptr<generator>(std::make_unique<schedule_generator>(subject, on, compiler, std::move(lowered)));
}

} // namespace kevolve::synthesis
