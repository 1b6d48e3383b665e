#include "node-agent/process.hpp"
#include "scheduler/agent_package.hpp"
#include "scheduler/launch.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

agent::process_end shell(std::vector<std::string> arguments, const std::string& input = "") {
  agent::command c;
  c.arguments = std::move(arguments);
  c.environment = agent::plain_environment();
  c.input = input;
  auto end = agent::run(c);
  REQUIRE(end);
  return *end;
}

} // namespace

TEST_CASE("a program's libraries are those that its loader found, under the names that were asked for") {
  const auto found = libraries_in("\tlinux-vdso.so.1 (0x00007ffd)\n\tlibzmq.so.5 => /usr/lib/libzmq.so.5 (0x00007f)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007f)\n"
                                  "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n");
  REQUIRE(found);
  CHECK(*found == std::vector<std::filesystem::path>{"/usr/lib/libzmq.so.5", "/lib/libm.so.6"});
  const auto missing = libraries_in("\tlibzmq.so.5 => not found\n");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message == "library 'libzmq.so.5': not found");
}

TEST_CASE("a package never brings a part of glibc, and brings everything else") {
  for (const char* theirs : {"libc.so.6", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "ld-linux-x86-64.so.2", "libmvec.so.1", "libnss_dns.so.2"})
    CHECK_MESSAGE(is_of_glibc(theirs), theirs);
  for (const char* ours : {"libcap.so.2", "libcrypto.so.3", "libmd.so.0", "libstdc++.so.6", "libgcc_s.so.1", "libcom_err.so.2", "libnorm.so.1"})
    CHECK_FALSE_MESSAGE(is_of_glibc(ours), ours);
}

TEST_CASE("the glibc that a package needs is the newest that a program asks for, by number and not by letter") {
  CHECK(glibc_needed_by(std::string("x\0GLIBC_2.9\0GLIBC_2.36\0GLIBC_2.4\0GLIBC_PRIVATE", 50)) == std::pair(2, 36));
  CHECK(glibc_needed_by("GLIBCXX_3.4.30 and GLIBC_") == std::pair(0, 0));
}

TEST_CASE("no word is taken apart or run by a shell") {
  for (const std::string word : {"plain", "two words", "it's", "$(touch /tmp/x) `id` $HOME", "a\nb", "", "-n", "\\", "'\\''", "*"}) {
    const auto end = shell({"sh", "-c", "printf %s " + shell_word(word)});
    CHECK(end.output == word);
  }
}

TEST_CASE("a host's script is what a POSIX shell takes") {
  CHECK(shell({"sh", "-n"}, host_script).good());
  const auto missing = shell({"sh", "-c", host_script, "kevolve", "check", std::string(64, 'a'), "/nonexistent/folder", "x"});
  CHECK(missing.output == "missing\n");
}

TEST_CASE("a Slurm job asks for what it was told, and its options reach the agent as words") {
  slurm_job job{.hash = "abc", .directory = "/shared/it's", .key = "/shared/key", .scheduler = "tcp://head:7400", .agent_options = {"--name", "a b"}, .nodes = 3, .time = "1:00:00",
                .partition = "gpu", .sbatch = {"--account=mine"}, .drain_s = 90};
  const std::string text = slurm_script(job);
  for (const char* line : {"#SBATCH --array=1-3\n", "#SBATCH --requeue\n", "#SBATCH --signal=B:TERM@90\n", "#SBATCH --time=1:00:00\n", "#SBATCH --partition=gpu\n", "#SBATCH --account=mine\n",
                           "set -- --scheduler 'tcp://head:7400' --key '/shared/key' '--name' 'a b'\n", "dir='/shared/it'\\''s' hash=abc\n"})
    CHECK_MESSAGE(text.find(line) != std::string::npos, line);
  CHECK(text.find("scontrol requeue") == std::string::npos);
  CHECK(shell({"sh", "-n"}, text).good());
  job.again = true;
  CHECK(slurm_script(job).find("scontrol requeue") != std::string::npos);
  CHECK(slurm_script({.hash = "abc"}).find("--time") == std::string::npos);
}
