// A synthesizer that migrated, as bytes: what decodes has one form, thaws without harm, and takes memory in proportion.
#include "actors/synthesis/frozen_synthesizer.hpp"
#include "protocol/check.hpp"
#include "protocol/codec.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace kevolve::fuzz {

using synthesis::frozen_synthesizer;

std::vector<std::string> seeds() {
  frozen_synthesizer f;
  f.synthesizer = "generator";
  f.session = "s";
  f.number = 7;
  f.compiler = "g++";
  f.given.emplace();
  f.given->parent.emplace();
  f.given->parent->printed_from.steps = {{"vectorize", "*", {{"width", "16"}}}};
  f.given->siblings.resize(2);
  f.skills.resize(1);
  f.known_ids = synthesis::pack_ids({{{1, 2}}, {{3, 4}}});
  std::vector<std::string> all{encode(f)};
  f.synthesizer = "small";
  f.told = synthesis::frozen_prompt{"rules", "write it", {{"kernel.cpp", "int x;"}}, *synthesis::language_of({"cpu", "", "cpp"}), 2, true};
  f.known_likenesses = synthesis::pack_likenesses({5, 6});
  f.said.resize(1);
  f.said[0].text = "```cpp\nint x;\n```";
  f.policy_model = "not a policy";
  all.push_back(encode(f));
  return all;
}

void fuzz_bytes(std::string_view bytes) {
  memory::begin_peak();
  auto got = decode<frozen_synthesizer>(bytes);
  KEVOLVE_CHECK(memory::peak() <= limits::decode_slack + 4 * bytes.size() + 4096);
  if (!got)
    return;
  const std::string canonical = encode(*got);
  auto again = decode<frozen_synthesizer>(canonical);
  KEVOLVE_CHECK(again && encode(*again) == canonical);
  KEVOLVE_CHECK(print_of(*again) == print_of(*got));
  (void)is_known(*got, std::string(64, 'a'));
  candidate c;
  c.sources = {{"kernel.cpp", "int x;"}};
  c.id = std::string(64, 'b');
  (void)is_alike_known(*got, c);
  auto given = thaw(*got);
  if (!given || !got->told)
    return;
  synthesis::writing course(task_of(*got, std::move(*given)));
  auto next = course.begin();
  if (std::holds_alternative<synthesis::writing::ask>(next) && !got->said.empty())
    (void)course.said(got->said[0].text, false);
}

} // namespace kevolve::fuzz
