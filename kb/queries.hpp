// What can be asked of a store: each function reads one consistent state, verifies every record it touches and joins views with the log.
// store.hpp says what they return. Any thread.
#pragma once

#include "kb/database.hpp"

namespace kevolve::kb {

result<void> check_session_id(const session_id& session);
result<std::vector<event>> events_of(const database& data, const session_id& session);
result<session_opened> opening_of(const database& data, const session_id& session);
result<std::string> digest_of(const database& data, const session_id& session, std::uint64_t count);
result<std::vector<session_summary>> all_sessions(const database& data);
result<std::vector<known_skill>> skills_of(const database& data);
result<std::optional<candidate>> candidate_by_prefix(const database& data, const candidate_id& id_or_prefix);
result<std::vector<std::pair<session_id, node_number>>> occurrences_of(const database& data, const candidate_id& id);
result<std::vector<leader>> leaders_for(const database& data, const std::string& definition_or_all);
result<std::optional<evaluation>> evaluation_on(const database& data, const candidate_id& id, const std::string& hardware);
result<std::vector<evaluation>> settled_evaluations(const database& data, const candidate_id& id, const target& on, std::size_t most);

} // namespace kevolve::kb
