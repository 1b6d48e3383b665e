// Steps that the store's tests share: opening or failing the test, appending and waiting, reading everything.
#pragma once

#include "kb/store.hpp"
#include "protocol/codec.hpp"
#include "tests/kb/sample_events.hpp"
#include "tests/kb/scratch.hpp"

#include <doctest/doctest.h>

namespace kevolve::kb {

inline std::unique_ptr<store> open_store(const std::filesystem::path& directory, kb::access how = kb::access::read_write,
                                         const store_options& options = {}) {
  auto opened = store::open(directory, how, options);
  REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
  return *std::move(opened);
}

/// Appends one event and waits until it is durable.
inline result<std::uint64_t> put(store& to, const session_id& session, event what) {
  result<std::uint64_t> position{0};
  to.append(session, std::move(what), [&](result<std::uint64_t> done) { position = std::move(done); });
  if (auto flushed = to.flush(); !flushed)
    return flushed.error();
  return position;
}

/// A session with proposals, candidates, evaluations, a verification and an end.
inline std::vector<event> small_session(const session_id& session, std::uint64_t seed = 7, node_number nodes = 5) {
  std::vector<event> events{samples::opened(session)};
  for (node_number n = 0; n < nodes; ++n) {
    candidate c = samples::made(seed, n);
    events.push_back(samples::proposed(n));
    events.push_back(samples::added(n, c));
    events.push_back(samples::recorded(n, samples::measured(c.id)));
  }
  events.push_back(samples::verified(nodes - 1, samples::measured(samples::made(seed, nodes - 1).id)));
  events.push_back(session_finished{"evaluations", "", 10, 12, 1'790'000'001'000});
  return events;
}

/// Everything that a store answers about these sessions, as bytes; or the first error.
inline result<std::string> everything(const store& from, const std::vector<session_id>& sessions) {
  std::string out;
  KEVOLVE_TRY(summaries, from.sessions());
  for (const session_summary& s : summaries)
    out += s.session + s.state + s.best + std::to_string(s.evaluations) + std::to_string(s.best_speedup) + '\n';
  for (const session_id& session : sessions) {
    KEVOLVE_TRY(events, from.events(session));
    out += encode(events);
    KEVOLVE_TRY(digest, from.digest(session, 0));
    out += digest;
    for (const event& e : events)
      if (const auto* added = std::get_if<candidate_added>(&e)) {
        KEVOLVE_TRY(found, from.find_candidate(added->what.id));
        out += encode(found);
        KEVOLVE_TRY(uses, from.occurrences(added->what.id));
        out += encode(uses);
        KEVOLVE_TRY(measured, from.find_evaluation(added->what.id, "cpu-x86_64-avx512"));
        out += encode(measured);
      }
  }
  KEVOLVE_TRY(leaders, from.leaders("all"));
  for (const leader& l : leaders)
    out += l.definition + l.hardware + l.workload + l.candidate + l.session + std::to_string(l.latency_s) + std::to_string(l.speedup) + '\n';
  return out;
}

} // namespace kevolve::kb
