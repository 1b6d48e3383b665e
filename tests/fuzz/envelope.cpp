// What comes in on the wire: decoding is bounded before it allocates, and what decodes has one form that is read back as itself.
#include "protocol/check.hpp"
#include "protocol/client.hpp"
#include "protocol/codec.hpp"
#include "protocol/message.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <cstdio>

namespace kevolve::fuzz {
namespace {

constexpr std::size_t slack = (4u << 20) + (64u << 10); // the elements that any frame may have (limits::decode_slack), the value itself, errors

evaluate_work some_work() {
  evaluate_work w;
  w.subject.op.name = "rms_norm";
  w.on = *target_from_string("cpu/x86-64-v4/cpp");
  w.what.id = std::string(64, 'a');
  w.what.sources.push_back({"kernel.cpp", "int kevolve_run();"});
  w.anchors.push_back(w.what);
  w.baselines = {"eager", "compile"};
  evaluation known;
  known.candidate = w.what.id;
  known.timings.push_back({});
  w.known.push_back(known);
  return w;
}

template <class T>
void read_as(std::string_view bytes) {
  memory::begin_peak();
  auto got = decode<T>(bytes);
  if (memory::peak() > 4 * bytes.size() + slack)
    std::fprintf(stderr, "%zu bytes took %zu of memory; decoded: %d\n", bytes.size(), memory::peak(), got.has_value());
  KEVOLVE_CHECK(memory::peak() <= 4 * bytes.size() + slack);
  if (!got) {
    KEVOLVE_CHECK(!got.error().message.empty());
    return;
  }
  const std::string canonical = encode(*got);
  auto again = decode<T>(canonical);
  KEVOLVE_CHECK(again.has_value());
  KEVOLVE_CHECK(encode(*again) == canonical);
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  agent_hello hello{"fleet.host", "fleet.host/1", protocol_version, {{"cpu0", "cpu-x86_64", *target_from_string("cpu/x86-64-v4/cpp"), 2, "g++ 12"}}, 2, {std::string(64, 'b')}};
  evaluation answer;
  answer.candidate = std::string(64, 'a');
  answer.log = "a log";
  const compile_work to_compile{some_work().what, "g++", {"x86_64", 2036, {"-march=x86-64-v4"}}, 60};
  const compile_made made{answer.candidate, true, {std::string(64, 'c'), 16384}, "a warning", {"a remark"}, "g++ 12.2.0"};
  const message every[] = {hello, agent_heartbeat{1, 0.5}, lease_accepted{"s/1/1", 1}, lease_finished{"s/1/1", 1, answer}, lease_finished{"s/1/1", 1, std::string("it broke")}, agent_goodbye{"over"},
                           agent_welcome{"kevolve/1", 1}, lease_granted{"s/1/1", 1, 60, some_work()}, lease_granted{"t", 2, 60, trace_work{"a.py", "cpu"}}, lease_cancelled{"s/1/1", 1},
                           result_acknowledged{"s/1/1", 1, true}, agent_drain{30},
                           compile_wanted{"r", to_compile}, compile_dropped{"r"}, lease_granted{"r", 1, 60, to_compile}, lease_finished{"r", 1, made}, compile_answered{"r", made},
                           compile_answered{"r", std::string("nobody has g++")}, lease_offered{"s/1/1", 1, 60, made.artifact}, lease_finished{"s/1/1", 1, made.artifact},
                           blob_wanted{made.artifact.hash, 4096, 4096, "fleet.host/1"}, blob_piece{made.artifact.hash, 4096, std::string(4096, '\x7f'), ""}, blob_missing{made.artifact.hash, ""},
                           lease_granted{"s/write-1/1", 1, 60, write_work{"small", std::string(64, 'd'), std::string("\x81\xa1x\x01", 4), 4000, 0.5, 600}}, lease_granted{"s/write-1/1", 2, 60, kept_work{std::string(64, 'd')}},
                           lease_finished{"s/write-1/1", 1, written{std::string(64, 'd'), some_work().what, {"model", "wider", "why"}, errc::synthesizer, "", {{model_asked{1, 0, "small"}, model_answered{1, 0, "text"}}}}},
                           lease_finished{"s/write-1/1", 1, written{std::string(64, 'd'), std::nullopt, {}, errc::refused, "nothing new"}}};
  hello.writers = {{"small", "m-1", "vendor", 1000}};
  hello.writing_slots = 2;
  hello.labels = {"gpu"};
  all.push_back(encode(envelope{protocol_version, "fleet.host/1", "", 1, hello}));
  for (const message& m : every)
    all.push_back(encode(envelope{protocol_version, "fleet.host/1", "", all.size() + 1, m}));
  all.push_back(encode(client_request{client_protocol_version, "sessions", "", std::nullopt}));
  for (const std::string& each : {std::string(), std::string(16, 'x')}) { // bombs: much memory for few bytes
    hello.kept.assign(300'000, each);
    all.push_back(encode(envelope{protocol_version, "fleet.host/1", "", 1, hello}));
  }
  return all;
}

void fuzz_bytes(std::string_view bytes) {
  read_as<envelope>(bytes);
  read_as<client_request>(bytes);
}

} // namespace kevolve::fuzz
