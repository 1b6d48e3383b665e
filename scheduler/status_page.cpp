#include "scheduler/status_page.hpp"

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <httplib.h>
#include <thread>

namespace kevolve::scheduler {
namespace {

class http_page final : public status_page {
public:
  ~http_page() override {
    server_.stop();
    if (thread_.joinable())
      thread_.join();
  }

  result<void> bind(const std::string& host, int port, const std::string& listen, sources from) {
    server_.Get("/healthz", [](const httplib::Request&, httplib::Response& r) { r.set_content("ok\n", "text/plain"); });
    server_.Get("/readyz", [from](const httplib::Request&, httplib::Response& r) {
      const std::string why = from.why_not();
      r.status = why.empty() ? 200 : 503;
      r.set_content(why.empty() ? "ready\n" : why + "\n", "text/plain");
    });
    server_.Get("/metrics", [from](const httplib::Request&, httplib::Response& r) { r.set_content(from.metrics(), "text/plain; version=0.0.4"); });
    server_.new_task_queue = [] { return new httplib::ThreadPool(2); };
    server_.set_read_timeout(5);
    server_.set_write_timeout(5);
    server_.set_payload_max_length(1024);
    if (!server_.bind_to_port(host.c_str(), port))
      return error{errc::busy, "http: cannot listen on " + listen + ": the port is taken, or the address is not ours"};
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    return {};
  }

private:
  httplib::Server server_;
  std::thread thread_;
};

std::string escaped(const std::string& value) {
  std::string text;
  for (const char c : value)
    text += c == '\\' ? "\\\\" : c == '"' ? "\\\"" : c == '\n' ? "\\n" : std::string(1, c);
  return text;
}

} // namespace

result<std::unique_ptr<status_page>> status_page::open(const std::string& listen, sources from) {
  const auto colon = listen.rfind(':');
  int port = 0;
  const char* end = listen.data() + listen.size();
  if (colon == std::string::npos || colon == 0 || std::from_chars(listen.data() + colon + 1, end, port).ptr != end || port <= 0 || port > 65535)
    return error{errc::usage, "http: found '" + listen + "', expected HOST:PORT"};
  auto made = std::make_unique<http_page>();
  KEVOLVE_TRY_VOID(made->bind(listen.substr(0, colon), port, listen, std::move(from)));
  return std::unique_ptr<status_page>(std::move(made));
}

void metrics_text::begin(const std::string& name, const std::string& type, const std::string& help) {
  name_ = name;
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void metrics_text::value(double number, const std::vector<std::pair<std::string, std::string>>& labels) {
  std::string all;
  for (const auto& [name, text] : labels)
    all += fmt::format("{}{}=\"{}\"", all.empty() ? "" : ",", name, escaped(text));
  text_ += fmt::format("{}{} {}\n", name_, all.empty() ? "" : "{" + all + "}", std::isnan(number) ? std::string("NaN") : fmt::format("{}", number));
}

} // namespace kevolve::scheduler
