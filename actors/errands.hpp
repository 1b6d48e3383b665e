// What an agent has its scheduler do for it: compile elsewhere, and fetch blobs. Requests are said again until they are answered; pieces that were
// under way when a connection was cut are asked for again, and what came of a blob is kept for whoever asks for it next. Pure: no socket, clock, thread or file. Owned by the agent's socket thread.
#pragma once

#include "actors/blob_transfer.hpp"
#include "protocol/message.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace kevolve {

class errands {
public:
  using time = std::chrono::steady_clock::time_point;
  using ticket = std::uint64_t;
  explicit errands(std::uint64_t piece = limits::piece_bytes) : piece_(piece) {}

  ticket compile(compile_work what, time now);
  /// Two that fetch the same blob share one transfer; one that was begun earlier goes on where it was. `what` must have passed blob_receiver::refuse.
  ticket fetch(const blob_reference& what, time now);
  /// Nobody waits for it any more; what is to be said.
  std::vector<message> drop(ticket which);

  void heard(compile_answered&& what);
  void heard(blob_piece&& what, time now);
  void heard(blob_missing&& what);
  /// What is to be said now.
  std::vector<message> due(time now);

  struct made { compile_made what; };
  struct fetched { std::shared_ptr<const std::string> content; }; // its hash was checked
  struct failed { std::string reason; };                          // infrastructure
  struct done { ticket which = 0; std::variant<made, fetched, failed> how; };
  /// What has ended since it was last asked.
  std::vector<done> take_done() { return std::exchange(done_, {}); }

  [[nodiscard]] std::size_t under_way() const { return compiling_.size() + fetching_.size(); }
  /// Of blobs that came whole.
  [[nodiscard]] const blob_receiver::counts& counted() const { return counted_; }

private:
  struct request {
    compile_work what;
    time say_at;
  };
  struct transfer {
    blob_receiver from;
    std::vector<ticket> waits;
  };
  void leave(std::map<std::string, transfer>::iterator which);
  void end(std::map<std::string, transfer>::iterator which, const std::variant<made, fetched, failed>& how);

  const std::uint64_t piece_;
  ticket last_ = 0;
  std::map<ticket, request> compiling_;
  std::map<std::string, transfer> fetching_; // by hash
  std::deque<blob_receiver> begun_;          // and left alone, the newest last
  std::uint64_t promised_bytes_ = 0;         // of all that is being fetched
  std::vector<done> done_;
  blob_receiver::counts counted_;
};

} // namespace kevolve
