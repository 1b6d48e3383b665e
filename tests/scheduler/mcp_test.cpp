// The Model Context Protocol's two eras, line by line.
#include "scheduler/mcp_input.hpp"
#include "scheduler/mcp_protocol.hpp"

#include <doctest/doctest.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::scheduler;
using json = nlohmann::ordered_json;

namespace {

mcp_server made_up_server() {
  mcp_server_parts p;
  p.version = "1";
  p.instructions = "made up";
  p.tools = {{"add", "Add", "adds", {{"type", "object"}, {"properties", {{"a", {{"type", "integer"}}}, {"b", {{"type", "integer"}}}}}, {"required", {"a", "b"}}}, true,
              [](const json& given) -> result<json> { return json{{"sum", given["a"].get<int>() + given["b"].get<int>()}}; }},
             {"fail", "Fail", "fails", {{"type", "object"}, {"properties", json::object()}, {"required", json::array()}}, false,
              [](const json&) -> result<json> { return error{errc::not_found, "nothing is there"}; }}};
  p.resources = [] { return std::vector<mcp_resource>{{"kevolve://kb/a", "a"}}; };
  p.read = [](const std::string& uri) -> result<std::string> { return uri == "kevolve://kb/a" ? result<std::string>("text of a") : error{errc::not_found, "no " + uri}; };
  return mcp_server(std::move(p));
}

json said(mcp_server& server, const std::string& line) {
  auto answer = server.answer(line);
  REQUIRE(answer);
  CHECK(answer->find('\n') == std::string::npos);
  return json::parse(*answer);
}

const std::string modern = R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}})";

} // namespace

TEST_CASE("a client's lines come one by one, a huge one is left out, and its end is seen while a call waits") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto put = [&](const std::string& text) { REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size())); };
  bool stopped = false, too_long = false;
  line_reader lines(ends[0], [&] { return stopped; });
  put("one\ntwo\nthr");
  CHECK(lines.next(too_long) == "one");
  CHECK(lines.next(too_long) == "two");
  CHECK_FALSE(writer_has_left(ends[0], std::chrono::milliseconds(0))); // it is there, with nothing to say
  put("ee\nfour\n");
  CHECK_FALSE(writer_has_left(ends[0], std::chrono::milliseconds(0))); // and with something
  std::thread huge([&] {
    const std::string part(1 << 20, 'x');
    for (int i = 0; i < 9; ++i)
      put(part);
    put("\nfive\n");
  });
  CHECK(lines.next(too_long) == "three");
  CHECK(lines.next(too_long) == "four");
  CHECK(lines.next(too_long) == "");
  CHECK(too_long);
  CHECK(lines.next(too_long) == "five");
  CHECK_FALSE(too_long);
  huge.join();
  put("six\n");
  ::close(ends[1]);
  CHECK(writer_has_left(ends[0], std::chrono::minutes(10))); // at once, though a line is to be read
  CHECK(lines.next(too_long) == "six");
  CHECK_FALSE(lines.next(too_long));
  ::close(ends[0]);
  REQUIRE(::pipe(ends) == 0);
  stopped = true;
  CHECK_FALSE(line_reader(ends[0], [&] { return stopped; }).next(too_long));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("the era with a handshake: its version is echoed where it is known, its notifications are not answered") {
  auto server = made_up_server();
  auto hello = said(server, R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}})");
  CHECK(hello["result"]["protocolVersion"] == "2025-06-18");
  CHECK(hello["result"]["serverInfo"]["name"] == "kevolve");
  CHECK(said(server, R"({"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersion":"1999-01-01"}})")["result"]["protocolVersion"] == "2025-11-25");
  CHECK_FALSE(server.answer(R"({"jsonrpc":"2.0","method":"notifications/initialized"})"));
  CHECK(said(server, R"({"jsonrpc":"2.0","id":3,"method":"ping"})")["result"] == json::object());
  const auto tools = said(server, R"({"jsonrpc":"2.0","id":"four","method":"tools/list"})");
  CHECK(tools["id"] == "four");
  CHECK(tools["result"]["tools"].size() == 2);
  CHECK_FALSE(tools["result"].contains("ttlMs"));
}

