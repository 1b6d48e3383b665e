#!/usr/bin/env python3
"""kevolve mcp driven by the protocol's own Python client (package mcp from the package index): list, submit, wait, best, search, evaluate.

Usage: mcp_client.py KEVOLVE. Exits 77 (skipped) where the package is not installed.
"""
import asyncio
import os
import sys
import tempfile

try:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
except ImportError as missing:
    print(f"skipped: {missing}; pip install mcp")
    sys.exit(77)


def field(of, *names):
    """Release 2 of the package writes its fields in snake case."""
    return next(getattr(of, n) for n in names if hasattr(of, n))


async def drive(session):
    hello = await session.initialize()
    assert field(hello, "protocolVersion", "protocol_version") >= "2024-11-05"
    tools = {t.name for t in (await session.list_tools()).tools}
    assert {"list_operators", "submit_run", "get_run", "get_best", "search_knowledge", "evaluate_solution"} <= tools, tools

    async def call(name, wrong=False, **arguments):
        answer = await session.call_tool(name, arguments)
        assert bool(field(answer, "isError", "is_error")) == wrong, (name, answer.content[0].text[:300])
        return None if wrong else field(answer, "structuredContent", "structured_content")

    assert "softmax_n4096" in (await call("list_operators"))["operators"]
    assert "kevolve_run" in (await call("get_operator", operator="softmax_n4096"))["form"]
    run = (await call("submit_run", operator="softmax_n4096", evaluations=6, seed=1))["run_id"]
    while (state := await call("get_run", run_id=run, wait_s=20))["state"] == "running":
        pass
    assert state["state"] == "finished" and state["evaluations"] == 6, state
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
    print(f"{len(tools)} tools, 1 run of {state['evaluations']} evaluations, {len(uris)} resources")


async def main():
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "KEVOLVE_PYTHON": "none", "KEVOLVE_BASELINES": "none"}
        server = StdioServerParameters(command=sys.argv[1], args=["mcp", "--data", folder], env=environment)
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            await drive(session)


asyncio.run(main())
