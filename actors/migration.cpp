#include "actors/migration.hpp"

#include <utility>

namespace kevolve::migration {

std::vector<effect> origin::step(event e) {
  out_.clear();
  std::visit([this](auto&& what) { on(std::move(what)); }, std::move(e));
  return std::move(out_);
}

origin::traveller* origin::by_task(const std::string& task) {
  for (auto& [number, each] : open_)
    if (each.what.task == task)
      return &each;
  return nullptr;
}

void origin::on(set_out&& e) {
  on(forgotten{e.number, true});
  traveller& t = open_[e.number];
  t.what = std::move(e);
  emit(submit{t.what.number, t.what.task, t.what.what, t.what.request.has_value(), t.what.under_way});
}

void origin::on(permitted&& e) {
  const auto found = open_.find(e.number);
  if (found == open_.end() || found->second.at != phase::asks)
    return; // whoever has it was found meanwhile
  traveller& t = found->second;
  write_work what = t.what.what;
  what.reserved_tokens = e.reserved.tokens;
  what.reserved_usd = e.reserved.usd;
  t.at = phase::away;
  emit(permit{t.what.task, std::move(what)});
}

void origin::on(refused&& e) {
  const auto found = open_.find(e.number);
  if (found == open_.end() || found->second.at != phase::asks)
    return;
  const traveller t = std::move(found->second);
  open_.erase(found);
  emit(call_back{t.what.task, false});
  emit(fail{e.number, t.what.asked, std::move(e.why)});
}

void origin::on(unpermitted&& e) {
  traveller* t = by_task(e.task);
  if (t == nullptr || t->at != phase::away || !t->what.request)
    return;
  t->at = phase::asks;
  emit(ask{*t->what.request, t->what.least});
}

void origin::on(arrived&& e) {
  traveller* t = by_task(e.task);
  if (t == nullptr || t->at == phase::is_back)
    return;
  t->at = phase::is_back;
  emit(deliver{t->what.number, t->what.asked, std::move(e.what), std::move(e.agent), static_cast<std::uint32_t>(e.epoch > 0 ? e.epoch - 1 : 0)});
}

void origin::on(lost&& e) {
  traveller* t = by_task(e.task);
  if (t == nullptr || t->at == phase::is_back)
    return;
  const node_number number = t->what.number;
  const std::uint32_t asked = t->what.asked;
  open_.erase(number);
  if (e.at_home)
    emit(stay_home{number});
  else
    emit(fail{number, asked, std::move(e.why)});
}

void origin::on(forgotten&& e) {
  const auto found = open_.find(e.number);
  if (found == open_.end())
    return;
  const traveller t = std::move(found->second);
  open_.erase(found);
  if (t.at == phase::is_back && !e.comes_back)
    emit(tell_counted{t.what.task}); // it is closed in the log, whatever it came to
  else
    emit(call_back{t.what.task, e.comes_back && (t.what.request || t.at == phase::is_back)}); // one that is back is kept by its agent, and asked for again
}

void origin::on(counted&& e) {
  const auto found = open_.find(e.number);
  if (found == open_.end() || found->second.at != phase::is_back)
    return;
  emit(tell_counted{found->second.what.task});
  open_.erase(found);
}

} // namespace kevolve::migration
