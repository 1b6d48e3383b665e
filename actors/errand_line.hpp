// Between an agent's workers, who wait for what is compiled or fetched elsewhere, and its socket's thread, which asks for it. Workers may call from
// any thread, also after `close`: then they are told so at once. `serve` and `ended` are the socket thread's.
#pragma once

#include "actors/errands.hpp"
#include "actors/outbox.hpp"
#include "protocol/result.hpp"

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace kevolve {

class errand_line {
public:
  /// Block until there is an answer, `cancelled`, or the line is closed.
  result<compile_made> compile(const compile_work& what, const std::atomic<bool>& cancelled);
  result<std::string> fetch(const blob_reference& what, const std::atomic<bool>& cancelled);

  /// Hands what workers have asked for since to `table`; what is to be said at once.
  std::vector<message> serve(errands& table, errands::time now);
  /// False: it is no worker's.
  bool ended(errands::done& what);
  /// Whoever waits, or comes later, gets errc::interrupted.
  void close() { closed_ = true; }
  [[nodiscard]] int wake_descriptor() const { return asked_.wake_descriptor(); }

private:
  using answer = std::variant<errands::made, errands::fetched, errands::failed>;
  struct errand {
    std::variant<compile_work, blob_reference> what;
    std::promise<answer> told;
    std::atomic<bool> dropped = false;
  };
  result<answer> ask(std::variant<compile_work, blob_reference> what, const std::atomic<bool>& cancelled);

  outbox<std::shared_ptr<errand>> asked_{1024}; // far above the number of workers, who ask one thing at a time
  std::atomic<bool> closed_ = false;
  std::map<errands::ticket, std::shared_ptr<errand>> waiting_; // the socket thread's
};

} // namespace kevolve
