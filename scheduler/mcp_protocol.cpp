#include "scheduler/mcp_protocol.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace kevolve::scheduler {
namespace {

using json = nlohmann::ordered_json;

constexpr std::array handshake_versions{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
constexpr const char* stateless_version = "2026-07-28";
constexpr const char* version_key = "io.modelcontextprotocol/protocolVersion";
constexpr int parse_error = -32700, invalid_request = -32600, no_method = -32601, invalid_params = -32602, unknown_version = -32022;
constexpr int list_ttl_ms = 60'000;
constexpr std::size_t nesting_at_most = 64;

/// How deep brackets nest outside of texts: what a parser that recurses would need.
std::size_t deepest(std::string_view line) {
  std::size_t depth = 0, most = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_text) {
      i += c == '\\';
      in_text = c != '"';
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      most = std::max(most, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return most;
}

bool is_text(const json& of, const char* name) { return of.contains(name) && of[name].is_string(); }

std::string envelope(const json& id, const char* field, json value) {
  return json{{"jsonrpc", "2.0"}, {"id", id}, {field, std::move(value)}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string failed(const json& id, int code, const std::string& message, const json& data = nullptr) {
  json error{{"code", code}, {"message", message}};
  if (!data.is_null())
    error["data"] = data;
  return envelope(id, "error", std::move(error));
}

/// Missing and superfluous arguments, by a schema of flat properties.
std::string wrong_arguments(const json& schema, const json& given) {
  for (const auto& name : schema.value("required", json::array()))
    if (!given.contains(name.get<std::string>()))
      return fmt::format("argument '{}' is missing", name.get<std::string>());
  for (const auto& [name, value] : given.items()) {
    const json& properties = schema["properties"];
    if (!properties.contains(name))
      return fmt::format("argument '{}' is not known; expected {}", name, [&] {
        std::string all;
        for (const auto& [known, ignored] : properties.items())
          all += (all.empty() ? "" : ", ") + known;
        return all.empty() ? std::string("none") : all;
      }());
    const std::string type = properties[name].value("type", "");
    const bool fits = type == "string"    ? value.is_string()
                      : type == "number"  ? value.is_number()
                      : type == "integer" ? value.is_number_integer()
                      : type == "boolean" ? value.is_boolean()
                      : type == "array"   ? value.is_array()
                                          : true;
    if (!fits)
      return fmt::format("argument '{}': found {}, expected type {}", name, value.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 60), type);
  }
  return "";
}

} // namespace

mcp_server::json mcp_server::capabilities() const { return {{"tools", json::object()}, {"resources", json::object()}}; }

std::optional<std::string> mcp_server::answer(std::string_view line) {
  if (deepest(line) > nesting_at_most)
    return failed(nullptr, parse_error, fmt::format("nested deeper than {}", nesting_at_most));
  const json asked = json::parse(line, nullptr, false);
  if (asked.is_discarded())
    return failed(nullptr, parse_error, "the line is no JSON");
  if (!asked.is_object() || !is_text(asked, "method"))
    return failed(asked.is_object() && asked.contains("id") ? asked["id"] : json(nullptr), invalid_request, "expected an object with jsonrpc, id and method");
  if (!asked.contains("id"))
    return std::nullopt; // a notification
  const json& id = asked["id"];
  if (!id.is_string() && !id.is_number_integer())
    return failed(nullptr, invalid_request, "id: expected a text or an integer");
  const json params = asked.contains("params") && asked["params"].is_object() ? asked["params"] : json::object();
  const json meta = params.contains("_meta") && params["_meta"].is_object() ? params["_meta"] : json::object();
  const bool modern = is_text(meta, version_key);
  if (modern && meta[version_key] != stateless_version)
    return failed(id, unknown_version, "protocol version not supported", {{"supported", {stateless_version, handshake_versions[0]}}, {"requested", meta[version_key]}});
  auto done = act(asked["method"].get<std::string>(), params, modern);
  if (const auto* no = std::get_if<refusal>(&done))
    return failed(id, no->code, no->message, no->data);
  json result = std::get<json>(std::move(done));
  if (modern)
    result["resultType"] = "complete";
  return envelope(id, "result", std::move(result));
}

mcp_server::reply mcp_server::act(const std::string& method, const json& params, bool modern) {
  const json self{{"name", "kevolve"}, {"version", parts_.version}};
  const auto listed = [&](const char* name, json items) {
    json list{{name, std::move(items)}};
    if (modern) {
      list["ttlMs"] = list_ttl_ms;
      list["cacheScope"] = "private";
    }
    return list;
  };
  if (method == "initialize") {
    const std::string wanted = is_text(params, "protocolVersion") ? params["protocolVersion"].get<std::string>() : "";
    const bool known = std::find(handshake_versions.begin(), handshake_versions.end(), wanted) != handshake_versions.end();
    return json{{"protocolVersion", known ? wanted : handshake_versions[0]}, {"capabilities", capabilities()}, {"serverInfo", self}, {"instructions", parts_.instructions}};
  }
  if (method == "server/discover")
    return json{{"supportedVersions", {stateless_version, handshake_versions[0]}}, {"capabilities", capabilities()}, {"_meta", {{"io.modelcontextprotocol/serverInfo", self}}},
                {"instructions", parts_.instructions}, {"ttlMs", list_ttl_ms}, {"cacheScope", "private"}};
  if (method == "ping" && !modern)
    return json::object();
  if (method == "tools/list") {
    json tools = json::array();
    for (const mcp_tool& t : parts_.tools)
      tools.push_back({{"name", t.name}, {"title", t.title}, {"description", t.description}, {"inputSchema", t.input},
                       {"annotations", {{"readOnlyHint", t.read_only}, {"destructiveHint", false}, {"openWorldHint", false}}}});
    return listed("tools", std::move(tools));
  }
  if (method == "tools/call")
    return call(params);
  if (method == "resources/list") {
    json resources = json::array();
    for (const mcp_resource& r : parts_.resources())
      resources.push_back({{"uri", r.uri}, {"name", r.name}, {"mimeType", r.mime}});
    return listed("resources", std::move(resources));
  }
  if (method == "resources/templates/list")
    return listed("resourceTemplates", json::array({{{"uriTemplate", "kevolve://runs/{id}"}, {"name", "run"}}, {{"uriTemplate", "kevolve://candidates/{hash}/source"}, {"name", "source"}},
                                                    {{"uriTemplate", "kevolve://kb/{id}"}, {"name", "document"}}}));
  if (method == "resources/read")
    return read(params);
  return refusal{no_method, "method '" + method + "' is not known", nullptr};
}

mcp_server::reply mcp_server::call(const json& params) {
  if (!is_text(params, "name"))
    return refusal{invalid_params, "name: expected a tool's name", nullptr};
  const std::string name = params["name"].get<std::string>();
  const auto tool = std::find_if(parts_.tools.begin(), parts_.tools.end(), [&](const mcp_tool& t) { return t.name == name; });
  if (tool == parts_.tools.end())
    return refusal{invalid_params, "no tool '" + name + "'", nullptr};
  const json arguments = params.contains("arguments") && params["arguments"].is_object() ? params["arguments"] : json::object();
  const auto told = [](json structured, const std::string& text, bool wrong) {
    json content{{"content", json::array({{{"type", "text"}, {"text", text}}})}, {"isError", wrong}};
    if (!structured.is_null())
      content["structuredContent"] = std::move(structured);
    return content;
  };
  if (const std::string wrong = wrong_arguments(tool->input, arguments); !wrong.empty())
    return told(nullptr, wrong, true);
  auto done = tool->run(arguments);
  if (!done)
    return told(nullptr, done.error().message, true);
  json structured = done->is_object() ? *done : json{{"items", *done}};
  return told(structured, structured.dump(2, ' ', false, json::error_handler_t::replace), false);
}

mcp_server::reply mcp_server::read(const json& params) {
  if (!is_text(params, "uri"))
    return refusal{invalid_params, "uri: expected a text", nullptr};
  const std::string uri = params["uri"].get<std::string>();
  auto text = parts_.read(uri);
  if (!text)
    return refusal{invalid_params, text.error().message, {{"uri", uri}}};
  return json{{"contents", json::array({{{"uri", uri}, {"mimeType", "text/plain"}, {"text", *text}}})}};
}

} // namespace kevolve::scheduler
