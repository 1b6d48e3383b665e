#include "actors/synthesis/llm/made_up_server.hpp"

#include "actors/synthesis/llm/json_text.hpp"
#include "protocol/check.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <deque>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace kevolve::llm {
namespace {

using clock = std::chrono::steady_clock;

struct due_piece {
  moment at;
  std::string bytes;
};

struct connection {
  int fd = -1;
  std::string in;
  std::deque<due_piece> out;
  bool busy = false, close = false, reset = false, gone = false;
};

std::string lower(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// A whole request at the front of `in`, taken from it.
std::optional<made_up_request> take_request(std::string& in) {
  const std::size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos)
    return std::nullopt;
  made_up_request r;
  std::size_t at = in.find("\r\n");
  const std::string first = in.substr(0, at);
  const std::size_t space = first.find(' '), second = first.rfind(' ');
  r.method = first.substr(0, space);
  r.path = space < second ? first.substr(space + 1, second - space - 1) : "";
  while (at < end) {
    const std::size_t from = at + 2, to = std::min(in.find("\r\n", from), end);
    const std::string line = in.substr(from, to - from);
    if (const std::size_t colon = line.find(": "); colon != std::string::npos)
      r.headers[lower(line.substr(0, colon))] = line.substr(colon + 2);
    at = to;
  }
  const auto length = r.headers.find("content-length");
  const std::size_t bytes = length == r.headers.end() ? 0 : std::strtoul(length->second.c_str(), nullptr, 10);
  if (in.size() < end + 4 + bytes)
    return std::nullopt;
  r.body = in.substr(end + 4, bytes);
  in.erase(0, end + 4 + bytes);
  return r;
}

std::string event(const std::string& name, const json& data) { return (name.empty() ? "" : "event: " + name + "\n") + "data: " + json_text(data) + "\n\n"; }

std::vector<std::string> cut(const std::string& text, std::size_t bytes) {
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < text.size(); at += bytes)
    pieces.push_back(text.substr(at, bytes));
  return pieces;
}

json chat_usage(const token_usage& u) {
  return {{"prompt_tokens", u.input}, {"completion_tokens", u.output}, {"total_tokens", u.input + u.output},
          {"prompt_tokens_details", {{"cached_tokens", u.cached_input}, {"cache_write_tokens", u.cache_write}}}, {"completion_tokens_details", {{"reasoning_tokens", u.reasoning}}}};
}
json responses_usage(const token_usage& u) {
  return {{"input_tokens", u.input}, {"output_tokens", u.output}, {"input_tokens_details", {{"cached_tokens", u.cached_input}, {"cache_write_tokens", u.cache_write}}},
          {"output_tokens_details", {{"reasoning_tokens", u.reasoning}}}};
}
json anthropic_usage(const token_usage& u) { // theirs leaves cached and written input out of input_tokens
  return {{"input_tokens", u.input - u.cached_input - u.cache_write}, {"cache_read_input_tokens", u.cached_input}, {"cache_creation_input_tokens", u.cache_write}, {"output_tokens", u.output}};
}

struct spoken { // one answer in one format
  json whole;
  std::vector<std::string> events;
};

