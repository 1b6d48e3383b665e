// A made-up model server, for tests and for `bench llm`: it listens on 127.0.0.1, speaks the three formats with streaming, and answers what it
// is told to, byte by byte and as late as it is told to, errors and nonsense included. No model is behind it. One thread serves all
// connections; `answer` is called on it.
#pragma once

#include "actors/synthesis/llm/provider.hpp"

#include <atomic>
#include <thread>

namespace kevolve::llm {

struct made_up_request {
  std::string method, path;
  std::map<std::string, std::string> headers; // names in lower case
  std::string body;
};

struct made_up_piece {
  double after_s = 0;               // since the piece before it
  std::string bytes;
};

struct made_up_response {
  std::vector<made_up_piece> pieces;
  bool close = false;               // the connection, after the last piece
  bool reset = false;               // likewise, with an RST
};

class made_up_server {
public:
  explicit made_up_server(std::function<made_up_response(const made_up_request&)> answer);
  made_up_server(const made_up_server&) = delete;
  made_up_server& operator=(const made_up_server&) = delete;
  ~made_up_server();

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::uint64_t requests() const { return requests_; }
  [[nodiscard]] std::uint64_t most_open() const { return most_open_; } // requests that waited for the end of their answer at the same time

private:
  void serve();
  const std::function<made_up_response(const made_up_request&)> answer_;
  int listener_ = -1, wake_ = -1, port_ = 0;
  std::atomic<bool> ending_{false};
  std::atomic<std::uint64_t> requests_{0}, most_open_{0};
  std::thread thread_;
};

/// A response of one piece; content-length is added.
made_up_response made_up_status(int status, const std::string& body, const std::vector<std::string>& header_lines = {});

struct made_up_answer {
  std::string text;
  std::string reasoning;
  token_usage used{100, 0, 0, 50, 0};
  std::string stop;                 // in the format's own words; "": its normal end
  double latency_s = 0;             // before the first byte
  std::size_t chunk_bytes = 64;     // of streamed text
  std::vector<std::string> header_lines;
};
/// A right answer in the format that the request's path asks for, streamed when its body says so. The pieces of a stream are its events.
made_up_response made_up_model(const made_up_request& asked, const made_up_answer& what);

} // namespace kevolve::llm
