#include "scheduler/log.hpp"

#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace kevolve::scheduler {

namespace {

/// {"ts": RFC 3339 in UTC, "level", "component", "msg"}; spdlog's patterns do not escape.
class json_lines final : public spdlog::formatter {
public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(message.time.time_since_epoch()).count();
    const auto seconds = static_cast<std::time_t>(since / 1000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    nlohmann::ordered_json line;
    line["ts"] = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                             parts.tm_min, parts.tm_sec, since % 1000);
    const auto level = spdlog::level::to_string_view(message.level);
    line["level"] = std::string(level.data(), level.size());
    if (message.logger_name.size())
      line["component"] = std::string(message.logger_name.data(), message.logger_name.size());
    line["msg"] = std::string(message.payload.data(), message.payload.size());
    const std::string text = line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<formatter> clone() const override { return std::make_unique<json_lines>(); }
};

} // namespace

void start_log(int verbosity, bool json) {
  auto logger = spdlog::stderr_color_mt("kevolve");
  if (json)
    logger->set_formatter(std::make_unique<json_lines>());
  else
    logger->set_pattern("%H:%M:%S.%e %^%l%$ %v");
  logger->set_level(verbosity >= 2 ? spdlog::level::debug : verbosity == 1 ? spdlog::level::info : spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

} // namespace kevolve::scheduler