spoken speak_chat(const made_up_answer& a, const std::string& model) {
  const std::string stop = a.stop.empty() ? "stop" : a.stop;
  spoken s;
  s.whole = {{"id", "chatcmpl-1"}, {"object", "chat.completion"}, {"model", model},
             {"choices", json::array({{{"index", 0}, {"finish_reason", stop}, {"message", {{"role", "assistant"}, {"content", a.text}, {"reasoning_content", a.reasoning}}}}})},
             {"usage", chat_usage(a.used)}};
  const auto chunk = [&](json delta, json finish) {
    return event("", {{"id", "chatcmpl-1"}, {"model", model}, {"choices", json::array({{{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", std::move(finish)}}})}});
  };
  for (const std::string& part : cut(a.reasoning, a.chunk_bytes))
    s.events.push_back(chunk({{"reasoning", part}}, nullptr));
  for (const std::string& part : cut(a.text, a.chunk_bytes))
    s.events.push_back(chunk({{"content", part}}, nullptr));
  s.events.push_back(chunk(json::object(), stop));
  s.events.push_back(event("", {{"id", "chatcmpl-1"}, {"model", model}, {"choices", json::array()}, {"usage", chat_usage(a.used)}}));
  s.events.push_back("data: [DONE]\n\n");
  return s;
}

spoken speak_responses(const made_up_answer& a, const std::string& model) {
  spoken s;
  s.whole = {{"id", "resp_1"}, {"object", "response"}, {"model", model}, {"status", a.stop.empty() ? "completed" : "incomplete"}, {"usage", responses_usage(a.used)},
             {"output", json::array({{{"type", "reasoning"}, {"summary", json::array({{{"type", "summary_text"}, {"text", a.reasoning}}})}},
                                     {{"type", "message"}, {"role", "assistant"}, {"content", json::array({{{"type", "output_text"}, {"text", a.text}}})}}})}};
  if (!a.stop.empty())
    s.whole["incomplete_details"] = {{"reason", a.stop}};
  s.events.push_back(event("response.created", {{"type", "response.created"}, {"response", {{"id", "resp_1"}, {"status", "in_progress"}}}}));
  for (const std::string& part : cut(a.text, a.chunk_bytes))
    s.events.push_back(event("response.output_text.delta", {{"type", "response.output_text.delta"}, {"output_index", 1}, {"delta", part}}));
  const std::string last = a.stop.empty() ? "response.completed" : "response.incomplete";
  s.events.push_back(event(last, {{"type", last}, {"response", s.whole}}));
  return s;
}

spoken speak_anthropic(const made_up_answer& a, const std::string& model) {
  const std::string stop = a.stop.empty() ? "end_turn" : a.stop;
  spoken s;
  s.whole = {{"id", "msg_1"}, {"type", "message"}, {"role", "assistant"}, {"model", model}, {"stop_reason", stop}, {"usage", anthropic_usage(a.used)},
             {"content", json::array({{{"type", "thinking"}, {"thinking", a.reasoning}}, {{"type", "text"}, {"text", a.text}}})}};
  json begin = anthropic_usage(a.used);
  begin["output_tokens"] = 1;
  s.events.push_back(event("message_start", {{"type", "message_start"}, {"message", {{"id", "msg_1"}, {"model", model}, {"content", json::array()}, {"usage", begin}}}}));
  s.events.push_back(event("ping", {{"type", "ping"}}));
  int index = 0;
  for (const auto& [type, text] : {std::pair<std::string, std::string>{"thinking", a.reasoning}, {"text", a.text}}) {
    s.events.push_back(event("content_block_start", {{"type", "content_block_start"}, {"index", index}, {"content_block", {{"type", type}, {type, ""}}}}));
    for (const std::string& part : cut(text, a.chunk_bytes))
      s.events.push_back(event("content_block_delta", {{"type", "content_block_delta"}, {"index", index}, {"delta", {{"type", type + "_delta"}, {type, part}}}}));
    s.events.push_back(event("content_block_stop", {{"type", "content_block_stop"}, {"index", index++}}));
  }
  s.events.push_back(event("message_delta", {{"type", "message_delta"}, {"delta", {{"stop_reason", stop}}}, {"usage", {{"output_tokens", a.used.output}}}}));
  s.events.push_back(event("message_stop", {{"type", "message_stop"}}));
  return s;
}

std::string chunked(const std::string& bytes) { return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes); }

void close_connection(connection& c) {
  if (c.reset) {
    const linger now{1, 0};
    ::setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  ::close(c.fd);
  c.gone = true;
}

/// Sends what is due. False: the connection has ended.
bool send_due(connection& c, moment now) {
  while (!c.out.empty() && c.out.front().at <= now) {
    due_piece& p = c.out.front();
    const ssize_t n = p.bytes.empty() ? 0 : ::send(c.fd, p.bytes.data(), p.bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return true;
    if (n < 0)
      return false;
    p.bytes.erase(0, static_cast<std::size_t>(n));
    if (!p.bytes.empty())
      return true;
    c.out.pop_front();
  }
  if (c.out.empty() && c.busy) {
    c.busy = false;
    return !c.close && !c.reset;
  }
  return true;
}

} // namespace

made_up_server::made_up_server(std::function<made_up_response(const made_up_request&)> answer) : answer_(std::move(answer)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  KEVOLVE_CHECK(listener_ >= 0 && ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(listener_, 1024) == 0 &&
                ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  thread_ = std::thread([this] { serve(); });
}

made_up_server::~made_up_server() {
  ending_ = true;
  const std::uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
  thread_.join();
  ::close(listener_), ::close(wake_);
}

void made_up_server::serve() {
  std::vector<connection> open;
  while (!ending_) {
    std::vector<pollfd> fds{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    moment next = clock::now() + std::chrono::seconds(3600);
    const moment before = clock::now();
    for (const connection& c : open) {
      const bool due = !c.out.empty() && c.out.front().at <= before;
      fds.push_back({c.fd, static_cast<short>(POLLIN | (due ? POLLOUT : 0)), 0});
      if (!c.out.empty() && !due)
        next = std::min(next, c.out.front().at);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()).count();
    ::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(0, left)));
    const moment now = clock::now();
    for (std::size_t i = 0; i < open.size(); ++i) {
      connection& c = open[i];
      if (fds[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) {
        char buffer[65536];
        const ssize_t n = ::recv(c.fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
          close_connection(c);
          continue;
        }
        c.in.append(buffer, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      }
      if (!c.busy)
        if (const auto asked = take_request(c.in)) {
          ++requests_;
          const made_up_response response = answer_(*asked);
          moment at = now;
          for (const made_up_piece& p : response.pieces) {
            at += std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(p.after_s));
            c.out.push_back({at, p.bytes});
          }
          c.busy = true, c.close = response.close, c.reset = response.reset;
        }
      if (!send_due(c, now))
        close_connection(c);
    }
    std::erase_if(open, [](const connection& c) { return c.gone; });
    most_open_ = std::max<std::uint64_t>(most_open_, static_cast<std::uint64_t>(std::count_if(open.begin(), open.end(), [](const connection& c) { return c.busy; })));
    if (fds[1].revents)
      for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        open.push_back({fd, {}, {}, false, false, false, false});
      }
  }
  for (connection& c : open)
    close_connection(c);
}

made_up_response made_up_status(int status, const std::string& body, const std::vector<std::string>& header_lines) {
  std::string text = fmt::format("HTTP/1.1 {} Made-up\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", status, body.size());
  for (const std::string& line : header_lines)
    text += line + "\r\n";
  return {{{0, text + "\r\n" + body}}, false, false};
}

made_up_response made_up_model(const made_up_request& asked, const made_up_answer& what) {
  const json body = parse_json(asked.body).value_or(json::object());
  const std::string model = text_member(body, "model");
  const spoken s = asked.path.ends_with("/chat/completions") ? speak_chat(what, model) : asked.path.ends_with("/responses") ? speak_responses(what, model) : speak_anthropic(what, model);
  made_up_response response;
  if (!body.value("stream", false)) {
    response = made_up_status(200, json_text(s.whole), what.header_lines);
    response.pieces[0].after_s = what.latency_s;
    return response;
  }
  std::string head = "HTTP/1.1 200 Made-up\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
  for (const std::string& line : what.header_lines)
    head += line + "\r\n";
  response.pieces.push_back({what.latency_s, head + "\r\n"});
  for (const std::string& e : s.events)
    response.pieces.push_back({0, chunked(e)});
  response.pieces.push_back({0, "0\r\n\r\n"});
  return response;
}

} // namespace kevolve::llm
