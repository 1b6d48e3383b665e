// The namespaces that a judge's candidates live in: made once by bubblewrap around a process that only waits, entered by each candidate's
// process as it starts (making them takes 10 ms, entering 0.1). Inside: the harness, the few libraries that candidates are linked with and
// /proc of its own processes, all read-only; no network, no devices, nowhere to write. One thread.
#pragma once

#include "protocol/result.hpp"

#include <filesystem>
#include <memory>

namespace kevolve::agent {

class namespaces {
public:
  /// Errors: no bubblewrap, or the kernel does not let us; the message says what bubblewrap said.
  static result<std::unique_ptr<namespaces>> make(const std::filesystem::path& harness);
  ~namespaces(); // ends everybody inside
  namespaces(const namespaces&) = delete;
  namespaces& operator=(const namespaces&) = delete;

  /// For setns: a pidfd of a process inside, and which namespaces to enter. Those of a user who is not root include a user namespace.
  [[nodiscard]] int handle() const { return inside_; }
  [[nodiscard]] int keeper() const { return wrapper_; }
  [[nodiscard]] int kinds() const { return kinds_; }

private:
  namespaces() = default;
  int wrapper_ = -1; // bubblewrap's process, our child
  int inside_ = -1;
  int kinds_ = 0;
};

} // namespace kevolve::agent
