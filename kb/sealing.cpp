#include "kb/sealing.hpp"

#include "kb/segment.hpp"
#include "protocol/failpoint.hpp"

#include <fmt/format.h>

namespace kevolve::kb {
namespace {

/// What one transaction does: records that come, keys that go.
struct exchange {
  table from, into;
  std::vector<std::pair<std::string, std::string>> segments; // key, record
  std::vector<std::string> sealed;                           // keys
  std::uint64_t bytes_before = 0;
};

class sealing {
public:
  sealing(database& data, std::int64_t before_ms, const std::function<std::unique_lock<std::mutex>()>& pause)
      : data_(data), before_ms_(before_ms), pause_(pause) {}

  result<seal_report> run() {
    KEVOLVE_TRY(names, finished());
    for (const session_id& name : names)
      KEVOLVE_TRY_VOID(seal(name));
    KEVOLVE_TRY_VOID(seal_candidates());
    return report_;
  }

private:
  result<std::vector<session_id>> finished() const;
  result<void> seal(const session_id& name);
  result<void> seal_candidates();
  result<bool> seal_run(std::uint64_t first);
  template <class Segment>
  result<void> pack(const std::string& key, const Segment& segment, exchange& out) const;
  result<void> apply(const exchange& what);
  result<void> raise_schema(MDB_txn* txn);

