// What a model answers: any text at all becomes files, a schedule, or an error in words for it; edits never make a file from nothing.
#include "actors/synthesis/prompts/answer.hpp"
#include "actors/synthesis/prompts/lint.hpp"
#include "protocol/check.hpp"
#include "protocol/source_text.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace kevolve::fuzz {
namespace {

const std::vector<source_file>& parent() {
  static const std::vector<source_file> files{{"kernel.cpp", "#include \"kevolve.h\"\n\nextern \"C\" int kevolve_run() {\n  int a = 1;\n  return a;\n}\n"}};
  return files;
}

} // namespace

std::vector<std::string> seeds() {
  return {"Idea: unroll.\n\n```cpp\n#include \"kevolve.h\"\nextern \"C\" int kevolve_run() { return 0; }\n```\n",
          "kernel.cpp\n<<<<<<< SEARCH\n  int a = 1;\n=======\n  int a = 2;\n>>>>>>> REPLACE\n",
          "```kernel.cpp\nint kevolve_run();\n```\n\n```include/own.h\n#define A 1\n```\nflags: -O3 -ffast-math\n",
          "<think>what next</think>\n```json\n{\"version\": 1, \"steps\": [{\"verb\": \"vectorise\", \"loop\": \"h\", \"by\": 16}]}\n```\n",
          "```cpp\n// kernel.cpp\n" + std::string(300, 'x'), "no code at all", "```\n```\n```\n"};
}

void fuzz_bytes(std::string_view bytes) {
  static const synthesis::language* const in = synthesis::language_of(*target_from_string("cpu/x86-64-v4/cpp"));
  memory::begin_peak();
  for (const bool has_parent : {false, true}) {
    auto got = synthesis::read_answer(bytes, *in, has_parent ? parent() : std::vector<source_file>{});
    if (!got) {
      KEVOLVE_CHECK(!got.error().message.empty());
      continue;
    }
    KEVOLVE_CHECK(!got->files.empty() || got->print);
    for (const source_file& file : got->files)
      KEVOLVE_CHECK(is_source_path(file.path));
    for (const std::string& fault : synthesis::lint(got->files, *in))
      KEVOLVE_CHECK(!fault.empty());
  }
  KEVOLVE_CHECK(memory::peak() <= 64 * bytes.size() + (4u << 20));
  (void)synthesis::apply_edits(bytes, parent().front().content);
}

} // namespace kevolve::fuzz
