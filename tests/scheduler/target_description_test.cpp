// Descriptions of devices that kevolve does not know: what is read, and how errors name what is wrong. The device is made up.
#include "scheduler/target_description.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

const std::string loom = R"(name = "Loom 9"
platform = "loom"
architecture = "9"
language = "loom-c"
constraints = ["Strips are 48 bytes.", "No recursion."]
[commands]
compile = ["loomcc", "{source}", "-o", "{artifact}"]
run = ["loom-run", "{artifact}", "--in={inputs}", "--out={outputs}"]
profile = ["loom-prof", "{artifact}", "{report}"]
)";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

void refuses(const std::string& text, const std::string& field, const std::string& found) {
  const auto read = read_target_description("loom.toml", text);
  REQUIRE_FALSE(read);
  CHECK_MESSAGE(read.error().message.find("loom.toml") != std::string::npos, read.error().message);
  CHECK_MESSAGE(read.error().message.find(field) != std::string::npos, read.error().message);
  CHECK_MESSAGE(read.error().message.find(found) != std::string::npos, read.error().message);
}

} // namespace

TEST_CASE("a target description gives its target, constraints and commands, and a document for its target alone") {
  const auto d = read_target_description("loom.toml", loom);
  REQUIRE_MESSAGE(d, d.error().message);
  CHECK(d->on == target{"loom", "9", "loom-c"});
  CHECK(d->run.size() == 4);
  CHECK(d->profile.size() == 3);
  CHECK(id_of(*d) == "targets/loom/9/loom-c");
  CHECK(document_of(*d).find("platforms: loom\n") != std::string::npos);
  CHECK(document_of(*d).find("- No recursion.\n") != std::string::npos);
}

TEST_CASE("what is wrong with a target description is named with file, field and what was found") {
  refuses("name = ", "loom.toml:1", "not valid TOML");
  refuses(replaced(loom, "name = \"Loom 9\"\n", ""), "name", "nothing");
  refuses(replaced(loom, "\"Loom 9\"", "\"Loom\\nplatforms: cpu\""), "name", "several lines");
  refuses(replaced(loom, "\"loom\"", "\"../loom\""), "platform", "'../loom'");
  refuses(replaced(loom, "\"9\"", "9"), "architecture", "9");
  refuses(replaced(loom, "language = \"loom-c\"\n", ""), "language", "nothing");
  refuses(replaced(loom, "\"No recursion.\"", "\"a\\n---\""), "constraints", "several lines");
  refuses(replaced(loom, "{source}", "{file}"), "commands.compile", "'{file}'");
  refuses(replaced(loom, "{source}", "a.c"), "commands.compile", "no {source}");
  refuses(replaced(loom, "--out={outputs}", "--quiet"), "commands.run", "no {outputs}");
  refuses(replaced(loom, "run = [", "start = ["), "commands.run", "nothing");
  refuses(replaced(loom, "profile =", "profiel ="), "profiel", "profiel");
  refuses(loom.substr(0, loom.find("[commands]")), "commands", "nothing");
}
