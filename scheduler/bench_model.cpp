// kevolve bench model: how well the generator's cost model ranks what was measured. Reads the store: for each session the candidates that
// passed, their estimated seconds against their measured speed over the session's root.
#include "actors/synthesis/generator.hpp"
#include "node-agent/statistics.hpp"
#include "scheduler/account.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/single_host.hpp"

#include <cmath>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

namespace {

constexpr std::size_t fewest = 8; // candidates of a session, below which a correlation says nothing

struct ranked_session {
  std::string definition;
  std::size_t candidates = 0;
  double correlation = 0;
};

result<std::optional<ranked_session>> rank(const kb::store& memory, const session_id& session, const std::string& compiler) {
  KEVOLVE_TRY(events, memory.events(session));
  KEVOLVE_TRY(account, account_of(events));
  auto writer = synthesis::generator::make(account.opening.subject, account.opening.on, compiler);
  if (!writer)
    return std::optional<ranked_session>{};
  std::vector<double> estimated, measured;
  for (const node_account& n : account.nodes) {
    if (!(n.over_root > 0))
      continue;
    KEVOLVE_TRY(what, memory.find_candidate(n.candidate));
    if (!what || !what->printed_from)
      continue;
    estimated.push_back(-(*writer)->estimate(*what->printed_from));
    measured.push_back(n.over_root);
  }
  if (measured.size() < fewest)
    return std::optional<ranked_session>{};
  return std::optional(ranked_session{account.opening.subject.op.name, measured.size(), agent::rank_correlation(estimated, measured)});
}

} // namespace

result<int> bench_model(context& in) {
  KEVOLVE_TRY(memory, open_for_reading(in));
  KEVOLVE_TRY(sessions, memory->sessions());
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  table text({{"operator"}, {"candidates", align::right}, {"rank correlation", align::right}});
  std::vector<double> all;
  for (auto s = sessions.rbegin(); s != sessions.rend(); ++s) {
    KEVOLVE_TRY(ranked, rank(*memory, s->session, in.configured.compiler));
    if (!ranked)
      continue;
    all.push_back(ranked->correlation);
    rows.push_back({{"operator", ranked->definition}, {"session", s->session}, {"candidates", ranked->candidates}, {"rank_correlation", ranked->correlation}});
    text.add({ranked->definition, std::to_string(ranked->candidates), fmt::format("{:.2f}", ranked->correlation)});
  }
  in.out.answer(nlohmann::ordered_json{{"sessions", rows}, {"median", all.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(agent::median(all))}}.dump(2));
  in.out.say(all.empty() ? fmt::format("no session with {} candidates that passed: optimise something first\n", fewest)
                         : text.render(in.look()) + fmt::format("median over {} sessions: {:.2f}\n", all.size(), agent::median(all)));
  return 0;
}

} // namespace kevolve::scheduler