TEST_CASE("the stateless era: every request names its version, every result is complete, lists may be kept") {
  auto server = made_up_server();
  const auto found = said(server, R"({"jsonrpc":"2.0","id":1,"method":"server/discover","params":{)" + modern + "}}");
  CHECK(found["result"]["resultType"] == "complete");
  CHECK(found["result"]["supportedVersions"][0] == "2026-07-28");
  const auto tools = said(server, R"({"jsonrpc":"2.0","id":2,"method":"tools/list","params":{)" + modern + "}}");
  CHECK(tools["result"]["resultType"] == "complete");
  CHECK(tools["result"]["ttlMs"] == 60000);
  CHECK(said(server, R"({"jsonrpc":"2.0","id":3,"method":"ping","params":{)" + modern + "}}")["error"]["code"] == -32601);
  const auto unknown = said(server, R"({"jsonrpc":"2.0","id":4,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2030-01-01"}}})");
  CHECK(unknown["error"]["code"] == -32022);
  CHECK(unknown["error"]["data"]["requested"] == "2030-01-01");
}

TEST_CASE("a tool's failure and wrong arguments are results that say so; an unknown tool is a protocol error") {
  auto server = made_up_server();
  auto call = [&](const std::string& params) { return said(server, R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":)" + params + "}"); };
  const auto good = call(R"({"name":"add","arguments":{"a":2,"b":3}})");
  CHECK(good["result"]["isError"] == false);
  CHECK(good["result"]["structuredContent"]["sum"] == 5);
  CHECK(json::parse(good["result"]["content"][0]["text"].get<std::string>())["sum"] == 5);
  const auto failed = call(R"({"name":"fail"})");
  CHECK(failed["result"]["isError"] == true);
  CHECK(failed["result"]["content"][0]["text"] == "nothing is there");
  CHECK(call(R"({"name":"add","arguments":{"a":2}})")["result"]["content"][0]["text"] == "argument 'b' is missing");
  CHECK(call(R"({"name":"add","arguments":{"a":2,"b":"x"}})")["result"]["content"][0]["text"] == "argument 'b': found \"x\", expected type integer");
  CHECK(call(R"({"name":"add","arguments":{"a":2,"b":3,"c":4}})")["result"]["content"][0]["text"] == "argument 'c' is not known; expected a, b");
  CHECK(call(R"({"name":"none"})")["error"]["code"] == -32602);
  CHECK(call(R"({})")["error"]["code"] == -32602);
}

TEST_CASE("resources are listed and read; what is not there is a wrong parameter") {
  auto server = made_up_server();
  CHECK(said(server, R"({"jsonrpc":"2.0","id":1,"method":"resources/list"})")["result"]["resources"][0]["uri"] == "kevolve://kb/a");
  CHECK(said(server, R"({"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"kevolve://kb/a"}})")["result"]["contents"][0]["text"] == "text of a");
  CHECK(said(server, R"({"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"kevolve://kb/b"}})")["error"]["code"] == -32602);
}

TEST_CASE("what is no request gets an error, never silence or an end") {
  auto server = made_up_server();
  CHECK(said(server, "{")["error"]["code"] == -32700);
  CHECK(said(server, "\xff\xfe")["error"]["code"] == -32700);
  CHECK(said(server, "[]")["error"]["code"] == -32600);
  CHECK(said(server, R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":5}})")["result"]["protocolVersion"] == "2025-11-25");
  CHECK(said(server, R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}}}")["error"]["code"] == -32700);
  CHECK(said(server, R"({"id":1})")["error"]["code"] == -32600);
  CHECK(said(server, R"({"id":{"a":1},"method":"ping"})")["error"]["code"] == -32600);
  CHECK(said(server, R"({"jsonrpc":"2.0","id":1,"method":"no/such"})")["error"]["code"] == -32601);
  CHECK(said(server, R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]})")["error"]["code"] == -32602);
  CHECK(said(server, R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":"x"}})")["result"]["isError"] == true);
}
