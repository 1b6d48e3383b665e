// Errors of operations (disk, socket, compiler, a person's input) as values; who gets one handles it or passes it on once with context.
// A candidate's failure is data (evaluation.hpp), never an error; our own bug is KEVOLVE_CHECK (check.hpp). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace kevolve {

/// What kind of operation failed; maps to a process exit code in one place (`exit_code`).
enum class errc : std::uint8_t {
  usage,           // the command line
  configuration,   // settings, missing compiler or tool, unusable data directory
  specification,   // an operator, workload or candidate file that breaks its format
  not_found,       // a named thing does not exist
  refused,         // exists already, duplicate, not allowed in this state
  io,              // the file system or a process failed
  full,            // no space left
  damaged,         // checksum, truncation, unknown version
  busy,            // somebody else owns it; try again
  timeout,
  synthesizer,     // generator or LLM provider
  no_agent,        // nobody serves the target
  budget,          // exhausted before anything passed
  interrupted,
  infrastructure,  // a judge, harness or agent died: nobody's candidate is to blame
};

struct error {
  errc code = errc::io;
  std::string message;

  /// The same error with who was doing what put in front: "opening store: …".
  [[nodiscard]] error in(const std::string& context) const { return {code, context + ": " + message}; }
};

/// The contract's exit code for an error (0 done … 75 try again).
int exit_code(errc code) noexcept;
const char* to_string(errc code) noexcept;

/// A value or an error.
template <class T>
class [[nodiscard]] result {
public:
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(kevolve::error e) : state_(std::in_place_index<1>, std::move(e)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  [[nodiscard]] const kevolve::error& error() const& { return std::get<1>(state_); }
  [[nodiscard]] kevolve::error&& error() && { return std::get<1>(std::move(state_)); }

private:
  std::variant<T, kevolve::error> state_;
};

template <>
class [[nodiscard]] result<void> {
public:
  result() = default;
  result(kevolve::error e) : error_(std::move(e)) {}
  explicit operator bool() const noexcept { return !error_; }
  [[nodiscard]] bool has_value() const noexcept { return !error_; }
  [[nodiscard]] const kevolve::error& error() const { return *error_; }

private:
  std::optional<kevolve::error> error_;
};

} // namespace kevolve

/// `KEVOLVE_TRY(x, f())`: declares x with f's value or returns f's error from this function.
#define KEVOLVE_TRY_CAT2(a, b) a##b
#define KEVOLVE_TRY_CAT(a, b) KEVOLVE_TRY_CAT2(a, b)
#define KEVOLVE_TRY(name, ...)                                                                                                       \
  auto KEVOLVE_TRY_CAT(try_, __LINE__) = (__VA_ARGS__);                                                                              \
  if (!KEVOLVE_TRY_CAT(try_, __LINE__))                                                                                              \
    return std::move(KEVOLVE_TRY_CAT(try_, __LINE__)).error();                                                                       \
  auto name = *std::move(KEVOLVE_TRY_CAT(try_, __LINE__))
/// The same for result<void>.
#define KEVOLVE_TRY_VOID(...)                                                                                                        \
  if (auto try_status = (__VA_ARGS__); !try_status)                                                                                  \
  return try_status.error()
