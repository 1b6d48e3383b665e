#!/usr/bin/env python3
"""How much faster two agents are than one: a session of fixed evaluations, each agent bound to a core of its own with one device slot, compiles warm.

Usage: two_agents.py KEVOLVE [--evaluations 165] [--repeat 3]. The proposals come from models/fixed.awk, so that each session evaluates the same candidates whatever it measures; no run ends by a plateau. Each run has
a store of its own (nothing is answered from an earlier one); the agents share their artifacts, which are filled by a first run of either kind that is not counted. Runs alternate, so that a host whose speed
drifts counts for both. Prints each run, with the seconds that compilations and evaluations took in it, and the ratio of the medians; the verification of the leader at the end, which one agent does alone, counts in both. Not among the tests, since nothing there depends on time. Python's standard library alone.
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

OPERATOR = ["submit", "matmul_k512_n512", "--workload", "rows_2048", "--baselines", "none", "--seed", "7", "--synthesizer", "fixed"]
MODEL = pathlib.Path(__file__).resolve().parent / "models" / "fixed.awk"


class Fixed(Fleet):
    """A scheduler that has the model."""

    def start(self, name, line, **more):
        if name == "scheduler":
            settings = self.at / "config.toml"
            settings.write_text(f'[llm.providers.fixed]\nkind = "exec"\ncommand = ["awk", "-f", "{MODEL}"]\n[[llm.models]]\nname = "fixed"\nprovider = "fixed"\n')
            line = [*line, "--config", settings]
        return super().start(name, line, **more)


def run(agents, caches):
    with Fixed(chosen.kevolve) as fleet:
        program = pathlib.Path(fleet.kevolve).parent / "kevolve-agent"
        for core in range(agents):
            fleet.start(f"agent{core}", ["taskset", "-c", core, program, "--scheduler", fleet.endpoint, "--key", fleet.at / "fleet.key", "--cache", caches, "--python", "none",
                                         "--name", f"core{core}"])
        until(lambda: len(fleet.agents()) == agents, 120, "the agents register")
        began = time.monotonic()
        session = json.loads(fleet.ask(*OPERATOR, "--evaluations", chosen.evaluations, "--plateau", chosen.evaluations, "--time", "10m").stdout)[0]["session"]
        shown = json.loads(fleet.ask("sessions", "watch", session).stdout)  # told, not asked again and again: there are two cores
        return time.monotonic() - began, shown["evaluations"], shown["stages"]


def main():
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed")
    caches = pathlib.Path(tempfile.mkdtemp(prefix="kevolve-two-", dir="/var/tmp"))
    took = {1: [], 2: []}
    try:
        for i in range(chosen.repeat + 1):
            for agents in (1, 2):
                seconds, evaluations, stages = run(agents, caches)
                print(f"{agents} agent{'s' if agents > 1 else ' '}  {seconds:6.1f} s for {evaluations} evaluations, {stages['compile_s']:.1f} s of them compiling, {stages['check_s'] + stages['measure_s']:.1f} s checking and measuring{'' if i else '  (not counted)'}", flush=True)
                if i:
                    took[agents].append(seconds)
    finally:
        shutil.rmtree(caches, ignore_errors=True)
    one, two = statistics.median(took[1]), statistics.median(took[2])
    print(f"medians {one:.1f} s and {two:.1f} s: two agents take {two / one:.2f} of the time")


options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("kevolve")
options.add_argument("--evaluations", type=int, default=165)
options.add_argument("--repeat", type=int, default=3)
chosen = options.parse_args()
main()
