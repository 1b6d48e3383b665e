#include "kb/queries.hpp"

#include "kb/fold.hpp"

#include <deque>
#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace kevolve::kb {
namespace {

/// Evaluations of a candidate whose row fits, the newest first.
result<std::vector<evaluation>> newest(const database& data, const candidate_id& id, std::size_t most,
                                       const std::function<bool(const evaluation_row&)>& fits) {
  KEVOLVE_TRY(at, reading::begin(data));
  const std::string bytes = bytes_of_id(id);
  if (bytes.empty())
    return error{errc::usage, fmt::format("a candidate's id is 64 lower-case hex digits, found '{}'", id)};
  KEVOLVE_TRY(number, candidate_number(at, bytes));
  std::deque<evaluation_row> rows;
  if (number)
    KEVOLVE_TRY_VOID(at.scan(table::evaluations, number_key(*number), [&](std::string_view key, std::string_view value) -> result<bool> {
      KEVOLVE_TRY(row, at.row_in<evaluation_row>(table::evaluations, key, value, "candidate " + id));
      if (fits(row))
        rows.push_front(std::move(row));
      if (rows.size() > most)
        rows.pop_back();
      return true;
    }));
  std::vector<evaluation> found;
  for (const evaluation_row& row : rows) {
    std::string buffer;
    KEVOLVE_TRY(logged, log_at(at, row.session, row.position, buffer));
    const std::string where = fmt::format("session {}, position {}", row.session, row.position);
    auto decoded = decode<event>(logged.encoded);
    if (!decoded)
      return data.problem(table::events, where, decoded.error());
    auto* recorded = std::get_if<evaluation_recorded>(&*decoded);
    if (!recorded || recorded->what.candidate != id)
      return data.problem(table::evaluations, "candidate " + id, {errc::damaged, where + " is not its evaluation"});
    found.push_back(std::move(recorded->what));
  }
  return found;
}

} // namespace

result<void> check_session_id(const session_id& session) {
  if (session.empty() || session.size() > session_id_bytes_max || session.find('\0') != std::string::npos)
    return error{errc::refused, fmt::format("a session's id has 1 to {} bytes and no zero byte, found {} bytes", session_id_bytes_max,
                                            session.size())};
  return {};
}

result<session_opened> opening_of(const database& data, const session_id& session) {
  KEVOLVE_TRY_VOID(check_session_id(session));
  KEVOLVE_TRY(at, reading::begin(data));
  KEVOLVE_TRY(row, at.row<session_row>(table::sessions, session, "session " + session));
  if (!row || row->events == 0)
    return error{errc::not_found, fmt::format("no session '{}' in {}", session, data.directory.string())};
  std::string buffer;
  KEVOLVE_TRY(logged, log_at(at, session, 0, buffer));
  auto decoded = decode<event>(logged.encoded);
  const std::string where = fmt::format("session {}, position 0", session);
  if (!decoded)
    return data.problem(table::events, where, decoded.error());
  auto* opened = std::get_if<session_opened>(&*decoded);
  if (!opened)
    return data.problem(table::events, where, {errc::damaged, "it is not the session's opening"});
  return std::move(*opened);
}

result<std::vector<event>> events_of(const database& data, const session_id& session) {
  KEVOLVE_TRY_VOID(check_session_id(session));
  KEVOLVE_TRY(at, reading::begin(data));
  KEVOLVE_TRY(row, at.row<session_row>(table::sessions, session, "session " + session));
  std::vector<event> out;
  chain_hash chain = chain_begin(session);
  if (row)
    out.reserve(row->events);
  KEVOLVE_TRY_VOID(walk_log(at, session, [&](const logged_event& found) -> result<bool> {
    auto decoded = decode<event>(found.encoded);
    const std::string where = fmt::format("session {}, position {}", session, found.position);
    if (!decoded)
      return data.problem(table::events, where, decoded.error());
    if (auto* added = std::get_if<candidate_added>(&*decoded)) {
      KEVOLVE_TRY(number, candidate_number(at, bytes_of_id(added->what.id)));
      if (!number)
        return data.problem(table::candidate_index, where + ", candidate " + added->what.id, {errc::damaged, "missing"});
      KEVOLVE_TRY(stored, candidate_at(at, *number));
      if (stored.what.id != added->what.id)
        return data.problem(table::candidate_index, where + ", candidate " + added->what.id, {errc::damaged, "leads to " + stored.what.id});
      added->what.sources = std::move(stored.what.sources);
    }
    chain = found.chain;
    out.push_back(*std::move(decoded));
    return true;
  }));
  if (!row && out.empty())
    return error{errc::not_found, fmt::format("no session '{}' in {}", session, data.directory.string())};
  if (!row || row->events != out.size() || row->chain != as_bytes(chain))
    return data.problem(table::events, "session " + session,
                                 {errc::damaged, fmt::format("{} events, {} were committed", out.size(), row ? row->events : 0)});
  return out;
}

