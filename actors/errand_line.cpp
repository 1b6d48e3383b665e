#include "actors/errand_line.hpp"

#include <chrono>
#include <utility>

namespace kevolve {
namespace {

using namespace std::chrono_literals;

constexpr auto look_every = 50ms; // whether nobody waits any more
constexpr auto patience = 5min;   // of whoever waits under no lease: what a scheduler that starts again, and a long queue of compilers, take

error interrupted() { return {errc::interrupted, "cancelled while it was compiled elsewhere"}; }

} // namespace

result<errand_line::answer> errand_line::ask(std::variant<compile_work, blob_reference> what, const std::atomic<bool>& cancelled) {
  auto mine = std::make_shared<errand>();
  mine->what = std::move(what);
  auto told = mine->told.get_future();
  if (!asked_.put(mine))
    return error{errc::infrastructure, "too much is being compiled elsewhere"};
  const auto until = std::chrono::steady_clock::now() + patience;
  while (told.wait_for(look_every) != std::future_status::ready) {
    const bool late = std::chrono::steady_clock::now() > until;
    if (cancelled || closed_ || late) {
      mine->dropped = true;
      asked_.wake();
      return late ? error{errc::infrastructure, "nobody compiled it or sent it within 5 minutes"} : interrupted();
    }
  }
  return told.get();
}

result<compile_made> errand_line::compile(const compile_work& what, const std::atomic<bool>& cancelled) {
  KEVOLVE_TRY(told, ask(what, cancelled));
  if (auto* got = std::get_if<errands::made>(&told))
    return std::move(got->what);
  return error{errc::infrastructure, "it could not be compiled elsewhere: " + std::get<errands::failed>(told).reason};
}

result<std::string> errand_line::fetch(const blob_reference& what, const std::atomic<bool>& cancelled) {
  KEVOLVE_TRY(told, ask(what, cancelled));
  if (auto* got = std::get_if<errands::fetched>(&told))
    return *got->content;
  return error{errc::infrastructure, std::get<errands::failed>(told).reason};
}

std::vector<message> errand_line::serve(errands& table, errands::time now) {
  std::vector<message> said;
  for (auto& each : asked_.take()) {
    if (each->dropped)
      continue;
    const auto* compile = std::get_if<compile_work>(&each->what);
    const auto ticket = compile ? table.compile(*compile, now) : table.fetch(std::get<blob_reference>(each->what), now);
    waiting_.emplace(ticket, std::move(each));
  }
  std::erase_if(waiting_, [&](const auto& each) {
    if (each.second->dropped)
      for (auto& what : table.drop(each.first))
        said.push_back(std::move(what));
    return each.second->dropped.load();
  });
  return said;
}

bool errand_line::ended(errands::done& what) {
  const auto found = waiting_.find(what.which);
  if (found == waiting_.end())
    return false;
  found->second->told.set_value(std::move(what.how));
  waiting_.erase(found);
  return true;
}

} // namespace kevolve
