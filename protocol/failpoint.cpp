#include "protocol/failpoint.hpp"

#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

namespace kevolve {
namespace {

using enum failpoint_process;

constexpr auto descriptions = std::to_array<failpoint_description>({
  {failpoint::log_before_commit, "log.before-commit", scheduler, "a group of events is in a transaction that is not committed"},
  {failpoint::log_after_commit, "log.after-commit", scheduler, "a group of events is durable, nobody has been told"},
  {failpoint::grant_before_send, "grant.before-send", scheduler, "a lease is decided and not sent"},
  {failpoint::answer_came, "answer.came", scheduler, "an agent's answer has come in and is not in the log"},
  {failpoint::acknowledgement_before_send, "acknowledgement.before-send", scheduler, "an answer is durable, its agent has not been told"},
  {failpoint::piece_before_relay, "piece.before-relay", scheduler, "a piece of a program is between two agents"},
  {failpoint::resume_before_start, "resume.before-start", scheduler, "it is back after its death, its unfinished sessions do not run yet"},
  {failpoint::hello_before_send, "hello.before-send", agent, "it has opened its spool and has not introduced itself"},
  {failpoint::lease_taken, "lease.taken", agent, "a lease has come in and is not acknowledged"},
  {failpoint::answer_before_spool, "answer.before-spool", agent, "an evaluation is done and not in the spool"},
  {failpoint::spool_before_commit, "spool.before-commit", agent, "an answer is in a transaction of the spool that is not committed"},
  {failpoint::answer_spooled, "answer.spooled", agent, "an answer is in the spool and not sent"},
  {failpoint::answer_sent, "answer.sent", agent, "an answer is sent and not acknowledged"},
  {failpoint::answer_acknowledged, "answer.acknowledged", agent, "an answer is acknowledged and still in the spool"},
  {failpoint::program_made, "program.made", agent, "a program is compiled for another agent, who has not been told"},
  {failpoint::piece_before_send, "piece.before-send", agent, "a piece of a program is asked for and not sent"},
  {failpoint::piece_came, "piece.came", agent, "a piece of a program has come, others have not"},
  {failpoint::drain_told, "drain.told", agent, "it has said that it drains"},
  {failpoint::goodbye_before_send, "goodbye.before-send", agent, "it is drained and has not said goodbye"},
  {failpoint::snapshot_before_rename, "snapshot.before-rename", command, "a snapshot is copied and does not have its name"},
  {failpoint::seal_before_commit, "seal.before-commit", command, "a session's events are packed in a transaction that is not committed"},
  {failpoint::seal_after_commit, "seal.after-commit", command, "a session is sealed, others and the candidates are not"},
});

// Written before any thread.
failpoint armed{};
std::atomic<std::int64_t> left = 0;

std::string all_names() {
  std::string all;
  for (const auto& each : descriptions)
    all += fmt::format("{}{}", all.empty() ? "" : ", ", each.name);
  return all;
}

} // namespace

namespace detail {

std::atomic<bool> failpoint_is_armed = false;

void count_failpoint(failpoint at) {
  if (at == armed && --left == 0) {
    ::kill(::getpid(), SIGKILL);
    for (;;) // the signal takes all threads; this one goes no further meanwhile
      ::pause();
  }
}

} // namespace detail

std::span<const failpoint_description> failpoints() { return descriptions; }

result<void> arm_failpoint(std::string_view text) {
  detail::failpoint_is_armed = false;
  if (text.empty())
    return {};
  const auto colon = text.find(':');
  std::int64_t times = 1;
  if (colon != std::string_view::npos) {
    const std::string_view number = text.substr(colon + 1);
    const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), times);
    if (failure != std::errc{} || end != number.data() + number.size() || times < 1)
      return error{errc::configuration, fmt::format("KEVOLVE_FAILPOINT: found '{}', expected NAME or NAME:N with N from 1", text)};
  }
  for (const auto& each : descriptions)
    if (each.name == text.substr(0, colon)) {
      armed = each.at;
      left = times;
      detail::failpoint_is_armed = true;
      return {};
    }
  return error{errc::configuration, fmt::format("KEVOLVE_FAILPOINT: found '{}', expected one of {}", text, all_names())};
}

result<void> arm_failpoint_of_environment() {
  const char* text = std::getenv("KEVOLVE_FAILPOINT");
  return arm_failpoint(text ? text : "");
}

} // namespace kevolve
