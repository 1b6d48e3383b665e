// HTTP POSTs for every provider of the process: one thread, one libcurl multi handle, no thread per request. Clients live on that thread: it
// asks each for its turn, starts and aborts what they say, and hands them what arrives. Answers, headers and times are bounded here.
#pragma once

#include "actors/synthesis/llm/header_values.hpp"
#include "actors/synthesis/llm/types.hpp"
#include "protocol/result.hpp"

#include <filesystem>
#include <functional>
#include <memory>

namespace kevolve::llm {

/// One POST.
struct http_call {
  std::string url;
  std::vector<std::string> header_lines; // "name: value"; the key is in one of them
  std::string body;
  double connect_timeout_s = 5;
  double idle_timeout_s = 300;      // without a byte, once the response has begun
  moment until = moment::max();     // all of it
  std::uint64_t most_body_bytes = 8u << 20; // kept here
  std::uint64_t most_bytes = 128u << 20; // received at all
  std::filesystem::path ca_file;    // certificates to trust instead of the system's
};

/// What became of it.
struct http_end {
  enum class fate : std::uint8_t { answered, failed, timed_out, too_large, stopped } how = fate::failed;
  std::string why;                  // failed, timed_out
  int status = 0;                   // 0: no response
  headers fields;
  std::string body;                 // what `on_bytes` did not take
  bool sent = false;                // the request was sent in full: the model may have begun
};

/// Takes the body of a response as it arrives (status, headers so far, bytes), on the loop's thread. `enough`: the answer is complete.
enum class bytes_wanted : std::uint8_t { keep, taken, enough };
using on_bytes = std::function<bytes_wanted(int status, const headers& fields, std::string_view bytes)>;
using on_end = std::function<void(http_end)>;

class transport {
public:
  /// A part that lives on the loop's thread.
  class client {
  public:
    virtual ~client() = default;
    /// Called after every wake-up; returns when it wants the next one at the latest.
    virtual moment turn() = 0;
  };

  static result<std::shared_ptr<transport>> make();
  virtual ~transport() = default;

  // Any thread but the loop's.
  virtual void add(client* which) = 0;
  /// Returns once the loop has called `last` on its thread and forgotten the client.
  virtual void remove(client* which, const std::function<void()>& last) = 0;
  // Any thread.
  virtual void wake() = 0;
  // The loop's thread.
  virtual std::uint64_t post(http_call what, on_bytes bytes, on_end then) = 0;
  /// Without a call of its `then`.
  virtual void abort(std::uint64_t which) = 0;
};

} // namespace kevolve::llm