result<std::string> digest_of(const database& data, const session_id& session, std::uint64_t count) {
  KEVOLVE_TRY_VOID(check_session_id(session));
  KEVOLVE_TRY(at, reading::begin(data));
  KEVOLVE_TRY(row, at.row<session_row>(table::sessions, session, "session " + session));
  if (!row)
    return error{errc::not_found, fmt::format("no session '{}' in {}", session, data.directory.string())};
  if (count > row->events)
    return error{errc::usage, fmt::format("session {} has {} events, a digest of {} was asked for", session, row->events, count)};
  std::string buffer;
  KEVOLVE_TRY(last, log_at(at, session, (count ? count : row->events) - 1, buffer));
  return hex(as_bytes(last.chain));
}

result<std::vector<session_summary>> all_sessions(const database& data) {
  KEVOLVE_TRY(at, reading::begin(data));
  std::vector<std::pair<std::uint64_t, session_summary>> found;
  KEVOLVE_TRY_VOID(at.scan(table::sessions, {}, [&](std::string_view key, std::string_view value) -> result<bool> {
    KEVOLVE_TRY(row, at.row_in<session_row>(table::sessions, key, value, "session " + std::string(key)));
    if (!row.damage.empty())
      row.summary.state = "damaged";
    found.emplace_back(row.first_sequence, std::move(row.summary));
    return true;
  }));
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<session_summary> out;
  for (auto& [sequence, summary] : found)
    out.push_back(std::move(summary));
  return out;
}

result<std::vector<known_skill>> skills_of(const database& data) {
  KEVOLVE_TRY(at, reading::begin(data));
  std::map<std::pair<std::string, std::string>, std::vector<session_row>> groups; // hardware, features
  KEVOLVE_TRY_VOID(at.scan(table::sessions, {}, [&](std::string_view key, std::string_view value) -> result<bool> {
    KEVOLVE_TRY(row, at.row_in<session_row>(table::sessions, key, value, "session " + std::string(key)));
    if (!row.skills.empty() && row.damage.empty())
      groups[{row.hardware, row.features}].push_back(std::move(row));
    return true;
  }));
  std::vector<known_skill> out;
  for (const auto& [where, rows] : groups) {
    std::vector<skill> sums;
    for (const auto& row : rows)
      for (const skill& s : row.skills)
        add_evidence(sums, s);
    for (skill& sum : sums) {
      known_skill known{std::move(sum), where.first, where.second, {}, 0};
      for (const auto& row : rows)
        if (std::any_of(row.skills.begin(), row.skills.end(), [&](const skill& s) { return s.under == known.what.under && s.transformation == known.what.transformation; })) {
          ++known.sessions;
          known.operators.push_back(row.summary.definition);
        }
      std::sort(known.operators.begin(), known.operators.end());
      known.operators.erase(std::unique(known.operators.begin(), known.operators.end()), known.operators.end());
      out.push_back(std::move(known));
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const known_skill& a, const known_skill& b) { return std::pair(a.what.wins, a.what.trials) > std::pair(b.what.wins, b.what.trials); });
  return out;
}

