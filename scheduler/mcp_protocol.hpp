// The Model Context Protocol over lines, as a server speaks it, in both eras: with a handshake (to 2025-11-25) and stateless (2026-07-28, where each
// request names its version). Turns one line into one answer; knows no tool. A tool's failure is a result that says so, never a protocol error.
#pragma once

#include "protocol/result.hpp"

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kevolve::scheduler {

struct mcp_tool {
  std::string name, title, description;
  nlohmann::ordered_json input;   // JSON schema of its arguments
  bool read_only = true;
  std::function<result<nlohmann::ordered_json>(const nlohmann::ordered_json& arguments)> run;
};

struct mcp_resource {
  std::string uri, name, mime = "text/plain";
};

struct mcp_server_parts {
  std::string version;
  std::string instructions;
  std::vector<mcp_tool> tools;    // in the order in which they are listed
  std::function<std::vector<mcp_resource>()> resources;
  std::function<result<std::string>(const std::string& uri)> read; // errc::not_found: no such resource
};

class mcp_server {
public:
  explicit mcp_server(mcp_server_parts parts) : parts_(std::move(parts)) {}
  /// The answer to one line; nothing for notifications.
  std::optional<std::string> answer(std::string_view line);

private:
  using json = nlohmann::ordered_json;
  struct refusal { int code; std::string message; json data; };
  using reply = std::variant<json, refusal>;
  reply act(const std::string& method, const json& params, bool modern);
  json capabilities() const;
  reply call(const json& params);
  reply read(const json& params);
  mcp_server_parts parts_;
};

inline constexpr std::size_t mcp_line_bytes = 8u << 20;

} // namespace kevolve::scheduler
