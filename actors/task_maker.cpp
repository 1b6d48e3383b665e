#include "actors/task_maker.hpp"

#include "protocol/likeness.hpp"

#include <utility>

namespace kevolve::actors {

task_maker::task_maker(const synthesizer_parts& common, std::string name, std::string hardware, std::shared_ptr<model_desk> desk)
    : common_(common), name_(std::move(name)), hardware_(std::move(hardware)), desk_(std::move(desk)) {}

const synthesis::generator* task_maker::printer() {
  if (!std::exchange(printer_made_, true))
    if (auto made = common_.make(*common_.subject, common_.on, common_.compiler))
      printer_ = std::move(*made);
  return printer_.get();
}

result<synthesis::writing_task> task_maker::task(const synthesize& request, const telling& how) {
  synthesis::writing_task task;
  if (!language_ && desk_)
    language_ = desk_->language(common_.on);
  else if (const auto* known = synthesis::language_of(common_.on); !language_ && known)
    language_ = std::make_shared<const synthesis::language>(*known);
  task.facts.in = language_.get();
  if (!task.facts.in)
    return error{errc::synthesizer, "no language '" + common_.on.language + "' on " + common_.on.platform + "; expected " + synthesis::language_names(common_.on.platform)};
  task.facts.subject = common_.subject;
  task.facts.on = common_.on;
  task.facts.hardware = hardware_;
  task.facts.number = request.number;
  task.facts.given = request.given ? *request.given : synthesis::context{};
  task.facts.given.skills = request.unprimed ? nullptr : common_.skills;
  task.facts.first = request.first;
  if (request.root_by_model)
    task.facts.given.root = "the first implementation that passed";
  task.facts.may_schedule = task.facts.in->runs && printer() != nullptr;
  task.facts.blank_feedback = how.blank_feedback;
  if (!how.blank_feedback && desk_) {
    auto seen = synthesis::evidence_of(*common_.subject, task.facts.given);
    task.facts.readings = desk_->read({common_.on, std::move(seen.signals), std::move(seen.words)});
  }
  task.author = name_;
  task.compiler = common_.compiler;
  task.prompt_tokens = how.prompt_tokens;
  task.repairs = how.repairs;
  task.is_known = [known = common_.known, count = request.known](const candidate& c) {
    return known->among_first(c.id, count) || known->like_among_first(likeness_of(c), count);
  };
  return task;
}

} // namespace kevolve::actors
