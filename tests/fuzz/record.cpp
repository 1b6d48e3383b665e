// What lies in the store: records with their checksums, and events behind them. A record that opens is the one that was written; an event that decodes
// has one form.
#include "kb/record.hpp"
#include "protocol/check.hpp"
#include "protocol/codec.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/kb/sample_events.hpp"

namespace kevolve::fuzz {
namespace {

constexpr const char* key = "session/1";

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  const std::string opened = encode(event{kb::samples::opened("s")}), made = encode(kb::samples::made(1, 2));
  for (const std::string& body : {opened, made, std::string("short"), std::string(5000, 'z')})
    all.push_back(kb::make_record(kb::table::events, key, body));
  all.push_back(opened);
  all.push_back(made);
  return all;
}

void fuzz_bytes(std::string_view bytes) {
  memory::begin_peak();
  if (auto opened = kb::open_record(kb::table::events, key, bytes)) {
    std::string buffer;
    if (auto body = kb::body_of(*opened, buffer)) {
      const std::string again = kb::make_record(kb::table::events, key, *body);
      auto reopened = kb::open_record(kb::table::events, key, again);
      KEVOLVE_CHECK(reopened.has_value());
      std::string other;
      auto reread = kb::body_of(*reopened, other);
      KEVOLVE_CHECK(reread && *reread == *body);
    }
  }
  KEVOLVE_CHECK(memory::peak() <= kb::record_bytes_max + (4u << 20)); // a compressed body says its size, and that is bounded
  if (auto e = decode<event>(bytes)) {
    const std::string canonical = encode(*e);
    auto again = decode<event>(canonical);
    KEVOLVE_CHECK(again && encode(*again) == canonical);
  }
}

} // namespace kevolve::fuzz
