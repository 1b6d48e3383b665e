#!/usr/bin/env python3
"""kevolve mcp driven by the protocol's own Python client (package mcp from the package index): list, submit, wait, best, search, evaluate, in both eras
of the protocol. Release 2 of the package speaks both; with release 1 the stateless one is skipped, and said to be.

Usage: mcp_client.py KEVOLVE. Exits 77 (skipped) where the package is not installed. A client that goes away while it waits is tested without it.
"""
import asyncio
import json
import os
import subprocess
import sys
import tempfile

LEGACY, STATELESS = "2025-11-25", "2026-07-28"
ENVIRONMENT = {**os.environ, "KEVOLVE_PYTHON": "none", "KEVOLVE_BASELINES": "none"}


def field(of, *names):
    """Release 2 of the package writes its fields in snake case."""
    return next(getattr(of, n) for n in names if hasattr(of, n))


async def drive(session, runs_before):
    tools = {t.name for t in (await session.list_tools()).tools}
    assert {"list_operators", "submit_run", "get_run", "get_best", "search_knowledge", "evaluate_solution"} <= tools, tools

    async def call(name, wrong=False, **arguments):
        answer = await session.call_tool(name, arguments)
        assert bool(field(answer, "isError", "is_error")) == wrong, (name, answer.content[0].text[:300])
        return None if wrong else field(answer, "structuredContent", "structured_content")

    assert "softmax_n4096" in (await call("list_operators"))["operators"]
    assert "kevolve_run" in (await call("get_operator", operator="softmax_n4096"))["form"]
    run = (await call("submit_run", operator="softmax_n4096", evaluations=6, seed=1 + runs_before))["run_id"]
    while (state := await call("get_run", run_id=run, wait_s=20))["state"] == "running":
        pass
    assert state["state"] == "finished" and state["evaluations"] == 6, state
    assert len((await call("list_runs"))["runs"]) == runs_before + 1
    candidates = (await call("list_candidates", run_id=run))["candidates"]
    assert len(candidates) == 6
    best = (await call("get_best", operator="softmax_n4096"))["best"]
    assert best and best[0]["speedup"] > 0
    source = (await call("get_candidate", candidate=best[0]["candidate"]))
    assert source["candidate"] == best[0]["candidate"]
    found = (await call("search_knowledge", query="streaming stores past the caches", target="cpu/x86-64-v4/cpp"))["passages"]
    assert found and all(p["why"] for p in found)
    refused = await call("evaluate_solution", operator="softmax_n4096", source="int main() {}")
    assert refused["outcome"] == "refused" and refused["faults"]
    await call("get_run", wrong=True, run_id="nothing")
    await call("submit_run", wrong=True, operator="no_such_operator")
    uris = [str(r.uri) for r in (await session.list_resources()).resources]
    assert f"kevolve://runs/{run}" in uris
    read = (await session.read_resource(f"kevolve://runs/{run}")).contents
    assert json.loads(read[0].text)["session"] == run
    return f"{len(tools)} tools, 1 run of {state['evaluations']} evaluations, {len(uris)} resources"


async def by_release_1(server):
    from mcp import ClientSession
    from mcp.client.stdio import stdio_client

    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        hello = await session.initialize()
        assert field(hello, "protocolVersion", "protocol_version") >= "2024-11-05"
        print("with a handshake:", await drive(session, 0))
    print(f"skipped: the stateless era ({STATELESS}): this release of mcp does not speak it; pip install 'mcp>=2'")


async def by_release_2(server):
    from mcp.client import Client

    for runs_before, (mode, version) in enumerate([("legacy", LEGACY), (STATELESS, STATELESS)]):
        async with Client(server, mode=mode) as client:
            assert client.protocol_version == version, (mode, client.protocol_version)
            print(f"{version}:", await drive(client, runs_before))


def leave_while_waiting(kevolve, folder):
    """A client closes its end while get_run waits for a session of ten minutes: the answer so far comes, and then the end."""
    server = subprocess.Popen([kevolve, "mcp", "--data", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)

    def ask(number, method, **parameters):
        server.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}) + "\n")
        server.stdin.flush()

    ask(1, "initialize", protocolVersion=LEGACY, capabilities={}, clientInfo={"name": "test", "version": "1"})
    assert json.loads(server.stdout.readline())["id"] == 1
    ask(2, "tools/call", name="submit_run", arguments={"operator": "softmax_n4096", "time_s": 600})
    run = json.loads(server.stdout.readline())["result"]["structuredContent"]["run_id"]
    ask(3, "tools/call", name="get_run", arguments={"run_id": run, "wait_s": 30})
    server.stdin.close()
    last = json.loads(server.stdout.readline())
    assert last["id"] == 3 and last["result"]["structuredContent"]["state"] == "running", last
    assert server.stdout.read() == "" and server.wait() == 0
    print("left while waiting: answered, ended")


async def main():
    try:
        import mcp.client
        from mcp import StdioServerParameters
    except ImportError as missing:
        print(f"skipped: {missing}; pip install mcp")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        server = StdioServerParameters(command=sys.argv[1], args=["mcp", "--data", folder], env=ENVIRONMENT)
        await (by_release_2 if hasattr(mcp.client, "Client") else by_release_1)(server)


with tempfile.TemporaryDirectory() as elsewhere:
    leave_while_waiting(sys.argv[1], elsewhere)
asyncio.run(main())
