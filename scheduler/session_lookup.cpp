#include "scheduler/session_lookup.hpp"

#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

bool is_hexadecimal(const std::string& text) { return text.size() >= 4 && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

result<found_candidate> best_of(const kb::store& memory, const session_id& session) {
  KEVOLVE_TRY(events, memory.events(session));
  KEVOLVE_TRY(account, account_of(events));
  if (!account.best)
    return error{errc::not_found, fmt::format("session {}: nothing passed yet", session)};
  const node_number number = *account.best;
  KEVOLVE_TRY(what, memory.find_candidate(account.nodes[number].candidate));
  if (!what)
    return error{errc::damaged, fmt::format("session {}: its candidate {} is not in the store; run: kevolve kb check --repair", session,
                                            account.nodes[number].candidate)};
  return found_candidate{std::move(*what), std::move(account), number};
}

} // namespace

result<kb::session_summary> find_session(const kb::store& memory, const std::string& id_or_prefix) {
  KEVOLVE_TRY(all, memory.sessions());
  if (id_or_prefix == "last" && !all.empty())
    return all.front();
  std::vector<const kb::session_summary*> matching;
  for (const kb::session_summary& s : all) {
    if (s.session == id_or_prefix)
      return s;
    if (!id_or_prefix.empty() && s.session.starts_with(id_or_prefix))
      matching.push_back(&s);
  }
  if (matching.empty())
    return error{errc::not_found, fmt::format("session: found '{}', expected a session's id or the beginning of one; kevolve sessions lists them", id_or_prefix)};
  if (matching.size() > 1)
    return error{errc::refused, fmt::format("session: '{}' begins {} ids, among them {} and {}; give more of it", id_or_prefix, matching.size(),
                                            matching[0]->session, matching[1]->session)};
  return *matching.front();
}

result<found_candidate> find_candidate(const kb::store& memory, const std::string& candidate_or_session) {
  if (is_hexadecimal(candidate_or_session)) {
    KEVOLVE_TRY(what, memory.find_candidate(candidate_or_session));
    if (what) {
      KEVOLVE_TRY(places, memory.occurrences(what->id));
      if (places.empty())
        return error{errc::damaged, fmt::format("candidate {} occurs in no session; run: kevolve kb check --repair", what->id)};
      KEVOLVE_TRY(events, memory.events(places.back().first));
      KEVOLVE_TRY(account, account_of(events));
      return found_candidate{std::move(*what), std::move(account), places.back().second};
    }
  }
  auto session = find_session(memory, candidate_or_session);
  if (!session && session.error().code == errc::not_found)
    return error{errc::not_found, fmt::format("found '{}', expected the id of a candidate or a session (or the beginning of one)", candidate_or_session)};
  if (!session)
    return session.error();
  return best_of(memory, session->session);
}

} // namespace kevolve::scheduler