  database& data_;
  std::int64_t before_ms_; // since 1970
  const std::function<std::unique_lock<std::mutex>()>& pause_;
  seal_report report_;
};

/// Sessions that have ended and have enough in the log to be worth a segment.
result<std::vector<session_id>> sealing::finished() const {
  KEVOLVE_TRY(at, reading::begin(data_));
  std::vector<session_id> out;
  KEVOLVE_TRY_VOID(at.scan(table::sessions, {}, [&](std::string_view key, std::string_view value) -> result<bool> {
    const session_id name(key);
    const auto row = at.row_in<session_row>(table::sessions, key, value, "session " + name);
    if (!row || !row->damage.empty() || (row->summary.state != "finished" && row->summary.state != "failed") || row->summary.changed_ms >= before_ms_)
      return true;
    KEVOLVE_TRY(open, at.find_from(table::events, name + '\0'));
    if (!open || open->first.size() != name.size() + 9 || open->first.substr(0, name.size() + 1) != name + '\0')
      return true;
    const std::uint64_t first = u64_at(open->first, name.size() + 1);
    if (first < row->events && (first == 0 || row->events - first >= reseal_events))
      out.push_back(name);
    return true;
  }));
  return out;
}

template <class Segment>
result<void> sealing::pack(const std::string& key, const Segment& segment, exchange& out) const {
  KEVOLVE_TRY(body, pack_body(encode(segment), effort::thorough));
  std::string record(body.record_bytes(0), '\0');
  write_record(record.data(), out.into, key, {}, body);
  out.segments.emplace_back(key, std::move(record));
  return {};
}

result<void> sealing::seal(const session_id& name) {
  exchange moved{table::events, table::event_segments, {}, {}, 0};
  event_segment segment;
  std::size_t bytes = 0;
  const auto close = [&]() -> result<void> {
    if (!segment.events.empty())
      KEVOLVE_TRY_VOID(pack(event_key(name, segment.first + segment.events.size() - 1), segment, moved));
    segment = {};
    bytes = 0;
    return {};
  };
  {
    KEVOLVE_TRY(at, reading::begin(data_));
    const auto walked = walk_log(at, name, [&](const logged_event& found) -> result<bool> {
      const std::string key = event_key(name, found.position);
      KEVOLVE_TRY(stored, at.find(table::events, key));
      if (!stored) // sealed before
        return true;
      if (!segment.events.empty() && (segment.events.size() == segment_events_max || bytes + found.encoded.size() > segment_bytes_max))
        KEVOLVE_TRY_VOID(close());
      if (segment.events.empty()) {
        segment.first = found.position;
        segment.previous = as_bytes(found.previous);
      }
      bytes += found.encoded.size();
      moved.bytes_before += stored->size();
      segment.events.push_back({found.sequence, std::string(found.encoded)});
      moved.sealed.push_back(key);
      return true;
    });
    if (!walked)
      return walked.error().code == errc::damaged ? result<void>() : walked;
  }
  KEVOLVE_TRY_VOID(close());
  KEVOLVE_TRY_VOID(apply(moved));
  ++report_.sessions;
  report_.events += moved.sealed.size();
  return {};
}

result<void> sealing::seal_candidates() {
  std::uint64_t first = 0, total = 0;
  {
    KEVOLVE_TRY(at, reading::begin(data_));
    KEVOLVE_TRY(head, at.row<head_row>(table::root, "head", "head"));
    KEVOLVE_TRY(open, at.find_from(table::candidates, number_key(0)));
    if (!head || !open || open->first.size() != 8)
      return {};
    first = u64_at(open->first, 0);
    total = head->candidates;
  }
  for (; first + segment_candidates <= total; first += segment_candidates) {
    KEVOLVE_TRY(done, seal_run(first));
    if (!done)
      return {};
  }
  return {};
}

/// False where one of the run cannot be read.
result<bool> sealing::seal_run(std::uint64_t first) {
  exchange moved{table::candidates, table::candidate_segments, {}, {}, 0};
  candidate_segment segment;
  segment.first = first;
  {
    KEVOLVE_TRY(at, reading::begin(data_));
    for (std::uint64_t number = first; number < first + segment_candidates; ++number) {
      KEVOLVE_TRY(stored, at.find(table::candidates, number_key(number)));
      const auto found = stored ? candidate_at(at, number) : result<stored_candidate>(error{errc::damaged, "missing"});
      if (!found || candidate_hash(found->what) != found->what.id)
        return false;
      moved.bytes_before += stored->size();
      segment.candidates.push_back({found->first_sequence, encode(found->what)});
      moved.sealed.push_back(number_key(number));
    }
  }
  KEVOLVE_TRY_VOID(pack(number_key(first + segment_candidates - 1), segment, moved));
  KEVOLVE_TRY_VOID(apply(moved));
  report_.candidates += moved.sealed.size();
  return true;
}

result<void> sealing::apply(const exchange& what) {
  const auto paused = pause_();
  lmdb::transaction txn;
  int code = lmdb::transaction::begin(data_.env.get(), 0, txn);
  for (std::size_t i = 0; i < what.segments.size() && code == 0; ++i) {
    MDB_val k = lmdb::as_value(what.segments[i].first), v = lmdb::as_value(what.segments[i].second);
    code = mdb_put(txn.get(), data_.handle(what.into), &k, &v, MDB_NOOVERWRITE);
  }
  for (std::size_t i = 0; i < what.sealed.size() && code == 0; ++i) {
    MDB_val k = lmdb::as_value(what.sealed[i]);
    code = mdb_del(txn.get(), data_.handle(what.from), &k, nullptr);
  }
  if (code == 0)
    KEVOLVE_TRY_VOID(raise_schema(txn.get()));
  if (code == 0) {
    pass(failpoint::seal_before_commit);
    code = txn.commit();
  }
  if (code)
    return lmdb::failure(code, "sealing in " + data_.file());
  pass(failpoint::seal_after_commit);
  report_.bytes_before += what.bytes_before;
  for (const auto& [key, record] : what.segments)
    report_.bytes_after += record.size();
  return {};
}

result<void> sealing::raise_schema(MDB_txn* txn) {
  KEVOLVE_TRY(at, reading::begin(data_));
  KEVOLVE_TRY(row, at.row<store_row>(table::root, "store", "store"));
  if (!row || row->schema >= schema_version)
    return {};
  row->schema = schema_version;
  const std::string record = make_record(table::root, "store", encode(*row));
  MDB_val k = lmdb::as_value("store"), v = lmdb::as_value(record);
  const int code = mdb_put(txn, data_.handle(table::root), &k, &v, 0);
  return code ? result<void>(lmdb::failure(code, data_.file())) : result<void>();
}

} // namespace

result<seal_report> seal_finished(database& data, std::int64_t finished_before_ms, const std::function<std::unique_lock<std::mutex>()>& pause) {
  return sealing(data, finished_before_ms, pause).run();
}

} // namespace kevolve::kb
