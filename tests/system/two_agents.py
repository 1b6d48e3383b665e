#!/usr/bin/env python3
"""How much faster two agents are than one: a session of so many evaluations, each agent bound to a core of its own with one device slot, compiles warm.

Usage: two_agents.py KEVOLVE [--evaluations 200] [--repeat 3]. No run ends by a plateau. Each run has a store of its own (nothing is answered from an earlier one); the agents share their artifacts, which are
kept from a first run of either kind, which is not counted: what later runs propose differs with what they measure, so that some of it is compiled again (printed). Runs alternate, so that a host whose speed drifts counts for both. Prints each run and the ratio of the medians. Not among the tests, since
nothing there depends on time. Python's standard library alone.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from fleet import Fleet, until

OPERATOR = ["submit", "rms_norm_h4096", "--workload", "decode_256", "--baselines", "none", "--seed", "7"]


def run(agents, caches):
    with Fleet(chosen.kevolve) as fleet:
        program = pathlib.Path(fleet.kevolve).parent / "kevolve-agent"
        for core in range(agents):
            fleet.start(f"agent{core}", ["taskset", "-c", core, program, "--scheduler", fleet.endpoint, "--key", fleet.at / "fleet.key", "--cache", caches, "--python", "none",
                                         "--name", f"core{core}"])
        until(lambda: len(fleet.agents()) == agents, 120, "the agents register")
        began = time.monotonic()
        session = json.loads(fleet.ask(*OPERATOR, "--evaluations", chosen.evaluations, "--plateau", chosen.evaluations, "--time", "10m").stdout)[0]["session"]
        at = {}

        def over():
            shown = fleet.show(session)
            if shown.get("evaluations", 0) >= chosen.evaluations:
                at.setdefault("searched", time.monotonic() - began)
            return shown if shown.get("state") == "finished" or shown.get("stopped_by") else None

        shown = until(over, 600, "the session ends")
        return at.get("searched", time.monotonic() - began), shown["evaluations"], fleet.show(session)["stages"]["compile_s"]


def main():
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed")
    caches = pathlib.Path(tempfile.mkdtemp(prefix="kevolve-two-", dir="/var/tmp"))
    took = {1: [], 2: []}
    try:
        for i in range(chosen.repeat + 1):
            for agents in (1, 2):
                seconds, evaluations, compiled_s = run(agents, caches)
                print(f"{agents} agent{'s' if agents > 1 else ' '}  {seconds:6.1f} s for {evaluations} evaluations, {compiled_s:.1f} s of compilations{'' if i else '  (not counted)'}", flush=True)
                if i:
                    took[agents].append(seconds)
    finally:
        shutil.rmtree(caches, ignore_errors=True)
    one, two = statistics.median(took[1]), statistics.median(took[2])
    print(f"medians {one:.1f} s and {two:.1f} s: two agents take {two / one:.2f} of the time")


options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("kevolve")
options.add_argument("--evaluations", type=int, default=200)
options.add_argument("--repeat", type=int, default=3)
chosen = options.parse_args()
main()