result<std::optional<candidate>> candidate_by_prefix(const database& data, const candidate_id& id_or_prefix) {
  constexpr std::size_t shortest = 4;
  if (id_or_prefix.size() < shortest || id_or_prefix.size() > 64 ||
      id_or_prefix.find_first_not_of("0123456789abcdef") != std::string::npos)
    return error{errc::usage, fmt::format("a candidate's id is {} to 64 lower-case hex digits, found '{}'", shortest, id_or_prefix)};
  KEVOLVE_TRY(at, reading::begin(data));
  std::vector<std::pair<std::string, std::uint64_t>> found;
  const std::string prefix = bytes_of_id(id_or_prefix.substr(0, id_or_prefix.size() / 2 * 2) +
                                         std::string(64 - id_or_prefix.size() / 2 * 2, '0')).substr(0, id_or_prefix.size() / 2);
  KEVOLVE_TRY_VOID(at.scan(table::candidate_index, prefix, [&](std::string_view key, std::string_view value) -> result<bool> {
    const std::string id = hex(key);
    if (id.compare(0, id_or_prefix.size(), id_or_prefix) != 0)
      return true;
    KEVOLVE_TRY(number, at.row_in<std::uint64_t>(table::candidate_index, key, value, "candidate " + id));
    found.emplace_back(id, number);
    return found.size() < 3;
  }));
  if (found.empty())
    return std::optional<candidate>{};
  if (found.size() > 1)
    return error{errc::refused, fmt::format("candidate '{}' is ambiguous: {}, {}{}; give more digits", id_or_prefix, found[0].first,
                                            found[1].first, found.size() > 2 ? ", …" : "")};
  KEVOLVE_TRY(stored, candidate_at(at, found[0].second));
  if (stored.what.id != found[0].first)
    return data.problem(table::candidate_index, "candidate " + found[0].first, {errc::damaged, "leads to " + stored.what.id});
  return std::optional<candidate>(std::move(stored.what));
}

result<std::vector<std::pair<session_id, node_number>>> occurrences_of(const database& data, const candidate_id& id) {
  KEVOLVE_TRY(at, reading::begin(data));
  std::vector<std::pair<session_id, node_number>> out;
  const std::string bytes = bytes_of_id(id);
  if (bytes.empty())
    return error{errc::usage, fmt::format("a candidate's id is 64 lower-case hex digits, found '{}'", id)};
  KEVOLVE_TRY(number, candidate_number(at, bytes));
  if (!number)
    return out;
  KEVOLVE_TRY_VOID(at.scan(table::occurrences, number_key(*number), [&](std::string_view key, std::string_view value) -> result<bool> {
    KEVOLVE_TRY(row, at.row_in<use_row>(table::occurrences, key, value, "candidate " + id));
    out.emplace_back(row.session, row.number);
    return true;
  }));
  return out;
}

result<std::vector<leader>> leaders_for(const database& data, const std::string& definition_or_all) {
  KEVOLVE_TRY(at, reading::begin(data));
  const std::string prefix = definition_or_all.empty() || definition_or_all == "all" ? "" : key_part(definition_or_all) + '\0';
  std::vector<verification_row> rows;
  KEVOLVE_TRY_VOID(at.scan(table::verifications, prefix, [&](std::string_view key, std::string_view value) -> result<bool> {
    KEVOLVE_TRY(row, at.row_in<verification_row>(table::verifications, key, value, "definition " + std::string(key.substr(0, key.find('\0')))));
    rows.push_back(std::move(row));
    return true;
  }));
  return leaders_of(rows);
}

result<std::optional<evaluation>> evaluation_on(const database& data, const candidate_id& id, const std::string& hardware) {
  KEVOLVE_TRY(found, newest(data, id, 1, [&](const evaluation_row& row) { return row.result == outcome::passed && row.hardware == hardware; }));
  return found.empty() ? std::nullopt : std::optional<evaluation>(std::move(found.front()));
}

result<std::vector<evaluation>> settled_evaluations(const database& data, const candidate_id& id, const target& on, std::size_t most) {
  return newest(data, id, most, [&, wanted = to_string(on)](const evaluation_row& row) {
    const bool settled = row.result == outcome::passed || row.result == outcome::compile_error || row.result == outcome::incorrect_shape ||
                         row.result == outcome::incorrect_numerical || row.result == outcome::incorrect_dtype;
    return settled && row.on == wanted;
  });
}

} // namespace kevolve::kb
